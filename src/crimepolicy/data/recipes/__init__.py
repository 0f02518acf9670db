"""One function per processed table: tidy readers, then meaning, then the panel."""

from collections.abc import Callable

import polars as pl

from crimepolicy.data.recipes import brazil, colombia, literature, mexico, regional

__all__ = ["recipes"]


def recipes() -> dict[str, Callable[[], pl.LazyFrame]]:
    """Return the maker of every processed table by its name."""
    return {**mexico.RECIPES, **brazil.RECIPES, **colombia.RECIPES, **regional.RECIPES, **literature.RECIPES}
