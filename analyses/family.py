"""What the tasks, the verdicts and the site need to know of the analysis of one claim."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crimepolicy.claims.plan import Plan
from crimepolicy.claims.verdict import Verdict
from crimepolicy.report.site import ClaimPage

__all__ = ["Compute", "Family", "Results", "Run"]

Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What one task is given.

    Attributes
    ----------
    section : mapping
        Its section of the plan.
    draws : int
        Draws of the plan (``inference.draws``), or a few in the smoke run; 0 where the plan names none.
    seed : int
        Its own stream of random numbers.
    smoke : bool
        True in the run that only shows that the line works.
    """

    section: Mapping[str, Any]
    draws: int
    seed: int
    smoke: bool = False


Compute = Callable[[Run], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Family:
    """The analysis of one claim of the report.

    Attributes
    ----------
    claim : str
        Identifier of the claim of the report, as in its file.
    section : str
        Its section of the plan; every file of numbers is called ``{section}_{name}.json``.
    numbers : mapping of str to callable
        What computes each file. The value under ``placebos`` is kept beside it, for figures only.
    modules : tuple of str
        Modules of this folder that can change the numbers.
    tables : tuple of str
        Processed tables that the tasks read.
    figures : tuple of str
        Names of the figures that `draw` writes.
    draw, page : callable
        From published numbers to figures, and to the page.
    kinds : mapping of pattern to kind
        How exactly numbers must come back, where it is not the default (see `crimepolicy.report.numbers`).
    data : tuple of str
        Tables with a data card on the page; those of `tables` where empty.
    smoke : bool
        Whether the smoke run includes it.
    elsewhere : mapping of str to str
        Section of the plan by name of number, for those that were planned later in a section of their own.
    reads : tuple of str
        Sections of the plan that the numbers read beside their own.
    """

    claim: str
    section: str
    numbers: Mapping[str, Compute]
    modules: tuple[str, ...]
    tables: tuple[str, ...]
    figures: tuple[str, ...]
    draw: Callable[[Path, Results, Results, Plan], None]
    page: Callable[[tuple[Verdict, ...], Results, Plan, Path], ClaimPage]
    kinds: Mapping[str, str] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    smoke: bool = False
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()

    def section_of(self, name: str) -> str:
        """Return the section of the plan that a file of numbers belongs to."""
        return self.elsewhere.get(name, self.section)

    def planned(self, plan: Plan, name: str) -> str:
        """Return what the plan says of a file of numbers, as the digests of the sections that it rests on."""
        return " ".join(plan.digest(section) for section in (self.section_of(name), *self.reads))

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files of numbers."""
        return tuple(f"{self.section_of(name)}_{name}" for name in self.numbers)

    @property
    def cards(self) -> tuple[str, ...]:
        """Tables with a data card on the page."""
        return self.data or self.tables
