"""Simulation-based calibration: parameters from the prior, data from them, and the rank of the truth in the posterior.

Talts, Betancourt, Simpson, Vehtari and Gelman (2018). Ranks of a right posterior are uniform; the named test is Pearson's chi-square.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crimepolicy.bayes.count_draws import CountDraws, prior_draws
from crimepolicy.bayes.count_fit import count_fit
from crimepolicy.bayes.event_draws import event_draws
from crimepolicy.bayes.predictive import draw_counts
from crimepolicy.bayes.reporting import Capture, with_capture
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.panel import Panel
from crimepolicy.synthesis.hierarchical import hierarchical_synthesis
from tests.bayes.test_density import make
from tests.bayes.worlds import chain, world

pytestmark = [pytest.mark.bayes, pytest.mark.slow]

N_RANKS, N_BINS = 20, 5
# A right posterior fails a test at this level once in a thousand parameters; the seeds are fixed.
LEVEL = 0.001
TABLES = Path(__file__).parents[1] / "coverage"
PRIORS = {
    "effect_scale": 0.5,
    "drift_scale": 0.3,
    "event_scale": 0.3,
    "event_drift_scale": 0.3,
    "unit_scale": 0.5,
    "period_scale": 0.3,
    "dispersion_scale": 0.3,
}


def rank(draws, truth):
    """Return how many of N_RANKS - 1 evenly thinned draws lie below the truth."""
    flat = np.asarray(draws).reshape(-1)
    return int((flat[np.linspace(0, len(flat) - 1, N_RANKS - 1).astype(int)] < truth).sum())


def judge(name, ranks):
    """Write the table of ranks and fail where a parameter's are not uniform."""
    frame = pd.DataFrame(ranks)
    lines = [f"{name}: {len(frame)} worlds, rank of the truth among {N_RANKS - 1} draws, {N_BINS} bins", ""]
    p_values = {}
    for term in frame:
        bins = np.bincount(frame[term] * N_BINS // N_RANKS, minlength=N_BINS)
        p_values[term] = float(stats.chisquare(bins).pvalue)
        counts = " ".join(f"{b:3d}" for b in bins)
        lines.append(f"{term:14s} {counts}   mean rank {frame[term].mean():5.2f}   chi-square p = {p_values[term]:.3f}")
    text = "\n".join(lines) + "\n"
    print(text)
    (TABLES / f"calibration_{name.lower().replace(' ', '_')}.txt").write_text(text, encoding="utf-8")
    assert min(p_values.values()) > LEVEL


def event_study_ranks(n, **options):
    panel, _ = world(5, 16, n_treated=3, rate=8, seed=11, neighbours=chain(5))
    events, template = make(panel, window=(-2, 4), **PRIORS, **options)
    # The default prior of the overall rate spans five orders of magnitude, most of which no tiny panel can show.
    narrow = replace(template.blocks[0], scale=0.3)
    template = replace(template, blocks=(narrow, *template.blocks[1:]))
    rng = np.random.default_rng(12)
    truths = prior_draws(template, n, rng)
    for i in range(n):
        truth = CountDraws(truths.theta[i], truths.h[i], truths.scales)
        dispersion = None if truth.dispersion is None else float(truth.dispersion)
        design = replace(template, counts=draw_counts(template, truth.theta, dispersion, rng))
        fit = count_fit(design, draws=380, tune=200, chains=1, seed=i)
        ours, right = (reported(template, events, drawn) for drawn in (fit.draws, truth))
        yield {name: rank(ours[name], right[name]) for name in ours}


def reported(design, events, draws):
    found = event_draws(design, events, draws, 0)
    terms = {"att": found.average, "first event": found.events[..., 0], "end of path": found.path[..., -1]}
    return terms | {name: draws.h[..., i] for i, name in enumerate(draws.scales.names)}


def synthesis_ranks(n):
    # The prior of the mean is flat: by symmetry its value does not matter, so that it is zero in every world.
    rng = np.random.default_rng(31)
    facts = {"estimand": "effect", "method": "simulated", "citation": "", "scale": "log"}
    for i in range(n):
        tau, errors = 0.5 * abs(rng.standard_normal()), rng.uniform(0.1, 0.5, 6)
        values = tau * rng.standard_normal(6) + errors * rng.standard_normal(6)
        studies = [Estimate(value=float(v), std_error=float(e), **facts) for v, e in zip(values, errors, strict=True)]
        draws = hierarchical_synthesis(studies, seed=i).draws
        truth = {HEADLINE: 0.0, "prediction": tau * rng.standard_normal(), "tau": tau}
        yield {name: rank(rng.permutation(draws[name].to_numpy()), value) for name, value in truth.items()}


def two_by_two(panel):
    """Return the Poisson difference in differences of two groups of units, in closed form, over the cells that are observed."""
    treated, after = panel.D.any(axis=1), panel.D.any(axis=0)
    cells = [(a, b) for a in (treated, ~treated) for b in (after, ~after)]
    y = np.array([np.nansum(panel.Y[np.ix_(a, b)]) for a, b in cells])
    people = np.array([(panel.population * panel.observed)[np.ix_(a, b)].sum() for a, b in cells])
    value = float(np.log(y / people) @ [1, -1, -1, 1])
    facts = {"estimand": "effect", "method": "two by two", "citation": "", "scale": "log"}
    return Estimate(value=value, std_error=float(np.sqrt((1 / y).sum())), **facts)


def capture_ranks(n, *, broken=4, learn=False):
    """The treatment begins at 4; shares that are learned are so from a break before it."""
    rng = np.random.default_rng(41)
    rows = pd.DataFrame([(u, t, int(u == 0 and t > 3)) for u in range(4) for t in range(8)], columns=["u", "t", "d"])
    rows["n"] = 1000.0
    capture = Capture(before=(0.5, 0.06), after=(0.9, 0.03), at=broken, units=(0,), reclassified=(0.0, 0.2))
    for i in range(n):
        effect = 0.5 * rng.standard_normal()
        before, after = (
            rng.beta(m * (m * (1 - m) / s**2 - 1), (1 - m) * (m * (1 - m) / s**2 - 1))
            for m, s in ((0.5, 0.06), (0.9, 0.03))
        )
        after *= 1 - rng.uniform(0.0, 0.2)
        seen = np.where(rows.u == 0, np.where(rows.t >= broken, after, before), 1.0)
        rows["y"] = rng.poisson(100 * np.exp(effect * rows.d) * seen)
        panel = Panel.from_frame(rows, unit="u", time="t", outcome="y", treated="d", population="n")
        draws = with_capture(panel, two_by_two, capture, n_draws=80, learn=learn, seed=i)["with_capture"].draws
        shares = draws["capture[after]"] * (1 - draws["reclassified"]) / draws["capture[before]"]
        drawn, right = {HEADLINE: draws[HEADLINE], "ratio": shares}, {HEADLINE: effect, "ratio": after / before}
        yield {name: rank(rng.permutation(values.to_numpy()), right[name]) for name, values in drawn.items()}


@pytest.mark.parametrize(
    ("name", "ranks"),
    [
        ("Event study", lambda: event_study_ranks(100)),
        ("Spatial event study", lambda: event_study_ranks(60, unit_effects="spatial", family="poisson")),
        ("Hierarchical synthesis", lambda: synthesis_ranks(200)),
        ("Capture", lambda: capture_ranks(150)),
        ("Capture learned", lambda: capture_ranks(150, broken=2, learn=True)),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "",
)
def test_ranks_are_uniform(name, ranks):
    judge(name, list(ranks()))
