"""Time the difference-in-differences family beside its peers, each in its own environment, and print a table of ratios.

Run with the interpreter of an environment that has this package:

    python benchmarks/did/regressions.py [--peers /path/to/peers/bin/python] [words of the rows wanted]

The peers' environment needs pyfixest, diff-diff, csdid and moderndid; without one, it is made in a temporary folder. Each measurement is the best CPU time of several calls in a process of its
own, after one call to warm up; memory is the peak of that process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PEERS = ("pyfixest", "diff-diff", "csdid", "moderndid")

SETUP = """
import json, resource, sys, time, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)

def wide(n, length, cohorts, never=0.4):
    starts = np.linspace(length * 0.15, length * 0.9, cohorts).astype(int)
    first = np.where(rng.random(n) < never, np.inf, rng.choice(starts, n))
    D = np.arange(length) >= first[:, None]
    common = rng.normal(size=(n, 1)) + rng.normal(size=length)
    return first, D, common + 1.5 * D + rng.normal(size=D.shape), rng.poisson(np.exp(0.3 * common + 0.2 * D)).astype(float)

def long(first, D, Y, counts):
    n, length = Y.shape
    g = np.where(np.isinf(first), 0, first)
    columns = {"unit": np.repeat(np.arange(n), length), "time": np.tile(np.arange(length), n), "y": Y.ravel()}
    return pd.DataFrame(columns | {"c": counts.ravel(), "D": D.ravel().astype(float), "g": np.repeat(g, length).astype(int)})

