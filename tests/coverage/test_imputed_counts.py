"""Coverage of imputation, stacking, switching and spillovers on crime-like counts with few treated places, by simulation.

Run `pytest -m slow tests/coverage/test_imputed_counts.py -s` to see the tables; the last ones are kept in imputed_counts.txt.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crimepolicy.did.imputation import imputation
from crimepolicy.did.spillover import spillover_effects
from crimepolicy.did.stacked import stacked_event_study
from crimepolicy.did.switching import switching_effects
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

DRAWS = 200
PLACES, MONTHS, LENGTH = 300, 120, 36
# Four Monte Carlo standard errors of a coverage of 95% in so many draws.
SLACK = 4 * np.sqrt(0.05 * 0.95 / DRAWS)
# With eight treated places the normal interval is known to be short; few-treated tools exist for that.
FEW = 0.08


@dataclass(frozen=True)
class Design:
    """Treated places, spread of their log effects, and standard deviation of persistent log shocks."""

    treated: int
    spread: float
    shocks: float

    def __str__(self) -> str:
        return f"{self.treated} treated, effects vary by {self.spread}, shocks {self.shocks}"


DESIGNS = [Design(8, 0.0, 0.0), Design(25, 0.0, 0.0), Design(25, 0.5, 0.4), Design(50, 0.5, 0.4)]


def draw(design: Design, seed: np.random.SeedSequence) -> tuple[Panel, np.ndarray]:
    """Return overdispersed counts with four fifths zeros, one onset date per treated place, and the log effect of each place."""
    rng = np.random.default_rng(seed)
    level = np.exp(rng.normal(-2.6, 1.3, (PLACES, 1)))
    level[: design.treated] = np.exp(rng.normal(-0.2, 1.0, (design.treated, 1)))
    month = np.arange(MONTHS)
    D = np.zeros((PLACES, MONTHS), dtype=bool)
    for place, start in enumerate(rng.integers(40, MONTHS - LENGTH, design.treated)):
        D[place, start : start + LENGTH] = True
    effect = 0.26 + design.spread * rng.normal(size=(PLACES, 1))
    shock = np.zeros((PLACES, MONTHS))
    shock[:, 0] = rng.normal(size=PLACES)
    for t in range(1, MONTHS):
        shock[:, t] = 0.8 * shock[:, t - 1] + 0.6 * rng.normal(size=PLACES)
    noise = rng.gamma(2.0, 0.5, D.shape) * np.exp(design.shocks * shock - design.shocks**2 / 2)
    mean = level * np.exp(0.2 * np.sin(month / 6) + 0.3 * month / MONTHS)
    counts = rng.poisson(mean * np.exp(effect * D) * noise).astype(float)
    expected = np.stack([mean, mean * np.exp(effect)])
    units = pd.Index([f"p{i:03d}" for i in range(PLACES)])
    return Panel(Y=counts, D=D, units=units, periods=pd.Index(month), population=np.ones(D.shape)), expected


def ratio(expected: np.ndarray, cells: np.ndarray) -> float:
    return float(np.log(expected[1][cells].sum() / expected[0][cells].sum()))


def soon(D: np.ndarray) -> np.ndarray:
    return D & (np.cumsum(D, axis=1) <= 6)


def summary(found: list[tuple[float, float, float]]) -> dict[str, float]:
    value, error, truth = np.array(found).T
    covered = np.abs(value - truth) <= 1.96 * error
    return {
        "bias": (value - truth).mean(),
        "sd": (value - truth).std(),
        "mean se": error.mean(),
        "covers": covered.mean(),
    }


def residual_choices(design: Design) -> pd.DataFrame:
    """How the treated residuals are centred decides the coverage of the Poisson interval."""
    found: dict[tuple[str, ...], list[tuple[float, float, float]]] = {}
    for seed in np.random.SeedSequence(1).spawn(DRAWS):
        panel, expected = draw(design, seed)
        for average, leave_out in (
            ("cohort", False),
            ("event_time", False),
            ("event_time", True),
            ("all", False),
            ("all", True),
        ):
            estimate = imputation(
                panel, family="poisson", average=average, leave_out=leave_out, windows={"0-5": (0, 5)}
            )  # type: ignore[arg-type]
            label = (average, "others" if leave_out else "own")
            found.setdefault((*label, "all months"), []).append(
                (estimate.value, estimate.std_error, ratio(expected, panel.D))
            )
            window = float(estimate.estimates["window[0-5]"]), float(estimate.std_errors["window[0-5]"])
            found.setdefault((*label, "months 0-5"), []).append((*window, ratio(expected, soon(panel.D))))
    table = pd.DataFrame({key: summary(draws) for key, draws in found.items()}).T
    return table.rename_axis(["means by", "means of", "effect"])


def without_empty_places(panel: Panel) -> Panel:
    empty = np.where(panel.D, 0.0, panel.Y).sum(axis=1) == 0
    return panel.drop(panel.units[empty])


def empty_places(draws: int) -> pd.DataFrame:
    """Whether to keep treated places without any event before: short histories, so that many are empty by chance."""
    keep: dict[str, Callable[[Panel], Panel]] = {"kept": lambda panel: panel, "left out": without_empty_places}
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in keep}
    for seed in np.random.SeedSequence(2).spawn(draws):
        rng = np.random.default_rng(seed)
        level = np.exp(rng.normal(-2.5, 0.7, (PLACES, 1)))
        D = np.zeros((PLACES, 24), dtype=bool)
        D[:100, 12:] = True
        counts = rng.poisson(level * np.exp(0.26 * D)).astype(float)
        panel = Panel(
            Y=counts, D=D, units=pd.Index(range(PLACES)), periods=pd.Index(range(24)), population=np.ones(D.shape)
        )
        for name, change in keep.items():
            estimate = imputation(change(panel), family="poisson")
            found[name].append((estimate.value, estimate.std_error, 0.26))
    return pd.DataFrame({name: summary(draws) for name, draws in found.items()}).T.rename_axis("empty treated places")


def other_estimators(design: Design) -> pd.DataFrame:
    """The other count and switching estimators on the same draws, no true effect (so that all estimands are zero)."""
    none = Design(design.treated, 0.0, design.shocks)
    estimators: dict[str, Callable[[Panel], Estimate]] = {
        "imputation, gaussian, cohort means": imputation,
        "imputation, gaussian, event-time means of others": lambda p: imputation(
            p, average="event_time", leave_out=True
        ),
        "stacked, gaussian": lambda p: stacked_event_study(p, window=(-12, 11), reference=(-12, -1)),
        "stacked, poisson": lambda p: stacked_event_study(
            p, window=(-12, 11), reference=(-12, -1), family="poisson", control="never"
        ),
        "switching, DID_l, 6 effects": lambda p: switching_effects(p, effects=6),
        "switching, DID_M": lambda p: switching_effects(p, switchers="all"),
        "spillover, poisson, direct": lambda p: spillover_effects(p, family="poisson"),
    }
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in estimators}
    for seed in np.random.SeedSequence(3).spawn(DRAWS // 2):
        panel, expected = draw(none, seed)
        rng = np.random.default_rng(seed.spawn(1)[0])
        counts = np.where(panel.D, rng.binomial(panel.Y.astype(int), expected[0] / expected[1]), panel.Y).astype(float)
        pairs = pd.DataFrame(
            {"unit": panel.units[100:160], "neighbour": np.resize(panel.units[: design.treated], 60), "weight": 1.0}
        )
        quiet = Panel(
            Y=counts, D=panel.D, units=panel.units, periods=panel.periods, population=panel.population, neighbours=pairs
        )
        for name, fit in estimators.items():
            estimate = fit(quiet)
            found[name].append((estimate.value, estimate.std_error, 0.0))
    return pd.DataFrame({name: summary(draws) for name, draws in found.items()}).T.rename_axis("estimator, no effect")


@pytest.mark.slow
def test_coverage_on_counts_with_few_treated_places() -> None:
    zeros = np.mean([(draw(DESIGNS[1], seed)[0].Y == 0).mean() for seed in np.random.SeedSequence(1).spawn(20)])
    tables = {str(design): residual_choices(design) for design in DESIGNS}
    tables |= {
        "Short histories, 100 of 300 treated": empty_places(DRAWS),
        str(DESIGNS[1]) + ", other estimators": other_estimators(DESIGNS[1]),
    }
    head = f"{DRAWS} draws, {PLACES} places x {MONTHS} months, {zeros:.0%} zeros, nominal 95%, log ratios unless gaussian or switching\n"
    text = head + "\n".join(f"\n{name}\n{table.round(3).to_string()}" for name, table in tables.items()) + "\n"
    print(text)
    Path(__file__).with_name("imputed_counts.txt").write_text(text, encoding="utf-8")
    for design in DESIGNS:
        default = tables[str(design)].xs(("event_time", "others"), level=("means by", "means of"))["covers"]
        assert (default > 0.95 - SLACK - (FEW if design.treated < 10 else 0.0)).all()
    places = tables["Short histories, 100 of 300 treated"]
    assert abs(places.loc["kept", "bias"]) < 0.03
    assert places.loc["left out", "bias"] < -0.1
