import json
import tomllib
from pathlib import Path

import pytest

from crimepolicy.claims.claim import read_claims
from crimepolicy.claims.plan import read_plan
from crimepolicy.claims.verdict import judge
from crimepolicy.errors import ClaimError, CrimepolicyError

PLAN = """
[plan]
seed = 1
power = 0.8
[truces]
question = "Do truces hold?"
"""
CLAIM = """
[report]
id = "T01"
family = "truces"
section = "V"
page = "37"
source = "A report"
statement = "Truces hold."
task = "truces"
[plan]
section = "truces"
digest = "{digest}"
[[claim]]
id = "T01a"
title = "Truces"
statement = "Homicides fall."
population = "cities"
estimand = "Ratio of homicides"
predicted = "below 1"
headline = "truces.effect"
identified = "leads"
supported = "fall"
refuted = "no_fall"
overturn = "More truces."
[claim.criteria]
leads = {{ of = "truces.leads.p", is = ">=", than = 0.05, why = "places moved alike before" }}
fall = {{ of = "truces.effect.high", is = "<", than = 1, why = "the interval lies below 1" }}
no_fall = {{ of = "truces.effect.low", is = ">", than = 0.9, why = "the interval excludes a fall of a tenth" }}
"""


@pytest.fixture
def write(tmp_path):
    def make(plan=PLAN, claim=CLAIM, digest=None):
        (tmp_path / "plan.toml").write_text(plan)
        read = read_plan(tmp_path / "plan.toml")
        (tmp_path / "T01.toml").write_text(claim.format(digest=digest or read.digest("truces")))
        return read, tmp_path / "T01.toml"

    return make


def results(plan, low, high, p=0.5, value=None, digest=None):
    effect = {
        "value": (low * high) ** 0.5 if value is None else value,
        "low": low,
        "high": high,
        "detectable": 1.25,
        "scale": "ratio",
    }
    return {
        "truces": {
            "plan": {"section": "truces", "digest": digest or plan.digest("truces")},
            "effect": effect,
            "leads": {"p": p},
        }
    }


@pytest.mark.parametrize(
    ("low", "high", "p", "label"),
    [
        (0.5, 0.8, 0.5, "supported"),
        (0.95, 1.3, 0.5, "refuted"),
        (0.7, 1.3, 0.5, "inconclusive"),
        (0.5, 0.8, 0.01, "not identified"),
        (0.95, 1.3, 0.01, "not identified"),
        (0.5, 0.8, None, "not identified"),
    ],
)
def test_labels(write, low, high, p, label):
    plan, path = write()
    (claim,) = read_claims(path)
    verdict = judge(claim, results(plan, low, high, p), plan=plan)
    assert verdict.label == label
    assert str(verdict).startswith("T01a: " + label.capitalize())
    assert json.loads(json.dumps(verdict.to_dict()))["label"] == label


def test_inconclusive_states_what_could_have_been_found(write):
    plan, path = write()
    verdict = judge(read_claims(path)[0], results(plan, 0.7, 1.3), plan=plan)
    assert "With 80% power the design finds a ratio of 1.25 or more (or 0.8 or less)" in verdict.sentence
    assert verdict.headline.detectable == 1.25


def test_not_identified_says_which_condition_failed(write):
    plan, path = write()
    verdict = judge(read_claims(path)[0], results(plan, 0.7, 1.3, p=0.01), plan=plan)
    assert "places moved alike before (0.01, asked >= 0.05)" in verdict.sentence
    assert "no evidence for or against" in verdict.sentence


def test_a_missing_number_neither_supports_nor_refutes(write):
    plan, path = write()
    numbers = results(plan, 0.5, 0.8)
    numbers["truces"]["effect"] |= {"low": None, "high": None, "value": None, "detectable": None}
    verdict = judge(read_claims(path)[0], numbers, plan=plan)
    assert verdict.label == "inconclusive"
    assert [finding.holds for finding in verdict.findings] == [True, None, None]


def test_contradictory_criteria_are_an_error(write):
    plan, path = write(claim=CLAIM.replace("than = 0.9,", "than = 0.1,"))
    with pytest.raises(ClaimError, match="both support and refute"):
        judge(read_claims(path)[0], results(plan, 0.5, 0.8), plan=plan)


def test_results_of_another_plan_are_refused(write):
    plan, path = write()
    with pytest.raises(ClaimError, match=r"'truces' were made under another plan \(abcdef"):
        judge(read_claims(path)[0], results(plan, 0.5, 0.8, digest="abcdef" * 10), plan=plan)


