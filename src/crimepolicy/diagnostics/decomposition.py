"""Which two-by-two comparisons make the two-way fixed effects coefficient (Goodman-Bacon)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import DesignError, of_kind, offenders, suggest
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = ["BaconDecomposition", "Comparison", "bacon_decomposition"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Comparison = Literal["treated_never", "earlier_later", "later_earlier", "later_always", "both_treated", "always_never"]

# A share of variation below this is rounding.
_NOTHING = 1e-20
_WORDS = {
    "treated_never": "treated against never treated",
    "earlier_later": "earlier against later treated",
    "later_earlier": "later against earlier treated, who are treated already",
    "later_always": "later treated against always treated",
    "both_treated": "two treated groups, each in part the control of the other",
    "always_never": "always treated against never treated, by their covariates",
}


@dataclass(frozen=True, slots=True)
class BaconDecomposition:
    """The two-way fixed effects coefficient as a weighted average of two-by-two comparisons.

    With covariates a part of it compares units of one group with each other, and
    ``estimate = within_weight * within_estimate + (1 - within_weight) * sum(components.weight * components.estimate)``.

    Attributes
    ----------
    estimate : float
        The coefficient, with unit and period effects and the covariates asked for.
    components : pandas.DataFrame
        Columns treated and control (first treated periods; None for never, the first period for always), comparison, estimate,
        weight; weights sum to one.
    checks : tuple of Check
        Weight on comparisons with units that are treated already; what was left out.
    within_weight, within_estimate : float
        Share and estimate of the comparisons within groups; zero and NaN without covariates.
    """

    estimate: float
    components: pd.DataFrame
    checks: tuple[Check, ...]
    within_weight: float = 0.0
    within_estimate: float = float("nan")

    def by_comparison(self) -> pd.DataFrame:
        """Return weight and weighted average estimate of each kind of comparison."""
        parts = self.components.assign(product=self.components["estimate"] * self.components["weight"])
        sums = parts.groupby("comparison")[["product", "weight"]].sum()
        return pd.DataFrame({"estimate": sums["product"] / sums["weight"], "weight": sums["weight"]})

    def __str__(self) -> str:
        rows = [
            f"{_WORDS[str(kind)]}: {row.estimate:.4g} (weight {row.weight:.1%})"
            for kind, row in self.by_comparison().iterrows()
        ]
        if self.within_weight:
            head = f"{self.within_weight:.1%} of {self.within_estimate:.4g} from units of one group, and of the rest "
            return f"Two-way fixed effects coefficient {self.estimate:.4g} = {head}" + "; ".join(rows) + "."
        return f"Two-way fixed effects coefficient {self.estimate:.4g} = " + "; ".join(rows) + "."


def bacon_decomposition(panel: Panel, *, covariates: Sequence[str] = ()) -> BaconDecomposition:
    """Decompose the two-way fixed effects coefficient into two-by-two comparisons.

    No new estimand: the decomposition says how much of the coefficient comes from comparisons with units that are treated
    already, which are wrong where effects change over time.

    Parameters
    ----------
    panel : Panel
        Balanced, treatment that stays on, no weights.
    covariates : sequence of str
        Covariates of the regression. Earlier and later groups can then no longer be told apart as treated and control: each pair
        of groups is one comparison.

    Returns
    -------
    BaconDecomposition

    Raises
    ------
    DesignError
        Where the panel is unbalanced or weighted, treatment switches off, there is one group only, or a covariate is unknown.

    Assumptions
    -----------
    None: it is an identity.

    References
    ----------
    Goodman-Bacon (2021), Journal of Econometrics 225(2).

    Examples
    --------
    >>> import pandas as pd
    >>> from crimepolicy.panel import Panel
    >>> rows = pd.DataFrame(
    ...     {"city": list("aabbcc"), "year": [1, 2] * 3, "deaths": [3, 4, 5, 9, 7, 7], "truce": [0, 1, 0, 0, 0, 0]}
    ... )
    >>> print(bacon_decomposition(Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")))
    Two-way fixed effects coefficient -1 = treated against never treated: -1 (weight 100.0%).
    """
    of_kind("panel", panel, Panel)
    if not panel.balanced:
        raise DesignError(
            f"The decomposition needs a balanced panel, but {int((~panel.observed).sum()):,} cells are not observed. Use missing='drop_units', or a window in which all is observed."
        )
    if panel.weights is not None and np.ptp(panel.weights) > 0:
        raise DesignError(
            "The decomposition is not defined for weighted regressions. Build the panel without weights=."
        )
    groups, code = np.unique(panel.G, return_inverse=True)
    if len(groups) < 2:
        raise DesignError("All units have the same treatment history, so there is nothing to compare.")
    if covariates:
        return _controlled(panel, groups, code, tuple(covariates))
    sizes = np.bincount(code)
    rows = list(_comparisons(groups, sizes / sizes.sum(), _group_sums(panel.Y, code) / sizes[:, None]))
    if not rows:
        raise DesignError("Units are treated always or never, so no change of treatment can be compared.")
    table = _table(panel, rows)
    return BaconDecomposition(_average(table), table, _checks(panel, table, ()))


def _table(panel: Panel, rows: list[tuple[float, float, Comparison, float, float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["treated", "control", "comparison", "estimate", "weight"])
    table["weight"] /= table["weight"].sum()
    for side in ("treated", "control"):
        table[side] = [None if np.isinf(g) else panel.periods[int(g)] for g in table[side]]
    return table


def _average(table: pd.DataFrame) -> float:
    return float(table["estimate"].to_numpy(dtype=float) @ table["weight"].to_numpy(dtype=float))


def _group_sums(values: Floats, code: Ints) -> Floats:
    sums = np.zeros((code.max() + 1, values.shape[1]))
    np.add.at(sums, code, values)
    return sums


# -------------------------------------------------------------------- with covariates


def _controlled(panel: Panel, groups: Floats, code: Ints, covariates: tuple[str, ...]) -> BaconDecomposition:
    """Split the treatment net of effects and covariates into group paths and the rest (Goodman-Bacon, section 5)."""
    net = _net_treatment(panel, covariates)
    sizes = np.bincount(code)
    path = _group_sums(net, code) / sizes[:, None]
    within = net - path[code]
    rows = list(_pairs(groups, sizes, path, _group_sums(panel.Y, code) / sizes[:, None]))
    table = _table(panel, rows)
    share = float((within**2).sum() / (net**2).sum())
    inside = float((within * panel.Y).sum() / (within**2).sum()) if share > _NOTHING else float("nan")
    return BaconDecomposition(
        float((net * panel.Y).sum() / (net**2).sum()),
        table,
        _checks(panel, table, covariates),
        share if share > _NOTHING else 0.0,
        inside,
    )


def _net_treatment(panel: Panel, covariates: tuple[str, ...]) -> Floats:
    unknown = [name for name in covariates if name not in panel.X]
    if unknown:
        raise DesignError(f"No such covariate: {offenders(unknown)}.{suggest(unknown[0], list(panel.X))}")
    absent = [name for name in covariates if np.isnan(panel.X[name]).any()]
    if absent:
        raise DesignError(
            f"The decomposition needs complete covariates, but cells are missing in {offenders(absent)}. Fill them in or leave them out."
        )
    columns = np.stack([_demeaned(panel.X[name]).ravel() for name in covariates], axis=1)
    treatment = _demeaned(panel.D.astype(float))
    scale = np.sqrt((columns**2).sum(axis=0))
    columns = columns[:, scale > 0] / scale[scale > 0]
    slopes = np.linalg.lstsq(columns, treatment.ravel(), rcond=None)[0]
    net = treatment - (columns @ slopes).reshape(treatment.shape)
    if (net**2).sum() <= _NOTHING * max((treatment**2).sum(), 1.0):
        raise DesignError(
            "The covariates and the effects leave no variation in the treatment. Leave out covariates that stand for it."
        )
    return net


def _demeaned(values: Floats) -> Floats:
    return np.asarray(values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean())


def _pairs(
    groups: Floats, sizes: Ints, path: Floats, means: Floats
) -> Iterator[tuple[float, float, Comparison, float, float]]:
    """Yield the comparison of each pair of groups by their paths of net treatment, as `_comparisons` does."""
    for k in range(len(groups)):
        for other in range(k + 1, len(groups)):
            gap, outcome = path[k] - path[other], means[k] - means[other]
            spread = float(gap @ gap)
            never = np.isinf(groups[other])
            kind: Comparison = "both_treated" if not never else "treated_never" if groups[k] > 0 else "always_never"
            estimate = float(gap @ outcome) / spread if spread > 0 else float("nan")
            yield groups[k], groups[other], kind, estimate, float(sizes[k] * sizes[other]) * spread


# -------------------------------------------------------------------- without


def _checks(panel: Panel, table: pd.DataFrame, covariates: tuple[str, ...]) -> tuple[Check, ...]:
    already = table["comparison"].isin(["later_earlier", "later_always", "both_treated", "always_never"]).to_numpy()
    forbidden = float(table["weight"].to_numpy(dtype=float)[already].sum())
    out = [name for name in panel.X if name not in covariates]
    return (
        Check(
            "already_treated_controls",
            True if forbidden == 0 else None,
            forbidden,
            f"{forbidden:.1%} of the weight is on comparisons with units that are treated already"
            f"{' for part of the time' if covariates else ''}.",
        ),
        Check(
            "covariates_left_out",
            None if out else True,
            len(out),
            f"Covariates are not part of the decomposition: {', '.join(out)}." if out else "No covariate is left out.",
        ),
    )


def _comparisons(
    groups: Floats, shares: Floats, means: Floats
) -> Iterator[tuple[float, float, Comparison, float, float]]:
    """Yield treated and control group, kind, estimate and weight (up to a constant) of each comparison."""
    length = means.shape[1]
    exposure = np.where(np.isinf(groups), 0.0, (length - np.minimum(groups, length)) / length)
    for k in range(len(groups)):
        for other in range(k + 1, len(groups)):
            pair = shares[k] * shares[other]
            early, late = exposure[k], exposure[other]
            start = int(groups[k])
            if np.isinf(groups[other]):
                if start > 0:
                    yield (
                        groups[k],
                        groups[other],
                        "treated_never",
                        _contrast(means, k, other, 0, start, length),
                        pair * early * (1 - early),
                    )
                continue
            second = int(groups[other])
            if start > 0:
                yield (
                    groups[k],
                    groups[other],
                    "earlier_later",
                    _contrast(means, k, other, 0, start, second),
                    pair * (early - late) * (1 - early),
                )
            kind: Comparison = "later_earlier" if start > 0 else "later_always"
            yield (
                groups[other],
                groups[k],
                kind,
                _contrast(means, other, k, start, second, length),
                pair * late * (early - late),
            )


def _contrast(means: Floats, treated: int, control: int, begin: int, change: int, end: int) -> float:
    """Return the difference-in-differences of two groups between two spells."""
    gap = means[treated] - means[control]
    return float(gap[change:end].mean() - gap[begin:change].mean())
