"""Input files: always verified, never half written, never silently replaced."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from crimepolicy.data import fetch
from crimepolicy.errors import DataError

CONTENT = b"unit,deaths\na,3\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()

RECORD = """
producer = "An office"
title = "Deaths"
citation = "An office, Deaths."
url = "https://example.org"
url_checked = false
published = "2020"
accessed = 2026-11-23
measures = "deaths"
processing = "none"
[licence]
name = "CC0"
url = ""
redistribute = true
[[file]]
path = "country/deaths.csv"
sha256 = "{digest}"
bytes = 16
{more}
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "deaths.csv").write_bytes(CONTENT)
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def records(tmp_path: Path, digest: str = DIGEST, more: str = "") -> Path:
    folder = tmp_path / "raw"
    (folder / "an-office").mkdir(parents=True)
    (folder / "an-office" / "source.toml").write_text(RECORD.format(digest=digest, more=more))
    return folder


def mirror(tmp_path: Path, below: str = "") -> Path:
    folder = tmp_path / "mirror" / below / "country"
    folder.mkdir(parents=True)
    (folder / "deaths.csv").write_bytes(CONTENT)
    return tmp_path / "mirror"


@pytest.mark.parametrize("below", ["", "data"])
def test_mirror_may_be_named_with_or_without_its_data_folder(tmp_path: Path, below: str) -> None:
    found = fetch("an-office", mirror=mirror(tmp_path, below), records=records(tmp_path))
    assert found["deaths.csv"].read_bytes() == CONTENT


def test_changed_file_in_the_mirror_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has sha256 .* recorded is 0000"):
        fetch("an-office", mirror=mirror(tmp_path), records=records(tmp_path, digest="0" * 64))


def test_absent_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not in the mirror .*CRIMEPOLICY_MIRROR"):
        fetch("an-office", mirror=tmp_path, records=records(tmp_path))


def test_provided_file_lies_beside_its_record(tmp_path: Path) -> None:
    folder = records(tmp_path, more="provided = true")
    (folder / "an-office" / "country").mkdir()
    (folder / "an-office" / "country" / "deaths.csv").write_bytes(CONTENT)
    assert fetch("an-office", records=folder)["deaths.csv"].parent.name == "country"


def test_download_is_verified_and_kept(tmp_path: Path, server: str) -> None:
    folder = records(tmp_path, more=f'download = "{server}/deaths.csv"')
    path = fetch("an-office", mirror=tmp_path / "none", cache=tmp_path / "cache", records=folder)["deaths.csv"]
    assert path.read_bytes() == CONTENT
    (tmp_path / "served" / "deaths.csv").unlink()
    again = fetch("an-office", mirror=tmp_path / "none", cache=tmp_path / "cache", records=folder)["deaths.csv"]
    assert again == path


def test_wrong_download_leaves_nothing_behind(tmp_path: Path, server: str) -> None:
    folder = records(tmp_path, digest="0" * 64, more=f'download = "{server}/deaths.csv"')
    with pytest.raises(DataError, match=r"Could not download deaths\.csv of source 'an-office'"):
        fetch("an-office", mirror=tmp_path / "none", cache=tmp_path / "cache", records=folder)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_unreachable_address_names_the_problem(tmp_path: Path, server: str) -> None:
    folder = records(tmp_path, more=f'download = "{server}/absent.csv"')
    with pytest.raises(DataError, match=r"absent\.csv.*404"):
        fetch("an-office", mirror=tmp_path / "none", cache=tmp_path / "cache", records=folder)


def test_unknown_source_suggests_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean 'conapo-population'"):
        fetch("conapo-popultion")


def test_incomplete_record_names_the_field(tmp_path: Path) -> None:
    folder = records(tmp_path)
    path = folder / "an-office" / "source.toml"
    path.write_text(path.read_text().replace('published = "2020"\n', ""))
    with pytest.raises(DataError, match="lacks 'published'"):
        fetch("an-office", records=folder)


def test_configured_mirror_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRIMEPOLICY_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="is not a folder"):
        fetch("an-office", records=records(tmp_path))
