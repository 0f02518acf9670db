"""Time the synthetic-control family beside its peers: processor seconds and what came out.

Run from the repository with whatever is installed: ``python benchmarks/synth/speed.py [case ...]``. Each library is asked for
the same thing; those that are not installed are skipped, so that one that needs other versions runs in an environment of its own.
Set OPENBLAS_NUM_THREADS=1, and CRIMEPOLICY_MIRROR for the data.
"""

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd

MIRROR = Path(os.environ.get("CRIMEPOLICY_MIRROR", Path(__file__).resolve().parents[3] / "shared"))
WINDOWS = {
    "lnincome": (1980, 1988),
    "retprice": (1980, 1988),
    "age15to24": (1980, 1988),
    "beer": (1984, 1988),
    "cig1975": (1975, 1975),
    "cig1980": (1980, 1980),
    "cig1988": (1988, 1988),
}
Result = dict[str, Any]


def smoking() -> pd.DataFrame:
    frame = pd.read_csv(MIRROR / "references" / "data" / "smoking_tidysynth.csv.gz")
    for name in ("cig1975", "cig1980", "cig1988"):
        frame[name] = frame["cigsale"]
    frame["treated"] = ((frame["state"] == "California") & (frame["year"] >= 1989)).astype(int)
    return frame.rename(columns={"state": "unit", "year": "time", "cigsale": "y"}).sort_values(["unit", "time"])


