"""One archive that is the same, byte for byte, whenever its files are."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["write_archive"]

_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that the format knows: a date of building would change every time."""


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write files by name into a zip archive, in the order of their names; the name appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{path.stem}/{name}", _DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            # Otherwise the archive would say on which kind of system it was made.
            entry.create_system = 3
            archive.writestr(entry, files[name])
    unfinished.replace(path)
