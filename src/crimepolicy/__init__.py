"""Causal inference on crime panels: counts with exposure, few treated units, treatments that end, spillovers.

Names load on first use, so that ``import crimepolicy`` costs little more than NumPy and pandas.
"""

from importlib import import_module
from importlib.metadata import version

from crimepolicy.errors import CrimepolicyError
from crimepolicy.estimate import Check, Estimate
from crimepolicy.panel import Event, Panel

_LAZY: dict[str, str] = {}

__all__ = ["Check", "CrimepolicyError", "Estimate", "Event", "Panel", *sorted(_LAZY)]  # noqa: PLE0604
__version__ = version("crimepolicy")


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'crimepolicy' has no attribute {name!r}")
    return getattr(import_module(f"crimepolicy.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return __all__
