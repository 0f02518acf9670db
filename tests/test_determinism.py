"""Same input, same bits: nothing passes through the order of a set, a hash or a task."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crimepolicy as cp

# One estimate of each family, the resampled ones included.
ESTIMATORS: dict[str, dict[str, Any]] = {
    "group_time_effects": {},
    "imputation": {"family": "poisson"},
    "interaction_weighted": {},
    "switching_effects": {},
    "synthetic_did": {"variance": "jackknife"},
    "two_way_fixed_effects": {"family": "poisson"},
}
SEEDS = ("0", "4242")


def table() -> pd.DataFrame:
    """Twelve cities over ten years; three adopt in year 5 and three in year 7."""
    rng = np.random.default_rng(20261123)
    cities, years = [f"city {letter}" for letter in "abcdefghijkl"], range(2001, 2011)
    frame = pd.DataFrame([(city, year) for city in cities for year in years], columns=["city", "year"])
    place = frame["city"].map({city: i for i, city in enumerate(cities)})
    frame["adopted"] = place.map(lambda i: 2005.0 if i < 3 else 2007.0 if i < 6 else np.nan)
    frame["population"] = 50_000 + 10_000 * place
    rate = np.exp(-7.5 + 0.1 * place - 0.2 * (frame["year"] >= frame["adopted"]))
    frame["homicides"] = rng.poisson(rate * frame["population"])
    frame["state"] = place.mod(4).map(str)
    return frame


def panel() -> cp.Panel:
    return cp.Panel.from_frame(
        table(),
        unit="city",
        time="year",
        outcome="homicides",
        first_treated="adopted",
        population="population",
        cluster="state",
    )


def numbers() -> dict[str, Any]:
    """Everything that must be the same in every process, down to the last bit."""
    subject = panel()
    estimates = {name: getattr(cp, name)(subject, **options).to_dict() for name, options in ESTIMATORS.items()}
    bootstrap = cp.multiplier_bootstrap(cp.group_time_effects(subject), seed=3).to_dict()
    estimates["multiplier_bootstrap"] = bootstrap
    dealt = cp.randomization_test(cp.two_way_fixed_effects(subject), cp.PermuteSchedules(), draws=19)
    estimates["randomization_test"] = dealt.to_dict()
    return {"digest": subject.digest, "checks": [str(check) for check in subject.checks], **estimates}


@pytest.fixture(scope="module")
def outputs() -> list[str]:
    """The numbers as JSON text from one fresh process for each hash seed."""
    environments = [os.environ | {"PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": "1"} for seed in SEEDS]
    command = [sys.executable, str(Path(__file__).resolve())]
    done = [subprocess.run(command, env=env, capture_output=True, text=True, check=True) for env in environments]
    return [process.stdout for process in done]


def test_numbers_are_the_same_bits_under_two_hash_seeds(outputs: list[str]) -> None:
    first, second = outputs
    assert json.loads(first).keys() >= {"digest", "checks"} | ESTIMATORS.keys()
    assert first == second


def test_digest_does_not_depend_on_the_order_of_the_rows() -> None:
    shuffled = table().sample(frac=1, random_state=7)
    other = cp.Panel.from_frame(
        shuffled,
        unit="city",
        time="year",
        outcome="homicides",
        first_treated="adopted",
        population="population",
        cluster="state",
    )
    assert other.digest == panel().digest


if __name__ == "__main__":
    print(json.dumps(numbers(), sort_keys=True))
