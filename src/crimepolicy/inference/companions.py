"""Companions of an estimate, the same effect on other scales: made when asked for, and fitted again."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

__all__ = ["LazyCompanions", "refit_companion"]


class LazyCompanions(Mapping[str, Estimate]):
    """Companions by name, each made the first time it is looked at.

    Parameters
    ----------
    makers : mapping of str to function
        Each returns one companion.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Estimate]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, Estimate] = {}

    def __getitem__(self, name: str) -> Estimate:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def refit_companion(fit: Callable[[Panel], Estimate], name: str) -> Callable[[Panel], Estimate]:
    """Return the function ``panel -> Estimate`` that makes the companion `name` of what `fit` makes."""
    return partial(_companion, fit=fit, name=name)


def _companion(panel: Panel, fit: Callable[[Panel], Estimate], name: str) -> Estimate:
    return fit(panel).companions[name]
