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
        Root of the kernel times the influence functions; ``attrs["combined"]`` is True.
    check : Check
        Whether the kernel was positive semidefinite, or had to be made so.
    """

    psi: pd.DataFrame
    check: Check


def combine(psi: pd.DataFrame, kernel: sparse.csr_matrix) -> Combined:
    """Return the root of a symmetric kernel (n, n) times the influence functions (n, k).

    Negative eigenvalues, which two-way clusters and uniform kernels can have, are set to zero (Cameron, Gelbach and Miller
    2011, section 2.3), and reported.
    """
    values = psi.to_numpy()
    rooted = np.zeros_like(values)
    clipped = 0.0
    n_blocks, block = connected_components(kernel, directed=False)
    order = np.argsort(block, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(block[order])) + 1):
        eigenvalues, vectors = linalg.eigh(kernel[rows][:, rows].toarray())
        projected = vectors.T @ values[rows]
        clipped -= float((np.minimum(eigenvalues, 0.0)[:, None] * projected**2).sum())
        rooted[rows] = vectors @ (np.sqrt(np.clip(eigenvalues, 0.0, None))[:, None] * projected)
    combined = pd.DataFrame(rooted, index=psi.index, columns=psi.columns)
    combined.attrs["combined"] = True
    share = clipped / float((rooted**2).sum()) if clipped > 0 else 0.0
    return Combined(combined, _definite(share, n_blocks))


def _definite(share: float, n_blocks: int) -> Check:
    # Rounding alone makes eigenvalues of about -1e-16 of the largest.
    fine = share < 1e-10
    text = (
        "The covariance kernel is positive semidefinite"
        if fine
        else f"The covariance kernel is indefinite; its negative part ({share:.2%} of the variance) was set to zero"
    )
    return Check("kernel_definite", fine, share, f"{text} ({n_blocks} blocks).")