def best(call, times=5):
    call()
    spent = []
    for _ in range(times):
        start = time.process_time()
        value = call()
        spent.append(time.process_time() - start)
    print(json.dumps({"cpu": min(spent), "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "value": float(value)}))
"""

PANEL = """
from crimepolicy.panel import Panel
n, length = Y.shape
panel = Panel(Y={outcome}, D=D, units=pd.Index(range(n)), periods=pd.Index(range(length)))
"""

IMPUTED = (
    PANEL.format(outcome="Y")
    + "from crimepolicy.did.imputation import imputation as f\nbest(lambda: f(panel, {options}).value)"
)
SWITCHING = """
first, D, Y, counts = wide(2400, 60, 30)
D = D & (np.arange(60) < first[:, None] + 12)
"""

ROWS: dict[str, tuple[str, dict[str, str]]] = {
    "two-way effects, 960,000 rows": (
        "first, D, Y, counts = wide(2400, 400, 30)",
        {
            "crimepolicy": PANEL.format(outcome="Y")
            + "from crimepolicy.did.two_way import two_way_fixed_effects as f\nbest(lambda: f(panel).value)",
            "pyfixest": "import pyfixest as pf\nd = long(first, D, Y, counts)\nbest(lambda: pf.feols('y ~ D | unit + time', d, "
            "vcov={'CRV1': 'unit'}, lean=True, copy_data=False, store_data=False).coef()['D'])",
        },
    ),
    "two-way Poisson, 960,000 rows": (
        "first, D, Y, counts = wide(2400, 400, 30)",
        {
            "crimepolicy": PANEL.format(outcome="counts")
            + "from crimepolicy.did.two_way import two_way_fixed_effects as f\nbest(lambda: f(panel, family='poisson').value)",
            "pyfixest": "import pyfixest as pf\nd = long(first, D, Y, counts)\nbest(lambda: pf.fepois('c ~ D | unit + time', d, "
            "vcov={'CRV1': 'unit'}).coef()['D'])",
        },
    ),
    "group-time, 2,400 x 60 x 30 cohorts": (
        "first, D, Y, counts = wide(2400, 60, 30)",
        {
            "crimepolicy": PANEL.format(outcome="Y")
            + "from crimepolicy.did.group_time import group_time_effects as f\ndef run():\n    effect = f(panel)\n    "
            + "effect.aggregate('event')\n    return effect.value\nbest(run)",
            "diff-diff": "import diff_diff as dd\nd = long(first, D, Y, counts)\nbest(lambda: dd.CallawaySantAnna(n_bootstrap=0)"
            ".fit(d, outcome='y', unit='unit', time='time', first_treat='g').overall_att)",
            "csdid": "import contextlib, io\nfrom csdid.att_gt import ATTgt\nd = long(first, D, Y, counts)\n"
            "def run():\n    with contextlib.redirect_stdout(io.StringIO()):\n        r = ATTgt(yname='y', tname='time', "
            "idname='unit', gname='g', data=d).fit(bstrap=False).aggte(typec='simple')\n    "
            "return r.atte['overall_att']\nbest(run, 2)",
        },
    ),
    "group-time, 2,400 x 60 x 30 cohorts, 999 draws": (
        "first, D, Y, counts = wide(2400, 60, 30)",
        {
            "crimepolicy": PANEL.format(outcome="Y")
            + "from crimepolicy.did.group_time import group_time_effects as f\n"
            + "from crimepolicy.inference.multiplier import multiplier_bootstrap as g\ndef run():\n    effect = f(panel)\n    "
            + "g(effect.aggregate('event'))\n    return g(effect).value\nbest(run, 3)",
            "diff-diff": "import diff_diff as dd\nd = long(first, D, Y, counts)\nbest(lambda: dd.CallawaySantAnna(n_bootstrap=999)"
            ".fit(d, outcome='y', unit='unit', time='time', first_treat='g', aggregate='event_study').overall_att, 3)",
        },
    ),
    "imputation, 2,400 x 60 x 30 cohorts": (
        "first, D, Y, counts = wide(2400, 60, 30)",
        {
            "crimepolicy": IMPUTED.format(options="windows={'all': (0, 99)}"),
            "diff-diff": "import diff_diff as dd\nd = long(first, D, Y, counts)\nbest(lambda: dd.ImputationDiD()"
            ".fit(d, outcome='y', unit='unit', time='time', first_treat='g').overall_att, 3)",
        },
    ),
    "imputation, 2,400 x 60 x 30 cohorts, event study": (
        "first, D, Y, counts = wide(2400, 60, 30)",
        {
            "crimepolicy": IMPUTED.format(options=""),
            "diff-diff": "import diff_diff as dd\nd = long(first, D, Y, counts)\nbest(lambda: dd.ImputationDiD()"
            ".fit(d, outcome='y', unit='unit', time='time', first_treat='g', aggregate='event_study').overall_att, 1)",
        },
    ),
    "imputation, 2,400 x 252": (
        "first, D, Y, counts = wide(2400, 252, 30)",
        {
            "crimepolicy": IMPUTED.format(options="windows={'all': (0, 999)}"),
            "diff-diff": "import diff_diff as dd\nd = long(first, D, Y, counts)\nbest(lambda: dd.ImputationDiD()"
            ".fit(d, outcome='y', unit='unit', time='time', first_treat='g').overall_att, 2)",
        },
    ),
    "Poisson imputation, 2,400 x 252, event study and excess": (
        "first, D, Y, counts = wide(2400, 252, 30)",
        {
            "crimepolicy": PANEL.format(outcome="counts")
            + "from crimepolicy.did.imputation import imputation as f\nbest(lambda: f(panel, family='poisson').excess().value, 3)",
        },
    ),
    "switching on and off, 2,400 x 60, 5 effects, 3 placebos": (
        SWITCHING,
        {
            "crimepolicy": PANEL.format(outcome="Y")
            + "from crimepolicy.did.switching import switching_effects as f\nbest(lambda: f(panel, effects=5, placebos=3).value)",
            "moderndid": "import moderndid as m\nd = long(first, D, Y, counts)\nbest(lambda: m.did_multiplegt(d, yname='y', "
            "tname='time', idname='unit', dname='D', effects=5, placebo=3).ate.estimate, 2)",
        },
    ),
    "randomisation of group-time effects, 32 x 252, 10,000 draws": (
        "first, D, Y, counts = wide(32, 252, 8)",
        {
            "crimepolicy": PANEL.format(outcome="Y")
            + "from crimepolicy.did.group_time import group_time_effects as f\n"
            + "from crimepolicy.inference.randomization import randomization_test as g\n"
            + "from crimepolicy.inference.mechanisms import PermuteSchedules as m\n"
            + "start = time.process_time(); p = g(f(panel), m(), draws=10_000, statistic='value').p_value()\n"
            + "print(json.dumps({'cpu': time.process_time() - start, 'mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "
            + "'value': p}))",
        },
    ),
    "group-time, 2,000 x 20 x 8 cohorts, doubly robust with a covariate": (
        "first, D, Y, counts = wide(2000, 20, 8); x = rng.normal(size=(2000, 1)) @ np.ones((1, 20))",
        {
            "crimepolicy": PANEL.format(outcome="Y").replace(")\n", ", X={'x': x})\n")
            + "from crimepolicy.did.group_time import group_time_effects as f\n"
            "best(lambda: f(panel, method='dr', covariates=('x',)).value)",
            "diff-diff": "import diff_diff as dd\nd = long(first, D, Y, counts).assign(x=x.ravel())\n"
            "best(lambda: dd.CallawaySantAnna(n_bootstrap=0, estimation_method='dr').fit(d, outcome='y', unit='unit', "
            "time='time', first_treat='g', covariates=['x']).overall_att)",
        },
    ),
    "Sun-Abraham, 2,000 x 20 x 8 cohorts": (
        "first, D, Y, counts = wide(2000, 20, 8)",
        {
            "crimepolicy": PANEL.format(outcome="Y")
            + "from crimepolicy.did.interaction_weighted import interaction_weighted as f\nbest(lambda: f(panel).value)",
            "diff-diff": "import diff_diff as dd\nd = long(first, D, Y, counts)\nbest(lambda: dd.SunAbraham()"
            ".fit(d, outcome='y', unit='unit', time='time', first_treat='g').overall_att)",
            "pyfixest": "import pyfixest as pf\nd = long(first, D, Y, counts)\nbest(lambda: pf.event_study(d, yname='y', "
            "idname='unit', tname='time', gname='g', estimator='saturated').aggregate(agg='period')['Estimate'].mean(), 2)",
        },
    ),
}


def measure(python: str, code: str) -> dict[str, float] | str:
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        [python, "-c", SETUP + code], capture_output=True, text=True, check=False, env=environment, timeout=600
    )
    if done.returncode:
        return done.stderr.strip().splitlines()[-1][:60]
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def peers_environment() -> Path:
    """Make an environment with the newest peers, and return its interpreter."""
    folder = Path(tempfile.mkdtemp(prefix="peers-"))
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="interpreter of the peers' environment")
    parser.add_argument("words", nargs="*", help="only rows with one of these words")
    asked = parser.parse_args()
    peers = str(asked.peers or peers_environment())
    print("| task | package | CPU s | MB | ours / peer | estimate |\n|---|---|---|---|---|---|")
    for task, (data, calls) in ROWS.items():
        if asked.words and not any(word in task for word in asked.words):
            continue
        ours = measure(sys.executable, f"{data}\n{calls['crimepolicy']}")
        for name, call in calls.items():
            found = ours if name == "crimepolicy" else measure(peers, f"{data}\n{call}")
            if isinstance(found, str) or isinstance(ours, str):
                print(f"| {task} | {name} | {found} | | | |")
                continue
            ratio = "" if name == "crimepolicy" else f"{ours['cpu'] / found['cpu']:.2f}"
            print(
                f"| {task} | {name} | {found['cpu']:.3f} | {found['mb']:.0f} | {ratio} | {found['value']:.6f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
