"""Counts that are not all counted: capture that changes at a dated break, deaths filed elsewhere, and the effect with and without."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import DesignError, at_least, of_kind, offenders, suggest
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = ["Capture", "with_capture"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_FEWEST_DRAWS = 2
_CANDIDATES = 65_536
# Below this effective number of candidates, prior and counts contradict one another.
_FEWEST_WEIGHTS = 50
_DISTANT = 2.0


@dataclass(frozen=True, slots=True)
class Capture:
    """What is known of the share of events that the source counts.

    Attributes
    ----------
    before, after : (float, float)
        Mean and standard deviation of the captured share before and from the break on, between 0 and 1.
    at : object
        First period of the second regime.
    units : tuple of labels or None
        Units whose source changes; all where None.
    reclassified : (float, float)
        Least and largest share of the captured events of the second regime that are filed under another heading.
    """

    before: tuple[float, float]
    after: tuple[float, float]
    at: object
    units: tuple[object, ...] | None = None
    reclassified: tuple[float, float] = (0.0, 0.0)


def with_capture(
    panel: Panel,
    fit: Callable[[Panel], Estimate],
    capture: Capture,
    *,
    learn: bool = False,
    n_draws: int = 20,
    seed: int = 0,
) -> Mapping[str, Estimate]:
    """Estimate an effect as the counts stand, and with what is known of how completely they were counted.

    The estimand of both is that of `fit`. Captured shares are drawn from their beta priors (and the share filed elsewhere uniformly
    within its bounds); the exposure of every cell is multiplied by its share, which is what a thinned Poisson count amounts to; the
    estimates are mixed. With ``learn=True`` the draws are first weighted by what the untreated cells say of the break.

    Parameters
    ----------
    panel : Panel
        Counts with a population.
    fit : callable
        Panel -> Estimate on the log scale, such as ``partial(bayesian_event_study, family="poisson")`` or an `imputation`.
    capture : Capture
    learn : bool
        Let `fit` estimate the jump of the counts at the break, from cells without treatment, and update the shares by it. The units whose
        source changes then need untreated periods on both sides of the break, and units beside them whose source does not change.
        Only the ratio of the two shares is learned; the priors decide the rest.
    n_draws : int
        Number of captured shares drawn, each of which costs a fit.
    seed : int

    Returns
    -------
    mapping of str to Estimate
        ``"as_counted"`` and ``"with_capture"``. The second has draws of ``att`` and of the shares, and as `path` none; without `draws` in
        the fits, each is taken as normal around its value.

    Raises
    ------
    DesignError
        Where the panel has no population, a share is impossible, or the fit is not on the log scale; with ``learn=True``, where no
        untreated cell shows the break, or priors and counts contradict one another.

    Assumptions
    -----------
    Within a regime, the same share is captured in every unit and period it concerns, whether treated or not. To learn from the counts,
    moreover: without the break and without treatment, the units it concerns would have moved as the others did.

    References
    ----------
    Stoner, Economou and Drummond (2019), "A hierarchical framework for correcting under-reporting in count data", JASA 114(528).

    Examples
    --------
    >>> rows = pd.DataFrame(
    ...     [(u, t, int(u == 0 and t > 3)) for u in range(4) for t in range(8)], columns=["u", "t", "d"]
    ... )
    >>> rows["y"], rows["n"] = np.where(rows.d == 1, 20, 10), 1000.0
    >>> panel = Panel.from_frame(rows, unit="u", time="t", outcome="y", treated="d", population="n")
    >>> from crimepolicy.did.two_way import two_way_fixed_effects
    >>> half = Capture(before=(0.5, 0.01), after=(0.9, 0.01), at=4, units=(0,))
    >>> found = with_capture(panel, lambda p: two_way_fixed_effects(p, family="poisson"), half)
    >>> round(found["as_counted"].value - found["with_capture"].value, 1)
    0.6
    """
    of_kind("panel", panel, Panel)
    _validate(panel, capture, n_draws)
    plain = fit(panel)
    if plain.scale != "log":
        raise DesignError(
            f"with_capture needs effects on the log scale, but {plain.method} is on the {plain.scale} scale. Use family='poisson'."
        )
    rng = np.random.default_rng(seed)
    shares, found = _shares(capture, fit(_break_panel(panel, capture)) if learn else None, n_draws, rng)
    estimates = [fit(_thinned(panel, capture, *row)) for row in shares.itertuples(index=False)]
    return {"as_counted": plain, "with_capture": _mixed(plain, estimates, shares, capture, found, rng)}


def _shares(
    capture: Capture, jump: Estimate | None, n: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, tuple[Check, ...]]:
    """Return shares drawn from their priors, or from prior times likelihood of the jump at the break, and what was learned."""
    candidates = pd.DataFrame(
        {
            "capture[before]": _beta(rng, capture.before, _CANDIDATES),
            "capture[after]": _beta(rng, capture.after, _CANDIDATES),
            "reclassified": rng.uniform(*capture.reclassified, _CANDIDATES),
        }
    )
    known = candidates["capture[after]"] * (1 - candidates["reclassified"]) / candidates["capture[before]"]
    candidates = candidates.iloc[np.argsort(known.to_numpy())]
    implied = np.sort(np.log(known.to_numpy()))
    weight, found = (np.ones(_CANDIDATES), ()) if jump is None else _weights(jump, implied)
    # Systematic, in the order of the ratio that moves the effect: few draws then stand for the whole distribution.
    picked = np.searchsorted(np.cumsum(weight) / weight.sum(), (np.arange(n) + rng.random()) / n)
    return candidates.iloc[rng.permutation(picked)].reset_index(drop=True), found


def _weights(jump: Estimate, implied: Floats) -> tuple[Floats, tuple[Check, ...]]:
    """Return the likelihood of log ratios (n,) of the shares, and the check that compares the jump with their prior."""
    if not (np.isfinite(jump.value) and jump.std_error > 0):
        raise DesignError(
            f"{jump.method} gives the jump at the break no standard error, so the shares cannot be weighted by it. Use another estimator, or "
            "learn=False."
        )
    log = -0.5 * ((implied - jump.value) / jump.std_error) ** 2
    weight = np.exp(log - log.max())
    text = (
        f"At the break the untreated counts changed by a log ratio of {jump.value:.2f} (standard error {jump.std_error:.2f}); the priors of the "
        f"shares say {implied.mean():.2f} (standard deviation {implied.std():.2f})"
    )
    if weight.sum() ** 2 < _FEWEST_WEIGHTS * (weight**2).sum():
        raise DesignError(f"{text}, which the two hardly allow together. Widen the priors, or use learn=False.")
    distance = float(abs(jump.value - implied.mean()) / np.hypot(jump.std_error, implied.std()))
    text = f"{text}: {distance:.1f} standard deviations apart."
    return weight, (Check("capture_learned", True if distance < _DISTANT else None, distance, text),)


def _break_panel(panel: Panel, capture: Capture) -> Panel:
    """Return the untreated cells of the panel, with the second regime in place of the treatment."""
    concerned, second = _concerned(panel, capture), np.arange(panel.n_periods) >= panel.position(capture.at)
    free = panel.observed & ~panel.D
    missing = {
        "after the break": not free[np.ix_(concerned, second)].any(),
        "before the break": not free[np.ix_(concerned, ~second)].any(),
        "in units whose source does not change": not free[~concerned].any(),
    }
    if any(missing.values()):
        raise DesignError(
            f"The counts cannot tell capture from effect: there is no untreated cell {' or '.join(where for where, gone in missing.items() if gone)}. "
            "Use learn=False, where the priors of the shares stay as they are given."
        )
    broken = panel.with_treatment(concerned[:, None] & second)
    return broken.with_outcome(np.where(panel.D, np.nan, panel.Y))


def _validate(panel: Panel, capture: Capture, n_draws: int) -> None:
    if panel.population is None:
        raise DesignError("with_capture needs counts with a population. Give population= to Panel.from_frame.")
    for name in ("before", "after"):
        mean, spread = getattr(capture, name)
        if not (0 < mean < 1 and 0 < spread**2 < mean * (1 - mean)):
            raise DesignError(
                f"{name}=({mean}, {spread}) is not the mean and standard deviation of a share between 0 and 1."
            )
    unknown = [unit for unit in capture.units or () if unit not in panel.units]
    if unknown:
        raise DesignError(
            f"capture.units names {offenders(unknown)}, not in the panel.{suggest(unknown[0], list(panel.units))}"
        )
    low, high = capture.reclassified
    if not 0 <= low <= high < 1:
        raise DesignError(f"reclassified=({low}, {high}) should be two shares, the smaller first, below 1.")
    at_least("n_draws", n_draws, _FEWEST_DRAWS)


def _beta(rng: np.random.Generator, moments: tuple[float, float], n: int) -> Floats:
    mean, spread = moments
    total = mean * (1 - mean) / spread**2 - 1
    return rng.beta(mean * total, (1 - mean) * total, n)


def _thinned(panel: Panel, capture: Capture, before: float, after: float, elsewhere: float) -> Panel:
    """Return the panel with exposure times the share of its events that the counts hold."""
    assert panel.population is not None
    share = np.where(np.arange(panel.n_periods) < panel.position(capture.at), before, after * (1 - elsewhere))
    # A unit whose source does not change keeps its exposure: only changes move an effect.
    return replace(panel, population=panel.population * np.where(_concerned(panel, capture)[:, None], share, 1.0))


def _concerned(panel: Panel, capture: Capture) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return whether the source of each unit (N,) changes."""
    if capture.units is None:
        return np.ones(panel.n_units, dtype=bool)
    return np.asarray(panel.units.isin(list(capture.units)))


