"""The specification curve: combinations, shares of variance worked by hand, inference of the right size."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config

from crimepolicy.errors import DesignError
from crimepolicy.estimate import Estimate
from crimepolicy.inference.mechanisms import RedrawPlaces
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.specification import specification_curve
from tests.sensitivity.examples_panel import count_panel, log_change


def toy(a: float = 0.0, b: float = 0.0, c: float = 0.0) -> Estimate:
    if a == 2 and b == 1:
        raise DesignError("a = 2 does not go with b = 1.")
    return Estimate(estimand="y", value=10 * a + 2 * b + c, std_error=1.0, method="toy", citation="")


def test_every_allowed_combination_stands_once_in_order() -> None:
    found = specification_curve(
        toy, {"a": [0, 1], "b": {"low": -1, "high": 3}}, constraints=[lambda s: not (s["a"] == "1" and s["b"] == "low")]
    )
    assert found.n_combinations == 4
    assert found.frame[["a", "b", "estimate"]].to_numpy().tolist() == [
        ["0", "low", -2.0],
        ["0", "high", 6.0],
        ["1", "high", 16.0],
    ]
    assert str(found).startswith(
        "3 of 4 combinations of choices are defensible. The median estimate is 6 (from -2 to 16)"
    )


def test_failures_stand_last_with_their_text() -> None:
    found = specification_curve(toy, {"a": [0, 2], "b": [0, 1]})
    assert found.frame["error"].tolist() == ["", "", "", "a = 2 does not go with b = 1."]
    assert "1 could not be estimated" in found.sentence()


def test_additive_choices_share_all_the_variance() -> None:
    # Balanced and additive: variances 25, 1 and 1/4 of 26.25.
    shares = specification_curve(toy, {"a": [0, 1], "b": [0, -1], "c": [0, 1]}).shares
    assert shares.index.tolist() == ["a", "b", "c", "interactions"]
    assert shares.to_numpy() == pytest.approx(np.array([25, 1, 0.25, 0]) / 26.25, abs=1e-12)


def test_interactions_are_what_main_effects_leave() -> None:
    def interacted(a: int, b: int) -> Estimate:
        return toy(a=(a * b) / 10)

    shares = specification_curve(interacted, {"a": [-1, 1], "b": [-1, 1]}).shares
    assert shares["interactions"] == pytest.approx(1.0)


def test_unbalanced_choices_share_by_averaging_over_orders() -> None:
    found = specification_curve(
        toy, {"a": [0, 1], "b": [0, -3]}, constraints=[lambda s: not (s["a"] == "1" and s["b"] == "-3")]
    )
    y, a, b = (
        found.frame["estimate"].to_numpy(),
        (found.frame["a"] == "1").to_numpy(),
        (found.frame["b"] == "-3").to_numpy(),
    )
    r2 = [np.corrcoef(y, x)[0, 1] ** 2 for x in (a, b)]
    assert found.shares["a"] == pytest.approx((r2[0] + 1 - r2[1]) / 2)
    assert found.shares["b"] == pytest.approx((r2[1] + 1 - r2[0]) / 2)


def test_refusals() -> None:
    with pytest.raises(DesignError, match="None of the 2 combinations"):
        specification_curve(toy, {"a": [0, 1]}, constraints=[lambda s: False])
    with pytest.raises(DesignError, match="at least one alternative"):
        specification_curve(toy, {"a": []})
    with pytest.raises(DesignError, match="a label for each"):
        specification_curve(toy, {"a": [1, "1"]})


def on_panel(panel: Panel, outcome: str, window: int) -> Estimate:
    changed = panel.window(start=window)
    return log_change(changed.with_outcome(changed.Y + (1.0 if outcome == "shifted" else 0.0)))


def redrawn(panel: Panel, rng: np.random.Generator) -> partial[Estimate]:
    return partial(on_panel, RedrawPlaces().draw(panel, rng))


CHOICES = {"outcome": ["plain", "shifted"], "window": [0, 5]}


def test_a_large_effect_is_found_whatever_the_number_of_workers() -> None:
    panel = count_panel(2, effect=-1.0)
    fit, permute = partial(on_panel, panel), partial(redrawn, panel)
    with parallel_config(backend="threading"):
        one, two = (specification_curve(fit, CHOICES, permute=permute, draws=39, n_jobs=n) for n in (1, 2))
    assert one.inference.equals(two.inference)
    assert one.inference.loc["median", "p_value"] == pytest.approx(1 / 40)
    assert one.inference.loc["share_of_sign", "observed"] == 1.0
    assert "arises in 2.5% of permutations" in one.sentence()


@pytest.mark.slow
def test_size_of_the_inference_on_the_curve() -> None:
    samples, draws = 150, 39
    p = [
        specification_curve(
            partial(on_panel, panel), CHOICES, permute=partial(redrawn, panel), draws=draws, seed=seed
        ).inference["p_value"]
        for seed in range(samples)
        for panel in [count_panel(seed)]
    ]
    lines = [
        f"Size at 5% of the permutation test on the curve, {samples} samples, {draws} draws (standard error 1.8 points)"
    ]
    for statistic in ("median", "mean_z"):
        size = np.mean([row[statistic] <= 0.05 for row in p])
        lines.append(f"{statistic:12s} {size:.3f}")
        assert size <= 0.05 + 3 * 0.0178
    (Path(__file__).parents[1] / "coverage" / "specification_curve.txt").write_text(
        "\n".join(lines) + "\n", encoding="utf-8"
    )
