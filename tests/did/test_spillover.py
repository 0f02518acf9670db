"""Spillover effects: dense twins, rings by brute force, recovery of known effects, invariances."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crimepolicy.did.exposures import exposed_cells
from crimepolicy.did.imputation import imputation
from crimepolicy.did.spillover import spillover_effects
from crimepolicy.errors import DesignError
from crimepolicy.panel import Panel

ROUNDING = 1e-9


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(7)
    n, t = 60, 16
    D = np.zeros((n, t), dtype=bool)
    for i in range(6):
        D[i, 6 + i : 14 if i == 0 else t] = True
    population = np.exp(rng.normal(0, 0.4, (n, 1))) * np.linspace(1, 1.2, t)
    coordinates = np.column_stack([rng.uniform(-103, -99, n), rng.uniform(18, 22, n)])
    Y = rng.poisson(6 * population * np.exp(0.5 * D)).astype(float)
    pairs = pd.DataFrame(
        {"unit": [f"u{i:02d}" for i in range(10, 22)], "neighbour": [f"u{i % 6:02d}" for i in range(12)], "weight": 1.0}
    )
    units = pd.Index([f"u{i:02d}" for i in range(n)])
    return Panel(
        Y=Y,
        D=D,
        units=units,
        periods=pd.RangeIndex(t),
        population=population,
        coordinates=coordinates,
        neighbours=pairs,
        region=np.array(["a", "b"])[np.arange(n) % 2],
    )


def haversine(a: np.ndarray, b: np.ndarray) -> float:
    (x, y), (u, v) = np.radians(a), np.radians(b)
    return float(6371.0088 * np.arccos(np.clip(np.sin(y) * np.sin(v) + np.cos(y) * np.cos(v) * np.cos(x - u), -1, 1)))


def test_rings_are_those_of_a_loop(panel: Panel) -> None:
    found = exposed_cells(panel, "rings", (60, 120))
    for i in range(panel.n_units):
        for t in range(panel.n_periods):
            treated = np.flatnonzero(panel.D[:, t])
            nearest = min((haversine(panel.coordinates[i], panel.coordinates[j]) for j in treated), default=np.inf)
            assert found["0-60 km"][i, t] == (nearest <= 60 and not panel.D[i, t])
            assert found["60-120 km"][i, t] == (60 < nearest <= 120 and not panel.D[i, t])


def test_imputation_equals_dense_least_squares(panel: Panel) -> None:
    found = spillover_effects(panel)
    exposed = exposed_cells(panel, "neighbours", ())["neighbours"]
    n, t = panel.Y.shape
    A = np.hstack([np.kron(np.eye(n), np.ones((t, 1))), np.kron(np.ones((n, 1)), np.eye(t))])
    fit = ~(panel.D | exposed).ravel()
    gap = panel.Y.ravel() - A @ np.linalg.lstsq(A[fit], panel.Y.ravel()[fit], rcond=None)[0]
    assert found.value == pytest.approx(gap[panel.D.ravel()].mean(), rel=ROUNDING)
    assert found.path.loc["neighbours", "estimate"] == pytest.approx(gap[exposed.ravel()].mean(), rel=ROUNDING)


def test_two_way_equals_dense_least_squares_and_its_sandwich(panel: Panel) -> None:
    found = spillover_effects(panel, exposure="rings", rings=(60, 120), estimator="two_way")
    kinds = [panel.D, *exposed_cells(panel, "rings", (60, 120)).values()]
    n, t = panel.Y.shape
    A = np.hstack(
        [
            np.column_stack([k.ravel() for k in kinds]),
            np.kron(np.eye(n), np.ones((t, 1))),
            np.kron(np.ones((n, 1)), np.eye(t)),
        ]
    ).astype(float)
    pseudo = np.linalg.pinv(A)
    residual = panel.Y.ravel() - A @ (pseudo @ panel.Y.ravel())
    psi = (pseudo[:3] * residual).reshape(3, n, t).sum(axis=2)
    np.testing.assert_allclose(found.path["estimate"], (pseudo @ panel.Y.ravel())[:3], rtol=1e-8)
    np.testing.assert_allclose(found.path["std_error"], np.sqrt((psi**2).sum(axis=1)), rtol=1e-8)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_without_links_it_is_imputation(panel: Panel, family: Any) -> None:
    nothing = pd.DataFrame({"unit": ["u40"], "neighbour": ["u41"]})
    found = spillover_effects(panel, exposure={"nobody": nothing}, family=family)
    plain = imputation(panel, family=family, average="event_time", leave_out=True)
    assert found.value == pytest.approx(plain.value, rel=ROUNDING)
    assert found.std_error == pytest.approx(plain.std_error, rel=ROUNDING)
    assert {c.name: c.value for c in found.checks}["empty_exposures"] == 1


@pytest.mark.parametrize("estimator", ["imputation", "two_way"])
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_exact_effects_are_found_where_nothing_is_random(panel: Panel, estimator: Any, family: Any) -> None:
    rng = np.random.default_rng(2)
    border = exposed_cells(panel, "neighbours", ())["neighbours"]
    unit, period = rng.normal(size=(panel.n_units, 1)), rng.normal(size=panel.n_periods)
    effect = 0.7 * panel.D - 0.3 * border
    Y = np.exp(unit + period + effect) * panel.population if family == "poisson" else unit + period + effect
    found = spillover_effects(panel.with_outcome(Y), estimator=estimator, family=family)
    np.testing.assert_allclose(found.path["estimate"], [0.7, -0.3], rtol=1e-7)
    assert found.value == pytest.approx(0.7, rel=1e-7)


def test_two_networks_are_two_exposures(panel: Panel) -> None:
    rival = pd.DataFrame({"unit": ["u30", "u31", "u10"], "neighbour": ["u00", "u01", "u02"]})
    found = spillover_effects(panel, exposure={"border": panel.neighbours, "rival": rival}, family="poisson")
    assert list(found.path.index) == ["direct", "border", "rival"]
    assert found.path.loc["rival", "n_units"] == 3
    assert {c.name for c in found.checks} >= {"several_exposures"}
    matrix = np.zeros((60, 60))
    matrix[[30, 31, 10], [0, 1, 2]] = 1
    again = spillover_effects(panel, exposure={"border": panel.neighbours, "rival": matrix}, family="poisson")
    assert again.path.equals(found.path)


def test_order_of_units_and_shocks_do_not_matter(panel: Panel) -> None:
    rng = np.random.default_rng(3)
    order = rng.permutation(60)
    cells = {key: getattr(panel, key)[order].copy() for key in ("Y", "D", "population", "coordinates", "region")}
    moved = replace(panel, units=panel.units[order], **cells)
    scaled = replace(panel, population=panel.population * np.exp(rng.normal(size=(60, 1)) + rng.normal(size=16)))
    for effects in ("unit+period", "unit+region:period"):
        paths = [
            spillover_effects(p, exposure="rings", family="poisson", effects=effects).path
            for p in (panel, moved, scaled)
        ]
        np.testing.assert_allclose(paths[1], paths[0], rtol=1e-8)
        np.testing.assert_allclose(paths[2], paths[0], rtol=1e-7)


def test_refit_and_horizon(panel: Panel) -> None:
    found = spillover_effects(panel, horizon=(0, 1))
    assert found.refit(panel).value == found.value
    assert found.path.loc["direct", "n_cells"] == 12
    assert found.refit(panel.drop(["u12"])).n_units == 59


def test_errors_say_what_to_do(panel: Panel) -> None:
    with pytest.raises(DesignError, match="no neighbours"):
        spillover_effects(replace(panel, neighbours=None))
    with pytest.raises(DesignError, match="Rings need coordinates"):
        spillover_effects(replace(panel, coordinates=None), exposure="rings")
    with pytest.raises(DesignError, match="increasing distances"):
        spillover_effects(panel, exposure="rings", rings=(50, 25))
    with pytest.raises(DesignError, match="table of pairs"):
        spillover_effects(panel, exposure=np.ones((3, 3)))
    with pytest.raises(DesignError, match="goes with estimator='imputation'"):
        spillover_effects(panel, estimator="two_way", horizon=(0, 1))
    with pytest.raises(DesignError, match="no control is left"):
        spillover_effects(panel.with_treatment(np.ones_like(panel.D)))
