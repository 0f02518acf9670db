"""Locate the input files of a source, always with a checked hash."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

from crimepolicy.data.paths import mirror_folder, raw_folder
from crimepolicy.data.records import Source, SourceFile, read_source
from crimepolicy.errors import DataError

__all__ = ["fetch"]

_CHUNK = 2**20
_PATIENCE = 60.0
"""Seconds without an answer after which a server counts as silent."""


def fetch(
    source: str,
    *,
    mirror: Path | None = None,
    cache: Path | None = None,
    records: Path | None = None,
) -> dict[str, Path]:
    """Return the input files of a source by file name, each with its hash verified.

    A file that we compiled lies in the checkout; any other file is taken from the local mirror
    ($CRIMEPOLICY_MIRROR) or, where the source record gives an address, downloaded once into the
    cache. A download is announced on standard error and appears under its name only when it is
    complete and its hash agrees.

    Parameters
    ----------
    source : str
        Identifier of the source, see `datasets`.
    mirror : Path, optional
        Folder to use instead of the configured mirror.
    cache : Path, optional
        Folder for downloads, by default the user's cache folder.
    records : Path, optional
        Folder with the source records, by default that of the checkout or of the package.

    Returns
    -------
    dict of str to Path

    Raises
    ------
    DataError
        If a file cannot be found or downloaded, or does not have the recorded hash.

    Examples
    --------
    >>> from crimepolicy.data import fetch
    >>> sorted(fetch("kingpins-mexico"))  # doctest: +SKIP
    ['kingpins.csv']
    """
    record = read_source(source, records)
    own = raw_folder() if records is None else records
    base = mirror_folder() if mirror is None else mirror
    return {file.name: _resolve(record, file, own, base, cache) for file in record.files}


def _resolve(record: Source, file: SourceFile, own: Path | None, mirror: Path | None, cache: Path | None) -> Path:
    found = _local(record, file, own, mirror)
    if found is not None:
        _verify(record, file, found)
        return found
    if file.download is None:
        raise DataError(_absent(record, file, mirror))
    return _download(record, file, cache)


def _local(record: Source, file: SourceFile, own: Path | None, mirror: Path | None) -> Path | None:
    if file.provided:
        places = [] if own is None else [own / record.id / file.path]
    else:
        # The mirror may be named with or without its data folder.
        places = [] if mirror is None else [mirror / "data" / file.path, mirror / file.path]
    return next((place for place in places if place.is_file()), None)


def _verify(record: Source, file: SourceFile, path: Path) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"{path} of source {record.id!r} has sha256 {found}, recorded is {file.sha256}. "
            "It is a different release or damaged: restore the recorded file, or update "
            f"data/raw/{record.id}/source.toml and review what the build changes."
        )


def _absent(record: Source, file: SourceFile, mirror: Path | None) -> str:
    if file.provided:
        return f"{file.name} of source {record.id!r} is kept in a checkout of the repository only."
    where = "no mirror is configured" if mirror is None else f"it is not in the mirror {mirror}"
    return (
        f"{file.path} of source {record.id!r}: {where}, and the record gives no address to "
        f"download it from. Set $CRIMEPOLICY_MIRROR to a folder that holds it, or rebuild it from "
        f"the publisher ({record.url}) as data/raw/{record.id}/source.toml describes."
    )


def _bounded(size: int) -> Callable[[str, str, object], None]:
    """Return a downloader that stops at the recorded size, so that no server can fill the disk."""

    def download(url: str, target: str, _: object) -> None:
        if not url.startswith(("https://", "http://")):
            raise DataError(f"{url} is no web address")
        with urlopen(url, timeout=_PATIENCE) as answer, Path(target).open("wb") as file:
            # One byte more tells a file that is too long from one that is just right.
            left = size + 1
            while left and (chunk := answer.read(min(left, _CHUNK))):
                file.write(chunk)
                left -= len(chunk)
        if left != 1:
            raise DataError(f"the server sent {'more' if not left else 'fewer'} than the recorded {size:,} bytes")

    return download


def _download(record: Source, file: SourceFile, cache: Path | None) -> Path:
    try:
        import pooch
    except ModuleNotFoundError:
        raise DataError("Downloading needs pooch: pip install 'crimepolicy[data]'.") from None
    folder = Path(pooch.os_cache("crimepolicy")) if cache is None else cache
    try:
        path = pooch.retrieve(
            url=file.download, known_hash=f"sha256:{file.sha256}", fname=file.name,
            path=folder / record.id, downloader=_bounded(file.bytes),
        )  # fmt: skip
    except Exception as problem:
        raise DataError(
            f"Could not download {file.name} of source {record.id!r} from {file.download}: "
            f"{type(problem).__name__}: {problem}"
        ) from problem
    return Path(path)
