"""Calibration: how estimators and their standard errors behave on this panel when the truth is known."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import CrimepolicyError, DesignError, at_least, choose, of_kind, suggest
from crimepolicy.estimate import Estimate
from crimepolicy.inference.parallel import ordered_map
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.placebo_design import Injection, PlaceboDesign, add_effect, draw_placebo, require_masked

__all__ = ["Calibration", "calibrate"]

Estimator = Callable[[Panel], Estimate]
Inference = Callable[[Estimate], Estimate]
Row = dict[str, Any]

_POWER = 0.8
_KEYS = ["estimator", "inference", "effect"]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Behaviour of estimators under placebo interventions with known effects.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per estimator, kind of inference and effect: n (fits), failed, truth (mean over placebos), bias, sd, rmse,
        mean_std_error, rejections (size at effect 0, power elsewhere), coverage, coverage_error (Monte Carlo standard error),
        detectable (see `detectable`; the same in every row of an estimator and inference).
    draws : pandas.DataFrame
        One row per placebo, effect, estimator and inference: truth, estimate, std_error, conf_low, conf_high, p_value, error.
    level : float
    placebos : int
    panel : str
        Name of the panel, else its outcome.
    """

    frame: pd.DataFrame
    draws: pd.DataFrame
    level: float
    placebos: int
    panel: str

    def detectable(self, estimator: str, inference: str = "own") -> float:
        """Return the smallest reduction found with 80% power by a test of true size, on the scale of the estimate (ratios: in logs).

        The critical value is that which the placebos without effect call for, not the nominal one.
        """
        rows = self.frame[(self.frame["estimator"] == estimator) & (self.frame["inference"] == inference)]
        if rows.empty:
            raise DesignError(f"Nothing was calibrated for {estimator!r} with inference {inference!r}.")
        return float(rows["detectable"].iloc[0])

    def sentence(self) -> str:
        """Return the finding in plain language."""
        return " ".join(
            [
                f"On {self.panel}, with {self.placebos:,} placebo interventions of the real dates and durations:",
                *map(self._words, self._null()),
            ]
        )

    def _null(self) -> list[dict[Hashable, Any]]:
        return self.frame[self.frame["effect"] == 0].to_dict("records")

    def _words(self, row: dict[Hashable, Any]) -> str:
        return (
            f"{row['estimator']} ({row['inference']}) rejects a true null of no effect in {row['rejections']:.1%} (nominal {1 - self.level:.0%}), covers "
            f"in {row['coverage']:.1%}, and finds a reduction of {row['detectable']:.3g} with 80% power once its size is right."
        )

    def plot(self) -> Any:
        """Draw the result with matplotlib and return the figure; see `crimepolicy.report.doubt_plots`."""
        return import_module("crimepolicy.report.doubt_plots").plot_result(self)

    def __str__(self) -> str:
        return self.sentence()

    __repr__ = __str__


