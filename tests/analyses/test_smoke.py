"""The analyses on an invented country: the whole line, its determinism, and what it finds there."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def world():
    from analyses.settings import plan
    from analyses.synthetic import synthetic_inputs

    section = plan().section("kingpins")
    return synthetic_inputs(section), section


def test_the_sample_is_clean(world):
    from analyses.mexico import kingpin_sample

    inputs, section = world
    sample = kingpin_sample(inputs, section)
    hit = set(inputs.events["unit"])
    border = {b for a, b in inputs.borders.itertuples(index=False) if a in hit} | {
        a for a, b in inputs.borders.itertuples(index=False) if b in hit
    }
    assert not set(sample.controls) & (hit | border)
    assert set(sample.treated) == set(inputs.events.loc[inputs.events["rank"] == "leader", "unit"])
    started = [sample.panel.periods[k] for k in sample.panel.D.argmax(axis=1)[sample.panel.D.any(axis=1)]]
    dates = sample.events.set_index("unit").loc[sample.treated, "date"].dt.to_period("M")
    assert started == list(dates)


def test_the_flow_adds_up(world):
    from analyses.mexico import kingpin_sample

    sample = kingpin_sample(*world)
    for what, used in (("removals", len(sample.treated)), ("municipalities", len(sample.controls))):
        steps = [row for row in sample.flow if row["of"] == what]
        assert steps[0]["kept"] - sum(row["left_out"] for row in steps) == used
        assert all(before["kept"] - after["left_out"] == after["kept"] for before, after in pairwise(steps))


def test_the_known_effect_is_found_by_every_estimator(world):
    from analyses.kingpins import specification_numbers

    inputs, section = world
    for entry in section["specification"]:
        found = specification_numbers(inputs, section, entry)
        assert "failed" not in found, found
        window = found["windows"]["m0_5"]
        assert window["low"] < 1.4 < window["high"], (entry["name"], window)


def test_a_specification_that_cannot_be_computed_is_a_row(world):
    from analyses.kingpins import specification_numbers

    inputs, section = world
    found = specification_numbers(inputs, section, {"name": "none", "label": "No event", "events_start": "2030-01-01"})
    assert found["windows"] == {}
    assert found["failed"]


def test_the_deciding_interval_is_the_widest(world):
    from analyses.kingpins import effect_numbers

    inputs, section = world
    window = effect_numbers(inputs, section, {}, draws=9, seed=0)["windows"]["m0_5"]
    spread = max(window["uncertainty"][key] for key in ("sd_dates", "sd_places"))
    assert window["decision"]["low"] <= np.exp(window["log"] - 1.95 * spread)
    assert window["decision"]["low"] < window["decision"]["value"] < window["decision"]["high"]
    observed, expected = window["deaths"]["observed"], window["deaths"]["expected"]
    assert window["decision"]["value"] == pytest.approx(observed / expected)
    assert window["deaths"]["added"] == pytest.approx(observed - expected)


def test_numbers_do_not_depend_on_the_hash_seed(tmp_path):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from analyses import kingpins, settings\n"
        "from analyses.effects import SIMULATED\n"
        "from analyses.synthetic import synthetic_inputs\n"
        "section = settings.plan().section('kingpins')\n"
        "inputs = synthetic_inputs(section)\n"
        "numbers = {'effects': kingpins.effect_numbers(inputs, section, {'controls': 'matched'}, draws=5, seed=1)}\n"
        "numbers['sample'] = kingpins.sample_numbers(inputs, section)\n"
        "settings.publish(Path(sys.argv[2]), 'kingpins', numbers, SIMULATED)\n"
    )
    files = []
    for seed in ("0", "1"):
        file = tmp_path / seed / "numbers.json"
        environment = os.environ | {"PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-c", script, str(ROOT), str(file)], check=True, env=environment)
        files.append(file.read_bytes())
    assert files[0] == files[1]


def test_seeds_differ_between_tasks_and_do_not_depend_on_order():
    from analyses.settings import seed_of

    assert seed_of("kingpins_main") == seed_of("kingpins_main")
    assert seed_of("kingpins_main") != seed_of("kingpins_matched")


def test_published_numbers_carry_the_plan_that_they_were_made_under():
    from analyses.settings import RESULTS, plan

    for file in sorted(RESULTS.glob("kingpins_*.json")):
        stamp = json.loads(file.read_text())["plan"]
        assert stamp["digest"] == plan().digest(stamp["section"]), file.name
