"""How much the posterior moves when the prior, or the likelihood, is made a little stronger or weaker."""

from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import InferenceError, of_kind
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.panel_checks import Check

__all__ = ["prior_sensitivity", "prior_sensitivity_check"]

_LIMIT = 0.05
_WORDS = {
    (True, True): "prior and data disagree",
    (True, False): "the prior decides",
    (False, True): "the data decide",
    (False, False): "neither moves it",
}


def prior_sensitivity(estimate: Estimate) -> pd.DataFrame:
    """Return how the posterior of every term reacts to a power of the prior and of the likelihood.

    The quantity is the distance between the posterior and itself under a slightly raised or lowered power of the prior (or of the
    likelihood), per doubling of that power, by smoothed importance weights; nothing is fitted again. Only priors that a reader chose are
    raised: those of scales and of coefficients with a fixed scale, not what is normal given a scale.

    Parameters
    ----------
    estimate : Estimate
        Of a Bayesian estimator.

    Returns
    -------
    pandas.DataFrame
        One row per term with the columns prior, likelihood (distances; 0.05 is worth a look) and reading.

    Raises
    ------
    InferenceError
        Where the estimate does not carry ArviZ's groups posterior, log_prior and log_likelihood.

    References
    ----------
    Kallioinen, Paananen, Bürkner and Vehtari (2024), "Detecting and diagnosing prior and likelihood sensitivity with power-scaling",
    Statistics and Computing 34, 57.

    Examples
    --------
    >>> from crimepolicy.bayes.data_tree import data_tree
    >>> x = np.random.default_rng(0).standard_normal((2, 500))
    >>> groups = {
    ...     "posterior": {"att": x},
    ...     "log_prior": {"p": -25 * x**2},
    ...     "log_likelihood": {"all_cells": -(x**2) / 99},
    ... }
    >>> tree = data_tree(groups, dims={}, coords={}, sample_stats=None)
    >>> facts = {"estimand": "", "value": 0.0, "std_error": 1.0, "method": "", "citation": ""}
    >>> prior_sensitivity(Estimate(**facts, inference_data=tree))["reading"].tolist()
    ['the prior decides']
    """
    of_kind("estimate", estimate, Estimate)
    needed = {"posterior", "log_prior", "log_likelihood"}
    if estimate.inference_data is None or not needed <= set(estimate.inference_data.children):
        raise InferenceError(
            f"{estimate.method or 'This estimate'} carries no ArviZ groups {', '.join(sorted(needed))}, so nothing can be reweighted. Fit it "
            "with a Bayesian estimator."
        )
    return _sensitivity(estimate.inference_data, None)


def prior_sensitivity_check(tree: Any) -> Check:
    """Return the sensitivity of the headline as a check; it never fails a fit, since an informative prior may be meant."""
    row = _sensitivity(tree, [HEADLINE]).iloc[0]
    text = f"a doubled power moves the posterior by {row['prior']:.2f} (prior) and {row['likelihood']:.2f} (likelihood): {row['reading']}."
    return Check("prior_sensitivity", True if row["prior"] < _LIMIT else None, float(row["prior"]), text)


def _sensitivity(tree: Any, names: list[str] | None) -> pd.DataFrame:
    from arviz_stats import psense_summary

    # A constant, such as the anchor of a path, has no distance. Without a limit of its own ArviZ keeps its reading, and a line in the log, to itself.
    with np.errstate(invalid="ignore"):
        found = psense_summary(
            tree, var_names=names, likelihood_var_names=["all_cells"], threshold=float("inf"), round_to=6
        )
    table: pd.DataFrame = found[["prior", "likelihood"]].astype(float).dropna()
    reading = [_WORDS[bool(p >= _LIMIT), bool(q >= _LIMIT)] for p, q in table.itertuples(index=False)]
    return table.assign(reading=reading).rename_axis("term")
