"""The verdict on a claim, computed from its criteria and the published numbers."""

import math
import operator
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from crimepolicy.claims.claim import Claim, Criterion
from crimepolicy.claims.expression import evaluate, names_in
from crimepolicy.claims.plan import Plan
from crimepolicy.errors import ClaimError, suggest

__all__ = ["Finding", "Headline", "Verdict", "judge", "published"]

Label = Literal["supported", "refuted", "inconclusive", "not identified"]

_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Finding:
    """A criterion with the number that was found; `holds` is None where the number could not be computed."""

    criterion: Criterion
    value: float | None
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Headline:
    """The estimate beside a verdict.

    Attributes
    ----------
    value, low, high : float or None
        Estimate with the interval that decides.
    detectable : float or None
        Smallest effect that the design would have found, on the same scale.
    scale : {"ratio", "level", "log"}
        Scale of the numbers.
    """

    value: float | None
    low: float | None
    high: float | None
    detectable: float | None
    scale: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the numbers say about a claim.

    Attributes
    ----------
    claim : Claim
        The claim judged.
    label : {"supported", "refuted", "inconclusive", "not identified"}
        The verdict.
    findings : tuple of Finding
        One per criterion, in the order of the claim.
    headline : Headline
        The estimate with its interval.
    sentence : str
        The verdict in words.
    deviations : tuple of mapping
        Dated departures from the plan under which the criteria were written.
    """

    claim: Claim
    label: Label
    findings: tuple[Finding, ...]
    headline: Headline
    sentence: str
    deviations: tuple[Mapping[str, Any], ...]

    def __str__(self) -> str:
        return f"{self.claim.id}: {self.sentence}"

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain values for JSON."""
        findings = [
            asdict(finding.criterion) | {"value": finding.value, "holds": finding.holds} for finding in self.findings
        ]
        return {
            "claim": self.claim.id,
            "label": self.label,
            "sentence": self.sentence,
            "headline": asdict(self.headline),
            "criteria": {finding["name"]: finding for finding in findings},
            "deviations": [{key: str(value) for key, value in entry.items()} for entry in self.deviations],
        }


def judge(claim: Claim, results: Mapping[str, Any], *, plan: Plan) -> Verdict:
    """Judge a claim by the criteria that were written before its results.

    Parameters
    ----------
    claim : Claim
        What is said, and which numbers would support or refute it.
    results : mapping
        Published numbers by file: ``{"kingpins_main": {"plan": ..., ...}}``.
    plan : Plan
        The plan, with its dated deviations.

    Returns
    -------
    Verdict
        *Not identified* where the expression `identified` does not hold; else *supported* or *refuted* where theirs does;
        else *inconclusive*. A criterion whose number is missing is unknown, and never counts for a claim or against it.

    Raises
    ------
    ClaimError
        Where results were made under another plan than the one that the claim pins, without a dated deviation; where a number
        is not among the results; or where a claim is both supported and refuted.
    """
    deviations = _same_plan(claim, results, plan)
    findings = tuple(_find(criterion, results) for criterion in claim.criteria)
    headline = _headline(claim, results)
    label = _label(claim, {finding.criterion.name: finding.holds for finding in findings})
    sentence = _sentence(claim, label, findings, headline, float(plan.shared.get("power", 0.8)))
    return Verdict(claim, label, findings, headline, sentence, deviations)


def published(path: str, results: Mapping[str, Any]) -> Any:
    """Return the published number (or node) at a dotted path, such as ``"kingpins_main.windows.m0_5.decision.low"``."""
    node: Any = results
    for depth, key in enumerate(path.split(".")):
        if not isinstance(node, Mapping) or key not in node:
            known = list(node) if isinstance(node, Mapping) else []
            place = ".".join(path.split(".")[:depth]) or "the results"
            raise ClaimError(f"No published number {path!r}: {place} has no {key!r}.{suggest(key, known)}")
        node = node[key]
    return node


def _same_plan(claim: Claim, results: Mapping[str, Any], plan: Plan) -> tuple[Mapping[str, Any], ...]:
    current = plan.digest(claim.section)
    deviations = plan.departures(claim.section)
    if current != claim.digest and claim.digest not in [entry["replaces"] for entry in deviations]:
        raise ClaimError(
            f"Section {claim.section!r} of the plan has changed since the criteria of {claim.id} were written ({claim.digest[:12]}, now {current[:12]}). "
            f"Add a dated [[deviation]] to the plan that says what changed and why, with replaces = {claim.digest!r}."
        )
    for name in dict.fromkeys(
        path.split(".")[0] for path in (claim.headline, *(criterion.of for criterion in claim.criteria))
    ):
        recorded = published(f"{name}.plan.digest", results)
        if recorded != current:
            raise ClaimError(
                f"The results {name!r} were made under another plan ({str(recorded)[:12]}, the plan is {current[:12]}). Compute them again."
            )
    return deviations


def _find(criterion: Criterion, results: Mapping[str, Any]) -> Finding:
    value = published(criterion.of, results)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Finding(criterion, None, None)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ClaimError(f"Criterion {criterion.name!r} needs a number, but {criterion.of} is {type(value).__name__}.")
    return Finding(criterion, float(value), bool(_COMPARE[criterion.operator](value, criterion.than)))


def _headline(claim: Claim, results: Mapping[str, Any]) -> Headline:
    node = published(claim.headline, results)
    return Headline(
        **{key: published(f"{claim.headline}.{key}", results) for key in ("value", "low", "high", "detectable")},
        scale=str(node["scale"]),
    )


def _label(claim: Claim, holds: Mapping[str, bool | None]) -> Label:
    if claim.identified and evaluate(claim.identified, holds) is not True:
        return "not identified"
    supported, refuted = evaluate(claim.supported, holds), evaluate(claim.refuted, holds)
    if supported and refuted:
        raise ClaimError(
            f"The criteria of {claim.id} both support and refute it, so they contradict each other. Correct the claim file."
        )
    if supported:
        return "supported"
    return "refuted" if refuted else "inconclusive"


def _sentence(claim: Claim, label: Label, findings: tuple[Finding, ...], headline: Headline, power: float) -> str:
    estimate = f"{claim.estimand}: {_ends(headline)}"
    if label == "not identified":
        asked = names_in(claim.identified)
        failed = [finding for finding in findings if finding.holds is not True and finding.criterion.name in asked]
        reasons = "; ".join(
            f"it does not hold that {f.criterion.why} ({_number(f.value)}, asked {f.criterion.operator} {_number(f.criterion.than)})"
            for f in failed
        )
        return f"Not identified: {reasons}. {estimate}, which is therefore no evidence for or against the claim."
    if label == "inconclusive":
        # A count, or the effect of one more event, is no test with a power of its own.
        if headline.detectable is None:
            return f"Inconclusive. {estimate}."
        return f"Inconclusive. {estimate}. With {power:.0%} power the design finds {_detectable(headline.detectable, headline.scale)}, so smaller effects stay open."
    return f"{label.capitalize()}. {estimate}."


def _ends(headline: Headline) -> str:
    # What is only counted has no interval.
    if headline.value is None or headline.low == headline.high:
        return _number(headline.value)
    return f"{_number(headline.value)} ({_number(headline.low)} to {_number(headline.high)})"


def _detectable(size: float, scale: str) -> str:
    if scale == "ratio":
        return f"a ratio of {_number(size)} or more (or {_number(1 / size)} or less)"
    return f"an effect of {_number(size)} or more"


def _number(value: float | None) -> str:
    return "not computed" if value is None else f"{value:.3g}"
