"""Plots of sensitivity results show every row, every choice and the estimate they are held against."""

import numpy as np
import pytest

from crimepolicy.errors import EstimationError
from crimepolicy.estimate import Estimate
from crimepolicy.report.doubt_plots import plot_result
from crimepolicy.sensitivity.calibration import calibrate
from crimepolicy.sensitivity.honest import honest_bounds
from crimepolicy.sensitivity.leave_one_out import leave_one_out
from crimepolicy.sensitivity.placebo_design import mask_treated
from crimepolicy.sensitivity.reclassification import reclassification_bounds
from crimepolicy.sensitivity.restrictions import relative_magnitudes, smoothness
from crimepolicy.sensitivity.specification import specification_curve
from tests.sensitivity.examples import event_study, random_study
from tests.sensitivity.examples_panel import count_panel, log_change


def number(slope: int, power: int) -> Estimate:
    return Estimate(value=slope * 2.0**power, std_error=1.0, estimand="y", method="toy", citation="")


def test_a_curve_has_a_dot_for_each_choice_of_each_specification() -> None:
    curve = specification_curve(number, {"slope": [1, -1], "power": [0, 1, 2]})
    above, below = curve.plot().axes
    heights = above.collections[1].get_offsets()[:, 1]
    assert heights.tolist() == sorted(heights) == curve.frame["estimate"].tolist()
    dots = {round(float(line.get_ydata()[0])): len(line.get_xdata()) for line in below.lines}
    assert sum(dots.values()) == 2 * len(curve.frame)
    labels = [text.get_text() for text in below.get_yticklabels()]
    assert sorted(labels) == ["-1", "0", "1", "1", "2"]
    heads = [text.get_text() for text in below.texts]
    assert heads == [f"{name} ({curve.shares[name]:.0%} of the variance)" for name in ("slope", "power")]


def test_parts_left_out_stand_beside_the_full_estimate() -> None:
    found = leave_one_out(log_change(count_panel(1)), only="all")
    (ax,) = found.plot().axes
    assert [text.get_text() for text in ax.get_yticklabels()] == found.frame["left_out"].tolist()
    assert found.full.value in [line.get_xdata()[0] for line in ax.lines]
    assert "unit" in ax.get_xlabel()


def test_more_parts_than_fit_are_counted() -> None:
    (ax,) = leave_one_out(log_change(count_panel(1, n=30)), only="all").plot().axes
    assert len(ax.get_yticklabels()) == 20
    assert "10 more" in ax.get_xlabel()


def test_variants_and_bounds_have_an_interval_each() -> None:
    shares = reclassification_bounds(log_change(count_panel(1)), shares=(0.0, 0.1, 0.2))
    assert len(shares.plot().axes[0].collections[0].get_segments()) == 3
    values, covariance = random_study(3, 3, 3)
    bounds = honest_bounds(event_study(values, covariance, 3), restriction=[relative_magnitudes(1), smoothness(0.01)])
    segments = bounds.plot().axes[0].collections[0].get_segments()
    assert np.array(segments)[:, :, 0] == pytest.approx(bounds.frame[["conf_low", "conf_high"]].to_numpy())


def test_calibrations_show_size_and_coverage() -> None:
    found = calibrate({"log change": log_change}, mask_treated(count_panel(1)), effects=(-0.1,), placebos=10)
    size, cover = found.plot().axes
    null = found.frame[found.frame["effect"] == 0]
    assert size.lines[1].get_xdata() == pytest.approx(null["rejections"])
    assert cover.lines[1].get_xdata() == pytest.approx(null["coverage"])


def test_what_cannot_be_drawn_says_so() -> None:
    with pytest.raises(EstimationError, match="No plot is known for int"):
        plot_result(3)
    full = log_change(count_panel(1), refuse="place 00")
    found = leave_one_out(full)
    nothing = type(found)(found.frame.assign(error="no"), found.by, full)
    with pytest.raises(EstimationError, match="Nothing could be estimated"):
        nothing.plot()
