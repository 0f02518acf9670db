"""The breakdown value: the least violation of parallel trends at which a conclusion no longer holds."""

from collections.abc import Callable

import numpy as np

from crimepolicy.errors import of_kind
from crimepolicy.estimate import Check, Estimate
from crimepolicy.sensitivity.event_path import Target, event_path
from crimepolicy.sensitivity.honest import Method, Session
from crimepolicy.sensitivity.restrictions import Restriction, relative_magnitudes

__all__ = ["breakdown"]

_STEPS = 20
_BISECTIONS = 10


def breakdown(
    estimate: Estimate,
    *,
    family: Callable[[float], Restriction] = relative_magnitudes,
    null: float = 0.0,
    most: float | None = None,
    target: Target = None,
    level: float = 0.95,
    method: Method = "auto",
    reference: int = -1,
    bins: int = 1,
    window: tuple[int, int] | None = None,
    seed: int = 0,
) -> Check:
    """Find the smallest M at which the honest interval holds the null.

    The value is 0 where already the interval at M = 0 holds it, infinite where none up to `most` does.

    Parameters
    ----------
    estimate : Estimate
        With a path over event time and its `psi` or `draws`.
    family : callable
        From M to a restriction, such as ``relative_magnitudes``, ``smoothness`` or ``lambda M: smoothness(M) & sign("positive")``.
    null : float
        Value of the target that the conclusion denies.
    most : float, optional
        Largest M to try: 5, or for smoothness the size of the effect. Twenty steps up to it are tried in turn and the first
        that holds the null is refined to a thousandth of a step.
    target, level, method, reference, bins, window, seed
        As in `honest_bounds`.

    Returns
    -------
    Check
        Its value is M.

    References
    ----------
    Rambachan and Roth (2023), section 6.

    Examples
    --------
    >>> import pandas as pd
    >>> path = pd.DataFrame({"estimate": [0.1, 0.0, -1.0]}, index=pd.Index([-2, -1, 0], name="event_time"))
    >>> draws = pd.DataFrame(
    ...     np.random.default_rng(0).normal(0, 0.1, (500, 2)), columns=["event_time[-2]", "event_time[0]"]
    ... )
    >>> facts = {"estimand": "effect", "method": "example", "citation": "", "path": path.assign(std_error=0.1)}
    >>> 2 < breakdown(Estimate(value=-1.0, std_error=0.1, draws=draws, **facts)).value < 5
    True
    """
    of_kind("estimate", estimate, Estimate)
    session = Session.start(event_path(estimate, target, reference, bins, window), level, method, seed)
    most = most if most is not None else _default_most(session, family)
    value = _first_held(session, family, null, np.linspace(0, most, _STEPS + 1))
    return Check("breakdown_value", None, value, _text(session, family, null, value, most))


def _default_most(session: Session, family: Callable[[float], Restriction]) -> float:
    return abs(session.path.estimate[0]) if family(1.0).kind == "smoothness" else 5.0


def _first_held(
    session: Session,
    family: Callable[[float], Restriction],
    null: float,
    ladder: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> float:
    held = next((k for k, M in enumerate(ladder) if session.holds(null, family(float(M)))), None)
    if not held:
        return float("inf") if held is None else 0.0
    low, high = float(ladder[held - 1]), float(ladder[held])
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if session.holds(null, family(middle)) else (middle, high)
    return high


def _text(session: Session, family: Callable[[float], Restriction], null: float, value: float, most: float) -> str:
    subject = f"The {session.level:.0%} interval of the {session.path.target}"
    if value == 0:
        return f"{subject} holds {null:g} already at the strictest restriction: if {family(0.0)}."
    if np.isinf(value):
        return f"{subject} never holds {null:g}, even if {family(most)}."
    return f"{subject} excludes {null:g} as long as M is below {value:.3g}: beyond, {family(float(f'{value:.3g}'))}."
