"""Group-time effects: published numbers, numerical influence functions, brute force, invariances, and what is left out."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crimepolicy.diagnostics.pretrends import joint_test
from crimepolicy.did.group_time import group_time_effects
from crimepolicy.did.two_by_two import contrast_changes
from crimepolicy.did.two_by_two_levels import contrast_levels
from crimepolicy.errors import DesignError
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

# Closed forms on both sides.
EXACT = 1e-9
# R's logit stops at a relative change of the deviance of 1e-8, ours at the optimum.
LOGIT = 3e-8
# The authors' doubly robust influence function for two cross sections has a sign error; see docs/decisions/201.
SIGN = 1e-2
# Central differences in a weight.
NUMERIC = 1e-6

SPECS = [
    *(f"none_{c}_{m}_varying" for c in ("nevertreated", "notyettreated") for m in ("reg", "ipw", "dr")),
    *(f"none_{c}_dr_universal" for c in ("nevertreated", "notyettreated")),
    *(
        f"lpop_{c}_{m}_{b}"
        for c in ("nevertreated", "notyettreated")
        for m in ("reg", "ipw", "dr")
        for b in ("varying", "universal")
    ),
    *("lpop_never_dr_antic1", "lpop_notyet_dr_antic1", "none_never_dr_weighted", "lpop_never_dr_weighted"),
    *(f"lpop_never_{m}_repeated_cross_sections" for m in ("reg", "ipw", "dr")),
    *("lpop_never_dr_unbalanced", "lpop_never_dr_unbalanced_dropped"),
    *("nonever_lpop_notyet_dr", "nonever_none_notyet_reg", "nonever_none_never_reg"),
]
AVERAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "simple": ("simple", {}),
    "group": ("group", {}),
    "calendar": ("calendar", {}),
    "event": ("event", {}),
    "event_window": ("event", {"window": (-2, 1)}),
    "event_balance": ("event", {"balance": 1}),
}


def _panel(name: str, control: str, mpdta_panel: Callable[..., Panel]) -> tuple[Panel, dict[str, Any]]:
    if "repeated" in name:
        return mpdta_panel(sections=True, missing="keep"), {"unbalanced": "levels"}
    if name.endswith("_unbalanced"):
        return mpdta_panel(unbalanced=True, missing="keep"), {"unbalanced": "levels"}
    if name.endswith("_dropped"):
        return mpdta_panel(unbalanced=True, missing="drop_units"), {}
    if name.startswith("nonever"):
        panel = mpdta_panel(never=False)
        # did turns the last cohort into never treated and ends the panel before its treatment; here the user does.
        return (panel.window(end=2006) if control == "never" else panel), {}
    return mpdta_panel(weights="w") if "weighted" in name else mpdta_panel(), {}


def _fitted(name: str, reference: Any, mpdta_panel: Any) -> tuple[dict[str, Any], Estimate]:
    spec = reference("mpdta_did")["specs"][name]
    panel, extra = _panel(name, spec["options"]["control"], mpdta_panel)
    return spec, group_time_effects(panel, **spec["options"], **extra)


def _close(actual: Any, expected: Any, tolerance: float) -> None:
    wanted = np.array([np.nan if x is None else x for x in np.atleast_1d(expected)], dtype=float)
    np.testing.assert_allclose(np.asarray(actual, dtype=float), wanted, rtol=tolerance, atol=1e-13)


def _spread_tolerance(name: str) -> float:
    levels = "repeated" in name or name.endswith("_unbalanced")
    return SIGN if levels and "_dr_" in name else LOGIT


@pytest.mark.parametrize("name", SPECS)
def test_did(name: str, reference: Any, mpdta_panel: Any) -> None:
    spec, effect = _fitted(name, reference, mpdta_panel)
    cells = effect.cells
    assert cells is not None
    assert cells["group"].tolist() == spec["cells"]["group"]
    assert cells["time"].tolist() == spec["cells"]["time"]
    _close(cells["estimate"], spec["cells"]["estimate"], EXACT if "reg" in name or name.startswith("none") else LOGIT)
    _close(cells["std_error"], spec["cells"]["std_error"], _spread_tolerance(name))
    leads = [
        f"cell[{g}, {t}]"
        for g, t, s in zip(cells["group"], cells["time"], cells["std_error"], strict=True)
        if t < g and s == s
    ]
    _close([joint_test(effect, leads).statistic], spec["wald"], _spread_tolerance(name))
    check = next(check for check in effect.checks if check.name == "pretrend")
    assert f"chi2 = {joint_test(effect, leads).statistic:.2f}" in check.text


@pytest.mark.parametrize("name", SPECS)
def test_did_averages(name: str, reference: Any, mpdta_panel: Any) -> None:
    spec, effect = _fitted(name, reference, mpdta_panel)
    for average, (kind, options) in AVERAGES.items():
        found, wanted = effect.aggregate(kind, **options), spec["averages"][average]  # type: ignore[arg-type]
        _close([found.value], wanted["estimate"], LOGIT)
        _close([found.std_error], wanted["std_error"], _spread_tolerance(name))
        if wanted["path"]:
            assert found.path is not None
            assert found.path.index.tolist() == wanted["path"]
            _close(found.path["estimate"], wanted["path_estimate"], LOGIT)
            _close(found.path["std_error"], wanted["path_std_error"], _spread_tolerance(name))


@pytest.mark.parametrize("name", ["did_att_gt_nocov_reg", "did_att_gt_nocov_dr", "did_att_gt_x_dr"])
def test_did_many_cohorts(name: str, reference: Any, reference_data: Any) -> None:
    spec = reference("timing_did_2000x20_did")["specs"][name]
    rows = pd.read_csv(reference_data("timing_did_2000x20")).assign(first=lambda d: d["g"].where(d["g"] > 0))
    panel = Panel.from_frame(rows, unit="id", time="time", outcome="y", first_treated="first", covariates=["x"])
    effect = group_time_effects(panel, **spec["options"])
    assert effect.cells is not None
    _close(effect.cells["estimate"], spec["cells"]["estimate"], LOGIT)
    _close(effect.cells["std_error"], spec["cells"]["std_error"], LOGIT)
    for kind in ("simple", "group", "calendar", "event"):
        found = effect.aggregate(kind)  # type: ignore[arg-type]
        _close(
            [found.value, found.std_error],
            [spec["averages"][kind]["estimate"], spec["averages"][kind]["std_error"]],
            LOGIT,
        )


# ---------------------------------------------------------------- the doubly robust sign


def _extra(outcome: Any, rows: Any, treated: Any, covariates: Any, propensity: Any) -> np.ndarray:
    """Twice the term that the authors' code adds to the influence function where it should subtract it."""
    control = rows & ~treated
    normal = covariates[control].T @ covariates[control]
    slopes = np.linalg.solve(normal, covariates[control].T @ outcome[control])
    scores = (covariates * (control * (outcome - covariates @ slopes))[:, None]) @ np.linalg.inv(normal)
    odds = control * propensity / (1 - propensity)
    present = rows & treated
    return 2 * scores @ ((odds / odds.sum() - present / present.sum()) @ covariates)


