"""The automatic check for few treated, or few untreated, clusters."""

from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = ["FEW", "few_treated_clusters"]

FEW = 6
"""Below this many clusters on one side, clustered standard errors reject far too often in every published simulation."""


def few_treated_clusters(panel: Panel, clusters: np.ndarray[Any, Any] | None = None) -> Check:
    """Return the check that enough clusters are treated, and enough are not, for clustered standard errors.

    Parameters
    ----------
    panel : Panel
    clusters : array (N,), optional
        Label of the level of inference by unit; the panel's own by default.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame(
    ...     {"city": list("aabbcc"), "year": [1, 2] * 3, "deaths": [3, 4, 5, 9, 7, 7], "truce": [0, 1, 0, 0, 0, 0]}
    ... )
    >>> panel = Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> few_treated_clusters(panel).passed
    False

    References
    ----------
    Conley and Taber (2011), Review of Economics and Statistics 93; MacKinnon and Webb (2018), Econometrics Journal 21.
    """
    labels = panel.clusters if clusters is None else clusters
    ever = pd.Series(panel.D.any(axis=1)).groupby(pd.factorize(labels)[0]).any().to_numpy()
    treated, untreated = int(ever.sum()), int((~ever).sum())
    # Staggered designs without never-treated clusters still compare many clusters with many.
    fewest = min(treated, untreated) if untreated else treated
    return Check("few_treated_clusters", fewest >= FEW, fewest, _sentence(treated, untreated))


def _sentence(treated: int, untreated: int) -> str:
    counted = f"{treated} treated and {untreated} never-treated clusters"
    if min(treated, untreated or treated) >= FEW:
        return f"{counted}."
    if treated == 1:
        why = "one treated cluster has no visible variance of its own, so clustered standard errors and wild bootstraps are far too small or void"
    else:
        why = f"with fewer than {FEW} on one side clustered standard errors are too small"
    return f"{counted}: {why}. few_treated(estimate) lists the tools that remain valid: randomization_test and placebo_test first."
