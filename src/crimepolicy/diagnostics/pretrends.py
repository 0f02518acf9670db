"""Tests of the effects before treatment, and what violation of parallel trends they would have missed."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from crimepolicy.errors import InferenceError
from crimepolicy.estimate import Estimate

__all__ = ["JointTest", "joint_test"]


@dataclass(frozen=True, slots=True)
class JointTest:
    """A Wald test that several terms are zero: statistic, degrees of freedom, p-value (chi-squared)."""

    statistic: float
    df: int
    p_value: float


def joint_test(estimate: Estimate, terms: list[str]) -> JointTest:
    """Test that some terms of an estimate are all zero.

    Parameters
    ----------
    estimate : Estimate
        With `psi` or `draws`.
    terms : list of str
        Such as ``event_time[-2]`` or ``cell[2004, 2006]``.

    Returns
    -------
    JointTest

    Raises
    ------
    InferenceError
        Where there are no terms, or their covariance is singular.
    """
    if not terms:
        raise InferenceError("There are no terms to test.")
    values = estimate.estimates[terms].to_numpy()
    covariance = estimate.covariance(terms).to_numpy()
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    if np.linalg.cond(correlation) > 1e12:
        raise InferenceError(
            f"The covariance of these {len(terms)} terms is singular (fewer independent clusters than terms?). Test fewer terms, for example with aggregate('event', window=(-12, None))."
        )
    statistic = float((values / scale) @ linalg.solve(correlation, values / scale, assume_a="pos"))
    return JointTest(statistic, len(terms), float(stats.chi2.sf(statistic, len(terms))))