def test_doubly_robust_levels_differ_from_did_by_one_sign(reference: Any, mpdta_panel: Any) -> None:
    spec = reference("mpdta_did")["specs"]["lpop_never_dr_unbalanced"]
    panel = mpdta_panel(unbalanced=True, missing="keep")
    for group, time, base, std_error in zip(
        spec["cells"]["group"], spec["cells"]["time"], _bases(spec), spec["cells"]["std_error"], strict=True
    ):
        rows = np.concatenate(
            [np.flatnonzero(_member(panel, group) & panel.observed[:, t - 2003]) for t in (base, time)]
        )
        later = np.arange(len(rows)) >= (_member(panel, group) & panel.observed[:, base - 2003]).sum()
        treated = np.isfinite(panel.G[rows])
        outcome = np.where(later, panel.Y[rows, time - 2003], panel.Y[rows, base - 2003])
        covariates = np.column_stack(
            [np.ones(len(rows)), panel.X["lpop"][rows, np.where(later, time - 2003, base - 2003)]]
        )
        found = contrast_levels(outcome, later, treated, covariates, np.ones(len(rows)), "dr")
        assert found is not None
        propensity = _propensity(covariates, treated)
        theirs = found.influence[:, 0] + _extra(outcome, ~later, treated, covariates, propensity)
        sums = pd.Series(theirs).groupby(rows).sum()
        assert np.sqrt((sums**2).sum()) == pytest.approx(std_error, rel=LOGIT)


