"""Folders of the packaged tables, of the compiled sources and of the local mirror."""

import os
from pathlib import Path

from crimepolicy.errors import DataError

__all__ = ["checkout", "mirror_folder", "processed_folder", "raw_folder"]

_HERE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """Return the top folder of the repository, or None in an installed wheel."""
    top = _HERE.parents[2]
    return top if (top / "data" / "processed").is_dir() else None


def processed_folder() -> Path:
    """Return the folder with the processed tables and their dictionaries.

    Raises
    ------
    DataError
        If neither the installed package nor a checkout holds the folder.
    """
    packaged = _HERE / "processed"
    top = checkout()
    if packaged.is_dir():
        return packaged
    if top is not None:
        return top / "data" / "processed"
    raise DataError(f"No processed tables at {packaged}. Reinstall crimepolicy.")


def raw_folder() -> Path | None:
    """Return the folder of source records and compiled event tables (checkout only)."""
    top = checkout()
    return None if top is None else top / "data" / "raw"


def mirror_folder() -> Path | None:
    """Return the local mirror: $CRIMEPOLICY_MIRROR, else a sibling of the checkout.

    Raises
    ------
    DataError
        If $CRIMEPOLICY_MIRROR is set to something that is not a folder.
    """
    named = os.environ.get("CRIMEPOLICY_MIRROR")
    if named:
        if not Path(named).is_dir():
            raise DataError(f"$CRIMEPOLICY_MIRROR={named!r} is not a folder.")
        return Path(named)
    top = checkout()
    sibling = None if top is None else top.parent / "shared"
    return sibling if sibling is not None and sibling.is_dir() else None
