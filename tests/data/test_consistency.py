"""Tables from different producers against each other."""

import numpy as np
import pandas as pd
import pytest

from crimepolicy.data import load_table

# The municipal file was built from registers to 2021, the state file from registers to 2022.
LATE_REGISTRATION_TO_2019 = 0.003
LATE_REGISTRATION_2020 = 0.007
# UNODC takes the total by year of registration; the panel counts by occurrence and drops unknown places.
REGISTRATION_AGAINST_OCCURRENCE = 0.07
# Police records of Colombia against UNODC: -11 to +9 percent, as the notes of the source say.
POLICE_AGAINST_UNODC = 0.115
# Months mix police and forensic counts: with its block, 2014 adds up to 3,899 of the official 3,921.
MIXED_INSTITUTIONS = 0.006


def yearly(name: str, column: str, **where: str) -> pd.Series:
    table = load_table(name)
    for key, value in where.items():
        table = table[table[key] == value]
    return table.groupby(table["month"].dt.year)[column].sum()


def unodc(country: str) -> pd.Series:
    table = load_table("latam_country_year", columns=["unit", "year", "homicides"])
    return table[table["unit"] == country].set_index("year")["homicides"]


def test_mexican_municipalities_add_up_to_states() -> None:
    gap = 1 - yearly("mexico_municipality_month", "homicides") / yearly("mexico_state_month", "homicides")
    assert gap.loc[2000:2019].between(-1e-12, LATE_REGISTRATION_TO_2019).all()
    assert 0 < gap.loc[2020] < LATE_REGISTRATION_2020


def test_mexican_population_is_the_same_at_both_levels() -> None:
    columns = ["month", "population"]
    low = load_table("mexico_municipality_month", columns=columns).groupby("month")["population"].sum()
    high = load_table("mexico_state_month", columns=columns).groupby("month")["population"].sum().loc[low.index]
    assert np.abs(low - high).max() < 2_500  # each of 2,442 units is rounded to whole persons


def test_mexico_against_unodc() -> None:
    ratio = (yearly("mexico_state_month", "homicides") / unodc("MEX")).loc[2000:2021]
    assert np.abs(ratio - 1).max() < REGISTRATION_AGAINST_OCCURRENCE


def test_colombia_against_unodc() -> None:
    ratio = (yearly("colombia_municipality_month", "homicides") / unodc("COL")).loc[2003:2022].dropna()
    assert np.abs(ratio - 1).max() < POLICE_AGAINST_UNODC


def test_days_add_up_to_months_in_colombia() -> None:
    days = load_table("colombia_homicides_day")
    summed = days.groupby(["unit", days["day"].dt.to_period("M").dt.to_timestamp()])["homicides"].sum()
    months = load_table("colombia_municipality_month", columns=["unit", "month", "homicides"])
    listed = months[months["homicides"] > 0].set_index(["unit", "month"])["homicides"]
    assert summed.to_dict() == listed.to_dict()


def test_medellin_in_three_tables() -> None:
    police = load_table("colombia_municipality_month")
    city = police[police["unit"] == "05001"].set_index("month")["homicides"]
    capture = load_table("medellin_capture_month").set_index("month")
    registry = load_table("medellin_comuna_month").groupby("month")["homicides"].sum()
    assert (capture["police"] == city.loc[capture.index]).all()
    assert (capture["registry"] == registry).all()
    assert capture["ratio"].iloc[0] == pytest.approx(0.46, abs=0.005)  # two decimals in the notes
    assert capture["ratio"].loc["2012-01-01":].mean() == pytest.approx(0.99, abs=0.01)


def test_precincts_of_the_capital_against_the_municipality() -> None:
    precincts = load_table("rio_precinct_month", columns=["month", "capital", "homicides"])
    below = precincts[precincts["capital"]].groupby("month")["homicides"].sum().loc["2014-01-01":]
    above = load_table("rio_municipality_month", columns=["unit", "month", "homicides"])
    city = above[above["unit"] == "3304557"].set_index("month")["homicides"].loc[below.index]
    assert int((below == city).sum()) == 45  # of 48 months; three of 2017 were revised in the later vintage
    assert (below == city).loc[:"2016-12-01"].all()


