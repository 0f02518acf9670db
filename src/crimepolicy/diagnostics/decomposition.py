"""Which two-by-two comparisons make the two-way fixed effects coefficient (Goodman-Bacon)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import DesignError
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = ["BaconDecomposition", "Comparison", "bacon_decomposition"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Comparison = Literal["treated_never", "earlier_later", "later_earlier", "later_always"]

_WORDS = {
    "treated_never": "treated against never treated",
    "earlier_later": "earlier against later treated",
    "later_earlier": "later against earlier treated, who are treated already",
    "later_always": "later treated against always treated",
}


@dataclass(frozen=True, slots=True)
class BaconDecomposition:
    """The two-way fixed effects coefficient as a weighted average of two-by-two comparisons.

    Attributes
    ----------
    estimate : float
        The coefficient, with unit and period effects and without covariates.
    components : pandas.DataFrame
        Columns treated and control (first treated periods; None for never, the first period for always), comparison, estimate, weight.
    checks : tuple of Check
        Weight on comparisons with units that are treated already; what was left out.
    """

    estimate: float
    components: pd.DataFrame
    checks: tuple[Check, ...]

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
        return f"Two-way fixed effects coefficient {self.estimate:.4g} = " + "; ".join(rows) + "."


def bacon_decomposition(panel: Panel) -> BaconDecomposition:
    """Decompose the two-way fixed effects coefficient into two-by-two comparisons.

    No new estimand: the decomposition says how much of the coefficient comes from comparisons with units that are treated
    already, which are wrong where effects change over time.

    Parameters
    ----------
    panel : Panel
        Balanced, treatment that stays on, no weights. Covariates are left out.

    Returns
    -------
    BaconDecomposition

    Raises
    ------
    DesignError
        Where the panel is unbalanced or weighted, treatment switches off, or there is one group only.

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
    if not panel.balanced:
        raise DesignError(
            f"The decomposition needs a balanced panel, but {int((~panel.observed).sum()):,} cells are not observed. Use missing='drop_units', or a window in which all is observed."
        )
    if panel.weights is not None and np.ptp(panel.weights) > 0:
        raise DesignError(
            "The decomposition is not defined for weighted regressions. Build the panel without weights=."
        )
    first = panel.G
    groups, code, sizes = np.unique(first, return_inverse=True, return_counts=True)
    means = np.zeros((len(groups), panel.n_periods))
    np.add.at(means, code, panel.Y)
    rows = list(_comparisons(groups, sizes / sizes.sum(), means / sizes[:, None]))
    if not rows:
        raise DesignError("All units have the same treatment history, so there is nothing to compare.")
    table = pd.DataFrame(rows, columns=["treated", "control", "comparison", "estimate", "weight"])
    table["weight"] /= table["weight"].sum()
    for side in ("treated", "control"):
        table[side] = [None if np.isinf(g) else panel.periods[int(g)] for g in table[side]]
    return BaconDecomposition(
        float(table["estimate"].to_numpy(dtype=float) @ table["weight"].to_numpy(dtype=float)),
        table,
        _checks(panel, table),
    )


def _checks(panel: Panel, table: pd.DataFrame) -> tuple[Check, ...]:
    already = table["comparison"].isin(["later_earlier", "later_always"]).to_numpy()
    already = table["comparison"].isin(["later_earlier", "later_always"]).to_numpy()
    forbidden = float(table["weight"].to_numpy(dtype=float)[already].sum())
    named = ", ".join(panel.X)
    return (
        Check(
            "already_treated_controls",
            True if forbidden == 0 else None,
            forbidden,
            f"{forbidden:.1%} of the weight is on comparisons with units that are treated already.",
        ),
        Check(
            "covariates_left_out",
            None if panel.X else True,
            len(panel.X),
            f"Covariates are not part of the decomposition: {named}." if panel.X else "The panel has no covariates.",
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
