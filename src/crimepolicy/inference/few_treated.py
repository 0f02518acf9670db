"""Which tools remain valid for this design, and why."""

from dataclasses import dataclass
from math import comb

import numpy as np
import pandas as pd

from crimepolicy.errors import InferenceError, of_kind
from crimepolicy.estimate import Check, Estimate
from crimepolicy.inference.few_clusters import FEW
from crimepolicy.inference.influence import panel_of
from crimepolicy.inference.regression import regression
from crimepolicy.inference.worded import Checks

__all__ = ["few_treated"]

_MANY = 20
"""Untreated places from which the distribution of their residuals can be read; a p-value of 0.05 needs as many."""

_LONG = 19
"""Periods before treatment from which shifts in time can give a p-value of 0.05 for one period."""


@dataclass(frozen=True, slots=True)
class _Design:
    treated: int
    untreated: int
    before: int
    dates: int
    regression: bool
    balanced: bool
    population: bool
    path: bool


def few_treated(estimate: Estimate) -> Checks:
    """Return one check per tool of inference: whether it is valid for this design, and why.

    Parameters
    ----------
    estimate : Estimate
        Of any estimator; it must carry its panel.

    Returns
    -------
    Checks
        A tuple of `Check`, named as the tools, which prints as sentences. `passed` is None where validity rests on an assumption that only the analyst can judge.

    References
    ----------
    Alvarez, Ferman and Wuthrich (2025), "Inference with few treated units", arXiv:2504.19841; MacKinnon and Webb (2018).

    Examples
    --------
    >>> import crimepolicy as cp
    >>> rows = pd.DataFrame({"city": np.repeat(range(30), 6), "year": list(range(6)) * 30})
    >>> rows["truce"] = ((rows.city == 0) & (rows.year > 2)).astype(int)
    >>> rows["deaths"] = np.random.default_rng(1).normal(20, 1, 180)
    >>> panel = cp.Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> [check.name for check in few_treated(cp.two_way_fixed_effects(panel)) if check.passed]
    ['conley_taber']
    """
    of_kind("estimate", estimate, Estimate)
    design = _read(estimate)
    return Checks(
        (
            _clustered(design),
            _wild(design),
            _randomization(design),
            _placebo(design),
            _borrowed("conley_taber", design),
            _borrowed("ferman_pinto", design),
            _borrowed("alvarez_ferman", design),
            _signs(design),
            _conformal(design),
        )
    )


def _read(estimate: Estimate) -> _Design:
    panel = panel_of(estimate)
    ever = pd.Series(panel.D.any(axis=1)).groupby(pd.factorize(panel.clusters)[0]).any()
    starts = panel.first_treated[np.isfinite(panel.first_treated)]
    path = (
        estimate.path is not None and estimate.path.index.name == "event_time" and bool((estimate.path.index < 0).any())
    )
    return _Design(
        treated=int(ever.sum()),
        untreated=int((~ever).sum()),
        before=int(starts.min()) if len(starts) else 0,
        dates=len(np.unique(starts)) if panel.absorbing else 2,
        regression=_is_regression(estimate),
        balanced=panel.balanced,
        population=panel.population is not None,
        path=path,
    )


def _is_regression(estimate: Estimate) -> bool:
    try:
        regression(estimate)
    except InferenceError:
        return False
    return True


def _counts(design: _Design) -> str:
    return f"{design.treated} treated and {design.untreated} untreated clusters"


def _clustered(design: _Design) -> Check:
    fewest = min(design.treated, design.untreated) if design.untreated else design.treated
    enough = "enough on both sides" if design.untreated else "enough to compare earlier dates with later ones"
    why = (
        enough
        if fewest >= FEW
        else f"fewer than {FEW} on one side, so their noise is not averaged and the standard error misses it"
    )
    return Check(
        "cluster",
        fewest >= FEW,
        fewest,
        f"{_counts(design)}: {why}; the multiplier bootstrap stands and falls with it.",
    )


def _wild(design: _Design) -> Check:
    if not design.regression:
        return Check(
            "wild_bootstrap",
            False,
            None,
            "Defined for least-squares regressions with unit and period effects; this is not one.",
        )
    fine = design.treated >= FEW
    why = (
        "enough for the bootstrap to vary them"
        if fine
        else "with the null imposed it hardly ever rejects, without it far too often"
    )
    return Check("wild_bootstrap", fine, design.treated, f"{design.treated} treated clusters: {why}.")


def _randomization(design: _Design) -> Check:
    return Check(
        "randomization_test",
        None,
        design.treated,
        "Valid for any number of treated clusters if treatment could have fallen as the mechanism says; studentise where places differ in variance.",
    )


def _placebo(design: _Design) -> Check:
    if design.untreated < max(design.treated, 2):
        text = f"{design.untreated} untreated clusters cannot stand in for {design.treated} treated; earlier dates may (kind='time')."
        return Check("placebo_test", False, design.untreated, text)
    smallest = 1 / (comb(design.untreated, design.treated) + 1)
    like = "the treated place for one" if design.treated == 1 else "the treated places for a set"
    return Check(
        "placebo_test",
        None if smallest <= 0.05 else False,
        smallest,
        f"The smallest p-value in space is {smallest:.3g}; it takes {like} like the others.",
    )


def _borrowed(name: str, design: _Design) -> Check:
    if not design.regression or not design.balanced:
        return Check(
            name,
            False,
            None,
            "Defined for least-squares regressions with unit and period effects on a balanced panel; this is not one.",
        )
    if design.untreated < _MANY:
        return Check(
            name,
            False,
            design.untreated,
            f"{design.untreated} untreated clusters do not show the distribution of the noise; {_MANY} or more do.",
        )
    if name == "conley_taber":
        doubt = design.population
        text = "Valid if treated and untreated places have noise of one variance" + (
            "; counts of places of different size do not, see ferman_pinto." if doubt else "."
        )
        return Check(name, None if doubt else True, design.untreated, text)
    if name == "alvarez_ferman":
        alone = "; with one treated cluster it is conley_taber" if design.treated == 1 else ""
        text = f"Valid if treated and untreated places have noise of one variance, even where treated places share shocks{alone}."
        return Check(name, None, design.untreated, text)
    text = "Valid if the variance of the noise depends on population alone" + (
        "." if design.population else "; population must be given by unit."
    )
    return Check(name, None, design.untreated, text)


def _signs(design: _Design) -> Check:
    smallest = 2.0 ** (1 - design.treated)
    enough = smallest <= 0.05 and design.untreated >= _MANY
    return Check(
        "sign_change_test",
        None if enough else False,
        smallest,
        f"The smallest p-value is {smallest:.3g}; treated clusters may differ in variance, untreated ones must be many ({design.untreated}).",
    )


def _conformal(design: _Design) -> Check:
    if design.dates != 1 or not design.path:
        return Check(
            "conformal_test",
            False,
            design.dates,
            "Needs one date of treatment and a path with the gaps of all periods before it; this estimate lacks one of them.",
        )
    fine = design.before >= _LONG
    return Check(
        "conformal_test",
        None if fine else False,
        design.before,
        f"{design.before} periods before treatment; valid for one treated unit if gaps are stationary.",
    )