def calibrate(
    estimators: Mapping[str, Estimator],
    panel: Panel,
    *,
    design: PlaceboDesign | None = None,
    effects: Sequence[float] = (0.0, -0.1, -0.25),
    placebos: int = 500,
    inference: Mapping[str, Inference] | None = None,
    injection: Injection = "auto",
    rates: Mapping[str, float] | None = None,
    level: float = 0.95,
    seed: int = 0,
    n_jobs: int = 1,
) -> Calibration:
    """Lay placebo interventions on the real untreated cells and report how each estimator does when the truth is known.

    Parameters
    ----------
    estimators : mapping of name to callable
        From a panel to an estimate, such as ``functools.partial(imputation, family="poisson")``.
    panel : Panel
        With the real treatment and the outcomes of its treated cells missing: see `mask_treated`. Anything else is refused, so
        that nobody tunes an estimator on the effect.
    design : PlaceboDesign, optional
        Who receives placebos; never-treated units by default.
    effects : sequence of float
        Relative effects that are laid, such as -0.1 for a tenth fewer. Zero is always among them.
    placebos : int
        Sets of placebo interventions; all effects and estimators see the same ones.
    inference : mapping of name to callable, optional
        From an estimate to the estimate with another kind of standard error; ``"own"``, what the estimator returns, by default.
    injection : {"auto", "thin", "scale"}
        How an effect is laid: see `add_effect`. ``"auto"`` thins counts of panels with a population and scales the rest.
    rates : mapping of name to float, optional
        Estimators that turn counts into a rate per so many persons, as ``{"synthetic": 100_000}``: their truth is that rate's.
    level : float
        Of intervals and tests.
    seed : int
    n_jobs : int
        Workers, through joblib. The result does not depend on it.

    Returns
    -------
    Calibration
        The truth is ``log(1 + effect)`` for log effects, ``1 + effect`` for ratios, and the mean over treated cells of the
        effect times the untreated outcome for levels.

    Raises
    ------
    InferenceError
        Where treated outcomes can be seen.
    DesignError
        Where no cell is treated, the placebos do not fit, or an effect cannot be laid.

    Examples
    --------
    >>> from crimepolicy.sensitivity.placebo_design import mask_treated
    >>> rng = np.random.default_rng(0)
    >>> rows = pd.DataFrame(
    ...     {"city": np.repeat(np.arange(12), 10), "year": np.tile(np.arange(10), 12), "deaths": rng.poisson(50, 120)}
    ... )
    >>> rows["truce"] = ((rows["city"] < 3) & (rows["year"] >= 6)).astype(int)
    >>> panel = Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> def difference(p):
    ...     gap = p.Y[p.D].mean() - p.Y[~p.D].mean()
    ...     return Estimate(estimand="gap", value=gap, std_error=2.5, method="difference", citation="")
    >>> found = calibrate({"difference": difference}, mask_treated(panel), placebos=20)
    >>> found.frame[["effect", "n"]].to_numpy().tolist()
    [[-0.25, 20.0], [-0.1, 20.0], [0.0, 20.0]]
    """
    of_kind("estimators", estimators, Mapping)
    of_kind("panel", panel, Panel)
    choose("injection", injection, Injection)
    at_least("placebos", placebos, 1)
    if not estimators:
        raise DesignError("There is no estimator to calibrate. Give a mapping such as {'imputation': imputation}.")
    require_masked(panel)
    laid = sorted({0.0, *map(float, effects)})
    kinds = {"own": _own} if inference is None else dict(inference)
    _check_rates(rates or {}, estimators, panel)
    one = partial(
        _placebo, dict(estimators), kinds, panel, design or PlaceboDesign(), laid, injection, dict(rates or {}), level
    )
    seeds = np.random.SeedSequence(seed).spawn(placebos)
    rows = [row for part in ordered_map(one, list(enumerate(seeds)), n_jobs=n_jobs, label="placebos") for row in part]
    draws = pd.DataFrame(rows)
    return Calibration(_summary(draws, level), draws, level, placebos, panel.name or panel.outcome)


def _own(estimate: Estimate) -> Estimate:
    return estimate


def _placebo(
    estimators: Mapping[str, Estimator],
    kinds: Mapping[str, Inference],
    panel: Panel,
    design: PlaceboDesign,
    effects: Sequence[float],
    injection: Injection,
    rates: Mapping[str, float],
    level: float,
    task: tuple[int, np.random.SeedSequence],
) -> list[Row]:
    number, seed = task
    place, *lay = seed.spawn(1 + len(effects))
    placebo = draw_placebo(panel, design, np.random.default_rng(place))
    rows: list[Row] = []
    for effect, s in zip(effects, lay, strict=True):
        laid, difference = add_effect(placebo, effect, injection, np.random.default_rng(s))
        for name, estimator in estimators.items():
            head = {"placebo": number, "effect": effect, "estimator": name}
            truth = rates[name] * effect * _mean_rate(placebo) if name in rates else difference
            rows += [head | row for row in _fitted(estimator, kinds, laid, effect, truth, level)]
    return rows


