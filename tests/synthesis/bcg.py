"""The thirteen trials as estimates of the log risk ratio."""

import numpy as np

from crimepolicy.estimate import Estimate


def trials(known: dict) -> dict[str, Estimate]:
    found = {}
    for label, (a, b, c, d, _) in known["trials"].items():
        value = np.log(a / (a + b)) - np.log(c / (c + d))
        error = np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))
        found[label] = study(value, error)
    return found


def study(value: float, error: float, **changes: object) -> Estimate:
    facts = {"estimand": "log risk ratio", "method": "trial", "citation": "", "scale": "log"}
    return Estimate(**(facts | {"value": float(value), "std_error": float(error)} | changes))
