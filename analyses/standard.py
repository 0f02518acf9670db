"""The shape of published numbers that the standard page and its figures read, and helpers that build it.

``sample``       flow [{step, left_out, kept}], treated [{...}], checks [{name, passed, text}]
``effects``      rows {name: row of `effect`}; the row ``main`` first
``series``       panels [{title, ylabel, x, series {name: values}, marks [[x, label]]}]
``path``         panels [{title, xlabel, scale, event_time, estimate, low, high, band_low, band_high}]
``null``         panels of `histogram`
``calibration``  rows [{label, size, bias, rmse, coverage, detectable}]
``published``    rows [{study, outcome, treatment, result, verified}]

A family has ``sample`` and ``effects``, and of the others those that its design can give.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from crimepolicy.data import load_table
from crimepolicy.errors import CrimepolicyError
from crimepolicy.estimate import HEADLINE, Check, Estimate, path_term

__all__ = [
    "POWER_REACH",
    "REACH",
    "attempt",
    "checks",
    "effect",
    "from_estimate",
    "from_spread",
    "histogram",
    "path_panel",
    "published_rows",
    "rows",
    "widest",
]

Row = dict[str, Any]

REACH = float(stats.norm.ppf(0.975))
"""Standard errors from an estimate to the end of its 95% interval."""
POWER_REACH = REACH + float(stats.norm.ppf(0.8))
"""Standard errors between no effect and the smallest effect found with 80% power at 5%, two-sided."""


def effect(
    label: str,
    value: float,
    low: float,
    high: float,
    *,
    detectable: float | None = None,
    scale: str = "ratio",
    group: str = "main",
    how: str = "",
    p_value: float | None = None,
    **more: Any,
) -> Row:
    """Return one row of effects.

    Parameters
    ----------
    label : str
        What the row is, for a reader.
    value, low, high : float
        Estimate and the interval that decides, as ratio to what was expected or as a difference.
    detectable : float, optional
        Smallest effect found with 80% power, on the same scale (a ratio above 1).
    scale : {"ratio", "level"}
        Scale of the numbers.
    group : str
        ``main``, ``outcome``, ``specification``, ``placebo`` or another heading of the page.
    how : str
        Where the interval comes from.
    p_value : float, optional
        Two-sided.
    **more
        Further published values, such as counts.
    """
    found = {"value": value, "low": low, "high": high, "detectable": detectable, "scale": scale, "p_value": p_value}
    return {"label": label, "group": group, "how": how, **found, **more}


def from_estimate(label: str, estimate: Estimate, *, term: str = HEADLINE, how: str = "", **more: Any) -> Row:
    """Return the row of one term of an estimate; effects on the log scale become ratios."""
    value, error = float(estimate.estimates[term]), float(estimate.std_errors[term])
    ends = (value, *estimate.interval(term=term))
    how = how or estimate.correction
    if estimate.scale != "log":
        found = dict(zip(("value", "low", "high"), ends, strict=True))
        return effect(label, **found, detectable=POWER_REACH * error, scale="level", how=how, **more)
    found = dict(zip(("value", "low", "high"), np.exp(ends).tolist(), strict=True))
    return effect(label, **found, detectable=float(np.exp(POWER_REACH * error)), how=how, **more)


def from_spread(label: str, value: float, spread: float, *, scale: str = "log", **more: Any) -> Row:
    """Return the row of an estimate whose error is `spread`, such as that of placebos; on the log scale as a ratio."""
    ends = (value, value - REACH * spread, value + REACH * spread, POWER_REACH * spread)
    value, low, high, found = (float(np.exp(end)) if scale == "log" else end for end in ends)
    return effect(label, value, low, high, detectable=found, scale="ratio" if scale == "log" else "level", **more)


def widest(row: Row, others: Iterable[Row]) -> Row:
    """Return the row with the widest of several intervals around its value, and the largest smallest effect."""
    every = [row, *others]
    ends = {"low": min(other["low"] for other in every), "high": max(other["high"] for other in every)}
    return (
        row | ends | {"detectable": max(other["detectable"] for other in every), "how": "the widest of the intervals"}
    )


def attempt(label: str, make: Callable[[], Row], *, group: str = "specification") -> Row:
    """Return the row that `make` computes; where it cannot be computed, the row says why."""
    try:
        return make() | {"label": label, "group": group}
    except CrimepolicyError as problem:
        nothing: Mapping[str, Any] = dict.fromkeys(("value", "low", "high", "detectable", "p_value"))
        return {"label": label, "group": group, "how": "", "scale": "ratio", "failed": str(problem), **nothing}


def rows(**named: Row) -> dict[str, Any]:
    """Return rows by name in the order given, as the file of effects publishes them."""
    return {"rows": named, "order": list(named)}


def checks(found: Iterable[Check]) -> list[Row]:
    """Return checks as rows of the page."""
    return [{"name": check.name, "passed": check.passed, "text": check.text} for check in found]


def path_panel(
    estimate: Estimate, title: str, xlabel: str, *, seed: int, scale: str = "log", reference: int | None = None
) -> Row:
    """Return an event path with its intervals and its band, as the file of paths publishes it; a `reference` period is zero."""
    assert estimate.path is not None
    steps = [int(step) for step in estimate.path.index]
    band = estimate.band(seed=seed)
    ends = [(0.0, 0.0) if k == reference else estimate.interval(term=path_term("event_time", k)) for k in steps]
    return {
        "title": title,
        "xlabel": xlabel,
        "scale": scale,
        "event_time": steps,
        "estimate": estimate.path["estimate"].tolist(),
        "low": [low for low, _ in ends],
        "high": [high for _, high in ends],
        "band_low": band["conf_low"].reindex(steps).tolist(),
        "band_high": band["conf_high"].reindex(steps).tolist(),
    }


def histogram(
    title: str,
    placebos: Sequence[float | None],
    observed: float,
    p_value: float | None,
    *,
    scale: str = "log",
    bins: int = 30,
) -> Row:
    """Return the distribution of placebo estimates on the scale they were drawn on (``log`` or ``level``), as a plot draws it."""
    values = np.asarray(placebos, dtype=float)
    values = values[np.isfinite(values)]
    # The tails of a few wild assignments would squeeze the rest.
    reach = max(float(np.quantile(np.abs(values), 0.99)), abs(observed)) * 1.05
    counts, edges = np.histogram(np.clip(values, -reach, reach), bins=bins, range=(-reach, reach))
    shape = {"edges": edges.tolist(), "count": counts.tolist(), "n": len(values)}
    return {"title": title, "kind": "null", "scale": scale, **shape, "observed": observed, "p_value": p_value}


def published_rows(*claims: str, where: str = "") -> dict[str, Any]:
    """Return the published estimates on some claims as rows of the standard page; `where` is a query that keeps some of them."""
    table = load_table("published_estimates")
    chosen = table[table["claim"].isin(claims)]
    listed = []
    for entry in (chosen.query(where) if where else chosen).to_dict("records"):
        words = {key: "not given" if pd.isna(entry[key]) else str(entry[key]) for key in ("outcome", "treatment")}
        size = f"{entry['percent']:+.0f}%" if pd.notna(entry["percent"]) else _natural(entry)
        listed.append({"study": f"{entry['study']} ({int(entry['year'])})", **words, "result": size, "verified": bool(entry["verified"])})  # fmt: skip
    return {"rows": listed}


def _natural(entry: Mapping[str, Any]) -> str:
    if pd.notna(entry["natural_unit"]):
        value = "" if pd.isna(entry["natural_effect"]) else f"{entry['natural_effect']:g} "
        return f"{value}{entry['natural_unit']}"
    return {"up": "rise", "down": "fall", "none": "no effect", "mixed": "mixed"}.get(entry["direction"], "no size given")  # fmt: skip
