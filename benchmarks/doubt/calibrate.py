"""Time a calibration of six estimators on the 32 Mexican states by 252 months.

Run from the repository: ``python benchmarks/doubt/calibrate.py [placebos] [workers]``. Eight placebo schedules, the outcomes of
the real ones being masked.
"""

import sys
from functools import partial
from os import getloadavg
from pathlib import Path
from time import perf_counter

import pandas as pd
from record import record

from crimepolicy.did.imputation import imputation
from crimepolicy.did.interaction_weighted import interaction_weighted
from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.calibration import calibrate
from crimepolicy.sensitivity.placebo_design import mask_treated
from crimepolicy.synth.synthetic_did import synthetic_did

ROOT = Path(__file__).resolve().parents[2]
ESTIMATORS = {
    "imputation": imputation,
    "imputation, poisson": partial(imputation, family="poisson"),
    "two-way": two_way_fixed_effects,
    "two-way, poisson": partial(two_way_fixed_effects, family="poisson"),
    "interaction-weighted": interaction_weighted,
    "synthetic did": partial(synthetic_did, variance="none"),
}


def main(placebos: int, workers: int) -> None:
    rows = pd.read_parquet(ROOT / "data" / "processed" / "mexico_state_month.parquet")
    panel = Panel.from_frame(rows, unit="unit", time="month", outcome="homicides", population="population")
    panel = panel.window("2000-01", "2020-12")
    # Eight states from eight dates: the size of the problem matters here, not its history.
    for unit, month in zip(panel.units[:8], range(96, 224, 16), strict=True):
        panel = panel.treat([unit], at=panel.periods[month])
    load, start = getloadavg()[0], perf_counter()
    found = calibrate(
        ESTIMATORS, mask_treated(panel), placebos=placebos, rates={"synthetic did": 100_000}, n_jobs=workers
    )
    seconds = perf_counter() - start
    table = found.frame.drop(columns=["inference", "first_error", "coverage_error"]).round(4)
    record(
        "Calibration: Mexican states by month, 2000-2020",
        f"{placebos} placebos, {len(ESTIMATORS)} estimators, {table['effect'].nunique()} effects, {workers} workers: {seconds:.0f} s (average load before: {load:.1f})\n"
        f"{table.to_string(index=False)}",
    )


if __name__ == "__main__":
    main(*(int(v) for v in [*sys.argv[1:], "500", "2"][:2]))
