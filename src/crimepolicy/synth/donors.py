"""What the donor pool can and cannot support, as named checks."""

from typing import Any

import numpy as np

from crimepolicy.panel_checks import Check
from crimepolicy.synth.cohorts import Comparison

__all__ = ["donor_checks", "fit_check", "hull_check"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_SHORT = 5  # fewer periods before treatment than this say next to nothing about the fit
_CONVENTION = 0.05
_EXACT = 1e-8


def donor_checks(data: Comparison, gaps: Floats, donors: list[Floats], unique: list[bool]) -> tuple[Check, ...]:
    """Look at the fit before treatment, the weights, and the smallest p-value of the pool.

    Parameters
    ----------
    data : Comparison
        Cohorts and donors.
    gaps : float array (C, T)
        Treated less comparison.
    donors : list of float array (J,)
        Donor weights per cohort.
    unique : list of bool
        Whether the weights of each cohort are the only optimum.
    """
    return (fit_check(data, gaps), _unique(unique), _effective(donors), _before(data, gaps), _smallest_p(data))


def fit_check(data: Comparison, gaps: Floats) -> Check:
    """Return the root mean squared gap before treatment, all cohorts together."""
    squares = np.concatenate([gaps[c, : cohort.start] ** 2 for c, cohort in enumerate(data.cohorts)])
    series = np.concatenate([data.average(cohort.rows)[: cohort.start] for cohort in data.cohorts])
    error, spread = float(np.sqrt(squares.mean())), float(series.std())
    share = f", {error / spread:.1%} of the standard deviation of the treated series" if spread > 0 else ""
    return Check("pre_rmspe", None, error, f"root mean squared gap before treatment {error:.4g}{share}.")


def hull_check(data: Comparison, gaps: Floats) -> Check:
    """Say whether the treated series lies inside what averages of donors can reach before treatment."""
    pool = data.series(data.donors)
    outside, total, exact = 0, 0, True
    for c, cohort in enumerate(data.cohorts):
        before = slice(None, cohort.start)
        series = data.average(cohort.rows)[before]
        outside += int(((series < pool[:, before].min(axis=0)) | (series > pool[:, before].max(axis=0))).sum())
        total += cohort.start
        exact &= _is_exact(data, gaps, c)
    if exact:
        return Check(
            "inside_hull", True, 0, "the treated series is an average of donors in every period before treatment."
        )
    if outside:
        text = f"the treated series lies above or below every donor in {outside} of {total} periods before treatment, where no average of donors can reach it."
        return Check("inside_hull", False, outside, text)
    return Check(
        "inside_hull",
        None,
        0,
        "the treated series lies between the donors in each period, but no single average of them equals it.",
    )


def _unique(unique: list[bool]) -> Check:
    several = len(unique) - sum(unique)
    text = (
        "no other weights fit as well."
        if not several
        else f"other weights fit as well in {several} of {len(unique)} cohorts: the effect is one of several."
    )
    return Check("weights_unique", several == 0, several, text)


def _effective(donors: list[Floats]) -> Check:
    counts = [1.0 / float(w @ w) if w.any() else 0.0 for w in donors]
    least = min(counts)
    return Check(
        "effective_donors",
        None,
        least,
        f"the weights are worth {least:.1f} equally weighted donors{' in the thinnest cohort' if len(counts) > 1 else ''}.",
    )


def _before(data: Comparison, gaps: Floats) -> Check:
    least = min(cohort.start for cohort in data.cohorts)
    if any(_is_exact(data, gaps, c) for c in range(len(gaps))) and len(data.donors) > 1:
        return Check(
            "pre_periods",
            False,
            least,
            f"{least} periods before treatment are matched exactly: with so many donors this says nothing about the fit.",
        )
    if least < _SHORT:
        return Check(
            "pre_periods",
            False,
            least,
            f"{least} periods before treatment: fewer than {_SHORT} cannot tell a good fit from luck.",
        )
    return Check("pre_periods", True, least, f"{least} periods before treatment.")


def _is_exact(data: Comparison, gaps: Floats, c: int) -> bool:
    before = slice(None, data.cohorts[c].start)
    size = float(np.abs(data.average(data.cohorts[c].rows)[before]).max())
    return float(np.abs(gaps[c, before]).max()) <= _EXACT * max(size, 1.0)


def _smallest_p(data: Comparison) -> Check:
    smallest = 1.0 / (len(data.donors) + 1)
    passed = smallest <= _CONVENTION
    advice = "" if passed else ", so no placebo test can reach 5%"
    return Check(
        "smallest_p",
        passed,
        smallest,
        f"with {len(data.donors)} donors a placebo test of one treated unit cannot give p below {smallest:.3f}{advice}.",
    )
