"""What every tool reads from an estimate: its influence functions, its cluster labels and its terms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import InferenceError, choose, offenders
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

__all__ = ["Labels", "influence", "labels_of", "panel_of", "with_errors"]

Array = np.ndarray[Any, Any]
Labels = str | Mapping[Any, Any] | pd.Series | Sequence[Any] | Array
"""Cluster labels: ``"unit"``, ``"cluster"``, ``"region"``, a mapping or series by unit, or one label per unit."""

_COLUMNS = ("unit", "cluster", "region")


def influence(estimate: Estimate) -> pd.DataFrame:
    """Return the influence functions (units, terms) of an estimate.

    Raises
    ------
    InferenceError
        Where the estimate carries a posterior or placebo effects instead, where its influence
        was already combined across units, or is not a number.
    """
    if estimate.psi is None:
        raise InferenceError(
            f"{estimate.method} carries no influence functions by unit, which this needs. Use randomization_test or "
            "placebo_test, which only fit the estimator again."
        )
    if estimate.psi.attrs.get("combined"):
        raise InferenceError(
            f"The influence functions were already combined across units ({estimate.correction}). Apply this to the "
            "estimate as the estimator returned it."
        )
    lost = estimate.psi.isna().any()
    if lost.any():
        raise InferenceError(
            f"The influence on {offenders(lost.index[lost])} is not a number. Estimate again, without these terms."
        )
    return estimate.psi


def panel_of(estimate: Estimate) -> Panel:
    """Return the panel that an estimate was made from, or raise where it no longer carries it."""
    if estimate.panel is None:
        raise InferenceError(
            f"This estimate of {estimate.method} does not carry its panel (it was read from a file, or is a difference of "
            "two estimates). Estimate again."
        )
    return estimate.panel


def labels_of(estimate: Estimate, by: Labels | None, index: pd.Index | None = None) -> Array:
    """Return one cluster label per row of the influence functions (or per unit of `index`).

    Parameters
    ----------
    estimate : Estimate
    by : labels, optional
        None for the level of inference that the estimate already has.
    index : pandas.Index, optional
        Units to label; the rows of `psi` by default.
    """
    rows = influence(estimate).index if index is None else index
    if by is None:
        return _own_labels(estimate, rows)
    if isinstance(by, str):
        return _panel_labels(estimate, by, rows)
    if isinstance(by, (Mapping, pd.Series)):
        known = pd.Series(by)
        absent = rows[~rows.isin(known.index)]
        if len(absent):
            raise InferenceError(f"No cluster label is given for {offenders(absent)}.")
        return known.reindex(rows).to_numpy()
    return _array_labels(estimate, np.asarray(by), rows)


def with_errors(estimate: Estimate, spread: pd.Series, **changes: Any) -> Estimate:
    """Return the estimate with the standard errors (by term) replaced, and other fields changed."""
    terms = list(estimate.estimates.index)
    split = 1 + (0 if estimate.path is None else len(estimate.path))
    errors = spread.reindex(terms).to_numpy(dtype=float)
    return estimate.replace(
        std_error=float(errors[0]),
        path=None if estimate.path is None else estimate.path.assign(std_error=errors[1:split]),
        cells=None if estimate.cells is None else estimate.cells.assign(std_error=errors[split:]),
        **changes,
    )


def _own_labels(estimate: Estimate, rows: pd.Index) -> Array:
    if estimate.psi is not None and estimate.clusters is not None:
        own = pd.Series(estimate.clusters, index=estimate.psi.index)
        if estimate.panel is not None:
            # Units outside the sample have no influence, and the label that the panel gives them.
            own = own.combine_first(pd.Series(estimate.panel.clusters, index=estimate.panel.units))
        return own.reindex(rows).to_numpy()
    if estimate.panel is not None:
        return estimate.panel.clusters[estimate.panel.units.get_indexer(rows)]
    return rows.to_numpy()


def _panel_labels(estimate: Estimate, name: str, rows: pd.Index) -> Array:
    choose("by", name, _COLUMNS)
    if name == "unit":
        return rows.to_numpy()
    panel = panel_of(estimate)
    labels = getattr(panel, name)
    if labels is None:
        raise InferenceError(f"The panel has no {name} labels. Give {name}= to Panel.from_frame, or pass the labels.")
    return np.asarray(labels)[panel.units.get_indexer(rows)]


def _array_labels(estimate: Estimate, labels: Array, rows: pd.Index) -> Array:
    if len(labels) == len(rows):
        return labels
    if estimate.panel is not None and len(labels) == estimate.panel.n_units:
        return labels[estimate.panel.units.get_indexer(rows)]
    raise InferenceError(
        f"{len(labels)} cluster labels are given for {len(rows)} units. Give one per unit, or a series by unit."
    )