def _bases(spec: dict[str, Any]) -> list[int]:
    return [g - 1 if t >= g else t - 1 for g, t in zip(spec["cells"]["group"], spec["cells"]["time"], strict=True)]


def _member(panel: Panel, group: int) -> np.ndarray:
    return np.isinf(panel.G) | (group - 2003 == panel.G)


def _propensity(covariates: np.ndarray, treated: np.ndarray) -> np.ndarray:
    slopes = np.zeros(covariates.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-covariates @ slopes))
        slopes += np.linalg.solve((covariates * (p * (1 - p))[:, None]).T @ covariates, covariates.T @ (treated - p))
    return 1 / (1 + np.exp(-covariates @ slopes))


# ---------------------------------------------------------------- influence functions


def _sample(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    covariates = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    treated = rng.random(n) < 1 / (1 + np.exp(-covariates[:, 1]))
    return rng.normal(size=n) + covariates[:, 1] * (1 + treated), treated, covariates, rng.uniform(0.5, 2, size=n)


@pytest.mark.parametrize("method", ["reg", "ipw", "dr"])
def test_influence_is_the_derivative_in_the_weight(method: Any) -> None:
    changes, treated, covariates, weights = _sample(1)
    found = contrast_changes(changes[:, None], treated, covariates, weights, method)
    assert found is not None

    def effect(w: np.ndarray) -> float:
        return float(contrast_changes(changes[:, None], treated, covariates, w, method).effect[0])  # type: ignore[union-attr]

    np.testing.assert_allclose(found.influence[:, 0], _derivative(effect, weights), rtol=NUMERIC, atol=NUMERIC / 100)


@pytest.mark.parametrize("method", ["reg", "ipw", "dr"])
def test_influence_in_levels_is_the_derivative_in_the_weight(method: Any) -> None:
    outcome, treated, covariates, weights = _sample(2, 90)
    later = np.random.default_rng(0).random(90) < 0.5
    found = contrast_levels(outcome, later, treated, covariates, weights, method)
    assert found is not None

    def effect(w: np.ndarray) -> float:
        return float(contrast_levels(outcome, later, treated, covariates, w, method).effect[0])  # type: ignore[union-attr]

    np.testing.assert_allclose(found.influence[:, 0], _derivative(effect, weights), rtol=NUMERIC, atol=NUMERIC / 100)


def _derivative(effect: Callable[[np.ndarray], float], weights: np.ndarray, step: float = 1e-4) -> np.ndarray:
    slopes = []
    for i in range(len(weights)):
        up, down = weights.copy(), weights.copy()
        up[i] *= 1 + step
        down[i] *= 1 - step
        slopes.append((effect(up) - effect(down)) / (2 * step))
    return np.array(slopes)


# ---------------------------------------------------------------- brute force


@pytest.mark.parametrize("gaps", [0.0, 0.15])
@pytest.mark.parametrize("control", ["never", "not_yet"])
@pytest.mark.parametrize("base", ["varying", "universal"])
def test_cells_by_brute_force(staggered: Any, gaps: float, control: Any, base: Any) -> None:
    panel = staggered(3, gaps=gaps)
    effect = group_time_effects(panel, control=control, base=base)
    assert effect.cells is not None
    G = panel.G
    for row in effect.cells.itertuples():
        g, t = row.group - 2000, row.time - 2000
        b = g - 1 if t >= g or base == "universal" else t - 1
        change = panel.Y[:, t] - panel.Y[:, b]
        others = np.isinf(G) if control == "never" else (max(t, b) < G) & (g != G)
        seen = ~np.isnan(change)
        treated, controls = change[(g == G) & seen], change[others & seen]
        assert row.estimate == pytest.approx(treated.mean() - controls.mean(), abs=1e-12)
        assert (row.n_treated, row.n_control) == (len(treated), len(controls))
        if t != b:
            assert row.std_error == pytest.approx(
                np.sqrt(treated.var() / len(treated) + controls.var() / len(controls))
            )


def test_cells_given_a_covariate(staggered: Any) -> None:
    panel = staggered(4)
    cells = group_time_effects(panel, covariates=("x",), method="dr").cells
    assert cells is not None
    kept = (panel.G == 2) | np.isinf(panel.G)
    design = np.column_stack([np.ones(kept.sum()), panel.X["x"][kept, 1]])
    changes = panel.Y[kept][:, 2:] - panel.Y[kept][:, [1]]
    found = contrast_changes(changes, panel.G[kept] == 2, design, np.ones(kept.sum()), "dr")
    assert found is not None
    np.testing.assert_allclose(cells["estimate"][(cells["group"] == 2002) & (cells["time"] >= 2002)], found.effect)


def test_covariates_are_read_in_the_earlier_period(staggered: Any) -> None:
    panel = staggered(5)
    moved = {"z": np.where(np.arange(8) >= 7, 1e6, panel.X["z"])}
    before, after = (group_time_effects(p, covariates=("z",)) for p in (panel, replace(panel, X=moved)))
    np.testing.assert_allclose(before.cells["estimate"], after.cells["estimate"])  # type: ignore[index]


def test_pairs_use_all_that_is_observed(staggered: Any) -> None:
    panel = staggered(6, gaps=0.2)
    pairs, levels = (group_time_effects(panel, covariates=("x",), unbalanced=u) for u in ("pairs", "levels"))
    assert pairs.value != pytest.approx(levels.value, rel=1e-3)
    check = next(check for check in pairs.checks if check.name == "unobserved_cells")
    assert check.value == (~panel.observed).sum()


# ---------------------------------------------------------------- invariances


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 100), control=st.sampled_from(["never", "not_yet"]))
def test_invariance_to_shocks_and_scale(staggered: Any, seed: int, scale: float, control: Any) -> None:
    panel, rng = staggered(7, gaps=0.1), np.random.default_rng(seed)
    shocks = rng.normal(size=(panel.n_units, 1)) * 10 + rng.normal(size=panel.n_periods) * 10
    before = group_time_effects(panel, control=control)
    after = group_time_effects(panel.with_outcome(scale * panel.Y + shocks), control=control)
    np.testing.assert_allclose(after.cells["estimate"], scale * before.cells["estimate"], atol=1e-9 * scale)  # type: ignore[index]
    np.testing.assert_allclose(after.cells["std_error"], scale * before.cells["std_error"], rtol=1e-7)  # type: ignore[index]
    assert after.std_error == pytest.approx(scale * before.std_error)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_unit_order_and_names_do_not_matter(staggered: Any, seed: int) -> None:
    panel = staggered(8)
    order = np.random.default_rng(seed).permutation(panel.n_units)
    named = replace(
        panel, Y=panel.Y[order], D=panel.D[order], X={}, region=None, units=pd.Index([f"v{i}" for i in order])
    )
    before, after = (group_time_effects(p).aggregate("event") for p in (replace(panel, X={}, region=None), named))
    np.testing.assert_allclose(after.path, before.path)  # type: ignore[arg-type]


