"""The analyses: a plan, claims, and the tasks that turn processed tables into published numbers."""
