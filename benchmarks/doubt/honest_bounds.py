"""Time honest bounds on the Lovenheim-Willen event study beside the times recorded for the R package.

Run from the repository: ``python benchmarks/doubt/honest_bounds.py``. Needs the local mirror (CRIMEPOLICY_MIRROR).
"""

import json
import os
from pathlib import Path
from time import process_time

import numpy as np
from record import record

from crimepolicy.sensitivity.event_path import EventPath
from crimepolicy.sensitivity.honest import Session
from crimepolicy.sensitivity.restrictions import relative_magnitudes, smoothness

ROOT = Path(__file__).resolve().parents[2]
MIRROR = Path(os.environ.get("CRIMEPOLICY_MIRROR", ROOT.parent / "shared"))
FAMILIES = {"smoothness": smoothness, "relative_magnitudes": relative_magnitudes}


def seconds(case: dict, path: np.ndarray, covariance: np.ndarray) -> float:
    """Return the CPU time of one interval, draws and vertices included."""
    n = 9 + case["n_post"]
    start = process_time()
    event_path = EventPath(path[:n], covariance[:n, :n], np.eye(case["n_post"])[case["target"]], 9, "", ())
    Session.start(event_path, case["level"], case["method"], 0).row(FAMILIES[case["restriction"]](case["M"]))
    return process_time() - start


def main() -> None:
    folder = MIRROR / "references" / "data"
    path = np.loadtxt(folder / "LWdata_EventStudy_betahat.csv.gz", delimiter=",")
    covariance = np.loadtxt(folder / "LWdata_EventStudy_sigma.csv.gz", delimiter=",")
    known = json.loads((ROOT / "tests" / "references" / "honest_bounds_lw.json").read_text(encoding="utf-8"))
    seconds(known["grid"]["cases"][0], path, covariance)
    lines = [f"{'restriction':20s} {'method':12s} {'M':>5s} {'R, s':>8s} {'here, s':>8s} {'ratio':>6s}"]
    for case in known["grid"]["cases"]:
        ours = min(seconds(case, path, covariance) for _ in range(3))
        lines.append(
            f"{case['restriction']:20s} {case['method']:12s} {case['M']:5.1f} {case['cpu_seconds']:8.2f} {ours:8.3f} {case['cpu_seconds'] / ours:6.0f}"
        )
    record("Honest bounds: processor seconds beside those recorded for HonestDiD 0.2.6", "\n".join(lines))


if __name__ == "__main__":
    main()
