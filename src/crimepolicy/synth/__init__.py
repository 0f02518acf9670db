"""Comparison units as weighted averages of donors, and as factors: one contrast, several choices of weights."""
