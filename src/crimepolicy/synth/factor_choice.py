"""Choose the number of factors, or the penalty, by hiding runs of untreated cells."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from crimepolicy.errors import DesignError
from crimepolicy.panel_checks import Check
from crimepolicy.synth.factor_fit import FactorData, FactorFit, fit_factors

__all__ = ["choose_penalty", "choose_rank"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

_RUN = 3  # neighbours in time resemble each other: hiding single cells would favour too many factors
_SHARE = 0.1
_PRECISION = 1e-4  # errors in hidden cells differ by more than this, or the choice does not matter
_PENALTIES = np.geomspace(1.0, 0.01, 9)


def choose_rank(data: FactorData, max_rank: int, folds: int, seed: int) -> tuple[int, Check]:
    """Return the number of factors up to `max_rank` with the smallest error in hidden cells, and the errors as a check."""
    least = int(min((data.W > 0).sum(axis=1).min(), (data.W > 0).sum(axis=0).min()))
    ranks = [rank for rank in range(max_rank + 1) if rank + 2 < least] or [0]
    fits = [partial(fit_factors, method="interactive", rank=rank, penalty=None, tolerance=_PRECISION) for rank in ranks]
    scores = _scores(data, fits, folds, seed, max(ranks) + 1)
    best = int(np.argmin(scores))
    return ranks[best], _check("rank", [str(rank) for rank in ranks], scores, best)


def choose_penalty(data: FactorData, folds: int, seed: int) -> tuple[float, Check]:
    """Return the penalty (share of the largest useful one) with the smallest error in hidden cells, and the errors as a check."""
    fits = [
        partial(fit_factors, method="matrix_completion", rank=None, penalty=float(p), tolerance=_PRECISION)
        for p in _PENALTIES
    ]
    scores = _scores(data, fits, folds, seed, 2)
    best = int(np.argmin(scores))
    return float(_PENALTIES[best]), _check("penalty", [f"{p:.3g}" for p in _PENALTIES], scores, best)


def _scores(
    data: FactorData, fits: Sequence[Callable[[FactorData], FactorFit]], folds: int, seed: int, keep: int
) -> Floats:
    rng = np.random.default_rng(seed)
    scores = np.zeros((folds, len(fits)))
    for fold in range(folds):
        hidden = _hidden(data.W > 0, rng, keep)
        if not hidden.any():
            raise DesignError(
                "Cross-validation finds no cell to hide: some period or unit has too few untreated cells. Give the rank or the "
                "penalty as a number, or use synthetic_control."
            )
        part = replace(data, W=np.where(hidden, 0.0, data.W))
        scores[fold] = [data.deviance(fit(part).mean, hidden) for fit in fits]
    return np.asarray(scores.mean(axis=0))


def _hidden(seen: Bools, rng: np.random.Generator, keep: int) -> Bools:
    """Return a mask of hidden runs, a tenth of the cells, that leaves `keep` cells to every unit and period."""
    hidden = np.zeros_like(seen)
    wanted = int(np.ceil(_SHARE * seen.sum()))
    starts = rng.permutation(np.flatnonzero(seen))
    for row, column in zip(*np.unravel_index(starts, seen.shape), strict=True):
        cells = (row, slice(column, column + _RUN))
        run = seen[cells] & ~hidden[cells]
        left = (seen & ~hidden)[:, column : column + _RUN].sum(axis=0) - run
        if (seen[row] & ~hidden[row]).sum() - run.sum() >= keep + 1 and (left >= keep + 1).all():
            hidden[cells] |= run
        if hidden.sum() >= wanted:
            break
    return hidden


def _check(name: str, labels: list[str], scores: Floats, best: int) -> Check:
    listed = ", ".join(f"{label}: {score:.4g}" for label, score in zip(labels, scores, strict=True))
    edge = best == len(labels) - 1
    text = f"{name} {labels[best]} has the smallest error in hidden cells ({listed})"
    return Check(f"{name}_chosen", None, labels[best], text + (", the last one tried." if edge else "."))
