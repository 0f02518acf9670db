"""ISP-RJ, Rio de Janeiro: recorded crime by precinct, UPP area and municipality."""

from pathlib import Path

import polars as pl

__all__ = ["OUTCOMES", "tidy_counts", "tidy_crosswalk", "tidy_distances", "tidy_pairs", "tidy_treatment", "tidy_upps"]

# Names of the producer and ours, in the order of the tables.
OUTCOMES = {
    "hom_doloso": "homicides",
    "hom_por_interv_policial": "police_killings",
    "latrocinio": "robbery_deaths",
    "lesao_corp_morte": "injury_deaths",
    "letalidade_violenta": "lethal_violence",
    "tentat_hom": "attempted_homicides",
    "pessoas_desaparecidas": "missing_persons",
    "encontro_cadaver": "bodies_found",
    "encontro_ossada": "remains_found",
    "lesao_corp_dolosa": "assaults",
    "ameaca": "threats",
    "estupro": "rapes",
    "roubo_rua": "street_robberies",
    "roubo_veiculo": "vehicle_robberies",
    "roubo_carga": "cargo_robberies",
    "total_roubos": "robberies",
    "total_furtos": "thefts",
    "extorsao": "extortions",
    "apreensao_drogas": "drug_cases",
    "cump_mandado_prisao": "warrants_served",
    "registro_ocorrencias": "records",
    "hom_culposo": "traffic_deaths",
    "pol_militares_mortos_serv": "military_police_killed",
    "pol_civis_mortos_serv": "civil_police_killed",
}


def tidy_counts(path: Path, unit: str, *, width: int = 3, also: dict[str, str] | None = None) -> pl.LazyFrame:
    """Return unit, month, the outcomes that the file has, and further columns as text.

    Parameters
    ----------
    path : Path
        File of the producer.
    unit : str
        Column with the number of the precinct, area or municipality.
    width : int
        Digits of the code, filled with zeros.
    also : dict of str to str, optional
        Further columns and their names here.
    """
    frame = pl.scan_csv(path, infer_schema=False)
    present = frame.collect_schema().names()
    numbers = [pl.col(old).cast(pl.Float64).alias(new) for old, new in OUTCOMES.items() if old in present]
    text = [pl.col(old).alias(new) for old, new in (also or {}).items()]
    return frame.select(_code(unit, width), pl.col("date").str.to_date().alias("month"), *numbers, *text)


def tidy_treatment(path: Path) -> pl.LazyFrame:
    """Return one row per constant precinct: place, exposure to UPPs, first dates under each rule."""
    onsets = {
        f"{what}_{rule}": f"first_{what}_{column}"
        for rule, column in {"any": "any10", "primary": "primary", "dose5": "dose5pct", "dose10": "dose10pct"}.items()
        for what in ("occupation", "installation")
    }
    return pl.scan_csv(path, infer_schema=False).select(
        _code("cisp_h"),
        strict_unit=_pad(pl.col("cisp_h_strict")),
        lon=_number("lon"),
        lat=_number("lat"),
        area_km2=_number("area_km2"),
        role=pl.col("role").str.extract(r"^(treated|adjacent|other)"),
        upp_share_final=_number("upp_pop_share_final"),
        share_homicides_inside=_number("share_hom_doloso_in_future_upp_2007_08"),
        share_police_killings_inside=_number("share_hom_por_interv_policial_in_future_upp_2007_08"),
        share_lethal_violence_inside=_number("share_letalidade_violenta_in_future_upp_2007_08"),
        km_to_upp=_number("dist_to_nearest_upp_km"),
        **{name: pl.col(column).str.to_date() for name, column in onsets.items()},
    )


def tidy_upps(path: Path) -> pl.LazyFrame:
    """Return one row per UPP: dates as adopted, as each file of the producer has them, and place."""
    return pl.scan_csv(path, infer_schema=False).select(
        _code("cod_upp", 2),
        name="upp",
        occupation=pl.col("occupation_date").str.to_date(),
        installation=pl.col("installation_date").str.to_date(),
        closure=pl.concat_str("end_month", pl.lit("-01")).str.to_date(),
        closure_kind=pl.col("end_type").str.extract(r"^(extinguished|merged)"),
        date_confidence="date_confidence",
        precinct=_pad(pl.col("primary_cisp")),
        precinct_share=_number("primary_cisp_share_area"),
        residents_2010=_number("pop_census2010"),
        area_km2=_number("area_m2") / 1e6,
        lon=_number("lon"),
        lat=_number("lat"),
        officers=_number("officers_reported"),
        **{
            name: pl.col(column).str.to_date()
            for name, column in {
                "occupation_published": "isp_occupation",
                "installation_published": "isp_installation",
                "installation_areas_file": "areas_file_installation",
                "installation_outline_file": "shape_installation",
            }.items()
        },
    )


def tidy_crosswalk(path: Path) -> pl.LazyFrame:
    """Return upp, unit and the overlap of each UPP area with each precinct."""
    return pl.scan_csv(path, infer_schema=False).select(
        _pad(pl.col("cod_upp"), 2).alias("upp"),
        _code("cisp_h"),
        precinct=_pad(pl.col("cisp")),
        overlap_km2=_number("km2"),
        share_of_upp=_number("share_upp_area"),
        share_of_precinct=_number("share_cisp_area"),
        residents_2010=_number("pop_upp_in_cisp"),
        favela_residents_2010=_number("favela_pop"),
        largest=pl.col("primary") == "1",
        tenth_or_more=pl.col("rule_any10") == "1",
        confidence=pl.col("mapping_confidence").str.extract(r"^(high|medium|low)"),
    )


def tidy_pairs(path: Path) -> pl.LazyFrame:
    """Return unit, neighbour, border_km, centroid_km: each pair of touching precincts once."""
    return pl.scan_csv(path, infer_schema=False).select(
        unit=_pad(pl.col("cisp_h_a")),
        neighbour=_pad(pl.col("cisp_h_b")),
        border_km=_number("shared_border_km_approx"),
        centroid_km=_number("centroid_distance_km"),
    )


def tidy_distances(path: Path) -> pl.LazyFrame:
    """Return upp, unit, outline_km, centroid_km: pairs up to 60 km apart."""
    return pl.scan_csv(path, infer_schema=False).select(
        _pad(pl.col("cod_upp"), 2).alias("upp"),
        _code("cisp_h"),
        outline_km=_number("dist_polygon_km"),
        centroid_km=_number("dist_centroid_km"),
    )


def _pad(code: pl.Expr, width: int = 3) -> pl.Expr:
    return code.str.zfill(width)


def _code(column: str, width: int = 3) -> pl.Expr:
    return _pad(pl.col(column), width).alias("unit")


def _number(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64)
