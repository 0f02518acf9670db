"""The conditional test against a slow twin that solves the linear programmes of the paper one by one."""

import numpy as np
import pytest
from scipy.optimize import brentq, linprog
from scipy.stats import truncnorm

from crimepolicy.sensitivity import conditional
from crimepolicy.sensitivity.conditional import (
    FirstStage,
    accepts,
    confidence_set,
    dual_lines,
    least_favourable,
    moment_programme,
)
from crimepolicy.sensitivity.event_path import EventPath
from crimepolicy.sensitivity.flci import FixedLength, fixed_length
from crimepolicy.sensitivity.honest import Method, Session
from crimepolicy.sensitivity.r_normals import r_normals
from crimepolicy.sensitivity.restrictions import (
    Polyhedron,
    Restriction,
    monotone,
    relative_magnitudes,
    sign,
    smoothness,
)
from tests.sensitivity.examples import random_study

N_PRE, N_POST = 3, 4
WEIGHTS = np.array([0.25, 0.0, 0.5, 0.25])


def least_violation(moments: np.ndarray, nuisance: np.ndarray, scale: np.ndarray) -> tuple[float, np.ndarray]:
    """Minimise eta subject to moments - nuisance @ t <= eta * scale; return eta and the dual solution."""
    A = np.column_stack([-scale, -nuisance])
    solved = linprog(np.eye(A.shape[1])[0], A_ub=A, b_ub=-moments, bounds=(None, None))
    return float(solved.fun), -solved.ineqlin.marginals


def slow_test(
    theta: float,
    polyhedron: Polyhedron,
    values: np.ndarray,
    covariance: np.ndarray,
    size: float,
    first: FixedLength | None = None,
) -> bool:
    """Return whether theta is accepted; truncation points by search along the direction of the optimal vertex."""
    if first is not None and abs(first.centre - theta) > first.half_length:
        return False
    used = (polyhedron.A[:, N_PRE:] != 0).any(axis=1)
    A, d = polyhedron.A[used], polyhedron.d[used]
    basis = np.linalg.svd(WEIGHTS[None, :])[2][1:].T
    nuisance = A[:, N_PRE:] @ basis
    moments = A @ values - d - A[:, N_PRE:] @ WEIGHTS / (WEIGHTS @ WEIGHTS) * theta
    sigma = A @ covariance @ A.T
    scale = np.sqrt(np.diag(sigma))
    eta, dual = least_violation(moments, nuisance, scale)
    if eta <= 0:
        return True
    variance = dual @ sigma @ dual
    direction = sigma @ dual / variance

    def gap(v: float) -> float:
        return least_violation(moments + direction * (v - eta), nuisance, scale)[0] - v - 1e-8

    far = 100 * np.sqrt(variance)
    low = brentq(gap, eta - far, eta, xtol=1e-7) if gap(eta - far) > 0 else -np.inf
    high = brentq(gap, eta, eta + far, xtol=1e-7) if gap(eta + far) > 0 else np.inf
    if first is not None:
        # The first stage is kept while the centre, which moves with the moments, stays within reach of theta.
        slope = first.weights @ covariance @ A.T @ dual / variance
        ends = sorted(eta + (side * first.half_length - first.centre + theta) / slope for side in (-1, 1))
        low, high = max(low, ends[0]), min(high, ends[1])
    spread = np.sqrt(variance)
    return bool(eta / spread <= truncnorm.ppf(1 - size, low / spread, high / spread))


@pytest.mark.parametrize(
    "restriction",
    [
        smoothness(0.02),
        smoothness(0.02) & sign("positive"),
        smoothness(0.05) & monotone("decreasing"),
        relative_magnitudes(0.5),
    ],
    ids=["smooth", "smooth and positive", "smooth and decreasing", "relative magnitudes"],
)
def test_acceptance_is_that_of_the_linear_programmes(restriction: Restriction) -> None:
    values, covariance = random_study(4, N_PRE, N_POST)
    for polyhedron in restriction.polyhedra(N_PRE, N_POST)[:1]:
        lines = dual_lines(moment_programme(polyhedron, values, covariance, WEIGHTS), {})
        found = confidence_set(lines, 0.05)
        # Half a step away from each end, where the two could disagree first.
        theta = np.concatenate(
            [
                np.linspace(found.low - 0.3, found.high + 0.3, 4),
                [found.low - 1e-3, found.low + 1e-3, found.high - 1e-3, found.high + 1e-3],
            ]
        )
        slow = [slow_test(t, polyhedron, values, covariance, 0.05) for t in theta]
        assert accepts(theta, lines, 0.05).tolist() == slow
        assert 0 < sum(slow) < len(slow)


