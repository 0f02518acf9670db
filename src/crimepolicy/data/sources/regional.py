"""Latin America: UNODC homicides with predictors, El Salvador and Ecuador from several offices."""

from pathlib import Path

import polars as pl

__all__ = [
    "tidy_cantons",
    "tidy_countries",
    "tidy_ecuador_years",
    "tidy_old_vintage",
    "tidy_periods",
    "tidy_salvador_months",
    "tidy_salvador_years",
]

_PREDICTORS = {
    "gdp_pc_ppp_wb": "gdp_per_head",
    "urban_pct": "urban_pct",
    "median_age": "median_age",
    "sex_ratio_15_24": "sex_ratio_15_24",
    "yrs_school_men_15_24": "schooling_men_15_24",
    "agri_pct_gdp": "agriculture_pct_gdp",
    "inflation_gdp_deflator_pct": "inflation_pct",
    "unemp_15plus_pct": "unemployment_pct",
    "gini_wb": "gini",
    "hdi": "human_development",
    "infant_mortality": "infant_mortality",
    "polity5_score": "polity",
}


def tidy_countries(path: Path) -> pl.LazyFrame:
    """Return unit, year, UNODC homicides and predictors of Latin America; modelled series are not read."""
    return (
        pl.scan_parquet(path)
        .filter(pl.col("lac_subregion").is_not_null())
        .select(
            unit="iso3",
            year=pl.col("year").cast(pl.Int16),
            name="country",
            region="lac_subregion",
            homicides=pl.col("hom_count").round(0),
            rate="hom_rate",
            rate_source=pl.col("hom_rate_src").str.to_lowercase(),
            exact_count="hom_count_exact",
            population="population",
            **{new: pl.col(old) for old, new in _PREDICTORS.items()},
        )
    )


def tidy_old_vintage(path: Path) -> pl.LazyFrame:
    """Return unit, year and the counts of the vintages of 2012 and 2026."""
    return _read(path).select(
        unit="iso3",
        year=pl.col("year").cast(pl.Int16),
        homicides_2012=_number("homicides_v2012"),
        homicides_2026=_number("homicides_v2026").round(0),
        source_2012="source_v2012",
        system_2012="source_type",
    )


def tidy_salvador_months(path: Path) -> pl.LazyFrame:
    """Return unit, month, the best published count and who published it, per cell."""
    return _read(path).select(
        unit="iso3",
        month=pl.col("month").str.to_date(),
        homicides=_number("homicides"),
        institution=_text("institution").str.extract(r"^(PNC/IML|PNC|IML|FGR|derived)"),
        status=_text("status"),
        making=_text("kind"),
        sources=_number("n_sources"),
        lowest=_number("low_source"),
        highest=_number("high_source"),
        annual_total=_number("annual_official_total"),
        pointer=_text("source_url"),
    )


def tidy_salvador_years(path: Path) -> pl.LazyFrame:
    """Return unit, year and the counts of UNODC, police and forensic institute."""
    return _read(path).select(
        unit="iso3",
        year=pl.col("year").cast(pl.Int16),
        homicides=_number("unodc_count"),
        homicides_police=_number("pnc_as_reported"),
        homicides_forensic=_number("iml_or_tripartite_as_reported"),
        population=_number("population_wb"),
    )


def tidy_periods(path: Path) -> pl.LazyFrame:
    """Return first day, last day, homicides and whatever else a list of published counts gives."""
    frame = _read(path)
    present = frame.collect_schema().names()
    more = {"institution": "institution", "status": "status", "kind": "making", "area": "area"}
    address = "source_url" if "source_url" in present else "source" if "source" in present else "derivation"
    return frame.select(
        unit="iso3",
        start=pl.col("period_start").str.to_date(),
        end=pl.col("period_end").str.to_date(),
        homicides=_number("homicides"),
        pointer=_text(address),
        **{new: _text(old) for old, new in more.items() if old in present},
    )


def tidy_ecuador_years(path: Path) -> pl.LazyFrame:
    """Return unit, year and the counts of the ministry and of UNODC."""
    return _read(path).select(
        unit="iso3",
        year=pl.col("year").cast(pl.Int16),
        homicides=_number("homicides_mdi"),
        homicides_unodc=_number("homicides_unodc"),
        population=_number("population"),
    )


def tidy_cantons(path: Path) -> pl.LazyFrame:
    """Return unit, month and victims of the ministry's records; non-zero cells only."""
    return _read(path).select(
        unit="codigo_canton",
        month=pl.col("month").str.to_date(),
        canton=pl.col("canton").str.to_titlecase(),
        province="codigo_provincia",
        province_name=pl.col("provincia").str.to_titlecase(),
        release=pl.col("vintage").str.extract(r"(\d{4}-\d{2})\)?$"),
        homicides=_number("homicides"),
        homicides_firearm=_number("firearm"),
        homicides_female=_number("female"),
    )


def _read(path: Path) -> pl.LazyFrame:
    return pl.scan_csv(path, infer_schema=False)


def _text(column: str) -> pl.Expr:
    return pl.col(column).replace("", None)


def _number(column: str) -> pl.Expr:
    return _text(column).cast(pl.Float64)
