"""One protocol for single places: forecast the log rate from what was known, and rank the error among untouched places and years."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analyses.standard import POWER_REACH, REACH, Row, effect
from crimepolicy.errors import DesignError

Array = np.ndarray[Any, Any]
Window = tuple[int, int]

TERMS = ("momentum", "height")


@dataclass(frozen=True, slots=True)
class Series:
    """Counts of places by period of equal length, and which of them may serve as comparison.

    Attributes
    ----------
    counts, population : pandas.DataFrame
        Places by periods; counts that must not be used are missing.
    touched : pandas.DataFrame
        Places by periods, true where a place had a truce or a crackdown of its own.
    rules : mapping
        The protocol of the plan: history, minimum, reach, least_others; terms and common may be changed.
    """

    counts: pd.DataFrame
    population: pd.DataFrame
    touched: pd.DataFrame
    rules: Mapping[str, Any]

    def changed(self, **rules: Any) -> "Series":
        """Return the same series under changed rules."""
        return replace(self, rules={**self.rules, **rules})


@dataclass(frozen=True, slots=True)
class Forecast:
    """What happened to one place after one base period, against what was forecast.

    Attributes
    ----------
    gap : float
        Log ratio of observed to forecast.
    errors, own : ndarray
        Errors of the reference (untouched places and periods of like size), and of the place itself at earlier bases.
    observed, expected : float
        Events over the window.
    places : int
        Places in the reference.
    """

    gap: float
    errors: Array
    own: Array
    observed: float
    expected: float
    places: int

    @property
    def p_value(self) -> float:
        """Rank of the absolute gap among the absolute errors."""
        return float((1 + (np.abs(self.errors) >= abs(self.gap)).sum()) / (1 + len(self.errors)))

    @property
    def own_spread(self) -> float:
        """Root mean square of the place's own earlier errors; 0 where there are none."""
        return float(np.sqrt(np.mean(self.own**2))) if len(self.own) else 0.0

    @property
    def spread(self) -> float:
        """The larger of the spread of the reference and the place's own."""
        return max(float(self.errors.std()), self.own_spread)

    @property
    def interval(self) -> tuple[float, float]:
        """The wider of the interval from quantiles of the reference and that from the place's own errors, in logs."""
        low, high = np.quantile(self.errors, [0.025, 0.975])
        reach = REACH * self.own_spread
        return min(self.gap - high, self.gap - reach), max(self.gap - low, self.gap + reach)

    def row(self, label: str, **more: Any) -> Row:
        """Return the row of effects, as ratios."""
        low, high = np.exp(self.interval).tolist()
        found = {"observed": self.observed, "expected": self.expected, "windows": len(self.errors)}
        found |= {"places": self.places, "log": self.gap, "spread": self.spread}
        how = f"errors of {len(self.errors)} untouched windows of {self.places} places, and the place's own"
        size = float(np.exp(POWER_REACH * self.spread))
        return effect(label, float(np.exp(self.gap)), low, high, detectable=size, how=how, p_value=self.p_value, **found, **more)  # fmt: skip


def forecast(series: Series, place: str, base: int, window: Window, *, own: Sequence[int] = ()) -> Forecast:
    """Return the gap of one place over `window` periods after `base`, with the errors of the reference.

    Parameters
    ----------
    series : Series
        Of periods labelled by whole numbers.
    place, base : str, int
        The treated place and the last period before treatment.
    window : (int, int)
        First and last period after the base, counted from it: ``(1, 2)``.
    own : sequence of int
        Earlier bases of the same place whose errors are kept beside.

    Raises
    ------
    DesignError
        Where the place has a gap in the history or the window, or too few places can be compared.
    """
    table = _features(series, window)
    here = table[(table["place"] == place) & (table["base"] == base)]
    if here.empty:
        raise DesignError(f"{place} has no complete history before {base}, or no count after it. Choose another base.")
    pool = table[table["clean"] & (table["place"] != place)]
    treated = here.iloc[0]
    size = pool["deaths"] / treated["deaths"]
    near = pool[(size >= 1 / series.rules["reach"]) & (size <= series.rules["reach"])]
    if near["place"].nunique() < series.rules["least_others"]:
        raise DesignError(
            f"Only {near['place'].nunique()} places can be compared with {place}. Relax reach or minimum."
        )
    errors = np.concatenate([_errors(pool, group, series.rules) for _, group in near.groupby("place", sort=True)])
    own_rows = table[(table["place"] == place) & table["base"].isin(list(own))]
    gap = float(_errors(pool, here, series.rules)[0])
    seen = float(treated["observed"])
    return Forecast(
        gap, errors, _errors(pool, own_rows, series.rules), seen, seen / float(np.exp(gap)), near["place"].nunique()
    )


def _features(series: Series, window: Window) -> pd.DataFrame:
    """Return one row per place and base with history, change, and whether it may serve as comparison."""
    history, (first, last) = series.rules["history"], window
    rate = np.log((series.counts + 0.5) / series.population)
    rows = []
    for base in [b for b in series.counts.columns if b - history in series.counts.columns and b + last in series.counts]:  # fmt: skip
        ahead, before = list(range(base + first, base + last + 1)), list(range(base - history, base))
        deaths = series.counts[ahead].sum(axis=1, skipna=False)
        level = np.log((deaths + 0.5 * len(ahead)) / series.population[ahead].sum(axis=1))
        untouched = ~series.touched[[*before, base, *range(base + 1, base + last + 1)]].any(axis=1)
        values = {
            "base": base,
            "change": level - rate[base],
            "momentum": rate[base] - rate[base - 1],
            "height": rate[base] - rate[before].mean(axis=1, skipna=False),
            "deaths": series.counts[base],
            "observed": deaths,
            "clean": untouched & (series.counts[base] >= series.rules["minimum"]),
        }
        rows.append(pd.DataFrame(values).rename_axis("place").reset_index())
    table = pd.concat(rows, ignore_index=True).dropna(subset=["change", *TERMS])
    return _less_others(table, series.rules)


def _less_others(table: pd.DataFrame, rules: Mapping[str, Any]) -> pd.DataFrame:
    """Take out the mean of all other clean places with the same base; rows with too few others are left out."""
    if not rules.get("common", True):
        return table
    columns = ["change", *TERMS]
    clean = table[columns].where(table["clean"], 0.0)
    total, count = clean.groupby(table["base"]).transform("sum"), table["clean"].groupby(table["base"]).transform("sum")
    others = count - table["clean"]
    table = table.assign(**{name: table[name] - (total[name] - clean[name]) / others.where(others > 0) for name in columns})  # fmt: skip
    return table[others >= rules["least_others"]]


def _errors(pool: pd.DataFrame, rows: pd.DataFrame, rules: Mapping[str, Any]) -> Array:
    """Return forecast errors of some rows of one place, from a regression on the clean rows of the others."""
    terms = list(rules.get("terms", TERMS))
    others = pool[~pool["place"].isin(rows["place"])]
    slope = (
        np.linalg.lstsq(others[terms].to_numpy(), others["change"].to_numpy(), rcond=None)[0] if terms else np.zeros(0)
    )
    return np.asarray(rows["change"].to_numpy(dtype=float) - rows[terms].to_numpy(dtype=float) @ slope)
