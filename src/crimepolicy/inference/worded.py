"""Tables and lists that say what they found when they are printed."""

from typing import Any

import pandas as pd

from crimepolicy.estimate import Check

__all__ = ["Checks", "WordedFrame"]


class WordedFrame(pd.DataFrame):
    """A frame whose `text` is printed above it; what is derived from it is a plain frame.

    Examples
    --------
    >>> print(WordedFrame({"p": [0.5]}, text="Nothing found."))
    Nothing found.
         p
    0  0.5
    """

    _metadata = ["text"]  # noqa: RUF012

    def __init__(self, *args: Any, text: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.text = text

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def sentence(self) -> str:
        """Return the finding in plain language."""
        return self.text

    def __repr__(self) -> str:
        return f"{self.text}\n{super().__repr__()}"

    __str__ = __repr__


class Checks(tuple[Check, ...]):
    """Checks that are printed as sentences, a line each."""

    __slots__ = ()

    def sentence(self) -> str:
        """Return the checks as lines."""
        return "\n".join(map(str, self))

    def __repr__(self) -> str:
        return self.sentence()

    __str__ = __repr__
