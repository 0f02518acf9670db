"""Time randomisation inference on the kingpin design: municipality months, Poisson imputation, removals redrawn in time.

Run from the repository: ``PYTHONPATH=. python benchmarks/doubt/randomization.py [draws] [workers]``.
"""

import sys
from os import getloadavg
from time import perf_counter, process_time

from record import record

from analyses import settings
from analyses.kingpins import mechanisms
from analyses.mexico import kingpin_sample, official_inputs
from crimepolicy.did.imputation import imputation
from crimepolicy.inference.randomization import randomization_test


def main(draws: int, workers: int) -> None:
    section = settings.plan().section("kingpins")
    inputs = official_inputs(section)
    panel = kingpin_sample(inputs, section).panel
    effect = imputation(panel, family="poisson", windows=section["main"]["windows"])
    how = mechanisms(panel, inputs, section)["dates"]
    lines = [str(panel), f"average load before: {getloadavg()[0]:.1f}"]
    for statistic in ("studentised", "value"):
        start, processor = perf_counter(), process_time()
        test = randomization_test(effect, how, draws=draws, statistic=statistic, n_jobs=workers)
        spent = f", {process_time() - processor:.0f} s of one processor" if workers == 1 else ""
        lines.append(
            f"{statistic:11s} {draws:,} draws, {workers} workers: {perf_counter() - start:.0f} s{spent}; p = {test.p_value():.4f}"
        )
    record("Randomisation: the kingpin design", "\n".join(lines))


if __name__ == "__main__":
    main(*(int(v) for v in [*sys.argv[1:], "10000", "2"][:2]))
