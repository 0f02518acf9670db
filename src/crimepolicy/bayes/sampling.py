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
Sampler = Literal["nutpie", "pymc"]

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
    """

    size: int
    evaluate: Callable[[Floats], tuple[float, Floats]]
    start: Floats


@dataclass(frozen=True, slots=True)
class Posterior:
    """A sampled posterior.

    Attributes
    ----------
    draws : float array (n_chains, n_draws, size)
    statistics : mapping of str to array (n_chains, n_draws)
        ``diverging``, ``energy``, ``maxdepth_reached``, as far as the sampler gives them.
    tree : DataTree
        Everything, for ArviZ.
    seconds : float
        Wall time of sampling.
    """

    draws: Floats
    statistics: Mapping[str, np.ndarray[Any, Any]]
    tree: Any
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
    sampler : {"nutpie", "pymc"}
        ``"pymc"`` is PyMC's own NUTS, slower, for comparison.

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
    run = {"nutpie": _with_nutpie, "pymc": _with_pymc}[sampler]
    started = time.perf_counter()
    with _quiet():
        tree = run(density, size, seed)
    seconds = time.perf_counter() - started
    return Posterior(np.asarray(tree.posterior["x"].values), _statistics(tree), tree, seconds)


def _starts(density: Density) -> Callable[[int], Floats]:
    return lambda seed: density.start + np.random.default_rng(seed).uniform(-_START_SPREAD, _START_SPREAD, density.size)


def _with_nutpie(density: Density, size: dict[str, int], seed: int) -> Any:
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
    return nutpie.sample(
        compiled,
        **size,
        cores=size["chains"],
        seed=seed,
        save_warmup=False,
        target_accept=_ACCEPTANCE,
        progress_bar=sys.stderr.isatty(),
    )


def _with_pymc(density: Density, size: dict[str, int], seed: int) -> Any:
    import pymc as pm

    with pm.Model() as model:
        x = pm.Flat("x", shape=density.size)
        pm.Potential("density", _as_operation(density)(x))
    start = _starts(density)
    seeds = np.random.SeedSequence(seed).spawn(size["chains"])
    return pm.sample(
        **size,
        model=model,
        random_seed=seed,
        cores=1,
        nuts_sampler="pymc",
        target_accept=_ACCEPTANCE,
        initvals=[{"x": start(int(child.generate_state(1)[0]))} for child in seeds],
        init="adapt_diag",
        progressbar=sys.stderr.isatty(),
        compute_convergence_checks=False,
    )


def _as_operation(density: Density) -> Any:
    """Return the density as an operation that PyTensor can differentiate."""
    import pytensor.tensor as pt
    from pytensor.graph.basic import Apply
    from pytensor.graph.op import Op

    class Value(Op):
        def make_node(self, *x: Any) -> Any:
            return Apply(self, list(x), [pt.dscalar()])

        def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
            outputs[0][0] = np.asarray(density.evaluate(inputs[0])[0])

        def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
            return [cotangents[0] * Gradient()(inputs[0])]

    class Gradient(Op):
        def make_node(self, *x: Any) -> Any:
            return Apply(self, list(x), [pt.dvector()])

        def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
            outputs[0][0] = density.evaluate(inputs[0])[1]

    return Value()


def _statistics(tree: Any) -> dict[str, np.ndarray[Any, Any]]:
    known = tree.sample_stats.data_vars
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