def simulated(n: int, t: int, treated: int, start: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    Y = (
        rng.normal(size=(n, 2)) @ rng.normal(size=(2, t)).cumsum(axis=1) / 3
        + rng.normal(size=(n, 1))
        + rng.normal(size=(n, t))
        + 10
    )
    D = np.zeros((n, t), dtype=int)
    D[:treated, start:] = 1
    units, times = np.repeat([f"u{i:04d}" for i in range(n)], t), np.tile(np.arange(t), n)
    return pd.DataFrame({"unit": units, "time": times, "y": (Y + D).ravel(), "treated": D.ravel()})


def panel_of(frame: pd.DataFrame, covariates: tuple[str, ...] = ()) -> Any:
    from crimepolicy import Panel

    return Panel.from_frame(frame, unit="unit", time="time", outcome="y", treated="treated", covariates=covariates)


def placebos(estimate: Any, count: int | None = None) -> None:
    panel = estimate.panel
    at = panel.periods[int(panel.first_treated.min())]
    donors = panel.drop(panel.units[panel.D.any(axis=1)])
    for unit in donors.units[:count]:
        estimate.refit(donors.treat([unit], at=at))


# ---------------------------------------------------------------- crimepolicy


def ours_search(all_placebos: bool) -> Result:
    from crimepolicy.synth.predictors import Predictor
    from crimepolicy.synth.synthetic_control import synthetic_control

    panel = panel_of(smoking(), tuple(WINDOWS))
    start = process_time()
    estimate = synthetic_control(panel, predictors=[Predictor(name, *window) for name, window in WINDOWS.items()])
    if all_placebos:
        placebos(estimate)
    return {
        "seconds": process_time() - start,
        "effect": estimate.value,
        "pre_rmspe": rmspe(estimate.path["estimate"].loc[:-1]),
    }


def ours_outcome(all_placebos: bool, frame: pd.DataFrame | None = None, count: int | None = None) -> Result:
    from crimepolicy.synth.synthetic_control import synthetic_control

    panel = panel_of(smoking() if frame is None else frame)
    start = process_time()
    estimate = synthetic_control(panel)
    if all_placebos:
        placebos(estimate, count)
    return {
        "seconds": process_time() - start,
        "effect": estimate.value,
        "pre_rmspe": rmspe(estimate.path["estimate"].loc[:-1]),
    }


def ours_sdid(frame: pd.DataFrame, variance: Any, draws: int) -> Result:
    from crimepolicy.synth.synthetic_did import synthetic_did

    panel = panel_of(frame)
    start = process_time()
    estimate = synthetic_did(panel, variance=variance, draws=draws)
    return {"seconds": process_time() - start, "effect": estimate.value, "std_error": estimate.std_error}


def ours_augmented(all_placebos: bool) -> Result:
    from crimepolicy.synth.augmented import augmented_synthetic_control

    panel = panel_of(smoking())
    start = process_time()
    estimate = augmented_synthetic_control(panel, rule="minimum", validation="all", intercept=True)
    if all_placebos:
        placebos(estimate)
    return {"seconds": process_time() - start, "effect": estimate.value}


def ours_placebo_test(frame: pd.DataFrame) -> Result:
    from crimepolicy.inference.placebo import placebo_test
    from crimepolicy.synth.synthetic_control import synthetic_control

    panel = panel_of(frame)
    start = process_time()
    tested = placebo_test(synthetic_control(panel), treated="drop")
    return {"seconds": process_time() - start, "effect": tested.value, "p": tested.null_p["att"]}


# ---------------------------------------------------------------- peers


def mlsynth(
    backend: str, all_placebos: bool, covariates: bool, frame: pd.DataFrame | None = None, count: int | None = None
) -> Result:
    from mlsynth import VanillaSC

    frame = smoking() if frame is None else frame
    options: dict[str, Any] = {
        "outcome": "y",
        "treat": "treated",
        "unitid": "unit",
        "time": "time",
        "display_graphs": False,
    }
    options |= {"backend": backend, "inference": False}
    if covariates:
        options |= {"covariates": list(WINDOWS), "covariate_windows": WINDOWS}
    start = process_time()
    found = VanillaSC({"df": frame, **options}).fit()
    if all_placebos:
        first = frame.loc[frame["treated"] == 1, "time"].min()
        rest = frame[~frame["unit"].isin(frame.loc[frame["treated"] == 1, "unit"])]
        for unit in rest["unit"].unique()[:count]:
            moved = rest.assign(treated=((rest["unit"] == unit) & (rest["time"] >= first)).astype(int))
            VanillaSC({"df": moved, **options}).fit()
    return {
        "seconds": process_time() - start,
        "effect": float(found.effects.att),
        "pre_rmspe": float(found.fit_diagnostics.rmse_pre),
    }


def diff_diff_sdid(frame: pd.DataFrame, variance: str, draws: int) -> Result:
    import diff_diff

    post = sorted(frame.loc[frame["treated"] == 1, "time"].unique())
    data = frame.assign(ever=frame.groupby("unit")["treated"].transform("max"))
    start = process_time()
    found = diff_diff.SyntheticDiD(variance_method=variance, n_bootstrap=draws, seed=0).fit(
        data, outcome="y", treatment="ever", unit="unit", time="time", post_periods=post
    )
    return {"seconds": process_time() - start, "effect": found.att, "std_error": found.se}


def diff_diff_search() -> Result:
    import diff_diff

    frame = smoking()
    special = [
        (name if not name.startswith("cig") else "y", list(range(a, b + 1)), "mean") for name, (a, b) in WINDOWS.items()
    ]
    start = process_time()
    found = diff_diff.SyntheticControl(v_method="nested", seed=0).fit(
        frame,
        outcome="y",
        treatment="treated",
        unit="unit",
        time="time",
        post_periods=list(range(1989, 2001)),
        special_predictors=special,
    )
    return {"seconds": process_time() - start, "effect": found.att, "pre_rmspe": found.pre_rmspe}


def synthdid_py(frame: pd.DataFrame, variance: str, draws: int) -> Result:
    import synthdid

    start = process_time()
    setup = synthdid.panel_matrices(frame, "unit", "time", "y", "treated")
    found = synthdid.synthdid_estimate(setup.Y, setup.N0, setup.T0)
    error = synthdid.synthdid_se(found, method=variance, replications=draws) if variance != "none" else float("nan")
    return {"seconds": process_time() - start, "effect": float(found), "std_error": float(error)}


def azcausal_sdid(frame: pd.DataFrame, variance: str, draws: int) -> Result:
    from azcausal.core.error import Bootstrap, JackKnife, Placebo
    from azcausal.core.panel import CausalPanel
    from azcausal.estimators.panel.sdid import SDID

    wide = {key: frame.pivot(index="time", columns="unit", values=key) for key in ("y", "treated")}
    error = {"placebo": Placebo(draws), "bootstrap": Bootstrap(draws), "jackknife": JackKnife()}[variance]
    start = process_time()
    estimator = SDID()
    found = estimator.fit(CausalPanel(wide).setup(outcome="y", intervention="treated"))
    estimator.error(found, error)
    return {"seconds": process_time() - start, "effect": found.effect.value, "std_error": found.effect.se}


def augsynth_py(all_placebos: bool) -> Result:
    import polars as pl
    from augsynth_py import AugSynth

    frame = smoking()[["unit", "time", "y"]]
    start = process_time()

    def fit(data: pd.DataFrame, unit: str) -> float:
        table = pl.DataFrame({name: data[name].to_list() for name in data})
        found = AugSynth().fit(table, unit="unit", time="time", outcome="y", treated=unit, treatment_time=1989)
        return float(found.att_)

    effect = fit(frame, "California")
    if all_placebos:
        donors = frame[frame["unit"] != "California"]
        for unit in donors["unit"].unique():
            fit(donors, unit)
    return {"seconds": process_time() - start, "effect": effect}


def causalpy(all_placebos: bool) -> Result:
    import causalpy as cp

    wide = smoking().pivot(index="time", columns="unit", values="y")
    donors = [unit for unit in wide if unit != "California"]

    def fit(unit: str, rest: list[str]) -> Any:
        model = cp.create_causalpy_compatible_class(cp.skl_models.WeightedProportion())
        return cp.SyntheticControl(wide.copy(), 1989, control_units=rest, treated_units=[unit], model=model)

    start = process_time()
    found = fit("California", donors)
    if all_placebos:
        for unit in donors:
            fit(unit, [other for other in donors if other != unit])
    gaps = np.asarray(found.pre_impact).ravel(), np.asarray(found.post_impact).ravel()
    return {"seconds": process_time() - start, "effect": float(gaps[1].mean()), "pre_rmspe": rmspe(gaps[0])}


def pysyncon_search() -> Result:
    from pysyncon import Dataprep, Synth

    frame = smoking()
    donors = [unit for unit in frame["unit"].unique() if unit != "California"]
    special = [
        (name if not name.startswith("cig") else "y", list(range(a, b + 1)), "mean") for name, (a, b) in WINDOWS.items()
    ]
    prepared = Dataprep(
        foo=frame,
        predictors=[],
        predictors_op="mean",
        dependent="y",
        unit_variable="unit",
        time_variable="time",
        treatment_identifier="California",
        controls_identifier=donors,
        time_predictors_prior=range(1980, 1989),
        time_optimize_ssr=range(1970, 1989),
        special_predictors=special,
    )
    start = process_time()
    model = Synth()
    model.fit(prepared, optim_method="Nelder-Mead", optim_initial="ols")
    return {
        "seconds": process_time() - start,
        "effect": float(model.att(range(1989, 2001))["att"]),
        "pre_rmspe": float(np.sqrt(model.mspe())),
    }


def rmspe(gaps: Any) -> float:
    return float(np.sqrt((np.asarray(gaps) ** 2).mean()))


def cases() -> dict[str, list[tuple[str, Callable[[], Result]]]]:
    large, wide = simulated(500, 200, 100, 150), simulated(1001, 252, 1, 200)
    municipal = simulated(1123, 120, 1, 84)
    prop99 = smoking()[["unit", "time", "y", "treated"]]
    return {
        "Prop 99, V searched, one fit": [
            ("crimepolicy", lambda: ours_search(False)),
            ("mlsynth", lambda: mlsynth("mscmt", False, True)),
            ("diff_diff", diff_diff_search),
            ("pysyncon", pysyncon_search),
        ],
        "Prop 99, V searched, 38 placebos": [
            ("crimepolicy", lambda: ours_search(True)),
            ("mlsynth", lambda: mlsynth("mscmt", True, True)),
        ],
        "Prop 99, outcomes, 38 placebos": [
            ("crimepolicy", lambda: ours_outcome(True)),
            ("mlsynth", lambda: mlsynth("auto", True, False, prop99)),
            ("causalpy", lambda: causalpy(True)),
        ],
        **{
            f"Prop 99, ridge-augmented, {label}": [
                ("crimepolicy", lambda many=many: ours_augmented(many)),
                ("augsynth_py", lambda many=many: augsynth_py(many)),
            ]
            for label, many in (("one fit", False), ("38 placebos", True))
        },
        "SDID 39 x 31, placebo": [
            ("crimepolicy", lambda: ours_sdid(prop99, "placebo", 200)),
            ("diff_diff", lambda: diff_diff_sdid(prop99, "placebo", 200)),
            ("synthdid", lambda: synthdid_py(prop99, "placebo", 200)),
            ("azcausal", lambda: azcausal_sdid(prop99, "placebo", 200)),
        ],
        **{
            f"SDID 500 x 200, {variance}": [
                ("crimepolicy", lambda v=variance: ours_sdid(large, v, 50)),
                ("diff_diff", lambda v=variance: diff_diff_sdid(large, v, 50)),
                *([("synthdid", lambda v=variance: synthdid_py(large, v, 50))] if variance == "jackknife" else []),
                ("azcausal", lambda v=variance: azcausal_sdid(large, v, 50)),
            ]
            for variance in ("jackknife", "placebo", "bootstrap")
        },
        "SC 1,000 donors x 252": [
            ("crimepolicy", lambda: ours_outcome(False, wide)),
            ("mlsynth", lambda: mlsynth("auto", False, False, wide)),
        ],
        "SC 1,122 donors x 120, 20 placebos": [
            ("crimepolicy", lambda: ours_outcome(True, municipal, 20)),
            ("mlsynth", lambda: mlsynth("auto", True, False, municipal, 20)),
        ],
        "SC, placebo test of 1,123 municipalities x 120": [("crimepolicy", lambda: ours_placebo_test(municipal))],
    }


def main(wanted: list[str]) -> None:
    warnings.simplefilter("ignore")
    for case, libraries in cases().items():
        if wanted and not any(word in case for word in wanted):
            continue
        for name, run in libraries:
            if importlib.util.find_spec(name) is None:
                continue
            try:
                run()  # once for imports and caches
                found = run()
            except Exception as problem:  # noqa: BLE001 - a peer that fails is a result
                print(f"{case:36s} {name:12s} fails: {type(problem).__name__}: {str(problem)[:90]}", flush=True)
                continue
            numbers = "  ".join(f"{key} {value:.5g}" for key, value in found.items() if key != "seconds")
            print(f"{case:36s} {name:12s} {found['seconds']:9.3f} s  {numbers}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