def test_always_treated_units_change_nothing_else(staggered: Any) -> None:
    panel = staggered(9)
    more = replace(
        panel,
        Y=np.vstack([panel.Y, np.full((3, 8), 1e3)]),
        D=np.vstack([panel.D, np.ones((3, 8), dtype=bool)]),
        units=panel.units.append(pd.Index(["a1", "a2", "a3"])),
        X={},
        region=None,
    )
    for control in ("never", "not_yet"):
        before, after = (group_time_effects(p, control=control) for p in (panel, more))  # type: ignore[arg-type]
        pd.testing.assert_frame_equal(after.cells, before.cells)
        assert (after.value, after.std_error) == (before.value, before.std_error)
    check = next(check for check in after.checks if check.name == "always_treated")
    assert check.value == 3
    assert "a1, a2, a3" in check.text


def test_without_variance_the_numbers_are_the_same(staggered: Any) -> None:
    panel = staggered(10, gaps=0.1)
    full, light = (group_time_effects(panel, variance=v) for v in ("analytic", "none"))
    assert light.value == pytest.approx(full.value, rel=1e-14)
    assert light.psi is None
    assert np.isnan(light.std_error)
    for kind in ("simple", "event", "group", "calendar"):
        assert light.aggregate(kind).value == pytest.approx(full.aggregate(kind).value, rel=1e-12)  # type: ignore[arg-type]