def test_least_favourable_value_is_the_quantile_of_the_linear_programme() -> None:
    _, covariance = random_study(4, N_PRE, N_POST)
    polyhedron = (smoothness(0.02) & sign("positive")).polyhedra(N_PRE, N_POST)[0]
    noise = np.random.default_rng(0).multivariate_normal(np.zeros(N_PRE + N_POST), covariance, 200)
    used = (polyhedron.A[:, N_PRE:] != 0).any(axis=1)
    A = polyhedron.A[used]
    scale = np.sqrt(np.diag(A @ covariance @ A.T))
    nuisance = A[:, N_PRE:] @ np.linalg.svd(WEIGHTS[None, :])[2][1:].T
    slow = [least_violation(A @ draw, nuisance, scale)[0] for draw in noise]
    lines = dual_lines(moment_programme(polyhedron, np.zeros(N_PRE + N_POST), covariance, WEIGHTS), {})
    assert least_favourable(lines, noise, 0.1) == pytest.approx(np.quantile(slow, 0.9), rel=1e-7)


EVERY_RESTRICTION = {
    "smooth": smoothness(0.2),
    "relative": relative_magnitudes(0.7),
    "relative, of slopes": relative_magnitudes(0.7, order=2),
    "smooth and positive": smoothness(0.2) & sign("positive"),
    "smooth and decreasing": smoothness(0.4) & monotone("decreasing"),
    "relative and negative": relative_magnitudes(0.7) & sign("negative"),
    "relative and increasing": relative_magnitudes(2) & monotone("increasing"),
    "relative, smooth and positive": relative_magnitudes(1) & smoothness(0.3) & sign("positive"),
    "smooth, or relative and positive": smoothness(0.1) | relative_magnitudes(0.5) & sign("positive"),
    "either, and increasing": (smoothness(0.3) | relative_magnitudes(1)) & monotone("increasing"),
}


@pytest.mark.parametrize("name", EVERY_RESTRICTION)
def test_identified_set_is_that_of_the_linear_programmes(name: str) -> None:
    restriction = EVERY_RESTRICTION[name]
    cost = np.concatenate([np.zeros(N_PRE), WEIGHTS])
    empty = 0
    for seed in range(6):
        values, covariance = random_study(seed, N_PRE, N_POST)
        # Leads that rise or fall throughout make the monotone restrictions possible.
        values = [values, np.sort(values), -np.sort(-values)][seed % 3]
        bounds = [(v, v) for v in values[:N_PRE]] + [(None, None)] * N_POST
        biases = [
            [linprog(s * cost, A_ub=p.A, b_ub=p.d, bounds=bounds) for s in (1, -1)]
            for p in restriction.polyhedra(N_PRE, N_POST)
        ]
        found = [(low.fun, -high.fun) for low, high in biases if low.status == 0]
        path = EventPath(values, covariance, WEIGHTS, N_PRE, "", ())
        row = Session.start(path, 0.95, "conditional", 0).row(restriction)
        ends = (row["identified_low"], row["identified_high"])
        if found:
            effect = WEIGHTS @ values[N_PRE:]
            slow = (effect - max(high for _, high in found), effect - min(low for low, _ in found))
            assert ends == pytest.approx(slow, abs=1e-8)
        else:
            empty += 1
            assert np.isnan(ends).all()
    assert empty < 6


def one_period_kept(A: np.ndarray, d: np.ndarray, theta: float, values: np.ndarray, covariance: np.ndarray) -> bool:
    """Return whether the least-favourable hybrid of HonestDiD keeps an effect where only one period is treated."""
    sigma = A @ covariance @ A.T
    scale = np.sqrt(np.diag(sigma))
    moments = (A @ (values - theta * np.eye(len(values))[-1]) - d) / scale
    vectors, roots = np.linalg.eigh(sigma)[1], np.sqrt(np.clip(np.linalg.eigvalsh(sigma), 0, None))
    draws = r_normals(1000 * len(d)).reshape(1000, len(d)) @ (vectors * roots) @ vectors.T / scale
    top = int(np.argmax(moments))
    if moments[top] > np.quantile(draws.max(axis=1), 0.995):
        return False
    correlation = (sigma / np.outer(scale, scale))[top]
    others = correlation < 1 - 1e-9
    low = ((moments - correlation * moments[top])[others] / (1 - correlation[others])).max()
    return bool(moments[top] <= max(0.0, truncnorm.ppf(1 - 0.045 / 0.995, low, np.inf)))


