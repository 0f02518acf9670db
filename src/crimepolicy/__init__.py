"""Causal inference on crime panels: counts with exposure, few treated units, treatments that end, spillovers.

Names load on first use, so that ``import crimepolicy`` costs little more than NumPy and pandas.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from crimepolicy.errors import CrimepolicyError
from crimepolicy.estimate import Check, Estimate
from crimepolicy.panel import Event, Panel

if TYPE_CHECKING:
    from crimepolicy.claims.verdict import judge as judge
    from crimepolicy.data import datasets as datasets
    from crimepolicy.data import load_events as load_events
    from crimepolicy.data import load_panel as load_panel
    from crimepolicy.data import load_table as load_table
    from crimepolicy.did.group_time import group_time_effects as group_time_effects
    from crimepolicy.did.imputation import imputation as imputation
    from crimepolicy.did.interaction_weighted import interaction_weighted as interaction_weighted
    from crimepolicy.did.two_way import two_way_fixed_effects as two_way_fixed_effects
    from crimepolicy.inference.cluster import cluster as cluster
    from crimepolicy.inference.multiplier import multiplier_bootstrap as multiplier_bootstrap
    from crimepolicy.inference.randomization import randomization_test as randomization_test
    from crimepolicy.sensitivity.breakdown import breakdown as breakdown
    from crimepolicy.sensitivity.honest import honest_bounds as honest_bounds

_LAZY = {
    "two_way_fixed_effects": "did.two_way",
    "group_time_effects": "did.group_time",
    "imputation": "did.imputation",
    "interaction_weighted": "did.interaction_weighted",
    "cluster": "inference.cluster",
    "multiplier_bootstrap": "inference.multiplier",
    "randomization_test": "inference.randomization",
    "honest_bounds": "sensitivity.honest",
    "breakdown": "sensitivity.breakdown",
    "datasets": "data",
    "load_events": "data",
    "load_panel": "data",
    "load_table": "data",
    "judge": "claims.verdict",
}

__all__ = ["Check", "CrimepolicyError", "Estimate", "Event", "Panel", *sorted(_LAZY)]  # noqa: PLE0604
__version__ = version("crimepolicy")


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'crimepolicy' has no attribute {name!r}")
    return getattr(import_module(f"crimepolicy.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return __all__