# ---------------------------------------------------------------- what is refused or left out


def test_no_never_treated_unit(staggered: Any) -> None:
    with pytest.raises(DesignError, match="Use control='not_yet'"):
        group_time_effects(staggered(0, never=False))
    effect = group_time_effects(staggered(0, never=False), control="not_yet")
    counts = {check.name: check.value for check in effect.checks}
    assert effect.cells is not None
    assert set(effect.cells["group"]) == {2002, 2004}
    assert effect.cells["time"].max() == 2005
    assert counts["groups_left_out"] == 1
    assert counts["cells_left_out"] == 7 + 2 * 2


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda p: p.untreated(), {}, "Nobody is treated after"),
        (lambda p: p.with_treatment(np.ones_like(p.D)), {}, "Nobody is treated after"),
        (lambda p: p.with_treatment(p.D & (np.arange(8) < 7)), {}, "switches off"),
        (lambda p: p, {"covariates": ("y",)}, "No such covariate"),
        (lambda p: p, {"method": "ols"}, "'reg', 'ipw', 'dr'"),
        (lambda p: p, {"control": "nevertreated"}, "'never', 'not_yet'"),
        (lambda p: p, {"anticipation": -1}, "number of periods"),
        (
            lambda p: p.with_treatment(np.arange(8) >= np.full((40, 1), 4)),
            {"control": "not_yet"},
            "No treated cell has a control left",
        ),
    ],
)
def test_designs_that_are_refused(staggered: Any, change: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DesignError, match=message):
        group_time_effects(change(staggered(0)), **options)


def test_cells_without_overlap_are_counted(staggered: Any) -> None:
    panel = staggered(0)
    apart = replace(
        panel, X={"apart": np.where(np.isfinite(panel.G) & (panel.G == 2), 10.0, 0.0)[:, None] + panel.X["z"] * 1e-3}
    )
    effect = group_time_effects(apart, covariates=("apart",), method="dr")
    counts = {check.name: check.value for check in effect.checks}
    assert effect.cells is not None
    assert 2002 not in set(effect.cells["group"])
    assert counts["cells_left_out"] == 7
    assert counts["groups_left_out"] == 1


def test_one_treated_unit_is_flagged(staggered: Any) -> None:
    panel = staggered(0)
    D = panel.D & (np.arange(40) == 0)[:, None]
    check = next(
        check for check in group_time_effects(panel.with_treatment(D)).checks if check.name == "single_unit_cohorts"
    )
    assert check.value == 1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("control", ["never", "not_yet"])
@pytest.mark.parametrize("base", ["varying", "universal"])
def test_sums_over_cohorts_are_the_means_over_units(staggered: Any, control: Any, base: Any, weighted: bool) -> None:
    for anticipation in (0, 1):
        options = {"control": control, "base": base, "anticipation": anticipation}
        full = group_time_effects(staggered(5, weighted=weighted), **options)
        light = group_time_effects(full.panel, variance="none", **options)
        np.testing.assert_allclose(light.cells["estimate"], full.cells["estimate"], rtol=1e-9, atol=1e-12)
        counts = ["n_treated", "n_control"]
        pd.testing.assert_frame_equal(light.cells[counts], full.cells[counts])
        assert light.psi is None


def test_leads_without_variation_are_not_tested(staggered: Any) -> None:
    panel = staggered(1)
    found = group_time_effects(panel.with_outcome(np.ones(panel.Y.shape)))
    assert (found.value, found.std_error) == (0.0, 0.0)
    check = next(check for check in found.checks if check.name == "pretrend")
    assert check.passed is None
