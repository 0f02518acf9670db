"""The one place where a posterior is sampled."""

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from crimepolicy.errors import DesignError, choose

__all__ = ["Density", "Posterior", "Sampler", "sample"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Sampler = Literal["nutpie", "pymc", "numpyro"]

_STATISTICS = {
    "diverging": ("diverging",),
    "energy": ("energy",),
    "maxdepth_reached": ("maxdepth_reached", "reached_max_treedepth"),
}
_START_SPREAD = 0.5
# Above the usual 0.8: scales near zero otherwise end in a few divergences.
_ACCEPTANCE = 0.9
_LEAST = {"draws": 4, "tune": 1, "chains": 1}


@dataclass(frozen=True, slots=True)
class Density:
    """A log density on R^size with its gradient.

    Attributes
    ----------
    size : int
    evaluate : callable
        Array (size,) -> (log density up to a constant, gradient (size,)).
    start : float array (size,)
        Near the middle; chains start around it.
    acceptance : float
        At which the step is adapted: nearer to one, the steps are shorter and follow sharper bends.
    model : callable or None
        Makes the same density as a PyMC model, whose free variables, untransformed and in order, are the coordinates.
    """

    size: int
    evaluate: Callable[[Floats], tuple[float, Floats]]
    start: Floats
    acceptance: float = _ACCEPTANCE
    model: Callable[[], Any] | None = None


@dataclass(frozen=True, slots=True)
class Posterior:
    """A sampled posterior.

    Attributes
    ----------
    draws : float array (n_chains, n_draws, size)
    statistics : mapping of str to array (n_chains, n_draws)
        ``diverging``, ``energy``, ``maxdepth_reached``, as far as the sampler gives them.
    sample_stats : xarray.Dataset
        All that the sampler says of itself.
    seconds : float
        Wall time of sampling.
    """

    draws: Floats
    statistics: Mapping[str, np.ndarray[Any, Any]]
    sample_stats: Any
    seconds: float


def sample(
    density: Density, *, draws: int = 1000, tune: int = 500, chains: int = 2, seed: int = 0, sampler: Sampler = "nutpie"
) -> Posterior:
    """Draw from a density by NUTS; the same seed gives the same bits on one machine.

    Parameters
    ----------
    density : Density
    draws, tune, chains : int
        Kept draws and adaptation steps per chain; number of chains, each on its own core.
    seed : int
    sampler : {"nutpie", "pymc", "numpyro"}
        nutpie samples the density by hand; the others, which PyMC runs and which compile for every panel anew, sample its PyMC model.

    Returns
    -------
    Posterior

    Raises
    ------
    DesignError
        Where an option is unknown or not a whole number that is large enough.

    Examples
    --------
    >>> normal = Density(2, lambda x: (-0.5 * float(x @ x), -x), np.zeros(2))
    >>> sample(normal, draws=50, tune=50).draws.shape
    (2, 50, 2)
    """
    choose("sampler", sampler, Sampler)
    size = {"draws": draws, "tune": tune, "chains": chains}
    for name, value in size.items():
        if value != int(value) or value < _LEAST[name]:
            raise DesignError(f"{name}={value!r} should be a whole number, {_LEAST[name]} or more.")
    started = time.perf_counter()
    with _quiet():
        found, sample_stats = (
            _with_nutpie(density, size, seed) if sampler == "nutpie" else _with_pymc(density, size, seed, sampler)
        )
    return Posterior(found, _statistics(sample_stats), sample_stats, time.perf_counter() - started)


def _starts(density: Density) -> Callable[[int], Floats]:
    return lambda seed: density.start + np.random.default_rng(seed).uniform(-_START_SPREAD, _START_SPREAD, density.size)


def _with_nutpie(density: Density, size: dict[str, int], seed: int) -> tuple[Floats, Any]:
    import nutpie
    from nutpie.compiled_pyfunc import from_pyfunc

    compiled = from_pyfunc(
        density.size,
        lambda: density.evaluate,
        lambda *_: lambda x: {"x": np.array(x)},
        [np.dtype(np.float64)],
        [(density.size,)],
        ["x"],
        make_initial_point_fn=_starts(density),
    )
    tree = nutpie.sample(
        compiled,
        **size,
        cores=size["chains"],
        seed=seed,
        save_warmup=False,
        target_accept=density.acceptance,
        progress_bar=sys.stderr.isatty(),
    )
    return np.asarray(tree.posterior["x"].values), tree["sample_stats"].to_dataset()


def _with_pymc(density: Density, size: dict[str, int], seed: int, sampler: Sampler) -> tuple[Floats, Any]:
    import pymc as pm

    if density.model is None:
        raise DesignError(
            f"This density has no PyMC model, so sampler={sampler!r} cannot sample it. Use sampler='nutpie'."
        )
    model = density.model()
    try:
        tree = pm.sample(
            **size,
            model=model,
            random_seed=seed,
            cores=1,
            nuts_sampler=sampler,
            target_accept=density.acceptance,
            progressbar=sys.stderr.isatty(),
            compute_convergence_checks=False,
        )
    except ImportError as error:
        raise DesignError(
            f"sampler={sampler!r} needs a package that is not installed: {error}. Install it, or use sampler='nutpie'."
        ) from error
    return _coordinates(model, tree.posterior), tree["sample_stats"].to_dataset()


def _coordinates(model: Any, posterior: Any) -> Floats:
    """Return the draws (n_chains, n_draws, size) of the free variables, untransformed and side by side."""
    import pytensor.tensor as pt

    columns = []
    for variable in model.free_RVs:
        values, transform = posterior[variable.name].values, model.rvs_to_transforms[variable]
        if transform is not None:
            values = transform.forward(pt.as_tensor(values), *variable.owner.inputs).eval()
        columns.append(np.asarray(values, dtype=np.float64).reshape(*values.shape[:2], -1))
    return np.concatenate(columns, axis=-1)


def _statistics(sample_stats: Any) -> dict[str, np.ndarray[Any, Any]]:
    known = sample_stats.data_vars
    found = {key: next((known[n] for n in names if n in known), None) for key, names in _STATISTICS.items()}
    return {key: np.asarray(values.values) for key, values in found.items() if values is not None}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the chatter of samplers out of logs; what matters is said by the checks."""
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
