"""What the doctor looks at: versions, tables, verdicts, and numbers that must come out the same everywhere."""

import json
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from crimepolicy import __version__
from crimepolicy.data.build import table_digest
from crimepolicy.data.events import load_events
from crimepolicy.data.panels import load_panel
from crimepolicy.data.paths import mirror_folder, processed_folder
from crimepolicy.data.tables import load_table
from crimepolicy.did.group_time import group_time_effects
from crimepolicy.did.imputation import imputation
from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.errors import CrimepolicyError
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check
from crimepolicy.report.published import published_claims
from crimepolicy.synth.synthetic_control import synthetic_control
from crimepolicy.synth.synthetic_did import synthetic_did

__all__ = ["examine"]

_CORE = ("numpy", "scipy", "pandas", "narwhals", "polars", "typer")
_EXTRAS = {
    "bayes": ("pymc", "nutpie", "arviz-stats", "numba"),
    "data": ("pooch",),
    "report": ("matplotlib", "great-tables", "jinja2"),
    "fast": ("joblib", "numba"),
    "dask": ("dask", "distributed"),
}
_TOLERANCE = 1e-6
"""Relative. Iterations stop at 1e-10 or better, and sums run in another order on another processor."""


def examine() -> list[Check]:
    """Return one check per thing looked at; only a failed one is a reason to worry."""
    found = [Check("crimepolicy", True, __version__, f"{__version__} on Python {platform.python_version()}")]
    found += [_extra(name, packages) for name, packages in {"core": _CORE, **_EXTRAS}.items()]
    found += [_safely("mirror", _mirror), _safely("tables", _tables), _safely("verdicts", _verdicts)]
    return found + [_number(name, compute, wanted) for name, (compute, wanted) in _FIXED.items()]


def _safely(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except CrimepolicyError as problem:
        return Check(name, False, None, str(problem))


def _extra(name: str, packages: tuple[str, ...]) -> Check:
    installed: dict[str, str] = {}
    for package in packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    absent = [package for package in packages if package not in installed]
    listed = ", ".join(f"{package} {number}" for package, number in installed.items())
    if not absent:
        return Check(name, True, None, listed)
    hint = f"missing {', '.join(absent)}: pip install 'crimepolicy[{name}]'"
    # An extra that nobody asked for is no defect; a missing core package is.
    return Check(name, False if name == "core" else None, None, f"{listed}; {hint}" if listed else hint)


def _mirror() -> Check:
    folder = mirror_folder()
    text = "none; raw files are downloaded where their record gives an address" if folder is None else str(folder)
    return Check("mirror", None if folder is None else True, None, text)


def _tables() -> Check:
    recorded = json.loads((processed_folder() / "manifest.json").read_text("utf-8"))["tables"]
    wrong = [
        name for name, size in recorded.items() if table_digest(load_table(name, frame="polars")) != size["sha256"]
    ]
    text = f"{len(recorded) - len(wrong)} of {len(recorded)} packaged tables have the recorded content"
    return Check("tables", not wrong, len(wrong), text + (f"; not: {', '.join(wrong)}" if wrong else ""))


def _verdicts() -> Check:
    ledger = published_claims()
    printed = ledger.results.get("verdicts", {}).get("claims", {})
    judged = {claim.id: ledger.verdict(claim.id).label for claim in ledger.claims if claim not in ledger.waiting}
    different = [name for name, label in judged.items() if printed.get(name, {}).get("label") != label]
    text = f"{len(judged) - len(different)} of {len(judged)} published verdicts follow from the published numbers"
    return Check("verdicts", not different, len(different), text + (f"; not: {different}" if different else ""))


def _number(name: str, compute: Callable[[], Estimate], wanted: float) -> Check:
    try:
        found = compute().value
    except (CrimepolicyError, ModuleNotFoundError) as problem:
        return Check(name, False, None, f"could not be computed: {problem}")
    same = abs(found - wanted) <= _TOLERANCE * abs(wanted)
    return Check(name, same, found, f"{found!r}, recorded {wanted!r}")


def _sao_paulo() -> Panel:
    return load_panel("brazil_state_year").rate().treat(["SP"], at=1999)


def _rio() -> Panel:
    panel = load_panel("rio_precinct_month", start="2006-01", end="2012-12", dose="upp_share_occupied")
    return panel.rate().aggregate("quarter")


def _mexico() -> Panel:
    leaders = load_events("kingpins_mexico", rank=["leader"], place_precision=["municipality"], first_per_unit=True)
    return load_panel("mexico_municipality_month", start="2005-01", end="2012-12", events=leaders)


_FIXED: dict[str, tuple[Callable[[], Estimate], float]] = {
    "two-way effects, Sao Paulo": (lambda: two_way_fixed_effects(_sao_paulo()), -23.523479633589602),
    "synthetic control, Sao Paulo": (lambda: synthetic_control(_sao_paulo(), v="equal"), -17.093957583678428),
    "synthetic DiD, Sao Paulo": (lambda: synthetic_did(_sao_paulo(), variance="none"), -19.98625534002159),
    "group-time effects, Rio": (lambda: group_time_effects(_rio()), 0.14703466936717902),
    "imputed counts, Mexico": (lambda: imputation(_mexico(), family="poisson", horizon=(0, 5)), 0.5407285938026388),
}
