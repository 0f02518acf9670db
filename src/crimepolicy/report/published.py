"""The published claims: their records, the plan, the numbers, and the verdict on each."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from crimepolicy.claims.claim import Claim, read_claims
from crimepolicy.claims.plan import Plan, read_plan
from crimepolicy.claims.verdict import Verdict, judge
from crimepolicy.data.paths import checkout
from crimepolicy.errors import ClaimError, DataError, suggest
from crimepolicy.report.numbers import read_results

__all__ = ["Published", "published_claims"]


@dataclass(frozen=True)
class Published:
    """Claims with the plan and the numbers that they are judged by.

    Attributes
    ----------
    claims : tuple of Claim
        Every registered claim, in the order of its files.
    plan : Plan
        The plan with its dated deviations.
    results : mapping of str to mapping
        Published numbers by file.
    """

    claims: tuple[Claim, ...]
    plan: Plan
    results: dict[str, dict[str, Any]]

    @cached_property
    def waiting(self) -> tuple[Claim, ...]:
        """Claims whose headline is not published yet."""
        return tuple(claim for claim in self.claims if claim.headline.split(".")[0] not in self.results)

    def claim(self, name: str) -> Claim:
        """Return one claim by its identifier, or raise and suggest the nearest."""
        found = [claim for claim in self.claims if claim.id == name]
        if not found:
            raise ClaimError(f"There is no claim {name!r}.{suggest(name, [claim.id for claim in self.claims])}")
        return found[0]

    def verdict(self, name: str) -> Verdict:
        """Return the verdict on one claim, computed from its criteria and the published numbers."""
        claim = self.claim(name)
        if claim in self.waiting:
            raise ClaimError(
                f"{name} has no verdict yet: its criteria are fixed, and the numbers {claim.headline.split('.')[0]!r} are not published."
            )
        return judge(claim, self.results, plan=self.plan)


def published_claims(folder: Path | str | None = None) -> Published:
    """Return the claims, the plan and the published numbers.

    Parameters
    ----------
    folder : path, optional
        Folder with ``claims/``, ``results/`` and ``plan.toml``; by default ``analyses`` of the checkout, else what the
        package brought along.

    Returns
    -------
    Published

    Raises
    ------
    DataError
        Where there is no such folder.
    ClaimError
        Where a record is malformed.

    Examples
    --------
    >>> published_claims().verdict("K01a").label in ("supported", "refuted", "inconclusive", "not identified")
    True
    """
    place = _folder() if folder is None else Path(folder)
    if not (place / "plan.toml").is_file():
        raise DataError(f"There are no published claims in {place}: no plan.toml. Reinstall crimepolicy.")
    files = sorted((place / "claims").glob("*.toml"))
    claims = tuple(claim for file in files for claim in read_claims(file))
    return Published(claims, read_plan(place / "plan.toml"), read_results(place / "results"))


def _folder() -> Path:
    top = checkout()
    # The checkout comes first, so that a claim just published shows at once.
    return top / "analyses" if top is not None else Path(__file__).resolve().parents[1] / "claims" / "published"
