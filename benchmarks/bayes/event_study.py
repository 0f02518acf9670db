"""Effective draws per second of the event study, beside a textbook parametrisation under PyMC's sampler and under nutpie.

Run as ``python benchmarks/bayes/event_study.py [states|precincts|small] [ours|pymc|nutpie] [draws]``; one line is printed.
"""

import sys
import time
from pathlib import Path

import numpy as np
from arviz_stats.base import array_stats

sys.path.insert(0, str(Path(__file__).parents[2]))

from crimepolicy.bayes.count_fit import count_fit
from crimepolicy.bayes.event_cells import event_cells
from crimepolicy.bayes.event_design import EventModel, event_design
from tests.bayes.worlds import world

SIZES = {"small": (10, 36, 4, 10.0), "states": (32, 252, 20, 40.0), "precincts": (126, 180, 25, 0.5)}
MODEL = EventModel(
    "negative_binomial",
    "unit+period",
    "random_walk",
    "partial",
    "independent",
    None,
    6.0,
    1.0,
    0.5,
    0.5,
    0.5,
    0.5,
    None,
    None,
    0.25,
    0.5,
)


def textbook(design, draws, sampler):
    """Sample the same model as written in books: centred effects, logs of gammas for every cell, one variable per block."""
    import pymc as pm
    import pytensor.tensor as pt

    sizes = {block.name: block for block in design.blocks}
    e = len(design.cell)
    with pm.Model():
        theta = {}
        for name, block in sizes.items():
            if block.size:
                sd = block.scale if block.fixed else pm.HalfNormal(f"sd_{name}", block.scale)
                theta[name] = pm.Normal(name, 0, sd, shape=block.size)
        dispersion = pm.HalfNormal("dispersion", design.dispersion_scale)
        unit = design.unit[:, :1] * theta["intercept"] + (design.unit[:, 1:] @ theta["unit"])[:, None]
        period = design.walk @ theta["period"] + design.season @ theta["season"]
        own = theta["event_drift"].reshape((e, -1)) @ design.own_drift.T
        level = (theta["level"] + theta["event_level"])[:, None] * design.after
        effect = level + (design.drift @ theta["drift"])[None] + own
        present = design.cell < design.counts.size
        eta = (design.offset + unit + period[None]).flatten()
        eta = pt.inc_subtensor(eta[design.cell[present]], effect[present.nonzero()])
        used = design.used.ravel()
        pm.NegativeBinomial(
            "y", mu=pm.math.exp(eta[used]), alpha=dispersion**-2, observed=design.counts.ravel()[used].astype(int)
        )
        tree = pm.sample(
            draws,
            tune=draws,
            chains=2,
            cores=2,
            nuts_sampler=sampler,
            random_seed=0,
            progressbar=False,
            compute_convergence_checks=False,
        )
    return [np.asarray(v.values) for v in tree.posterior.data_vars.values()]


def main() -> None:
    size, which, draws = sys.argv[1], sys.argv[2], int(sys.argv[3])
    n, t, treated, rate = SIZES[size]
    panel, _ = world(n, t, n_treated=treated, rate=rate, spread=0.3)
    design = event_design(panel, event_cells(panel, window=(-12, 24)), MODEL)
    wall, cpu = time.perf_counter(), time.process_time()
    if which == "ours":
        fit = count_fit(design, draws=draws, tune=min(draws, 500))
        arrays = [fit.theta, *fit.named_scales().values()]
    else:
        arrays = textbook(design, draws, which)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    ess = min(float(np.min(array_stats.ess(a.reshape(2, draws, -1), chain_axis=0, draw_axis=1))) for a in arrays)
    print(
        f"{size:10s} {which:8s} dim={design.size:5d} draws=2x{draws} wall={wall:7.1f}s cpu={cpu:7.1f}s "
        f"min_bulk_ess={ess:7.1f} ess/s(wall)={ess / wall:6.2f} ess/s(cpu)={ess / cpu:6.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