def test_a_changed_plan_needs_a_dated_deviation(write):
    before, _ = write()
    changed = PLAN.replace("hold?", "last?")
    plan, path = write(plan=changed, digest=before.digest("truces"))
    with pytest.raises(ClaimError, match="has changed since the criteria of T01a were written"):
        judge(read_claims(path)[0], results(plan, 0.5, 0.8), plan=plan)
    entry = f'[[deviation]]\nsection = "truces"\ndate = 2026-12-01\nwhat = "words"\nwhy = "clearer"\nreplaces = "{before.digest("truces")}"\n'
    plan, path = write(plan=changed + entry, digest=before.digest("truces"))
    verdict = judge(read_claims(path)[0], results(plan, 0.5, 0.8), plan=plan)
    assert verdict.label == "supported"
    assert verdict.to_dict()["deviations"][0]["date"] == "2026-12-01"


def test_a_deviation_does_not_change_the_digest_but_the_seed_does(write):
    plan, _ = write()
    entry = '[[deviation]]\nsection = "other"\ndate = 2026-12-01\nwhat = "a"\nwhy = "b"\nreplaces = "c"\n'
    assert write(plan=PLAN + entry)[0].digest("truces") == plan.digest("truces")
    assert write(plan=PLAN.replace("seed = 1", "seed = 2"))[0].digest("truces") != plan.digest("truces")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('supported = "fall"', 'supported = "fal"', "uses 'fal', which is no criterion. Did you mean 'fall'"),
        ('supported = "fall"', 'supported = "fall and leads"', "not an expression of criteria"),
        ('refuted = "no_fall"', 'refuted = "fall"', "criteria that no expression uses: no_fall"),
        ('is = "<"', 'is = "=="', "is = '==' is not a comparison"),
        ("than = 1,", 'than = "1",', "should be a finite number"),
        ("than = 1,", "than = nan,", "should be a finite number"),
        ('overturn = "More truces."', "", "lacks overturn"),
        ('family = "truces"', "", "lacks family"),
        ("[report]", "[report", "cannot be read as TOML"),
    ],
)
def test_malformed_claims_say_where(write, old, new, message):
    assert old in CLAIM
    _, path = write(claim=CLAIM.replace(old, new))
    with pytest.raises(ClaimError, match=message) as caught:
        read_claims(path)
    assert "T01" in str(caught.value) or "criteria" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["truces"]["effect"].pop("low"), "no 'low'"),
        (lambda r: r["truces"].pop("leads"), "truces has no 'leads'"),
        (lambda r: r["truces"]["leads"].update(p="small"), "needs a number, but truces.leads.p is str"),
        (lambda r: r.clear(), "No published number"),
    ],
)
def test_missing_numbers_are_named(write, change, message):
    plan, path = write()
    numbers = results(plan, 0.5, 0.8)
    change(numbers)
    with pytest.raises(ClaimError, match=message):
        judge(read_claims(path)[0], numbers, plan=plan)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[truces]\n", "no table"),
        ("[plan", "cannot be read as TOML"),
        (PLAN + '[[deviation]]\nsection = "truces"\n', "lacks date, what, why, replaces"),
    ],
)
def test_malformed_plans(tmp_path, text, message):
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(CrimepolicyError, match=message):
        read_plan(tmp_path / "plan.toml")


def test_an_unknown_section_is_suggested(write):
    plan, _ = write()
    with pytest.raises(ClaimError, match="Did you mean 'truces'"):
        plan.digest("truce")


def test_the_claims_of_the_repository_pin_the_plan_of_the_repository():
    analyses = Path(__file__).resolve().parents[2] / "analyses"
    plan = read_plan(analyses / "plan.toml")
    files = sorted((analyses / "claims").glob("*.toml"))
    assert files
    for file in files:
        for claim in read_claims(file):
            replaced = [entry["replaces"] for entry in plan.departures(claim.section)]
            assert claim.digest in [plan.digest(claim.section), *replaced], claim.id
    assert tomllib.loads((analyses / "plan.toml").read_text())["seen_before"]["claims"].keys() >= {"K01", "T03", "F02"}


def test_a_part_that_was_planned_later_pins_its_own_section(write):
    later = PLAN + '[later]\nquestion = "And the next one?"\n'
    plan, path = write(plan=later)
    path.write_text(path.read_text().replace("[claim.criteria]", f'plan = {{ section = "later", digest = "{plan.digest("later")}" }}\n[claim.criteria]'))  # fmt: skip
    (claim,) = read_claims(path)
    assert (claim.section, claim.digest) == ("later", plan.digest("later"))
    with pytest.raises(ClaimError, match="another plan"):
        judge(claim, results(plan, 0.5, 0.8), plan=plan)
    assert judge(claim, results(plan, 0.5, 0.8, digest=plan.digest("later")), plan=plan).label == "supported"
