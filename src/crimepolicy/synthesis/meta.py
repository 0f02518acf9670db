"""Random-effects synthesis of estimates: the average effect, how much effects differ, and what the next one would be."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from crimepolicy.errors import choose
from crimepolicy.estimate import HEADLINE, Check, Estimate
from crimepolicy.synthesis.prediction import predicted_effects
from crimepolicy.synthesis.random_effects import (
    Heterogeneity,
    Model,
    PooledFit,
    Spread,
    fit_at,
    heterogeneity,
    rotate,
    spread,
)
from crimepolicy.synthesis.studies import Moderators, Studies, read_studies

__all__ = ["synthesise"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Prediction = Literal["confidence", "plug_in"]

_CITATION = "Viechtbauer (2005, 2007); Hartung and Knapp (2001); Higgins, Thompson and Spiegelhalter (2009)"
_NAMES = {"reml": "restricted likelihood", "pm": "Paule-Mandel", "dl": "DerSimonian-Laird", "fixed": "fixed effect"}
_FEW = 5


def synthesise(
    estimates: Mapping[str, Estimate] | Sequence[Estimate],
    *,
    method: Spread = "reml",
    hartung_knapp: bool = True,
    moderators: Moderators = None,
    correlated: bool = True,
    prediction: Prediction = "confidence",
    level: float = 0.95,
) -> Estimate:
    """Put estimates of several events, places or studies together.

    The estimand is the mean of the distribution from which the true effects come (at the mean of the moderators); for
    ``method="fixed"``, the one effect that all share.

    Parameters
    ----------
    estimates : mapping of label to Estimate, or sequence
        On one additive scale, each with a standard error.
    method : {"reml", "pm", "dl", "fixed"}
        Variance of the true effects by restricted likelihood, Paule-Mandel or DerSimonian-Laird; or none.
    hartung_knapp : bool
        Scale the standard error by the observed spread and use t with k - p degrees of freedom; normal otherwise.
    moderators : mapping of name to values, or table, optional
        One value per estimate; text becomes indicators. Their coefficients are the path of the result.
    correlated : bool
        Let estimates whose influence functions share clusters be correlated.
    prediction : {"confidence", "plug_in"}
        How the effect of a new event is predicted: over the confidence distribution of tau2, or with tau2 taken as known (the
        usual formula, which covers too rarely where tau2 is small beside the errors; always so with ``method="fixed"``).
    level : float
        Of the interval of tau2 in the checks.

    Returns
    -------
    Estimate
        ``companions["prediction"]`` is the effect of a new event: its interval is the prediction interval.
        ``companions["tau"]`` is the standard deviation of true effects (its interval is in the checks). `weights` has one row
        per estimate: label, estimate, std_error, weight, shrunken, and the synthesis without it.

    Raises
    ------
    DesignError
        Where there are too few estimates, their scales differ, or moderators do not fit.
    InferenceError
        Where an estimate has no standard error.

    Assumptions
    -----------
    Each estimate is normal around its true effect with known covariance; the true effects are draws from one normal
    distribution around what the moderators predict, unrelated to how precisely they are measured.

    References
    ----------
    Viechtbauer (2005), Journal of Educational and Behavioral Statistics 30; (2007), Statistics in Medicine 26.
    Hartung and Knapp (2001), Statistics in Medicine 20. Higgins, Thompson and Spiegelhalter (2009), JRSS A 172.

    Examples
    --------
    >>> facts = {"estimand": "effect", "method": "example", "citation": "", "scale": "log"}
    >>> trio = {
    ...     name: Estimate(value=v, std_error=0.1, **facts) for name, v in {"a": -0.3, "b": -0.1, "c": -0.2}.items()
    ... }
    >>> round(synthesise(trio).value, 6)
    -0.2
    """
    choose("method", method, Spread)
    choose("prediction", prediction, Prediction)
    studies = read_studies(estimates, moderators, correlated)
    model = rotate(studies.y, studies.V, studies.X)
    tau2 = spread(model, method)
    fit = fit_at(model, tau2)
    factor = fit.q / model.degrees if hartung_knapp else 1.0
    errors = np.sqrt(factor * np.diag(fit.covariance))
    found = heterogeneity(model, tau2, level)
    head = Estimate(
        estimand=f"mean over {len(studies.y)} estimates of the {studies.estimand}",
        value=float(fit.coefficients[0]),
        std_error=float(errors[0]),
        method=f"random effects ({_NAMES[method]})" if method != "fixed" else "fixed effect",
        citation=_CITATION,
        options={
            "method": method,
            "hartung_knapp": hartung_knapp,
            "correlated": correlated,
            "prediction": prediction,
            "moderators": studies.moderators,
        },
        scale=studies.scale,
        df=float(model.degrees) if hartung_knapp else None,
        correction="Hartung-Knapp" if hartung_knapp else "normal",
        path=_moderator_path(studies, fit, errors),
        weights=_weights(studies, fit, tau2, method, hartung_knapp),
        checks=(*studies.checks, *_checks(studies, model, fit, tau2, found, hartung_knapp, level)),
        n_units=len(studies.y),
        n_treated=len(studies.y),
    )
    new = (
        predicted_effects(model, hartung_knapp=hartung_knapp)
        if prediction == "confidence" and method != "fixed"
        else None
    )
    return head.replace(companions=_companions(head, tau2, new))


def _companions(head: Estimate, tau2: float, new: Floats | None) -> dict[str, Estimate]:
    bare = head.replace(path=None, weights=None)
    draws = None if new is None else pd.DataFrame({HEADLINE: new})
    spread_of_new = float(np.sqrt(head.std_error**2 + tau2)) if new is None else float(new.std())
    return {
        "prediction": bare.replace(
            estimand=f"effect of a new event, from the {head.estimand}",
            std_error=spread_of_new,
            draws=draws,
        ),
        # A spread of log effects is not itself a log effect.
        "tau": bare.replace(
            estimand=f"standard deviation of true effects: {head.estimand}",
            value=float(np.sqrt(tau2)),
            std_error=float("nan"),
            df=None,
            scale="level",
        ),
    }


def _moderator_path(studies: Studies, fit: PooledFit, errors: Floats) -> pd.DataFrame | None:
    if not studies.moderators:
        return None
    index = pd.Index(studies.moderators, name="moderator")
    return pd.DataFrame({"estimate": fit.coefficients[1:], "std_error": errors[1:]}, index=index)


def _weights(studies: Studies, fit: PooledFit, tau2: float, method: Spread, hartung_knapp: bool) -> pd.DataFrame:
    predicted = studies.X @ fit.coefficients
    total = studies.V + tau2 * np.eye(len(studies.y))
    without = [_pooled(studies.without(i), method, hartung_knapp) for i in range(len(studies.y))]
    return pd.DataFrame(
        {
            "label": studies.labels,
            "estimate": studies.y,
            "std_error": np.sqrt(np.diag(studies.V)),
            "weight": fit.hat[0],
            "shrunken": predicted + tau2 * np.linalg.solve(total, studies.y - predicted),
            "without": [value for value, _ in without],
            "without_std_error": [error for _, error in without],
        }
    )


def _pooled(studies: Studies, method: Spread, hartung_knapp: bool) -> tuple[float, float]:
    """Return the mean and its standard error, NaN where too few estimates are left."""
    if studies.degrees < 1 or np.linalg.matrix_rank(studies.X) < studies.X.shape[1]:
        return float("nan"), float("nan")
    model = rotate(studies.y, studies.V, studies.X)
    fit = fit_at(model, spread(model, method))
    factor = fit.q / model.degrees if hartung_knapp else 1.0
    return float(fit.coefficients[0]), float(np.sqrt(factor * fit.covariance[0, 0]))


def _checks(
    studies: Studies, model: Model, fit: PooledFit, tau2: float, found: Heterogeneity, hartung_knapp: bool, level: float
) -> tuple[Check, ...]:
    k, ratio = len(studies.y), float(np.sqrt(fit.q / model.degrees))
    low, high = np.sqrt(found.tau2_low), np.sqrt(found.tau2_high)
    advice = "" if k >= _FEW else f" With fewer than {_FEW} their spread is hardly known: see hierarchical_synthesis."
    few = Check("few_estimates", k >= _FEW, k, f"{k} estimates.{advice}")
    tau = f"True effects differ with a standard deviation of {np.sqrt(tau2):.3g} ({level:.0%} interval {low:.3g} to {high:.3g})."
    if low == 0:
        tau += " A spread of zero is possible, and then plug-in prediction intervals come out too narrow."
    q = f"Cochran's Q is {found.q:.4g} on {model.degrees} degrees of freedom (p = {found.p_value:.3g}) for one common effect."
    i2 = f"{found.i2:.0%} of the variation of the estimates is between true effects, the rest noise."
    narrow = f"The Hartung-Knapp standard error is {ratio:.2f} times the usual one."
    narrow += " It is smaller: the estimates agree more than their errors would have them." if ratio < 1 else ""
    checks = [
        few,
        Check("tau", None, float(np.sqrt(tau2)), tau),
        Check("q", None, found.p_value, q),
        Check("i2", None, found.i2, i2),
    ]
    if hartung_knapp:
        checks.append(Check("hartung_knapp", None, ratio, narrow))
    if studies.moderators:
        checks.append(_moderator_check(studies, fit, hartung_knapp))
    return tuple(checks)


def _moderator_check(studies: Studies, fit: PooledFit, hartung_knapp: bool) -> Check:
    b, m, n = fit.coefficients[1:], len(studies.moderators), studies.degrees
    wald = float(b @ np.linalg.solve(fit.covariance[1:, 1:], b))
    p = float(stats.f(m, n).sf(wald * n / (m * fit.q))) if hartung_knapp else float(stats.chi2(m).sf(wald))
    return Check("moderators", None, p, f"Test that no moderator matters: p = {p:.3g} ({m} of them).")
