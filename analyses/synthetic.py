"""A small invented country with the shape of the Mexican tables, on which the whole line runs in a minute."""

import numpy as np
import pandas as pd

from analyses.mexico import Inputs, Section
from crimepolicy.panel import Panel

_STATES, _PER_STATE = 8, 15
_RISE = 1.4


def synthetic_inputs(section: Section, seed: int = 0) -> Inputs:
    """Return invented municipalities in which homicides rise by two fifths for a year after a removal."""
    rng = np.random.default_rng(seed)
    units = pd.Index(
        [f"{state:02d}{place:03d}" for state in range(1, _STATES + 1) for place in range(1, _PER_STATE + 1)]
    )
    periods = pd.period_range(section["data"]["start"], section["data"]["end"], freq="M")
    events = _events(units, rng)
    people = np.exp(rng.uniform(np.log(55_000), np.log(900_000), len(units)))[:, None] * np.ones(len(periods))
    rate = np.exp(rng.normal(0, 0.5, (len(units), 1)) + np.cumsum(rng.normal(0, 0.03, len(periods)))) * 1.5e-5
    counts = rng.poisson(people * rate * _effect(units, periods, events)).astype(float)
    return Inputs(
        _panel(counts, people, units, periods), events, _ring(units), _by_state(counts, people, units, periods)
    )


def _events(units: pd.Index, rng: np.random.Generator) -> pd.DataFrame:
    """Return removals spaced so that some municipalities are neither hit nor bordering one that is."""
    places = units[::6]
    count = len(places)
    rank = np.array(
        (["leader"] * 12 + ["lieutenant"] * 4 + ["plaza"] * 2)[:count] + ["leader"] * max(0, count - 18), dtype=object
    )
    dates = pd.to_datetime("2008-01-15") + pd.to_timedelta(rng.integers(0, 9 * 365, count), unit="D")
    events = pd.DataFrame({"event": [f"S{i:02d}" for i in range(count)], "unit": places, "date": dates, "rank": rank})
    events = events.assign(
        person=[f"Person {i}" for i in range(count)], organisation="Invented", action=np.where(np.arange(count) % 4, "captured", "killed"),
        actor="mexican_forces", reversal="none", place_precision="municipality", date_precision="day", in_custody_before=False,
        source_read=np.arange(count) % 2 == 0, municipality=[f"Town {unit}" for unit in places], state=[f"State {unit[:2]}" for unit in places],
        operations_state=[f"State {unit[:2]}" for unit in places], operations_state_code=[unit[:2] for unit in places],
        operations_elsewhere=np.arange(count) % 3 == 0,
    )  # fmt: skip
    # Half of the states must have no leader, and each kind of placebo event must occur.
    events.loc[events["unit"].str[:2].astype(int) > _STATES // 2, "operations_state_code"] = "01"
    events.loc[count - 3, ["actor", "rank"]] = ["rivals", "lieutenant"]
    events.loc[count - 2, ["action", "rank"]] = ["extradited", "lieutenant"]
    events.loc[count - 2, "in_custody_before"] = True
    events.loc[count - 1, ["reversal", "rank"]] = ["released_same_day", "lieutenant"]
    return events


def _effect(units: pd.Index, periods: pd.PeriodIndex, events: pd.DataFrame) -> np.ndarray:
    leaders = events[events["rank"] == "leader"].set_index("unit")["date"].dt.to_period("M")
    effect = np.ones((len(units), len(periods)))
    for unit, month in leaders.items():
        start = periods.get_loc(month)
        effect[units.get_loc(unit), start : start + 12] = _RISE
    return effect


def _panel(counts: np.ndarray, people: np.ndarray, units: pd.Index, periods: pd.PeriodIndex) -> Panel:
    state = np.array([unit[:2] for unit in units], dtype=object)
    nobody = np.zeros(counts.shape, dtype=bool)
    return Panel(
        Y=counts,
        D=nobody,
        units=units,
        periods=periods,
        population=people,
        region=state,
        outcome="homicides",
        name="synthetic",
    )


def _by_state(counts: np.ndarray, people: np.ndarray, units: pd.Index, periods: pd.PeriodIndex) -> Panel:
    states = pd.Index(sorted({unit[:2] for unit in units}))
    member = np.array([[unit[:2] == state for unit in units] for state in states], dtype=float)
    return _panel(member @ counts, member @ people, states, periods)


def _ring(units: pd.Index) -> pd.DataFrame:
    return pd.DataFrame({"unit": units, "neighbour": np.roll(units.to_numpy(), -1)})
