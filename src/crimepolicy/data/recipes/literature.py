"""The claims of the report in our words, and the estimates that others published."""

import polars as pl

from crimepolicy.data.fetch import fetch
from crimepolicy.data.sources import compiled

__all__ = ["RECIPES"]


def report_claims() -> pl.LazyFrame:
    """Return the claims with family, expected sign and testability."""
    return compiled.tidy_events(fetch("report-claims")["claims.csv"], dates=[], flags=[])


def published_estimates() -> pl.LazyFrame:
    """Return published effects with standard errors where given."""
    numbers = ["year", "percent", "log_effect", "std_error", "ci_low", "ci_high", "p_value", "natural_effect"]
    path = fetch("published-estimates")["estimates.csv"]
    return compiled.tidy_events(path, dates=[], flags=["verified"], numbers=numbers)


RECIPES = {"report_claims": report_claims, "published_estimates": published_estimates}
