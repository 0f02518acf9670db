"""Diagnostics: is the design believable? They read an `Estimate` or a `Panel` and give checks."""
