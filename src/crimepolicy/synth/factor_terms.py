"""The averages that a factor model reports: overall, by time since treatment began and ended, after its end."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.estimate import HEADLINE, path_term
from crimepolicy.synth.factor_fit import FactorFit
from crimepolicy.synth.factor_sample import FactorSample
from crimepolicy.synth.interactive import Family
from crimepolicy.synth.spell_time import UNKNOWN

__all__ = ["FactorTerms"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class FactorTerms:
    """Which cells each number averages: the headline, event times, times since the end, carry-over cells."""

    family: Family
    starts: Ints
    ends: Ints
    carryover: bool

    @classmethod
    def of(cls, sample: FactorSample, family: Family) -> "FactorTerms":
        """Return the terms for which a sample has cells."""
        known = (sample.start > UNKNOWN) & ((sample.data.W > 0) | sample.treated)
        off = (sample.end > UNKNOWN) & ((sample.data.W > 0) | sample.treated | sample.carried)
        ends = np.unique(sample.end[off]) if (sample.end[off] >= 0).any() else np.zeros(0, dtype=np.intp)
        return cls(family, np.unique(sample.start[known]), ends, bool(sample.carried.any()))

    @property
    def labels(self) -> list[str]:
        """Names of all numbers, in their order."""
        parts = [
            HEADLINE,
            *(path_term("event_time", e) for e in self.starts),
            *(path_term("exit", e) for e in self.ends),
        ]
        return [*parts, "excess", *(["carryover"] if self.carryover else [])]

    def apply(self, sample: FactorSample, fit: FactorFit) -> Floats:
        """Return every number; NaN where a sample has no such cell."""
        used = (sample.data.W > 0) | sample.treated
        everything = used | sample.carried
        groups = [
            _sums(sample, fit, sample.treated, np.zeros_like(sample.start), np.zeros(1, dtype=np.intp)),
            _sums(sample, fit, used, sample.start, self.starts),
            _sums(sample, fit, everything, sample.end, self.ends),
        ]
        observed, expected, mass = (np.concatenate([group[i] for group in groups]) for i in range(3))
        values = [self._effect(observed, expected, mass)]
        values.append(np.array([observed[0] - expected[0]]))
        if self.carryover:
            values.append(
                self._effect(
                    *_sums(sample, fit, sample.carried, np.zeros_like(sample.start), np.zeros(1, dtype=np.intp))
                )
            )
        return np.concatenate(values)

    def _effect(self, observed: Floats, expected: Floats, mass: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.family == "poisson":
                ratio = np.log(observed / expected)
                return np.where(np.isfinite(ratio), ratio, np.nan)
            return np.asarray((observed - expected) / mass)

    def frame(self, values: Floats, errors: Floats, which: Literal["start", "end"]) -> pd.DataFrame:
        """Return the path by time since the start, or the end, of treatment."""
        first = 1 if which == "start" else 1 + len(self.starts)
        index = self.starts if which == "start" else self.ends
        part = slice(first, first + len(index))
        return pd.DataFrame(
            {"estimate": values[part], "std_error": errors[part]}, index=pd.Index(index, name="event_time")
        )


def _sums(
    sample: FactorSample, fit: FactorFit, cells: Bools, labels: Ints, wanted: Ints
) -> tuple[Floats, Floats, Floats]:
    """Return observed, expected and mass summed over the cells of each wanted label."""
    inside = cells & np.isin(labels, wanted)
    codes = np.searchsorted(wanted, labels[inside])
    mass = sample.mass[inside]
    size = len(wanted)
    return (
        np.bincount(codes, weights=mass * sample.data.Z[inside], minlength=size),
        np.bincount(codes, weights=mass * fit.mean[inside], minlength=size),
        np.bincount(codes, weights=mass, minlength=size),
    )
