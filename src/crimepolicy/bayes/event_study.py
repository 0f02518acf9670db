"""Bayesian event study of counts: every event has a path of its own, shrunk towards what events have in common."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.bayes.count_fit import count_fit
from crimepolicy.bayes.event_cells import event_cells
from crimepolicy.bayes.event_design import EventModel, Family, Path, PeriodEffects, Pooling, UnitEffects, event_design
from crimepolicy.bayes.event_summary import summarise_events
from crimepolicy.bayes.moderators import code_moderators
from crimepolicy.bayes.sampling import Sampler
from crimepolicy.errors import DesignError, choose, of_kind
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

__all__ = ["bayesian_event_study"]

_SAMPLING = ("draws", "tune", "chains", "seed", "sampler")


def bayesian_event_study(
    panel: Panel,
    *,
    family: Family = "negative_binomial",
    window: tuple[int, int] = (-12, 24),
    effects: PeriodEffects = "unit+period",
    path: Path = "random_walk",
    pooling: Pooling = "partial",
    unit_effects: UnitEffects = "independent",
    moderators: pd.DataFrame | None = None,
    anticipation: int = 0,
    length: float = 6.0,
    effect_scale: float = 1.0,
    drift_scale: float = 0.5,
    event_scale: float = 0.5,
    event_drift_scale: float = 0.5,
    moderator_scale: float = 0.5,
    unit_scale: float | None = None,
    period_scale: float | None = None,
    season_scale: float = 0.25,
    dispersion_scale: float = 0.5,
    draws: int = 2000,
    tune: int = 500,
    chains: int = 2,
    seed: int = 0,
    sampler: Sampler = "nutpie",
) -> Estimate:
    """Estimate the effects of dated events on counts, each event's own and those of the next one.

    The estimand is the mean over the observed events of the mean log rate ratio over their treated periods within the window.

    Parameters
    ----------
    panel : Panel
        Counts, with `panel.population` as exposure. Treatment may switch on and off: every spell is an event, named
        ``unit@onset``, which acts while it lasts and within the window. Treated cells beyond the window are set aside.
    family : {"negative_binomial", "poisson"}
    window : (int, int)
        First and last event time; 0 is the first treated period. Earlier event times are leads, estimated as part of the path.
    effects : {"unit+period", "unit+region:period"}
        One smooth path of period effects, or one per `panel.region`; the seasons of months and quarters are in common.
    path : {"random_walk", "gaussian_process"}
        How effects drift over event time, away from zero at the last period before the effect begins.
    pooling : {"partial", "none", "complete"}
        Events share a common path and deviate from it by a level and a drift of their own; have nothing in common; or are all alike.
    unit_effects : {"independent", "spatial"}
        ``"spatial"`` lets neighbours be alike (scaled BYM2; needs `panel.neighbours`).
    moderators : pandas.DataFrame (events, moderators), optional
        Facts of every event, indexed by ``unit@onset``. Numbers are standardised; text becomes indicators (``rank_leader``) of every
        value but the first. Coefficients are columns ``moderator[name]`` of `draws`.
    anticipation : int
        Effects begin that many periods before the onset.
    length : float
        Length scale of the Gaussian process, in periods.
    effect_scale, moderator_scale : float
        Prior standard deviations of the common level and of the moderators' coefficients, on the log scale.
    drift_scale, event_scale, event_drift_scale : float
        Scales of the half-normal priors of how far the common path drifts by the end of the window, and of how much events differ in
        level and in drift.
    unit_scale, period_scale : float, optional
        The same for unit and period effects. Default: twice the spread of the log rates of units and of periods.
    season_scale, dispersion_scale : float
        The same for seasons, and for 1 / sqrt(shape) of the negative binomial (0.5: a cell varies by up to about half its mean).
    draws, tune, chains : int
        Kept draws and adaptation steps per chain; chains run in parallel.
    seed : int
    sampler : {"nutpie", "pymc", "numpyro"}

    Returns
    -------
    Estimate
        On the log scale; `path` is the common path. Columns of `draws`: ``att``, ``event_time[k]``, ``event[id]``, and, with pooling,
        ``new_event`` and ``new_event[k]`` for an event not yet seen; ``scale[name]`` for the scales. `inference_data` holds the fit for
        ArviZ. Companions: ``"excess"`` (events
        added over the treated cells), ``"pooled"`` (log ratio of all observed to all expected events there), ``"events"`` (a path over
        events) and ``"new_event"``.

    Raises
    ------
    DesignError
        Where nobody is treated, the outcome is not a count, moderators do not fit the events, or an option is unknown.

    Assumptions
    -----------
    Log mean counts are a sum of unit, smooth period and seasonal effects, and of event paths; with pooling, events are a sample from
    one population (given moderators).

    References
    ----------
    Gelman and Hill (2007), Data Analysis Using Regression and Multilevel/Hierarchical Models.
    Riebler, Sørbye, Simpson and Rue (2016), "An intuitive Bayesian spatial model", Statistical Methods in Medical Research 25(4).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> rows = pd.DataFrame(
    ...     [(u, t, int(t > 9 and u < 3)) for u in range(6) for t in range(20)], columns=["u", "t", "d"]
    ... )
    >>> rows["y"] = rng.poisson(np.where(rows.d == 1, 20, 40))
    >>> panel = Panel.from_frame(rows, unit="u", time="t", outcome="y", treated="d")
    >>> estimate = bayesian_event_study(panel, family="poisson", window=(-4, 9), draws=200, tune=200)
    >>> bool(-0.9 < estimate.value < -0.5)
    True
    """
    of_kind("panel", panel, Panel)
    options = {name: value for name, value in locals().items() if name != "panel"}
    _validate(options)
    events = event_cells(panel, window=window, anticipation=anticipation)
    coded = None if moderators is None else code_moderators(events.ids, moderators)
    names = [] if coded is None else coded.columns.tolist()
    model = EventModel(**{name: options[name] for name in EventModel.__dataclass_fields__} | {"moderators": coded})
    design = event_design(panel, events, model)
    fit = count_fit(design, **{name: options[name] for name in _SAMPLING})
    estimate = summarise_events(panel, events, design, fit, moderators=names, seed=seed)
    recorded = options | {"moderators": names or None}
    return estimate.replace(options=recorded, fit=partial(bayesian_event_study, **options))


def _validate(options: dict[str, Any]) -> None:
    allowed = {
        "family": Family,
        "effects": PeriodEffects,
        "path": Path,
        "pooling": Pooling,
        "unit_effects": UnitEffects,
    }
    for name, values in allowed.items():
        choose(name, options[name], values)
    for name in [*(key for key in options if key.endswith("_scale")), "length"]:
        value = options[name]
        if value is not None and not (np.isfinite(value) and value > 0):
            raise DesignError(f"{name}={value!r} should be a positive number.")
