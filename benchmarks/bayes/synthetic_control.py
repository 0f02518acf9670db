"""The Bayesian synthetic control beside CausalPy's on the same panel: Michoacan, quarterly homicides per 100,000, treated in 2007.

CausalPy needs another PyMC, so it runs in an environment of its own, which sees only a table::

    python benchmarks/bayes/synthetic_control.py data TABLE.csv
    python benchmarks/bayes/synthetic_control.py counts|rates|horseshoe
    PYTHON_OF_CAUSALPY benchmarks/bayes/synthetic_control.py causalpy TABLE.csv

A number at the end is that of draws and of tuning steps in each of two chains (1,000).

One line is printed: average effect per 100,000 and quarter with its 90% interval (of CausalPy: of the posterior mean, without the noise
of the outcome), smallest bulk effective sample size of weights and effect, and seconds of processor and clock.
"""

import sys
import time

import numpy as np
import pandas as pd

BEFORE = 28
DRAWS = int(sys.argv[-1]) if sys.argv[-1].isdigit() else 1000


def panel():
    import crimepolicy as cp

    started = cp.load_events("joint_operations_mexico")
    states = cp.load_panel("mexico_state_month", start="2000-01", end="2007-12").aggregate("quarter")
    others = sorted({event.unit for event in started if event.unit != "16"} & set(states.units))
    return states.drop(others).treat(["16"], at="2007Q1")


def ours(which):
    import crimepolicy as cp

    found = panel()
    weights = "horseshoe" if which == "horseshoe" else "simplex"
    effect = cp.bayesian_synthetic_control(
        found.rate() if which == "rates" else found, weights=weights, draws=DRAWS, tune=DRAWS
    )
    posterior = effect.inference_data["posterior"]
    row = list(found.units).index("16")
    people = 1.0 if which == "rates" else found.population[row] / 1e5
    seen = found.rate().Y[row]
    gap = (seen - posterior["untreated"].to_numpy() / people)[..., BEFORE:].mean(axis=-1)
    return gap, posterior["weight"].to_numpy(), [check.name for check in effect.checks if check.passed is False]


def causalpy(path):
    import causalpy

    table = pd.read_csv(path, index_col=0)
    table.columns = [f"s{name}" for name in table.columns]
    model = causalpy.pymc_models.WeightedSumFitter(
        sample_kwargs={"draws": DRAWS, "tune": DRAWS, "chains": 2, "cores": 1, "random_seed": 0, "progressbar": False}
    )
    controls = [name for name in table.columns if name != "s16"]
    found = causalpy.SyntheticControl(table, BEFORE, control_units=controls, treated_units=["s16"], model=model)
    gap = found.post_impact.transpose("chain", "draw", ...).to_numpy().reshape(2, DRAWS, -1).mean(axis=-1)
    beta = model.idata.posterior["beta"].to_numpy().reshape(2, DRAWS, -1)
    diverging = int(model.idata.sample_stats["diverging"].sum())
    return gap, beta, [f"{diverging} divergences"] if diverging else []


def effective(draws):
    """Return the smallest bulk effective sample size of draws (2, DRAWS, ...)."""
    import arviz

    columns = draws.reshape(*draws.shape[:2], -1)
    return min(float(arviz.ess(columns[..., i])) for i in range(columns.shape[-1]))


def main() -> None:
    which = sys.argv[1]
    if which == "data":
        found = panel().rate()
        pd.DataFrame(found.Y.T, columns=found.units).to_csv(sys.argv[2])
        return
    wall, cpu = time.perf_counter(), time.process_time()
    gap, weights, failed = causalpy(sys.argv[2]) if which == "causalpy" else ours(which)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    low, high = np.quantile(gap, [0.05, 0.95])
    ess = min(effective(gap[..., None]), effective(weights))
    print(
        f"{which:10s} effect {gap.mean():6.2f} ({low:6.2f} to {high:6.2f}) min_bulk_ess={ess:7.1f} cpu={cpu:6.1f}s wall={wall:6.1f}s "
        f"ess/s(cpu)={ess / cpu:6.1f} failed checks: {', '.join(failed) or 'none'}",
        flush=True,
    )


if __name__ == "__main__":
    main()
