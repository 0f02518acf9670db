"""Several tests at once: by hand, limits of dependence, and the familywise error."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from crimepolicy.errors import InferenceError
from crimepolicy.estimate import Estimate
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.multiple_testing import multiple_testing
from crimepolicy.panel import Panel

Panels = dict[str, Callable[..., Panel]]
Estimators = dict[str, Callable[[Panel], Estimate]]

DRAWS = 9_999
# Four Monte Carlo standard errors of a probability.
MONTE_CARLO = 4 * np.sqrt(0.25 / DRAWS)


def test_holm_and_benjamini_hochberg_by_hand() -> None:
    p = pd.Series({"a": 0.001, "b": 0.02, "c": 0.03, "d": 0.6})
    assert multiple_testing(p, "holm").p_adjusted.to_numpy() == pytest.approx([0.004, 0.06, 0.06, 0.6])
    assert multiple_testing(p, "bh").p_adjusted.to_numpy() == pytest.approx([0.004, 0.04, 0.04, 0.6])


def test_statsmodels_agrees() -> None:
    p = np.random.default_rng(1).uniform(0, 0.2, 12)
    named = pd.Series(p, index=[f"test {k}" for k in range(12)])
    for method, name in {"holm": "holm", "bh": "fdr_bh"}.items():
        assert multiple_testing(named, method).p_adjusted.to_numpy() == pytest.approx(
            multipletests(p, method=name)[1], rel=1e-12
        )


def test_one_test_repeated_costs_nothing(panels: Panels, estimators: Estimators) -> None:
    """The step-down uses dependence: four copies of one test keep its p-value, which Holm multiplies by four."""
    effect = estimators["two_way"](panels["normal"](60, 6, treated=30, at=3, seed=3, effect=0.4))
    copies = dict.fromkeys("abcd", effect)
    wolf = multiple_testing(copies)
    assert wolf.p_adjusted.to_numpy() == pytest.approx(wolf.p_value.to_numpy(), rel=1e-12)
    assert wolf.p_value.iloc[0] == pytest.approx(effect.p_value(), abs=MONTE_CARLO)
    holm = multiple_testing(copies, "holm")
    assert holm.p_adjusted.to_numpy() == pytest.approx(np.minimum(1, 4 * holm.p_value.to_numpy()))


def test_independent_tests_approach_sidak(panels: Panels, estimators: Estimators) -> None:
    """Other units, other clusters: the largest statistic has p-value 1 - (1 - p)^3."""
    named = {}
    for k in range(3):
        panel = panels["normal"](80, 6, treated=40, at=3, seed=20 + k)
        named[f"test {k}"] = estimators["two_way"](
            Panel(Y=panel.Y, D=panel.D, units=pd.Index([f"{k}-{u}" for u in panel.units]), periods=panel.periods)
        )
    wolf = multiple_testing(named)
    first = wolf.p_value.idxmin()
    assert wolf.p_adjusted[first] == pytest.approx(1 - (1 - wolf.p_value[first]) ** 3, abs=MONTE_CARLO)
    order = wolf.sort_values("p_value").p_adjusted
    assert order.is_monotonic_increasing
    assert (wolf.p_adjusted >= wolf.p_value).all()


def test_terms_are_tested_together(panels: Panels, estimators: Estimators) -> None:
    effect = cluster(estimators["event_difference"](panels["normal"](40, 8, treated=20, at=4, seed=2)))
    terms = [f"event_time[{e}]" for e in range(4)]
    wolf = multiple_testing({"claim": effect}, terms=terms)
    assert list(wolf.index) == [("claim", term) for term in terms]
    again = multiple_testing({"claim": effect}, terms=terms)
    pd.testing.assert_frame_equal(wolf, again)


def test_what_cannot_be_adjusted_says_so(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["two_way"](panels["normal"](seed=1))
    with pytest.raises(InferenceError, match="additive scale"):
        multiple_testing({"a": 0.1, "b": 0.2})
    with pytest.raises(InferenceError, match="no influence functions"):
        multiple_testing({"a": effect.replace(psi=None)})
    with pytest.raises(InferenceError, match="No p-value for"):
        multiple_testing({"a": effect.replace(std_error=np.nan, psi=None)}, "holm")


@pytest.mark.slow
def test_familywise_error(panels: Panels, estimators: Estimators) -> None:
    # With 120 units the largest of eight statistics still rejects in 7.6%: influence functions know no degrees of freedom.
    draws, wrong = 300, {"romano_wolf": 0, "unadjusted": 0}
    for seed in range(draws):
        effect = estimators["event_difference"](panels["normal"](600, 10, treated=300, at=2, seed=seed))
        wolf = multiple_testing({"claim": effect}, terms=[f"event_time[{e}]" for e in range(8)], draws=999, seed=seed)
        wrong["romano_wolf"] += (wolf.p_adjusted <= 0.05).any()
        wrong["unadjusted"] += (wolf.p_value <= 0.05).any()
    print({name: n / draws for name, n in wrong.items()})
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.05)
    assert low <= wrong["romano_wolf"] <= high
    assert wrong["unadjusted"] > high


def test_the_finding_is_printed_above_the_table() -> None:
    found = multiple_testing({"a": 0.01, "b": 0.04, "c": 0.3}, "holm")
    line = "Of 3 tests 2 are significant at 5% by themselves and 1 after adjustment (Holm)."
    assert found.sentence() == line
    assert str(found).startswith(f"{line}\n")
    # A p-value of exactly 5% counts.
    assert "1 are significant at 5% by themselves and 1 after" in multiple_testing({"a": 0.05}, "holm").sentence()
    # A part of the table no longer is what the line speaks of.
    assert type(found.head(1)) is pd.DataFrame