def _mean_rate(panel: Panel) -> float:
    """Return the events per person, averaged over treated cells."""
    cells = panel.D & panel.observed
    return float((panel.Y[cells] / panel.population[cells]).mean())  # type: ignore[index]


def _check_rates(rates: Mapping[str, float], estimators: Mapping[str, Estimator], panel: Panel) -> None:
    unknown = [name for name in rates if name not in estimators]
    if unknown:
        raise DesignError(
            f"rates= names {unknown[0]!r}, which is not calibrated.{suggest(unknown[0], list(estimators))}"
        )
    if rates and panel.population is None:
        raise DesignError("rates= needs a panel with a population, by which counts become rates.")


def _fitted(
    estimator: Estimator, kinds: Mapping[str, Inference], panel: Panel, effect: float, difference: float, level: float
) -> list[Row]:
    try:
        estimate = estimator(panel)
    except CrimepolicyError as problem:
        return [{"inference": kind} | _failed(problem) for kind in kinds]
    return [
        {"inference": kind} | _measured(infer, estimate, effect, difference, level) for kind, infer in kinds.items()
    ]


def _measured(infer: Inference, estimate: Estimate, effect: float, difference: float, level: float) -> Row:
    try:
        found = infer(estimate)
    except CrimepolicyError as problem:
        return _failed(problem)
    low, high = found.interval(level)
    return {
        "scale": found.scale,
        "truth": {"log": np.log1p(effect), "ratio": 1 + effect, "level": difference}[found.scale],
        "estimate": found.value,
        "std_error": found.std_error,
        "conf_low": low,
        "conf_high": high,
        "p_value": found.p_value(),
        "error": "",
    }


def _failed(problem: Exception) -> Row:
    numbers = dict.fromkeys(("truth", "estimate", "std_error", "conf_low", "conf_high", "p_value"), np.nan)
    return {"scale": ""} | numbers | {"error": str(problem)}


def _summary(draws: pd.DataFrame, level: float) -> pd.DataFrame:
    groups = [
        dict(zip(_KEYS, key, strict=True)) | _behaviour(rows, level) for key, rows in draws.groupby(_KEYS, sort=False)
    ]
    frame = pd.DataFrame(groups)
    null = draws[draws["effect"] == 0].groupby(_KEYS[:2], sort=False)
    detectable = {key: _detectable(rows, level) for key, rows in null}
    frame["detectable"] = [detectable[key] for key in zip(frame["estimator"], frame["inference"], strict=True)]
    return frame


def _behaviour(rows: pd.DataFrame, level: float) -> Row:
    done = rows[rows["error"] == ""]
    miss = done["estimate"] - done["truth"]
    judged = done[done["conf_low"].notna()]
    covered = (judged["conf_low"] <= judged["truth"]) & (judged["truth"] <= judged["conf_high"])
    coverage = float(covered.mean()) if len(judged) else np.nan
    return {
        "n": len(done),
        "failed": len(rows) - len(done),
        "truth": done["truth"].mean(),
        "bias": miss.mean(),
        "sd": done["estimate"].std(),
        "rmse": float(np.sqrt((miss**2).mean())),
        "mean_std_error": done["std_error"].mean(),
        "rejections": (done["p_value"].dropna() < 1 - level).mean(),
        "coverage": coverage,
        "coverage_error": np.sqrt(coverage * (1 - coverage) / len(judged)) if len(judged) else np.nan,
        "first_error": next((e for e in rows["error"] if e), ""),
    }


def _detectable(rows: pd.DataFrame, level: float) -> float:
    """Return the reduction m at which 80% of placebos have ``(estimate - m) / se`` beyond the true critical value."""
    done = rows[rows["error"] == ""]
    ratio = done["scale"] == "ratio"
    value = np.log(done["estimate"].where(ratio, 1.0)).where(ratio, done["estimate"])
    error = (done["std_error"] / done["estimate"]).where(ratio, done["std_error"])
    # Where an estimator has no standard error, the spread of the placebos stands for it.
    error = error.where(error > 0, value.std())
    critical = (value / error).abs().quantile(level)
    return float((value + critical * error).quantile(_POWER))
