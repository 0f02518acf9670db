"""Bayesian estimators: counts with exposure, events that borrow strength, measurement that is modelled."""
