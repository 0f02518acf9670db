"""A Dask cluster gives the same bits as one process: assignments, placebos on real cells, fits without each unit."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crimepolicy.did.imputation import imputation
from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.inference.mechanisms import PermuteSchedules
from crimepolicy.inference.randomization import randomization_test
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.calibration import calibrate
from crimepolicy.sensitivity.leave_one_out import leave_one_out
from crimepolicy.sensitivity.placebo_design import mask_treated

# Starting two worker processes takes more than five seconds.
pytestmark = pytest.mark.slow

OPTIONS: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}


@pytest.fixture(scope="module")
def on_cluster() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Return a function that calls a function while joblib sends its work to two local Dask workers."""
    distributed = pytest.importorskip("distributed")
    joblib = pytest.importorskip("joblib")
    with distributed.LocalCluster(**OPTIONS) as cluster, distributed.Client(cluster) as client:
        client.wait_for_workers(2)

        def call(function: Callable[[], Any]) -> Any:
            with joblib.parallel_config(backend="dask"):
                return function()

        yield call


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(11)
    D = np.zeros((16, 24), dtype=bool)
    for unit, start in enumerate((8, 10, 12, 14)):
        D[unit, start:] = True
    population = np.full(D.shape, 50_000.0)
    Y = rng.poisson(6 * np.exp(rng.normal(0, 0.3, (16, 1)) - 0.2 * D)).astype(float)
    units = pd.Index([f"place {i:02d}" for i in range(16)])
    return Panel(Y=Y, D=D, units=units, periods=pd.RangeIndex(24), population=population)


def test_randomisation(on_cluster: Any, panel: Panel) -> None:
    effect = two_way_fixed_effects(panel)
    serial, spread = (partial(randomization_test, effect, PermuteSchedules(), draws=60, n_jobs=jobs) for jobs in (1, 2))
    here, there = serial(), on_cluster(spread)
    pd.testing.assert_frame_equal(here.null, there.null, check_exact=True)
    assert here.null_p == there.null_p


def test_calibration(on_cluster: Any, panel: Panel) -> None:
    estimators = {"imputation": partial(imputation, family="poisson")}
    serial, spread = (partial(calibrate, estimators, mask_treated(panel), placebos=12, n_jobs=jobs) for jobs in (1, 2))
    pd.testing.assert_frame_equal(serial().draws, on_cluster(spread).draws, check_exact=True)


def test_leave_one_out(on_cluster: Any, panel: Panel) -> None:
    effect = imputation(panel, family="poisson")
    here, there = leave_one_out(effect), on_cluster(partial(leave_one_out, effect, n_jobs=2))
    pd.testing.assert_frame_equal(here.frame, there.frame, check_exact=True)
