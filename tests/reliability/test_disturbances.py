"""A full disk, a home that cannot be written, two runs at once, and files that one should not trust."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crimepolicy.report.numbers import read_numbers, write_numbers

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "crimepolicy"


def python(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )  # fmt: skip


FULL = """
import resource, sys
from pathlib import Path
from crimepolicy.report.numbers import write_numbers
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_numbers(Path("numbers.json"), {"values": list(range(100_000))})
except OSError as problem:
    sys.exit(0 if "File too large" in str(problem) else str(problem))
sys.exit("no error")
"""


def test_a_full_disk_leaves_the_old_numbers_whole(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="limits of file size are a matter of POSIX")
    write_numbers(tmp_path / "numbers.json", {"values": [1, 2, 3]})
    done = python(FULL, tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_numbers(tmp_path / "numbers.json") == {"values": [1, 2, 3]}
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.json"]


WRITER = """
import sys
from pathlib import Path
from crimepolicy.report.numbers import write_numbers
for turn in range(60):
    write_numbers(Path("numbers.json"), {"who": sys.argv[0], "values": [turn] * 2_000})
"""


def test_two_runs_at_once_never_show_half_a_file(tmp_path: Path) -> None:
    write_numbers(tmp_path / "numbers.json", {"values": [0] * 2_000})
    writers = [subprocess.Popen([sys.executable, "-c", WRITER], cwd=tmp_path) for _ in range(2)]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        values = read_numbers(tmp_path / "numbers.json")["values"]
        assert len(values) == 2_000
        assert len(set(values)) == 1
        seen += 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.json"]


HOMELESS = """
import crimepolicy as cp
panel = cp.load_panel("brazil_state_year").rate().treat(["SP"], at=1999)
effect = cp.synthetic_control(panel, v="equal")
effect.plot().figure.savefig("effect.svg")
print(effect.value)
"""


def test_a_home_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    # A file stands where the folder should be, so that not even a superuser can write into it.
    home = tmp_path / "home"
    home.write_text("")
    done = python(HOMELESS, tmp_path, HOME=str(home), XDG_CACHE_HOME=str(home), XDG_CONFIG_HOME=str(home))
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0
    assert (tmp_path / "effect.svg").is_file()


def test_nothing_unpickles_or_evaluates_what_it_reads() -> None:
    dangerous = re.compile(
        r"\bpickle\b|\bmarshal\b|\bshelve\b|joblib\.load|read_pickle|allow_pickle=True|yaml\.(?:unsafe_)?load\b"
        r"|(?<![\w.])(?:eval|exec)\(|os\.system|shell=True|extractall|unpack_archive"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if dangerous.search(line)
    ]
    assert found == []


def test_every_locked_requirement_has_its_hashes() -> None:
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text("utf-8").strip())
    assert len(blocks) > 100
    assert [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_estimate_in_a_file_is_plain_text(tmp_path: Path) -> None:
    """What is saved is JSON: reading it can give wrong values and never runs anything."""
    import crimepolicy as cp

    panel = cp.load_panel("brazil_state_year").rate().treat(["SP"], at=1999)
    effect = cp.two_way_fixed_effects(panel)
    back = cp.Estimate.from_dict(json.loads(json.dumps(effect.to_dict())))
    assert back.value == effect.value
    assert back.fit is None
