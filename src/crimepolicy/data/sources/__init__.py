"""Tidy readers, one module per producer: they change the format and never a number."""