@pytest.mark.parametrize(
    ("restriction", "all_rows"),
    [
        (relative_magnitudes(0.5), False),
        (relative_magnitudes(1) & sign("positive"), False),
        (relative_magnitudes(1) & monotone("increasing"), True),
        (relative_magnitudes(0.5, order=2), True),
        (smoothness(0.0) & sign("negative"), True),
        (smoothness(0.05), True),
    ],
    ids=str,
)
def test_one_treated_period_is_tested_as_the_reference_does(restriction: Restriction, all_rows: bool) -> None:
    values, covariance = random_study(4, N_PRE, 1)
    values[:N_PRE] = np.sort(values[:N_PRE])
    path = EventPath(values, covariance, np.ones(1), N_PRE, "", ())
    grid = (-1.0, 1.0, 41)
    found = Session.start(path, 0.95, "hybrid", 0, draws="R", grid=grid).row(restriction)
    kept = []
    for polyhedron in restriction.polyhedra(N_PRE, 1):
        used = (polyhedron.A[:, -1] != 0) | all_rows
        A, d = polyhedron.A[used], polyhedron.d[used]
        kept += [theta for theta in np.linspace(*grid) if one_period_kept(A, d, theta, values, covariance)]
    assert kept
    assert (found["conf_low"], found["conf_high"]) == pytest.approx((min(kept), max(kept)))


def test_each_end_of_the_set_is_where_acceptance_ends() -> None:
    values, covariance = random_study(6, N_PRE, N_POST)
    for polyhedron in relative_magnitudes(0.5).polyhedra(N_PRE, N_POST):
        lines = dual_lines(moment_programme(polyhedron, values, covariance, WEIGHTS), {})
        found = confidence_set(lines, 0.045, FirstStage(cap=3.0))
        if not found.empty:
            around = np.array([found.low - 1e-9, found.low + 1e-9, found.high - 1e-9, found.high + 1e-9])
            assert accepts(around, lines, 0.045, FirstStage(cap=3.0)).tolist() == [False, True, True, False]


@pytest.mark.parametrize("restriction", [smoothness(0.02), smoothness(0.05) & sign("positive")], ids=["alone", "sign"])
def test_a_fixed_length_first_stage_is_that_of_the_linear_programmes(restriction: Restriction) -> None:
    values, covariance = random_study(3, N_PRE, N_POST)
    path = EventPath(values, covariance, WEIGHTS, N_PRE, "", ())
    session = Session.start(path, 0.95, "hybrid_flci", 0)
    assert restriction.smoothness is not None
    first = fixed_length(values, covariance, WEIGHTS, restriction.smoothness, 0.995)
    size = (0.05 - 0.005) / 0.995
    wide = first.half_length * 1.05
    targets = first.centre + np.linspace(-wide, wide, 8)
    polyhedron = restriction.polyhedra(N_PRE, N_POST)[0]
    slow = [slow_test(theta, polyhedron, values, covariance, size, first) for theta in targets]
    assert [session.holds(float(theta), restriction) for theta in targets] == slow
    assert 0 < sum(slow) < len(slow)


def test_the_bound_on_smoothness_of_combinations() -> None:
    tight, loose = smoothness(0.1), smoothness(0.3)
    assert (loose & sign("positive") & tight).smoothness == 0.1
    assert (loose | tight).smoothness == 0.3
    assert (tight | sign("positive")).smoothness is None
    assert relative_magnitudes(1).smoothness is None


@pytest.mark.parametrize("method", ["conditional", "hybrid", "hybrid_flci"])
@pytest.mark.parametrize(
    "restriction",
    [smoothness(0.02) & sign("positive"), smoothness(0.05) & monotone("decreasing")],
    ids=["positive", "decreasing"],
)
def test_vertices_found_one_by_one_give_the_same_interval(
    monkeypatch: pytest.MonkeyPatch, restriction: Restriction, method: Method
) -> None:
    values, covariance = random_study(4, N_PRE, N_POST)
    path = EventPath(values, covariance, WEIGHTS, N_PRE, "", ())

    def row() -> dict[str, float]:
        found = Session.start(path, 0.95, method, 0, draws=400).row(restriction)
        return {name: value for name, value in found.items() if name.startswith(("conf", "identified"))}

    listed = row()
    monkeypatch.setattr(conditional, "dual_rays", lambda _: None)
    assert row() == pytest.approx(listed, abs=1e-6, nan_ok=True)
    session = Session.start(path, 0.95, method, 0, draws=400)
    width = listed["conf_high"] - listed["conf_low"]
    around = [listed["conf_low"] - width / 50, listed["conf_low"] + width / 50, listed["conf_high"] + width / 50]
    assert [session.holds(theta, restriction) for theta in around] == [False, True, False]