def test_dose_of_precincts_follows_the_installations() -> None:
    panel = load_table("rio_precinct_month", columns=["unit", "month", "upp_share_installed", "installation_any"])
    before = panel["installation_any"].isna() | (
        panel["month"] < panel["installation_any"].dt.to_period("M").dt.to_timestamp()
    )
    slivers = ["018", "023", "044"]  # a few residents of a UPP that lies elsewhere
    assert panel.loc[before & ~panel["unit"].isin(slivers), "upp_share_installed"].max() < 0.05
    last = panel[panel["month"] == "2017-12-01"]
    assert (last["upp_share_installed"] > 0).sum() == 25


def test_closures_of_upps_are_nine() -> None:
    upps = load_table("rio_upps")
    assert int(upps["closure"].notna().sum()) == 9
    month = load_table("rio_upp_month", columns=["unit", "month", "open"])
    open_then = month[month["open"]].groupby("month").size()
    assert open_then.loc["2018-04-01"] == 38
    assert open_then.loc["2019-06-01"] == 29


def test_el_salvador_with_its_blocks_adds_up_to_the_year() -> None:
    months = load_table("el_salvador_month")
    blocks = load_table("el_salvador_blocks")
    annual = load_table("el_salvador_year").set_index("year")["homicides"]
    known = (
        months.groupby(months["month"].dt.year)["homicides"].sum()
        + blocks.groupby(blocks["start"].dt.year)["homicides"].sum()
    )
    for year in (2012, 2013, 2014):
        assert known.loc[year] == pytest.approx(annual.loc[year], rel=MIXED_INSTITUTIONS)
    assert known.loc[2012] == annual.loc[2012]


def test_el_salvador_and_latin_america_agree() -> None:
    annual = load_table("el_salvador_year").set_index("year")["homicides"].dropna()
    assert (annual == unodc("SLV").loc[annual.index]).all()


def test_published_estimates_point_to_claims() -> None:
    claims = set(load_table("report_claims")["claim"])
    estimates = load_table("published_estimates")
    assert set(estimates["claim"]) <= claims
    bounded = estimates.dropna(subset=["ci_low", "ci_high", "log_effect"])
    assert len(bounded) > 10
    assert (bounded["ci_low"] <= bounded["log_effect"]).all()
    assert (bounded["log_effect"] <= bounded["ci_high"]).all()


def test_percent_and_log_effects_agree() -> None:
    both = load_table("published_estimates").dropna(subset=["percent", "log_effect"])
    implied = np.expm1(both["log_effect"]) * 100
    # Studies round either figure; five points is the widest gap among rounded ones.
    assert np.abs(implied - both["percent"]).max() < 5


def test_treated_places_are_units_of_their_panels() -> None:
    colombia = set(load_table("colombia_municipality_month", columns=["unit"])["unit"])
    for name in ("quadrants_colombia", "kingpins_colombia", "calendar_colombia"):
        assert set(load_table(name)["unit"].dropna()) <= colombia
    for name in ("truces", "crackdowns", "truce_steps"):
        units = set(load_table(name)["unit"].dropna())
        assert {unit for unit in units if unit.isdigit()} <= colombia
        assert {unit for unit in units if not unit.isdigit()} <= set(load_table("latam_country_year")["unit"])
    states = set(load_table("mexico_state_month")["unit"])
    assert set(load_table("joint_operations_mexico")["unit"]) <= states


@pytest.mark.parametrize(
    ("pairs", "panel"),
    [
        ("mexico_contiguity", "mexico_municipality_month"),
        ("colombia_contiguity", "colombia_municipality_month"),
        ("rio_contiguity", "rio_precinct_month"),
    ],
)
def test_pairs_are_of_known_units_and_listed_once(pairs: str, panel: str) -> None:
    table = load_table(pairs)
    units = set(load_table(panel, columns=["unit"])["unit"])
    assert set(table["unit"]) | set(table["neighbour"]) <= units
    assert (table["unit"] < table["neighbour"]).all()
