"""`crimepolicy claims` and `crimepolicy verdict`."""

from typing import Annotated, Any

import typer

from crimepolicy.claims.claim import Claim
from crimepolicy.claims.verdict import Verdict
from crimepolicy.cli.showing import AsJson, show_json, show_table
from crimepolicy.errors import ClaimError
from crimepolicy.report.published import Published, published_claims

__all__ = ["LIST_EXAMPLES", "VERDICT_EXAMPLES", "claims", "verdict"]

LIST_EXAMPLES = """\b
Examples:
  crimepolicy claims
  crimepolicy claims --json
"""
VERDICT_EXAMPLES = """\b
Examples:
  crimepolicy verdict K01a
  crimepolicy verdict P01b --json
"""


def claims(as_json: AsJson = False) -> None:
    """List the claims with their verdicts, computed from the published numbers."""
    ledger = published_claims()
    rows = [_row(claim, ledger) for claim in ledger.claims]
    if as_json:
        show_json(rows)
    else:
        show_table(rows, ["claim", "verdict", "value", "low", "high", "scale", "title"])


def verdict(
    claim: Annotated[str, typer.Argument(help="Identifier of a claim, as `claims` lists them.")],
    as_json: AsJson = False,
) -> None:
    """Show a verdict with its criteria, the numbers behind them, and what would overturn it."""
    found = published_claims().verdict(claim)
    if as_json:
        show_json(_record(found))
        return
    typer.echo(f"{found.claim.id}. {found.claim.statement}\n\n{found.sentence}\n")
    show_table([_criterion(finding) for finding in found.findings], ["criterion", "holds", "number", "asked", "why"])
    typer.echo(f"\nIdentified if: {found.claim.identified or 'always'}")
    typer.echo(f"Supported if:  {found.claim.supported}")
    typer.echo(f"Refuted if:    {found.claim.refuted}")
    typer.echo(f"Overturned by: {found.claim.overturn}")
    for entry in found.deviations:
        typer.echo(f"Deviation of {entry['date']}: {entry['what']} ({entry['why']})")


def _row(claim: Claim, ledger: Published) -> dict[str, Any]:
    facts = {"claim": claim.id, "title": claim.title, "statement": claim.statement, "family": claim.report["family"]}
    empty = {"value": None, "low": None, "high": None, "detectable": None, "scale": None, "why": None}
    if claim in ledger.waiting:
        return facts | empty | {"verdict": "not published yet"}
    try:
        found = ledger.verdict(claim.id)
    except ClaimError as problem:
        # One claim whose numbers are out of date must not hide the others.
        return facts | empty | {"verdict": "not judged", "why": str(problem)}
    head = found.headline
    numbers = {key: getattr(head, key) for key in ("value", "low", "high", "detectable", "scale")}
    return facts | numbers | {"verdict": found.label, "why": found.sentence}


def _criterion(finding: Any) -> dict[str, Any]:
    criterion = finding.criterion
    return {
        "criterion": criterion.name,
        "holds": {True: "yes", False: "no", None: "unknown"}[finding.holds],
        "number": finding.value,
        "asked": f"{criterion.operator} {criterion.than:g}",
        "why": criterion.why,
    }


def _record(found: Verdict) -> dict[str, Any]:
    claim = found.claim
    words = {key: getattr(claim, key) for key in ("title", "statement", "population", "estimand", "predicted")}
    rules = {key: getattr(claim, key) for key in ("identified", "supported", "refuted", "overturn")}
    return found.to_dict() | words | rules | {"report": dict(claim.report)}
