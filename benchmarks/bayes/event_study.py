"""Effective draws per second of the event study, beside the same model in a textbook's parametrisation.

Run as ``python benchmarks/bayes/event_study.py PANEL WHO DRAWS TUNE``; one line is printed.

PANEL  ``states`` (32 x 252), ``precincts`` (126 x 180) or ``small`` (10 x 36): simulated, of the size of the real ones
WHO    ``ours``, or a sampler of PyMC (``pymc``, ``nutpie``, ``numpyro``), alone for centred blocks, or with ``:noncentred``

Every run samples the same posterior in two chains on two cores: the same priors, the same orthogonal coordinates. The least bulk effective size is that over all
coordinates and scales. ``cpu`` counts the seconds of all threads and child processes, compilation included, and is little moved by
what else runs on the machine; ``sampling`` is the wall time that the sampler itself reports, without compilation where it says so.
"""

import os
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

MODEL = EventModel(
    family="negative_binomial",
    effects="unit+period",
    path="random_walk",
    pooling="partial",
    unit_effects="independent",
    moderators=None,
    length=6.0,
    effect_scale=1.0,
    drift_scale=0.5,
    event_scale=0.5,
    event_drift_scale=0.5,
    moderator_scale=0.5,
    unit_scale=None,
    period_scale=None,
    season_scale=0.25,
    dispersion_scale=0.5,
)
SIZES = {"small": (10, 36, 4, 10.0), "states": (32, 252, 20, 40.0), "precincts": (126, 180, 25, 0.5)}
# numpyro runs chains side by side only where JAX is told of two devices.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")


def ours(design, draws, tune):
    """Return draws of coordinates and scales, and the seconds of sampling."""
    fit = count_fit(design, draws=draws, tune=tune)
    return [fit.draws.theta, *fit.draws.named_scales().values()], fit.posterior.seconds


def textbook(design, draws, tune, sampler, noncentred):
    """Sample the same model as written in books: one variable per block, a distribution of PyMC for the counts."""
    import pymc as pm
    import pytensor.tensor as pt

    e = len(design.cell)
    with pm.Model():
        theta = {}
        for block in (block for block in design.blocks if block.size):
            sd = block.scale if block.fixed else pm.HalfNormal(f"sd_{block.name}", block.scale)
            if noncentred:
                theta[block.name] = pm.Deterministic(block.name, sd * pm.Normal(f"raw_{block.name}", shape=block.size))
            else:
                theta[block.name] = pm.Normal(block.name, 0, sd, shape=block.size)
        dispersion = pm.HalfNormal("dispersion", design.dispersion_scale)
        unit = design.unit[:, :1] * theta["intercept"] + (design.unit[:, 1:] @ theta["unit"])[:, None]
        period = design.walk @ theta["period"] + design.season @ theta["season"]
        own = theta["event_drift"].reshape((e, -1)) @ design.own_drift.T
        level = (theta["level"] + theta["event_level"])[:, None] * design.after
        effect = level + (design.drift @ theta["drift"])[None] + own
        present = design.cell < design.counts.size
        eta = (design.offset + unit + period[None]).flatten()
        eta = pt.inc_subtensor(eta[design.cell[present]], effect[present.nonzero()])
        seen = design.used.ravel()
        counts = design.counts.ravel()[seen].astype(int)
        pm.NegativeBinomial("y", mu=pm.math.exp(eta[seen]), alpha=dispersion**-2, observed=counts)
        tree = pm.sample(
            draws,
            tune=tune,
            chains=2,
            cores=2,
            nuts_sampler=sampler,
            random_seed=0,
            progressbar=False,
            compute_convergence_checks=False,
        )
    kept = [v.values for name, v in tree.posterior.data_vars.items() if not name.startswith("raw_")]
    return kept, tree.posterior.attrs["sampling_time"]


def main() -> None:
    size, who, draws, tune = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    n, t, treated, rate = SIZES[size]
    panel, _ = world(n, t, n_treated=treated, rate=rate, spread=0.3)
    design = event_design(panel, event_cells(panel, window=(-12, 24)), MODEL)
    sampler, _, form = who.partition(":")
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    if who == "ours":
        arrays, sampling = ours(design, draws, tune)
    else:
        arrays, sampling = textbook(design, draws, tune, sampler, form == "noncentred")
    wall, cpu = time.perf_counter() - wall, sum(os.times()[:4]) - cpu
    ess = min(float(np.min(array_stats.ess(np.reshape(a, (2, draws, -1)), chain_axis=0, draw_axis=1))) for a in arrays)
    print(
        f"{size:9s} {who:19s} 2x({tune}+{draws}) wall {wall:7.1f}s sampling {sampling:7.1f}s cpu {cpu:7.1f}s "
        f"min ESS {ess:7.1f}, per second: wall {ess / wall:7.3f} sampling {ess / sampling:7.3f} cpu {ess / cpu:7.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
