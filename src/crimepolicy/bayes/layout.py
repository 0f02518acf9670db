"""The linear predictor as blocks of Gaussian coordinates, and the scales that govern them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from crimepolicy.bayes.scale_map import scales_from_normal

__all__ = ["Block", "Design", "Scales", "positions", "scale_table"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]


@dataclass(frozen=True, slots=True)
class Block:
    """Coordinates that share one scale.

    Attributes
    ----------
    name : str
    size : int
    scale : float
        Fixed prior standard deviation, or the scale of the half-normal prior of it.
    fixed : bool
    spatial : float array (size,) or None
        Variance of the spatial part of each coordinate; the other part has variance one.
    """

    name: str
    size: int
    scale: float
    fixed: bool = False
    spatial: Floats | None = None


@dataclass(frozen=True, slots=True)
class Design:
    """Everything of the model but its parameters; N units, T periods, E events, K event times, G groups of units.

    Attributes
    ----------
    counts, offset : float array (N, T)
        Zero, and zero, where `used` is False.
    used : bool array (N, T)
    unit : float array (N, A)
        Intercept and unit coordinates.
    group : int array (N,)
        Which of the G period paths a unit follows.
    n_groups : int
    walk : float array (T, T - 1)
        Period coordinates.
    season : float array (T, S)
    cell : int array (E, K)
        Flat positions, N * T where absent.
    after : float array (K,)
        One where the event can act on the level.
    level : float array (E, B)
        Common level (and moderators).
    drift : float array (K, C)
        Coordinates of the common path.
    own_level : bool
        Events have levels of their own.
    own_drift : float array (K, J)
        Coordinates of the events' own paths.
    blocks : tuple of Block
        intercept, unit, period, season, level, moderators, drift, event_level, event_drift; each may be empty.
    dispersion_scale : float or None
        Scale of the half-normal prior of 1 / sqrt(shape); None for Poisson.
    turned : int array (R,)
        Positions of the levels, common and own, that the sampler sees turned; empty where events have only one of the two.
    turn : float array (R, R)
        From what the sampler sees to the levels; its determinant is one in size.
    at : mapping of str to slice
        Positions of each block, of ``units`` (intercept and unit) and of ``levels`` (level and moderators).
    """

    counts: Floats
    offset: Floats
    used: np.ndarray[Any, np.dtype[np.bool_]]
    unit: Floats
    group: Ints
    n_groups: int
    walk: Floats
    season: Floats
    cell: Ints
    after: Floats
    level: Floats
    drift: Floats
    own_level: bool
    own_drift: Floats
    blocks: tuple[Block, ...]
    dispersion_scale: float | None
    turned: Ints
    turn: Floats
    at: Mapping[str, slice]

    @property
    def size(self) -> int:
        """Number of Gaussian coordinates."""
        return sum(block.size for block in self.blocks)


def positions(blocks: Sequence[Block]) -> dict[str, slice]:
    """Return where each block stands, and the neighbouring blocks that act together.

    Examples
    --------
    >>> positions([Block("intercept", 1, 1.0), Block("unit", 3, 1.0)])["units"]
    slice(0, 4, None)
    """
    ends = np.cumsum([0, *(block.size for block in blocks)]).tolist()
    at = {block.name: slice(ends[i], ends[i + 1]) for i, block in enumerate(blocks)}
    pairs = {"units": ("intercept", "unit"), "levels": ("level", "moderators")}
    joint = {k: slice(at[a].start, at[b].stop) for k, (a, b) in pairs.items() if a in at and b in at}
    return at | joint


@dataclass(frozen=True, slots=True)
class Scales:
    """The Q scale parameters: logs of standard deviations, logits of spatial shares, log of the dispersion.

    Attributes
    ----------
    names : tuple of str (Q,)
    owner : int array (size,)
        Which scale governs a coordinate; -1 where fixed.
    constant : float array (size,)
        Log standard deviation where fixed, else 0.
    prior : float array (Q,)
        Scale of the half-normal prior; NaN for a spatial share, which is uniform.
    share : int
        Position of the spatial share, -1 without.
    spatial : float array (size,)
        Spatial variance, NaN where not spatial.
    dispersion : int
        Position of the log dispersion, -1 without.
    """

    names: tuple[str, ...]
    owner: Ints
    constant: Floats
    prior: Floats
    share: int
    spatial: Floats
    dispersion: int

    def log_sd(self, h: Floats) -> Floats:
        """Return the log prior standard deviation (size,) of every coordinate at scales h (Q,)."""
        values = np.append(h, 0.0)[self.owner] + self.constant
        if self.share >= 0:
            values = values + 0.5 * np.nan_to_num(np.log(self.mix(h)))
        return np.asarray(values)

    def mix(self, h: Floats) -> Floats:
        """Return 1 - share + share * spatial variance (size,), NaN where not spatial."""
        share = 1 / (1 + np.exp(-h[self.share]))
        return np.asarray(1 - share + share * self.spatial)

    def from_normal(self, x: Floats) -> tuple[Floats, Floats]:
        """Return h (..., Q) and its derivative for x (..., Q), which has a standard normal prior.

        A half-normal scale is a quantile of its prior at the normal probability of x, and so is the uniform share. The sampler
        then meets no endless tail towards a scale of zero, as it would with logs.
        """
        h, slope = scales_from_normal(np.ascontiguousarray(x).reshape(-1, len(self.names)), self.prior, self.share)
        return h.reshape(x.shape), slope.reshape(x.shape)

    def to_normal(self, h: Floats) -> Floats:
        """Return x (Q,) of scales h (Q,)."""
        x = special.ndtri(2 * special.ndtr(np.exp(h) / np.nan_to_num(self.prior, nan=1.0)) - 1)
        if self.share >= 0:
            x[self.share] = special.ndtri(special.expit(h[self.share]))
        return np.asarray(x)


def scale_table(blocks: Sequence[Block], dispersion_scale: float | None) -> Scales:
    """Return the scales of some blocks.

    Examples
    --------
    >>> table = scale_table([Block("level", 1, 2.0, fixed=True), Block("unit", 3, 0.5)], 1.0)
    >>> table.names, table.owner.tolist()
    (('unit', 'dispersion'), [-1, 0, 0, 0])
    """
    free = [block for block in blocks if not block.fixed and block.size]
    names, prior = [block.name for block in free], [block.scale for block in free]
    share = dispersion = -1
    if any(block.spatial is not None for block in blocks):
        share = len(names)
        names.append("spatial_share")
        prior.append(np.nan)
    if dispersion_scale is not None:
        dispersion = len(names)
        names.append("dispersion")
        prior.append(dispersion_scale)
    owner = [np.full(b.size, names.index(b.name) if b.name in names else -1) for b in blocks]
    constant = [np.full(b.size, np.log(b.scale) if b.fixed else 0.0) for b in blocks]
    spatial = [np.full(b.size, np.nan) if b.spatial is None else b.spatial for b in blocks]
    return Scales(
        tuple(names),
        np.concatenate(owner).astype(np.intp),
        np.concatenate(constant),
        np.array(prior),
        share,
        np.concatenate(spatial),
        dispersion,
    )
