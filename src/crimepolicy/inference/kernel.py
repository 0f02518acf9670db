"""Covariances in which units borrow from each other: two-way clusters and spatial kernels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg, sparse
from scipy.sparse.csgraph import connected_components

from crimepolicy.panel_checks import Check

__all__ = ["Combined", "combine"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Combined:
    """Influence functions combined across units, so that their squares sum to the wanted variance.

    Attributes
    ----------
    psi : pandas.DataFrame (n, k)
        A root of the kernel times the influence functions; ``attrs["combined"]`` is True.
    check : Check
        Whether the kernel was positive semidefinite, or had to be made so.
    """

    psi: pd.DataFrame
    check: Check


def combine(psi: pd.DataFrame, kernel: sparse.csr_matrix) -> Combined:
    """Return a root of a symmetric kernel (n, n) times the influence functions (n, k).

    Negative eigenvalues, which two-way clusters and uniform kernels can have, are set to zero (Cameron, Gelbach and Miller
    2011, section 2.3), and reported.
    """
    values = psi.to_numpy()
    rooted = np.zeros_like(values)
    clipped = 0.0
    n_blocks, block = connected_components(kernel, directed=False)
    order = np.argsort(block, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(block[order])) + 1):
        root = _root(kernel[rows][:, rows].toarray(), values[rows])
        rooted[rows] = root.values
        clipped += root.clipped
    combined = pd.DataFrame(rooted, index=psi.index, columns=psi.columns)
    combined.attrs["combined"] = True
    share = clipped / float((rooted**2).sum()) if clipped > 0 else 0.0
    return Combined(combined, _definite(share, n_blocks))


@dataclass(frozen=True, slots=True)
class _Root:
    """Root of a block times its influence (m, k), and the sum of squares that clipping added."""

    values: Array
    clipped: float


def _root(block: Array, values: Array) -> _Root:
    try:
        # Any root gives the same squares; this one is ten times cheaper, and exists just where nothing needs clipping.
        return _Root(linalg.cholesky(block) @ values, 0.0)
    except linalg.LinAlgError:
        eigenvalues, vectors = linalg.eigh(block)
        projected = vectors.T @ values
        clipped = -float((np.minimum(eigenvalues, 0.0)[:, None] * projected**2).sum())
        return _Root(vectors @ (np.sqrt(np.clip(eigenvalues, 0.0, None))[:, None] * projected), clipped)


def _definite(share: float, n_blocks: int) -> Check:
    # Rounding alone makes eigenvalues of about -1e-16 of the largest.
    fine = share < 1e-10
    text = (
        "The covariance kernel is positive semidefinite"
        if fine
        else f"The covariance kernel is indefinite; its negative part ({share:.2%} of the variance) was set to zero"
    )
    return Check("kernel_definite", fine, share, f"{text} ({n_blocks} blocks).")