def _mixed(
    plain: Estimate,
    estimates: list[Estimate],
    shares: pd.DataFrame,
    capture: Capture,
    found: tuple[Check, ...],
    rng: np.random.Generator,
) -> Estimate:
    size = 1000 if plain.draws is None else len(plain.draws)
    columns = [
        rng.normal(e.value, e.std_error, size) if e.draws is None else e.draws[HEADLINE].to_numpy() for e in estimates
    ]
    drawn = shares.loc[shares.index.repeat(size)].reset_index(drop=True)
    drawn.insert(0, HEADLINE, np.concatenate(columns))
    values = np.array([e.value for e in estimates])
    text = (
        f"captured share {capture.before[0]:.0%} before and {capture.after[0]:.0%} from {capture.at} on; between its draws the effect has a standard "
        f"deviation of {values.std(ddof=1):.3g}."
    )
    failed = [check for e in estimates for check in e.checks if check.passed is False]
    return plain.replace(
        value=float(drawn[HEADLINE].mean()),
        std_error=float(drawn[HEADLINE].std()),
        method=f"{plain.method} with modelled capture",
        correction="mixture over captured shares",
        psi=None,
        clusters=None,
        null=None,
        null_p=None,
        df=None,
        path=None,
        cells=None,
        companions={},
        fit=None,
        aggregator=None,
        draws=drawn,
        checks=(*plain.checks, *failed, *found, Check("capture", None, float(values.std(ddof=1)), text)),
    )
