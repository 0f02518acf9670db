"""Claim P03: police who stay, over places: the UPP blocks and the quadrants' cities in one distribution of effects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize

from analyses.colombia import city_names
from analyses.family import Results, Run
from analyses.quadrants import quadrant_sample
from analyses.rio import precinct_sample
from analyses.settings import plan
from analyses.standard import attempt, effect, from_estimate, rows
from analyses.standard_page import standard_family
from crimepolicy.data import load_table
from crimepolicy.errors import DesignError
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.report.site import change as as_change
from crimepolicy.report.site import number
from crimepolicy.synthesis.hierarchical import hierarchical_synthesis
from crimepolicy.synthesis.meta import synthesise

Numbers = dict[str, Any]
Row = dict[str, Any]
Section = Mapping[str, Any]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Place:
    """One place where police came to stay.

    Attributes
    ----------
    label, programme : str
    log_ratio, std_error : float
        Homicides against expected, and how far single comparison places stray from theirs.
    deaths : float
        Homicides in the window.
    """

    label: str
    programme: str
    log_ratio: float
    std_error: float
    deaths: float

    def estimate(self) -> Estimate:
        """Return the place as an estimate to be put together."""
        return Estimate(
            estimand="log ratio of homicides where police came to stay",
            value=self.log_ratio,
            std_error=self.std_error,
            method="ratio of changes",
            citation="",
            scale="log",
        )


def place_effects(
    panel: Panel, blocks: Mapping[str, str], span: Sequence[int], programme: str, *, pooled: bool = False
) -> list[Place]:
    """Return every block of treated units against the sum of the comparison units.

    `span` counts periods from the block's first treated one; with a negative end both windows lie before it, and the
    periods before the span are those compared with. A window that the panel cuts short is used as far as it goes.
    With `pooled`, one line for all windows says how far comparison places stray.
    """
    counts = _window_counts(panel, blocks, span)
    departures = {block: _departures(others) for block, (_, others) in counts.items()}
    together = np.concatenate(list(departures.values()), axis=1)
    return [
        _place(block, programme, own, others, variance_line(together if pooled else departures[block]))
        for block, (own, others) in counts.items()
    ]


def _window_counts(panel: Panel, blocks: Mapping[str, str], span: Sequence[int]) -> dict[str, tuple[Floats, Floats]]:
    """Return, by block, its homicides before and in the window, and those of every comparison unit."""
    treated = panel.D.any(axis=1)
    labels = np.array([blocks[str(unit)] if here else "" for unit, here in zip(panel.units, treated, strict=True)])
    found = {}
    for block in dict.fromkeys(labels[treated].tolist()):
        members = labels == block
        start = int(panel.D[members].argmax(axis=1).min())
        windows = [slice(0, min(start, start + span[0])), slice(start + span[0], start + span[1] + 1)]
        sums = np.stack([panel.Y[:, window].sum(axis=1) for window in windows], axis=1)
        found[block] = (sums[members].sum(axis=0), sums[~treated])
    return found


def _departures(others: Floats) -> Floats:
    """Return squared departures of comparison units from the rest of them, and their Poisson variance (two rows)."""
    rest = others.sum(axis=0) - others
    away = np.log((others[:, 1] + 0.5) / (others[:, 0] + 0.5)) - np.log(rest[:, 1] / rest[:, 0])
    return np.stack([away**2, (1 / (others + 0.5)).sum(axis=1)])


def variance_line(departures: Floats) -> tuple[float, float]:
    """Return the two parts of a variance: one of all places alike, and the factor of the Poisson part, at least one."""
    squares, poisson = departures
    # Small places stray most; without weights they would decide the line alone.
    design = np.stack([1 / poisson, np.ones_like(poisson)], axis=1)
    common, factor = optimize.nnls(design, squares / poisson)[0]
    return float(common), max(float(factor), 1.0)


def _place(label: str, programme: str, own: Floats, others: Floats, line: tuple[float, float]) -> Place:
    total = others.sum(axis=0)
    if own.min() <= 0:
        raise DesignError(f"{label} has no homicides in a window, so that its ratio has no logarithm.")
    value = float(np.log(own[1] / own[0]) - np.log(total[1] / total[0]))
    variance = line[0] + line[1] * (1 / own).sum() + (1 / total).sum()
    return Place(label, programme, value, float(np.sqrt(variance)), float(own[1]))


def places(section: Section, change: Mapping[str, Any] | None = None, *, earlier: bool = False) -> list[Place]:
    """Return the places of one specification."""
    change, windows = change or {}, section["main"]["earlier" if earlier else "windows"]
    found: list[Place] = []
    pooled = bool(change.get("pooled"))
    programmes = change.get("programmes", section["data"]["programmes"])
    if "upp" in programmes:
        sample = precinct_sample(plan().section("upp"), section["data"]["outcome"], {"without": change.get("without", [])})  # fmt: skip
        found += place_effects(
            sample.panel, sample.blocks, change.get("upp_window", windows["upp"]), "UPP", pooled=pooled
        )
    if "quadrants" in programmes:
        rule = plan().section("quadrants")
        panel = quadrant_sample(rule, {"end": rule["data"]["single_vintage_end"], "cities": change.get("cities", "five")}).panel  # fmt: skip
        names = city_names()
        labels = {str(unit): names[str(unit)] for unit in panel.units}
        found += place_effects(panel, labels, windows["quadrants"], "quadrants", pooled=pooled)
    return found


def _pooled(found: Sequence[Place], section: Section, *, method: Any = None) -> Estimate:
    rule = section["synthesis"]
    method = method or rule["method"]
    named = {place.label: place.estimate() for place in found}
    return synthesise(named, method=method, hartung_knapp=rule["hartung_knapp"] and method != "fixed")


def _row(label: str, estimate: Estimate, **more: Any) -> Row:
    return from_estimate(label, estimate, **more) | {"p_value": estimate.p_value()}


# ------------------------------------------------------------------------------------------------------------- numbers


def effect_numbers(run: Run) -> Numbers:
    """Return the mean over places, the next place, strata, other rules, and every place."""
    section, found = run.section, places(run.section)
    main = _pooled(found, section)
    made = {
        "main": _row("Mean over places", main, group="main"),
        "prediction": from_estimate("One more place", main.companions["prediction"], group="main", how="prediction interval") | {"detectable": None},
        "earlier": _row("The same places just before", _pooled(places(section, earlier=True), section), group="placebo"),
    }  # fmt: skip
    for entry in section["specification"]:
        made[entry["name"]] = attempt(entry["label"], lambda entry=entry: _row("", _pooled(places(section, entry), section), how="Hartung-Knapp"))  # fmt: skip
    # Not in the plan: one block's window happened to hold quiet comparison places, which gave it much of the weight.
    made["pooled_errors"] = attempt("Errors from all windows together (added after the results)", lambda: _row("", _pooled(places(section, {"pooled": True}), section), how="Hartung-Knapp"))  # fmt: skip
    for method in section["synthesis"]["rows"]:
        made[method] = attempt(f"Mean over places: {_METHODS[method]}", lambda method=method: _row("", _pooled(found, section, method=method)))  # fmt: skip
    made |= _bayes(found, section, run.seed)
    made["programmes"] = attempt("Two programmes", lambda: _row("", _programmes(found, section), how="Hartung-Knapp, two programmes"))  # fmt: skip
    made["published"] = attempt("Two programmes and published trials, errors implied", lambda: _row("", _with_published(found, section), how="Hartung-Knapp, errors implied by words"))  # fmt: skip
    for place in found:
        made[f"place_{place.label}"] = from_estimate(f"{place.programme}: {place.label}", place.estimate(), group="place", how="spread of comparison places")  # fmt: skip
    assert main.weights is not None
    heaviest = main.weights.sort_values("weight").iloc[-1]
    share = float(heaviest["weight"] / main.weights["weight"].sum())
    tau = float(main.companions["tau"].value)
    return rows(**made) | {
        "n_places": len(found),
        "tau": tau,
        "heaviest": str(heaviest["label"]),
        "heaviest_share": share,
        "deaths": sum(place.deaths for place in found),
    }


_METHODS = {"pm": "Paule-Mandel", "dl": "DerSimonian-Laird", "fixed": "one effect for all"}


def _bayes(found: Sequence[Place], section: Section, seed: int) -> dict[str, Row]:
    fit = hierarchical_synthesis({place.label: place.estimate() for place in found}, tau_scale=section["synthesis"]["bayes_tau_scale"], seed=seed)  # fmt: skip
    assert fit.draws is not None
    made = {}
    for name, label in {"att": "Mean over places: Bayesian hierarchical", "prediction": "One more place: Bayesian"}.items():  # fmt: skip
        low, middle, high = np.exp(np.quantile(fit.draws[name], [0.025, 0.5, 0.975])).tolist()
        below = float((fit.draws[name] < 0).mean())
        made[f"bayes_{name}"] = effect(label, middle, low, high, group="specification", how="posterior", below=below)
    return made


def _programmes(found: Sequence[Place], section: Section) -> Estimate:
    named = {}
    for programme in dict.fromkeys(place.programme for place in found):
        named[programme] = _pooled([place for place in found if place.programme == programme], section)
    return synthesise({name: _alone(fit.value, fit.std_error) for name, fit in named.items()})


def _alone(value: float, error: float) -> Estimate:
    return Place("", "", value, error, 0.0).estimate()


def _with_published(found: Sequence[Place], section: Section) -> Estimate:
    table = load_table("published_estimates").set_index("estimate")
    implied = {entry["estimate"]: (float(table.loc[entry["estimate"], "log_effect"]), entry["z"]) for entry in section["published"] if "z" in entry}  # fmt: skip
    errors = {name: abs(value) / z for name, (value, z) in implied.items()}
    named = {name: _alone(value, errors[name]) for name, (value, _) in implied.items()}
    named |= {entry["estimate"]: _alone(0.0, max(errors.values())) for entry in section["published"] if "z" not in entry}  # fmt: skip
    for programme in dict.fromkeys(place.programme for place in found):
        fit = _pooled([place for place in found if place.programme == programme], section)
        named[programme] = _alone(fit.value, fit.std_error)
    return synthesise(named)


def sample_numbers(run: Run) -> Numbers:
    """Return the places with their deaths and errors, and the comparison places."""
    found = places(run.section)
    listed = [{"programme": place.programme, "place": place.label, "homicides_in_the_window": int(place.deaths), "log_ratio": place.log_ratio, "error": place.std_error} for place in found]  # fmt: skip
    upp, rule = precinct_sample(plan().section("upp"), "homicides"), plan().section("quadrants")
    cities = quadrant_sample(rule, {"end": rule["data"]["single_vintage_end"]})
    flow = [
        {"step": "Rio: comparison precincts", "left_out": upp.flow[0]["kept"] - upp.flow[-1]["kept"], "kept": len(upp.controls)},
        {"step": "Colombia: comparison cities", "left_out": 0, "kept": int((~cities.panel.D.any(axis=1)).sum())},
        {"step": "places with an estimate and an error", "left_out": 0, "kept": len(found)},
    ]  # fmt: skip
    return {"flow": flow, "treated": listed, "checks": []}


def published_numbers(run: Run) -> Numbers:
    """Return what was published on police who stay, verified or not."""
    table = load_table("published_estimates")
    chosen = table[table["claim"].isin(["P01", "P03", "P04", "P05"])]
    listed = []
    for entry in chosen.to_dict("records"):
        size = f"{entry['percent']:+.0f}%" if entry["percent"] == entry["percent"] else "no number"
        words = [str(entry[key]) if entry[key] == entry[key] else "" for key in ("outcome", "treatment", "direction")]
        error = "no error stated" if entry["std_error"] != entry["std_error"] else f"error {entry['std_error']}"
        listed.append({"study": f"{entry['study']} {entry['year']}", "outcome": words[0], "treatment": words[1], "result": f"{size}, {error}; direction: {words[2]}", "verified": bool(entry["verified"])})  # fmt: skip
    return {"rows": listed}


def remarks(results: Results) -> tuple[str, ...]:
    """Return what a reader needs before the figures, from published numbers."""
    found = results["policing_meta_effects"]
    main, following, earlier = (found["rows"][name] for name in ("main", "prediction", "earlier"))
    listed = results["policing_meta_published"]["rows"]
    stated = sum("error stated" not in row["result"] for row in listed)
    return (
        f"Over {found['n_places']} places homicides ran {as_change(main['value'])} ({as_change(main['low'])} to {as_change(main['high'])}). The best estimate of how far effects differ between places is a standard deviation of {number(found['tau'], 2)} on the log scale, of which so few places say little: one more place would lie between {as_change(following['low'])} and {as_change(following['high'])}. One place, {found['heaviest']}, has {found['heaviest_share']:.0%} of the weight; with errors from all windows together the mean is {as_change(found['rows']['pooled_errors']['value'])} ({as_change(found['rows']['pooled_errors']['low'])} to {as_change(found['rows']['pooled_errors']['high'])}), a row added after the results. Just before, the same places stood at {as_change(earlier['value'])} (p = {number(earlier['p_value'], 2)}).",
        f"Of {len(listed)} published results on police who stay, {stated} state a standard error that could be read; {sum(row['verified'] for row in listed)} were read in the study itself or its abstract.",
    )


FAMILY = standard_family(
    claim="P03",
    section="policing_meta",
    numbers={"sample": sample_numbers, "effects": effect_numbers, "published": published_numbers},
    modules=("rio", "colombia", "medellin_extradition", "quadrants", "policing_meta"),
    tables=(
        "rio_precinct_month",
        "rio_contiguity",
        "colombia_municipality_month",
        "colombia_contiguity",
        "quadrants_colombia",
        "published_estimates",
    ),
    remarks=remarks,
    kinds={"*.bayes_att.*": "band", "*.bayes_prediction.*": "band"},
)
