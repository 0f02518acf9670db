"""Small-sample factors of clustered variances, by name."""

from typing import Literal

__all__ = ["Correction", "small_sample_factor"]

Correction = Literal["CR0", "CR1", "CR1N", "CR1S"]


def small_sample_factor(correction: Correction, n_clusters: int, n_cells: int, nested: int, full: int) -> float:
    """Return the factor of a clustered variance.

    Parameters
    ----------
    correction : {"CR0", "CR1", "CR1N", "CR1S"}
        One; G/(G-1); the same times (n-1)/(n-K), K without effects nested in clusters; the same with K all parameters.
    n_clusters, n_cells : int
        G and n.
    nested, full : int
        K without nested effects, and in full.
    """
    if correction == "CR0" or n_clusters < 2:
        return 1.0
    factor = n_clusters / (n_clusters - 1)
    if correction == "CR1":
        return factor
    return factor * (n_cells - 1) / (n_cells - (nested if correction == "CR1N" else full))
