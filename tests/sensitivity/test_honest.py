"""Honest bounds and breakdown values through the estimate: references, hand-worked cases, invariances, refusals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crimepolicy.errors import DesignError, EstimationError, InferenceError
from crimepolicy.sensitivity import honest
from crimepolicy.sensitivity.breakdown import breakdown
from crimepolicy.sensitivity.event_path import event_path
from crimepolicy.sensitivity.flci import FixedLength
from crimepolicy.sensitivity.honest import Session, honest_bounds
from crimepolicy.sensitivity.lead_smoothness import lead_smoothness
from crimepolicy.sensitivity.r_flci import fixed_length_as_in_r
from crimepolicy.sensitivity.restrictions import linear, monotone, relative_magnitudes, sign, smoothness
from tests.sensitivity.examples import event_study, random_study

FAMILIES = {"smoothness": smoothness, "relative_magnitudes": relative_magnitudes}
# On the same targets and with the same draws nothing but rounding is left.
SAME_TARGETS = 1e-9
# The fixed length of its first stage comes from the same search with another solver in it.
SAME_SEARCH = 1e-5
# At M = 0 that solver stops at weights up to 5e-4 away, on a feasible set of one point; with its weights, equal to the grid of targets.
R_SOLVER_AT_ZERO = 6e-4
R_WEIGHTS = 1e-6
# The default looks for the shortest fixed length, beside which the reference's centre lies by up to 0.04 as the optimum is flat.
R_FIRST_STAGE = 0.025


@pytest.fixture(scope="module")
def lovenheim_willen(reference_data):
    path = np.loadtxt(reference_data("LWdata_EventStudy_betahat"), delimiter=",")
    covariance = np.loadtxt(reference_data("LWdata_EventStudy_sigma"), delimiter=",")
    return lambda n_post: event_study(path[: 9 + n_post], covariance[: 9 + n_post, : 9 + n_post], 9)


def test_references_on_their_targets_with_their_draws(reference, lovenheim_willen) -> None:
    for case in reference("honest_bounds_lw")["grid"]["cases"]:
        found = honest_bounds(
            lovenheim_willen(case["n_post"]),
            restriction=FAMILIES[case["restriction"]](case["M"]),
            target=case["target"],
            method=case["method"],
            grid=tuple(case["grid"]),
            draws="R",
        ).frame.iloc[0]
        ends = (found["conf_low"], found["conf_high"])
        assert ends == pytest.approx((case["low"], case["high"]), abs=SAME_TARGETS), case


def test_references_on_the_default_grid_with_their_draws(reference, lovenheim_willen) -> None:
    for case in reference("honest_bounds_lw")["default_grid"]["cases"]:
        estimate = lovenheim_willen(case["n_post"])
        restriction = FAMILIES[case["restriction"]](case["M"])
        # Its default grid reaches 20 standard errors beyond what the restriction allows where no violation was seen before.
        smooth = case["restriction"] == "smoothness"
        reach = 20 * estimate.std_errors["event_time[0]"] + case["M"] * smooth
        grid = (-reach, reach, 1000 if smooth else 200)
        options = {"restriction": restriction, "target": 0, "method": case["method"]}
        found = honest_bounds(estimate, grid=grid, draws="R", **options).frame.iloc[0]
        ends = (found["conf_low"], found["conf_high"])
        assert ends == pytest.approx((case["low"], case["high"]), abs=SAME_TARGETS), case


def test_ends_by_bisection_lie_beyond_the_last_grid_point_by_less_than_a_step(reference, lovenheim_willen) -> None:
    for case in reference("honest_bounds_lw")["grid"]["cases"]:
        estimate = lovenheim_willen(case["n_post"])
        restriction = FAMILIES[case["restriction"]](case["M"])
        options = {"restriction": restriction, "target": case["target"], "method": case["method"], "draws": "R"}
        found = honest_bounds(estimate, **options).frame.iloc[0]
        low, high, points = case["grid"]
        step = (high - low) / (points - 1)
        assert case["low"] - step <= found["conf_low"] <= case["low"] + SAME_TARGETS, case
        assert case["high"] - SAME_TARGETS <= found["conf_high"] <= case["high"] + step, case


def first_stage_case(reference, M: float) -> dict:
    return next(c for c in reference("honest_bounds_lw")["fixed_length_first_stage"]["cases"] if c["M"] == M)


def with_their_first_stage(estimate, case: dict) -> tuple[float, float]:
    """Return the ends on the default grid of the reference: 1,000 targets over the fixed-length interval of the first stage."""
    options = {"restriction": smoothness(case["M"]), "target": 0, "draws": "R"}
    first = honest_bounds(estimate, method="flci", level=0.995, **options).frame.iloc[0]
    grid = (first["conf_low"], first["conf_high"], 1000)
    found = honest_bounds(estimate, method="hybrid_flci", grid=grid, **options).frame.iloc[0]
    return found["conf_low"], found["conf_high"]


def test_the_reference_with_a_fixed_length_first_stage_at_zero(reference, lovenheim_willen) -> None:
    case = first_stage_case(reference, 0)
    ends = with_their_first_stage(lovenheim_willen(case["n_post"]), case)
    assert ends == pytest.approx((case["low"], case["high"]), abs=R_SOLVER_AT_ZERO)


@pytest.mark.slow
@pytest.mark.parametrize("M", [0.01, 0.02, 0.03])
def test_references_with_a_fixed_length_first_stage(reference, lovenheim_willen, M) -> None:
    case = first_stage_case(reference, M)
    ends = with_their_first_stage(lovenheim_willen(case["n_post"]), case)
    # Not by approx, whose comparisons the table of accuracy counts in the default run only.
    assert np.abs(np.subtract(ends, (case["low"], case["high"]))).max() < SAME_SEARCH, case


def test_the_reference_at_zero_with_the_weights_of_its_solver(reference, lovenheim_willen, monkeypatch) -> None:
    leads = reference("honest_bounds_lw")["fixed_length_first_stage"]["lead_weights_at_zero"]

    def theirs(path, covariance, weights, M, level):
        found = fixed_length_as_in_r(path, covariance, weights, M, level)
        f = np.concatenate([leads, weights])
        return FixedLength(float(f @ path), found.half_length, f, found.bias, found.std_error)

    monkeypatch.setattr(honest, "fixed_length_as_in_r", theirs)
    case = first_stage_case(reference, 0)
    ends = with_their_first_stage(lovenheim_willen(case["n_post"]), case)
    assert ends == pytest.approx((case["low"], case["high"]), abs=R_WEIGHTS)


def test_the_shortest_first_stage_lies_near_the_reference(reference, lovenheim_willen) -> None:
    for case in reference("honest_bounds_lw")["fixed_length_first_stage"]["cases"]:
        estimate = lovenheim_willen(case["n_post"])
        found = honest_bounds(estimate, restriction=smoothness(case["M"]), target=0, method="hybrid_flci").frame.iloc[0]
        ends = (found["conf_low"], found["conf_high"])
        assert ends == pytest.approx((case["low"], case["high"]), abs=R_FIRST_STAGE), case


def test_references_for_changes_of_slope_before_the_event(reference, lovenheim_willen) -> None:
    case = reference("honest_bounds_lw")["smoothness_before"]
    estimate = lovenheim_willen(23)
    # Its grid of 1,000 values reaches three times the largest standard error before the event.
    reach = 3 * float(estimate.std_errors[:9].max())
    assert lead_smoothness(estimate, grid=(0, reach, 1000)).value == pytest.approx(case["low"], abs=SAME_TARGETS)
    found = lead_smoothness(estimate)
    assert case["low"] - reach / 999 < found.value <= case["low"]
    assert f"at most {case['high']:.4g}" in found.text


def test_straight_leads_give_no_lower_bound() -> None:
    estimate = event_study(np.array([-0.3, -0.2, -0.1, 1.0]), 1e-4 * np.eye(4), 3)
    found = lead_smoothness(estimate)
    assert found.value == 0
    # Each change of slope of independent estimates has variance 1 + 4 + 1, or 4 + 1 beside the reference.
    assert f"at most {1.6449 * 0.01 * np.sqrt(6):.4g}" in found.text
    with pytest.raises(InferenceError, match="two event times before"):
        lead_smoothness(estimate, window=(-2, 0))


def test_largest_change_before_the_event_bounds_the_one_after() -> None:
    # Changes before: 0.3 and -0.2, so that at M = 0.5 the first effect may be off by 0.15 and the second by 0.30.
    estimate = event_study(np.array([-0.1, 0.2, 1.0, 2.0]), 1e-8 * np.eye(4), 2)
    rows = honest_bounds(estimate, restriction=relative_magnitudes(0.5)).frame.iloc[0]
    assert (rows["identified_low"], rows["identified_high"]) == pytest.approx((1.5 - 0.225, 1.5 + 0.225))
    assert (rows["conf_low"], rows["conf_high"]) == pytest.approx((1.5 - 0.225, 1.5 + 0.225), abs=1e-3)
    one_sided = honest_bounds(estimate, restriction=relative_magnitudes(0.5) & sign("positive"), target=1).frame.iloc[0]
    assert (one_sided["identified_low"], one_sided["identified_high"]) == pytest.approx((1.7, 2.0))


def test_a_linear_trend_is_continued() -> None:
    estimate = event_study(np.array([-0.2, -0.1, 1.0]), 1e-8 * np.eye(3), 2)
    for method in ("flci", "conditional", "hybrid"):
        found = honest_bounds(estimate, restriction=smoothness(0.0), method=method).frame.iloc[0]
        assert (found["conf_low"], found["conf_high"]) == pytest.approx((0.9, 0.9), abs=2e-3)


def test_restrictions_combine_as_sets() -> None:
    values, covariance = random_study(3, 3, 3)
    estimate = event_study(values + np.array([0, 0, 0, 1, 1, 1]), covariance, 3)
    loose, tight = relative_magnitudes(1.0), relative_magnitudes(0.2)
    frame = honest_bounds(
        estimate, restriction=[loose, tight, loose | tight, loose & sign("positive"), loose & sign("negative")]
    ).frame
    assert frame["conf_low"][2] == frame["conf_low"][:2].min()
    assert frame["conf_high"][2] == frame["conf_high"][:2].max()
    assert frame["identified_low"][3] >= frame["identified_low"][0]
    # A bias of one sign puts the effect on the other side of the estimate.
    assert frame["identified_high"][3] == pytest.approx(values[3:].mean() + 1)
    assert frame["identified_low"][4] == pytest.approx(values[3:].mean() + 1)


def test_restrictions_on_one_treated_period_do_not_mix() -> None:
    values, covariance = random_study(3, 3, 1)
    estimate = event_study(values, covariance, 3)
    several = [smoothness(0.05), relative_magnitudes(1), smoothness(0.05) & sign("positive")]
    together = honest_bounds(estimate, restriction=several).frame
    alone = pd.concat([honest_bounds(estimate, restriction=one).frame for one in several], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone)


def test_linear_restrictions_reproduce_the_named_ones() -> None:
    values, covariance = random_study(8, 3, 3)
    estimate = event_study(values, covariance, 3)
    polyhedron = (smoothness(0.02) & monotone("increasing")).polyhedra(3, 3)[0]
    named, spelled = smoothness(0.02) & monotone("increasing"), linear(polyhedron.A, polyhedron.d)
    frame = honest_bounds(estimate, restriction=[named, spelled], method="conditional").frame.drop(
        columns=["restriction"]
    )
    pd.testing.assert_series_equal(frame.iloc[0], frame.iloc[1], check_names=False)


def test_units_of_measurement_scale_the_bounds() -> None:
    values, covariance = random_study(5, 3, 3)
    small = honest_bounds(event_study(values, covariance, 3), restriction=relative_magnitudes(0.5)).frame
    large = honest_bounds(event_study(100 * values, 1e4 * covariance, 3), restriction=relative_magnitudes(0.5)).frame
    columns = ["conf_low", "conf_high", "identified_low", "identified_high"]
    assert large[columns].to_numpy() == pytest.approx(100 * small[columns].to_numpy(), rel=1e-9)


def test_a_path_without_reference_is_read_as_differences_from_it() -> None:
    values, covariance = random_study(7, 4, 3)
    contrast = np.delete(np.eye(7) - np.eye(7)[3], 3, axis=0)
    times = [-4, -3, -2, -1, 0, 1, 2]
    psi = pd.DataFrame(np.linalg.cholesky(covariance).T, columns=[f"event_time[{k}]" for k in times])
    path = pd.DataFrame({"estimate": values, "std_error": 1.0}, index=pd.Index(times, name="event_time"))
    shifted = event_study(contrast @ values, contrast @ covariance @ contrast.T, 3)
    for restriction in (smoothness(0.01), relative_magnitudes(0.3)):
        left = honest_bounds(shifted.replace(path=path, psi=psi), restriction=restriction).frame
        right = honest_bounds(shifted, restriction=restriction).frame
        pd.testing.assert_frame_equal(left, right, rtol=1e-3)


def test_bins_average_the_path_first() -> None:
    values, covariance = random_study(9, 5, 6)
    full = np.insert(values, 5, 0.0)
    wide = np.insert(np.insert(covariance, 5, 0.0, axis=0), 5, 0.0, axis=1)
    means = np.kron(np.eye(6), np.ones((1, 2)) / 2)
    relative = np.delete(means - means[2], 2, axis=0)
    binned = event_study(relative @ full, relative @ wide @ relative.T, 2)
    left = honest_bounds(
        event_study(values, covariance, 5), restriction=relative_magnitudes(0.5), bins=2, method="conditional"
    )
    right = honest_bounds(binned, restriction=relative_magnitudes(0.5), method="conditional")
    assert left.estimate == pytest.approx(right.estimate)
    columns = ["conf_low", "conf_high"]
    assert left.frame[columns].to_numpy() == pytest.approx(right.frame[columns].to_numpy(), rel=1e-9)
    assert left.target == "average effect over event times 0 to 5, in bins of 2"


def test_breakdown_is_where_the_interval_first_holds_zero() -> None:
    values, covariance = random_study(3, 3, 3, scale=0.05)
    estimate = event_study(values + np.array([0, 0, 0, 1, 1, 1]), covariance, 3)
    for family, accuracy in ((relative_magnitudes, 0.01), (smoothness, 0.001)):
        value = float(breakdown(estimate, family=family).value)
        below, above = honest_bounds(estimate, restriction=[family(value - accuracy), family(value + accuracy)]).frame[
            "excludes_zero"
        ]
        assert below
        assert not above
    assert breakdown(estimate, null=values[3:].mean() + 1).value == 0.0
    assert breakdown(estimate, most=0.01).value == np.inf
    assert "excludes 0 as long as M is below" in breakdown(estimate).text


def test_same_seed_same_bits_and_other_seed_close() -> None:
    values, covariance = random_study(4, 3, 3)
    estimate = event_study(values, covariance, 3)
    first, again, other = (honest_bounds(estimate, restriction=relative_magnitudes(1), seed=s).frame for s in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert first["conf_low"][0] == pytest.approx(other["conf_low"][0], rel=0.02)


def test_the_sentence_says_what_was_assumed_and_found() -> None:
    estimate = event_study(np.array([-0.1, 0.2, 1.0, 2.0]), 1e-8 * np.eye(4), 2)
    text = str(honest_bounds(estimate, restriction=[relative_magnitudes(0.5), smoothness(0.0) & sign("positive")]))
    assert (
        "If changes after the event are at most 0.5 times the largest change before it: 1.275 to 1.725, which excludes zero (hybrid)."
        in text
    )
    # The bend before the event has no continuation that is both linear and positive.
    assert "no effect is compatible with the estimates before the event" in text
    assert "[FAILED] covariance_rank" in text


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (
            {"restriction": relative_magnitudes(1), "method": "flci"},
            DesignError,
            "Fixed-length intervals are for smoothness alone",
        ),
        ({"restriction": relative_magnitudes(1), "method": "exact"}, DesignError, "is not an option"),
        ({"restriction": relative_magnitudes(1), "method": "hybrid_flci"}, DesignError, "needs a bound on smoothness"),
        ({"restriction": relative_magnitudes(1), "draws": 0}, InferenceError, "positive number of draws, or 'R'"),
        ({"restriction": relative_magnitudes(1), "level": 0.4}, InferenceError, "between 0.5 and 1"),
        (
            {"restriction": relative_magnitudes(1), "target": 7},
            DesignError,
            r"event times from 0 to 1, but names 7 \(1\)",
        ),
        ({"restriction": relative_magnitudes(1), "bins": 3}, DesignError, "bins of 3"),
        ({"restriction": relative_magnitudes(1), "reference": 1}, DesignError, "before and after the reference"),
        ({"restriction": relative_magnitudes(1, order=2), "window": (-2, 1)}, DesignError, "need 2 periods before"),
        ({"restriction": linear(np.ones((1, 3)), np.ones(1))}, DesignError, "A has 3 columns"),
    ],
)
def test_refusals_say_what_to_do(options, error, match) -> None:
    estimate = event_study(np.array([-0.1, 0.2, 1.0, 2.0]), np.eye(4), 2)
    with pytest.raises(error, match=match):
        honest_bounds(estimate, **options)


def test_paths_that_do_not_qualify_are_refused() -> None:
    estimate = event_study(np.array([-0.1, 0.2, 1.0, 2.0]), np.eye(4), 2)
    with pytest.raises(InferenceError, match="is not a number"):
        honest_bounds(estimate.replace(psi=estimate.psi * np.nan))
    with pytest.raises(EstimationError, match="carries no uncertainty"):
        breakdown(estimate.replace(psi=estimate.psi * 0))
    leads = estimate.psi.columns.isin(["event_time[-3]", "event_time[-2]"])
    with pytest.raises(InferenceError, match="carries no uncertainty"):
        lead_smoothness(estimate.replace(psi=estimate.psi * ~leads))
    for grid in ((1.0, 0.0, 5), (0.0, 1.0, 1)):
        with pytest.raises(DesignError, match="a first value, a larger last one"):
            honest_bounds(estimate, grid=grid)
    with pytest.raises(DesignError, match="No restriction"):
        honest_bounds(estimate, restriction=[])
    holed = estimate.replace(path=estimate.path.drop(index=0))
    with pytest.raises(EstimationError, match=r"no estimate with uncertainty at 0 \(1\)"):
        honest_bounds(holed, restriction=relative_magnitudes(1))
    with pytest.raises(EstimationError, match="carries no path over event time"):
        honest_bounds(estimate.replace(path=None), restriction=relative_magnitudes(1))
    with pytest.raises(EstimationError, match="use the log effect"):
        honest_bounds(estimate.replace(scale="ratio"), restriction=relative_magnitudes(1))
    with pytest.raises(DesignError, match="zero or larger"):
        relative_magnitudes(-1)


@pytest.mark.slow
def test_coverage_under_the_worst_violation() -> None:
    """Coverage of a zero effect when the violation is as large as the restriction allows."""
    n_pre, n_post, repetitions = 3, 3, 1000
    _, covariance = random_study(11, n_pre, n_post)
    root = np.linalg.cholesky(covariance)
    rng = np.random.default_rng(5)
    # Alternating changes of 0.3 before; after it the same change, M times, in one direction.
    before = np.array([-0.3, 0.0, -0.3])
    cases = {
        "relative magnitudes, M = 1": (relative_magnitudes(1.0), np.concatenate([before, [0.3, 0.6, 0.9]])),
        "relative magnitudes, M = 0": (relative_magnitudes(0.0), np.concatenate([before, [0.0, 0.0, 0.0]])),
        "smoothness, M = 0.1": (smoothness(0.1), np.array([0.0, 0.0, 0.0, 0.1, 0.3, 0.6])),
        "smoothness and sign": (smoothness(0.1) & sign("positive"), np.array([0.0, 0.0, 0.0, 0.1, 0.3, 0.6])),
    }
    lines = [
        f"Coverage of 95% honest intervals under a violation at its bound, {repetitions} samples (standard error 0.7 points)"
    ]
    for name, (restriction, violation) in cases.items():
        draws = violation + rng.standard_normal((repetitions, n_pre + n_post)) @ root.T
        sessions = [
            Session.start(event_path(event_study(d, covariance, n_pre), None, -1, 1, None), 0.95, "auto", 0)
            for d in draws
        ]
        covered = np.mean([session.holds(0.0, restriction) for session in sessions])
        lines.append(f"{name:30s} {sessions[0].chosen(restriction):8s} {covered:.3f}")
        assert covered >= 0.95 - 3 * 0.007
    (Path(__file__).parents[1] / "coverage" / "honest_bounds.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
