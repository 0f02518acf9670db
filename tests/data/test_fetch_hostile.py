"""Downloads from servers that cut, change, swell, stall and crowd: the recorded file, or an error and nothing left."""

import hashlib
import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest

from crimepolicy.data import fetch
from crimepolicy.errors import DataError
from tests.data.test_fetch import RECORD

CONTENT = bytes(range(256)) * 64
DIGEST = hashlib.sha256(CONTENT).hexdigest()
ENDLESS = 2_000


class Hostile(http.server.BaseHTTPRequestHandler):
    """Serves the content, or what its path says instead."""

    sent = 0

    def log_message(self, *_: object) -> None:
        return

    def head(self, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def do_GET(self) -> None:
        kind = self.path.strip("/").split("/")[0]
        if kind == "refuse":
            self.send_error(500)
        elif kind == "swell":
            self.swell()
        elif kind == "silent":
            time.sleep(1.5)
        elif kind == "slow":
            self.head(len(CONTENT))
            for start in range(0, len(CONTENT), 4096):
                self.wfile.write(CONTENT[start : start + 4096])
                time.sleep(0.02)
        else:
            body = {"truncate": CONTENT[:-1], "corrupt": b"x" + CONTENT[1:], "empty": b""}.get(kind, CONTENT)
            self.head(len(CONTENT) if kind in ("good", "cut") else len(body))
            self.wfile.write(body[: len(body) // 2] if kind == "cut" else body)

    def swell(self) -> None:
        self.head(None)
        Hostile.sent = 0
        try:
            for _ in range(ENDLESS):
                self.wfile.write(CONTENT)
                Hostile.sent += 1
        except OSError:
            return


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function: address -> the fetched file."""

    def run(address: str, path: str = "country/deaths.csv") -> Path:
        folder = tmp_path / "raw"
        (folder / "an-office").mkdir(parents=True, exist_ok=True)
        record = RECORD.format(digest=DIGEST, more=f'download = "{address}"')
        record = record.replace("bytes = 16", f"bytes = {len(CONTENT)}").replace("country/deaths.csv", path)
        source = folder / "an-office" / "source.toml"
        if (
            not source.exists() or source.read_text() != record
        ):  # several threads fetch: none may read a half-written record
            source.write_text(record)
        (found,) = fetch("an-office", mirror=tmp_path / "none", cache=tmp_path / "cache", records=folder).values()
        return found

    return run


def left_behind(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", ["truncate", "cut", "corrupt", "empty", "swell", "refuse"])
def test_a_bad_answer_is_an_error_and_leaves_nothing(
    kind: str, attempt: Callable[[str], Path], server: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"Could not download deaths\.csv of source 'an-office'"):
        attempt(f"{server}/{kind}/deaths.csv")
    assert left_behind(tmp_path) == []
    assert attempt(f"{server}/good/deaths.csv").read_bytes() == CONTENT


def test_an_endless_answer_is_cut_off_at_the_recorded_size(attempt: Callable[[str], Path], server: str) -> None:
    with pytest.raises(DataError, match=f"more than the recorded {len(CONTENT):,} bytes"):
        attempt(f"{server}/swell/deaths.csv")
    assert Hostile.sent < ENDLESS


def test_a_silent_server_is_given_up(
    attempt: Callable[[str], Path], server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(import_module("crimepolicy.data.fetch"), "_PATIENCE", 0.2)
    with pytest.raises(DataError, match=r"[Tt]ime"):
        attempt(f"{server}/silent/deaths.csv")
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("path", ["../../../evil.csv", "/etc/evil.csv", "a/../../evil.csv"])
def test_a_path_that_climbs_stays_inside_the_cache(
    path: str, attempt: Callable[..., Path], server: str, tmp_path: Path
) -> None:
    found = attempt(f"{server}/good/x", path)
    assert found == tmp_path / "cache" / "an-office" / "evil.csv"
    assert left_behind(tmp_path) == [found]


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://127.0.0.1/x", "deaths.csv"])
def test_only_web_addresses_are_opened(address: str, attempt: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Could not download"):
        attempt(address)
    assert left_behind(tmp_path) == []


def test_several_at_once_get_the_same_whole_file(attempt: Callable[[str], Path], server: str, tmp_path: Path) -> None:
    attempt(f"{server}/slow/deaths.csv").unlink()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: attempt(f"{server}/slow/deaths.csv").read_bytes(), range(4)))
    assert found == [CONTENT] * 4
    assert len(left_behind(tmp_path)) == 1


def test_a_cache_that_cannot_be_written_is_named(attempt: Callable[[str], Path], server: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="Could not download"):
        attempt(f"{server}/good/deaths.csv")


FULL = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from crimepolicy.data import fetch
from crimepolicy.errors import DataError
try:
    fetch("an-office", mirror=Path("none"), cache=Path("cache"), records=Path("raw"))
except DataError as problem:
    sys.exit(0 if "File too large" in str(problem) else str(problem))
sys.exit("no error")
"""


def test_a_full_disk_is_an_error_and_leaves_nothing(
    attempt: Callable[[str], Path], server: str, tmp_path: Path
) -> None:
    pytest.importorskip("resource", reason="limits of file size are a matter of POSIX")
    with pytest.raises(DataError):
        attempt(f"{server}/refuse/deaths.csv")
    record = tmp_path / "raw" / "an-office" / "source.toml"
    record.write_text(record.read_text().replace("/refuse/", "/good/"))
    done = subprocess.run([sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert left_behind(tmp_path) == []
