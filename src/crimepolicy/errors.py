"""Exceptions: one base class and one subclass per stage of the line."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import get_args

__all__ = [
    "ClaimError",
    "CrimepolicyError",
    "DataError",
    "DesignError",
    "EstimationError",
    "InferenceError",
    "PanelError",
    "at_least",
    "choose",
    "of_kind",
    "offenders",
    "suggest",
]


_KINDS = {
    "Panel": ("a Panel", "Make one with Panel.from_frame(table, unit=..., time=..., outcome=...)."),
    "Estimate": ("an Estimate", "Give what an estimator returned, such as imputation(panel)."),
    "Mapping": ("a mapping by name", "Give one such as {'first': ..., 'second': ...}."),
}


class CrimepolicyError(ValueError):
    """Base of every error that the package raises on purpose."""


class DataError(CrimepolicyError):
    """A source, file or packaged table is missing, corrupt or not what it says it is."""


class PanelError(CrimepolicyError):
    """A table cannot become a panel as it stands."""


class DesignError(CrimepolicyError):
    """The panel is sound, but this design is not identified on it (or an option is unknown)."""


class EstimationError(CrimepolicyError):
    """The numbers could not be computed, or were asked for in a form they do not have."""


class InferenceError(CrimepolicyError):
    """The uncertainty asked for is not defined for this estimate."""


class ClaimError(CrimepolicyError):
    """A claim, its plan or its results are malformed, or do not belong together."""


def choose(option: str, value: object, allowed: object) -> None:
    """Raise a `DesignError` that lists the allowed values unless `value` is one of them.

    Parameters
    ----------
    option : str
        Name of the option as the caller typed it.
    value : object
        What was given.
    allowed : Literal type or sequence
        The allowed values.
    """
    values = tuple(allowed) if isinstance(allowed, (list, tuple)) else get_args(allowed)
    if value not in values:
        listed = ", ".join(repr(v) for v in values)
        raise DesignError(f"{option}={value!r} is not an option. Use one of: {listed}.")


def at_least(option: str, value: float, least: float) -> None:
    """Raise a `DesignError` unless a number that the caller gave is at least this."""
    if not value >= least:
        raise DesignError(f"{option}={value!r} should be {least} or more.")


def of_kind(option: str, value: object, *kinds: type) -> None:
    """Raise a `DesignError` that says how to come by one, unless a value is of a kind that is needed.

    Parameters
    ----------
    option : str
        Name of the option as the caller typed it.
    value : object
        What was given.
    *kinds : type
        The allowed kinds; the first is named in the message.
    """
    if not isinstance(value, kinds):
        needed, advice = _KINDS[kinds[0].__name__]
        raise DesignError(f"{option} should be {needed}, but is of type {type(value).__name__}. {advice}")


def offenders(items: Iterable[object], total: int | None = None, show: int = 5) -> str:
    """Return 'a, b, c (3)' or 'a, b, c, d, e, ... (17 in all)' for an error message."""
    listed = [str(item) for item in items]
    count = len(listed) if total is None else total
    head = ", ".join(listed[:show])
    return f"{head} ({count})" if count <= show else f"{head}, ... ({count} in all)"


def suggest(name: object, known: Sequence[object]) -> str:
    """Return ' Did you mean ...?' when a known name is near, else the list of known names."""
    labels = [str(item) for item in known]
    near = get_close_matches(str(name), labels, n=1, cutoff=0.6)
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" Known: {offenders(labels, show=12)}."
