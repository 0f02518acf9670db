"""Standard normal numbers as R draws them, so that a simulated critical value can be that of an R package."""

from typing import Any

import numpy as np
from scipy.special import ndtri

__all__ = ["r_normals"]

_WORD = 0xFFFFFFFF
_WARM_UP = 50
_STATE = 624
_FINE = 2.0**27


def r_normals(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return what ``set.seed(seed); rnorm(count)`` gives in R with its default generators, Mersenne Twister and inversion.

    References
    ----------
    Matsumoto and Nishimura (1998), ACM TOMACS 8; R Core Team, documentation of ``RNGkind``.

    Examples
    --------
    >>> r_normals(3).round(6).tolist()
    [1.262954, -0.326233, 1.329799]
    """
    generator = np.random.MT19937()
    generator.state = generator.state | {"state": {"key": _scrambled(seed), "pos": _STATE}}
    raw = np.asarray(generator.random_raw(2 * count), dtype=float) * 2.0**-32
    # Two uniforms of 32 bits make one fine enough for the tails.
    coarse, rest = raw.reshape(-1, 2).T
    return np.asarray(ndtri((np.floor(_FINE * coarse) + rest) / _FINE))


def _scrambled(seed: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    words, word = [], seed & _WORD
    for _ in range(_WARM_UP + 1 + _STATE):
        word = (69069 * word + 1) & _WORD
        words.append(word)
    # R overwrites the first word after the warm-up with the position in the state.
    return np.array(words[_WARM_UP + 1 :], dtype=np.uint32)
