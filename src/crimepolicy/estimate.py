"""The one result of every estimator: a number, its uncertainty, its doubts, and the function that made it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from html import escape
from importlib import import_module
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from scipy import stats

from crimepolicy.errors import EstimationError, InferenceError, choose, offenders
from crimepolicy.panel import Panel, as_kind
from crimepolicy.panel_checks import Check

__all__ = ["HEADLINE", "Check", "Estimate", "Scale", "cluster_sums", "panel_facts", "path_term"]

Scale = Literal["level", "log", "ratio"]
Array = np.ndarray[Any, Any]

HEADLINE = "att"
"""Label of the headline number in `psi`, `draws` and `null`."""

_BAND_DRAWS = 20_000
_TIDY = [
    "term",
    "event_time",
    "group",
    "estimate",
    "std_error",
    "statistic",
    "p_value",
    "conf_low",
    "conf_high",
    "method",
]
_TIDY += ["n_units", "n_treated", "panel"]


def path_term(kind: str | None, label: object) -> str:
    """Return the label of a path or cell entry in `psi`, such as ``event_time[-3]`` or ``cell[2004, 2006]``."""
    return f"{kind}[{label}]"


def cluster_sums(psi: Array, clusters: Array) -> Array:
    """Return the sums of influence (n_clusters, k) of psi (n, k) over labels (n,)."""
    codes, labels = pd.factorize(clusters)
    if len(labels) == len(psi):
        return psi
    sums = np.zeros((len(labels), psi.shape[1]))
    np.add.at(sums, codes, psi)
    return sums


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimate:
    """An estimated effect.

    Uncertainty is carried by one of three, which is all that inference, diagnostics, sensitivity and synthesis read:

    - `psi`: influence of each unit, scaled so that ``estimate - estimand`` is about ``psi.sum()`` and the variance is
      ``factor`` times the sum over clusters of the squared cluster sums;
    - `draws`: a posterior, or bootstrap, distribution of the estimand;
    - `null`: placebo effects, the distribution of the estimate where nothing happened.

    Attributes
    ----------
    estimand : str
        What is estimated, in words, as in "average effect of removal on the log homicide rate of the treated".
    value, std_error : float
        Headline number; NaN standard error where only `null` is known.
    method, citation : str
        Name of the estimator and its source.
    options : mapping
        Every option as used.
    scale : {"level", "log", "ratio"}
        ``"log"`` effects become ratios with `as_ratio`.
    df : float or None
        Degrees of freedom of the t reference; None for the normal.
    correction : str
        Small-sample correction or kind of uncertainty, by name.
    path : pandas.DataFrame or None
        Columns estimate, std_error (and counts); the index is named event_time, group or calendar.
    cells : pandas.DataFrame or None
        Columns group, time, estimate, std_error (and counts), one row per group-time cell.
    weights : pandas.DataFrame or None
        Weights that made the estimate (donors, periods, cohorts).
    psi, draws : pandas.DataFrame or None
        Units (labelled) or draws in rows; terms in columns: ``att``, ``event_time[k]``, ``cell[g, t]``.
    null : pandas.DataFrame or None
        Placebo estimates in rows, terms in columns.
    null_p : mapping or None
        P-values by term that the method which filled `null` computed.
    clusters : array (n,) or None
        Cluster label per row of `psi`; None where each row is its own cluster.
    factor : float
        Small-sample factor of the variance.
    companions : mapping
        The same effect on other scales, such as ``"excess"`` (events added or averted).
    checks : tuple of Check
        What was left out and what is doubtful.
    inference_data : DataTree or None
        All of a Bayesian fit as ArviZ takes it: posterior, prior, predictive draws, log likelihood, statistics of the sampler.
    panel, fit, aggregator, by_cell
        The panel, the function ``panel -> Estimate`` that made this, the function that re-aggregates it, and, for regressions, the
        function that gives the influence of each cell.
    """

    estimand: str
    value: float
    std_error: float
    method: str
    citation: str
    options: Mapping[str, Any] = field(default_factory=dict)
    scale: Scale = "level"
    df: float | None = None
    correction: str = ""
    path: pd.DataFrame | None = None
    cells: pd.DataFrame | None = None
    weights: pd.DataFrame | None = None
    psi: pd.DataFrame | None = None
    draws: pd.DataFrame | None = None
    null: pd.DataFrame | None = None
    null_p: Mapping[str, float] | None = None
    clusters: Array | None = None
    factor: float = 1.0
    companions: Mapping[str, "Estimate"] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    inference_data: Any = None
    n_units: int = 0
    n_treated: int = 0
    panel_name: str = ""
    stored_digest: str = ""
    panel: Panel | None = None
    fit: Callable[[Panel], "Estimate"] | None = None
    aggregator: Callable[..., "Estimate"] | None = None
    by_cell: Callable[[], Any] | None = None

    # ---------------------------------------------------------------- making

    @classmethod
    def from_psi(
        cls,
        *,
        value: float,
        psi: pd.DataFrame,
        panel: Panel,
        path: pd.DataFrame | None = None,
        cells: pd.DataFrame | None = None,
        clusters: Array | None = None,
        factor: float = 1.0,
        correction: str = "CR0",
        **rest: Any,
    ) -> Self:
        """Return an estimate whose standard errors all come from its influence functions.

        Parameters
        ----------
        value : float
            Headline number, whose influence is the column ``att`` of `psi`.
        psi : pandas.DataFrame (units, terms)
            Scaled as the class docstring says; a column per path and cell entry.
        panel : Panel
            Gives the counts, names and, where `clusters` is None, the level of inference.
        path, cells : pandas.DataFrame, optional
            With a column estimate; standard errors are added. Entries without influence get NaN.
        clusters : array (n_rows of psi,), optional
            Labels of the level of inference.
        factor, correction
            Small-sample factor of the variance and its name.
        **rest
            The other fields of `Estimate`.
        """
        own = clusters is None and psi.index.is_(panel.units)
        labels = _clusters_of(panel, psi.index) if clusters is None else clusters
        sums = cluster_sums(psi.to_numpy(), panel.cluster_codes if own else labels)
        errors = np.sqrt(factor * np.einsum("nk,nk->k", sums, sums))
        spread = dict(zip(psi.columns.tolist(), errors.tolist(), strict=True))
        if len(sums) < 2:
            raise InferenceError(
                f"Only one cluster ({labels[0]!r}), so nothing to compare it with: no clustered standard error exists. Choose a finer cluster, "
                "or use randomization_test, which needs no clusters."
            )
        return cls(
            value=float(value),
            std_error=spread[HEADLINE],
            psi=psi,
            path=_with_errors(path, spread),
            cells=_with_errors(cells, spread),
            clusters=labels,
            factor=factor,
            correction=correction,
            panel=panel,
            **(panel_facts(panel) | rest),
        )

    def replace(self, **changes: Any) -> Self:
        """Return the estimate with some fields changed."""
        return replace(self, **changes)

    # ---------------------------------------------------------------- reading

    @property
    def panel_digest(self) -> str:
        """sha256 of the panel's content; computed when asked for, as thousands of refits never are."""
        return self.stored_digest if self.panel is None else self.panel.digest

    @cached_property
    def estimates(self) -> pd.Series:
        """Point estimates by term: headline, path, cells."""
        return self._by_term("estimate", self.value)

    @cached_property
    def std_errors(self) -> pd.Series:
        """Standard errors by term."""
        return self._by_term("std_error", self.std_error)

    def covariance(self, terms: list[str] | None = None) -> pd.DataFrame:
        """Return the covariance (k, k) of the terms, from `psi` or else from `draws`.

        Raises
        ------
        InferenceError
            Where the estimate carries neither, or a term is unknown.
        """
        source = self.psi if self.psi is not None else self.draws
        if source is None:
            raise InferenceError(
                f"{self.method} carries placebo effects only, so no covariance exists. Use its `null` instead."
            )
        terms = list(source.columns) if terms is None else terms
        unknown = [term for term in terms if term not in source.columns]
        if unknown:
            raise InferenceError(
                f"No uncertainty is carried for {unknown}. Known terms: {list(source.columns)[:8]} ..."
            )
        values = source[terms].to_numpy()
        broken = [term for term, lost in zip(terms, np.isnan(values).any(axis=0), strict=True) if lost]
        if broken:
            raise InferenceError(
                f"The uncertainty of {offenders(broken)} is not a number. Estimate again, without them."
            )
        if self.psi is None:
            matrix = np.atleast_2d(np.cov(values, rowvar=False))
        else:
            sums = cluster_sums(values, self.clusters if self.clusters is not None else np.arange(len(values)))
            matrix = self.factor * (sums.T @ sums)
        return pd.DataFrame(matrix, index=terms, columns=terms)

    def interval(self, level: float = 0.95, term: str = HEADLINE) -> tuple[float, float]:
        """Return the pointwise interval of one term.

        From the standard error where there is one (t with `df`, else normal; on the log scale for ratios), else from the
        quantiles of the draws, else from the placebo distribution around the estimate.
        """
        _check_level(level)
        value, error = self._at(term)
        if self.draws is not None and self.psi is None and term in self.draws:
            low, high = np.quantile(self.draws[term], [(1 - level) / 2, (1 + level) / 2])
            return float(low), float(high)
        if np.isfinite(error):
            reach = self._critical(level) * error
            if self.scale == "ratio":
                return value * float(np.exp(-reach / value)), value * float(np.exp(reach / value))
            return value - reach, value + reach
        if self.null is not None and term in self.null:
            placebos = self.null[term].dropna()
            centred = np.log(placebos) if self.scale == "ratio" else placebos
            low, high = np.quantile(centred, [(1 - level) / 2, (1 + level) / 2])
            return (
                (value / float(np.exp(high)), value / float(np.exp(low)))
                if self.scale == "ratio"
                else (value - float(high), value - float(low))
            )
        return float("nan"), float("nan")

    def p_value(self, term: str = HEADLINE) -> float:
        """Return the two-sided p-value of no effect for one term, by whatever carries the uncertainty."""
        if self.null_p is not None and term in self.null_p:
            return float(self.null_p[term])
        value, error = self._at(term)
        if self.draws is not None and self.psi is None and term in self.draws:
            above = float((self.draws[term] > self._no_effect).mean())
            return min(1.0, 2 * min(above, 1 - above))
        if np.isfinite(error) and error > 0:
            statistic = np.log(value) * value / error if self.scale == "ratio" else value / error
            return float(2 * self._reference.sf(abs(statistic)))
        if self.null is not None and term in self.null:
            placebos = self.null[term].dropna()
            size, observed = (np.log(placebos), np.log(value)) if self.scale == "ratio" else (placebos, value)
            return float((1 + (size.abs() >= abs(observed)).sum()) / (1 + len(placebos)))
        return float("nan")

    def band(self, level: float = 0.95, *, seed: int = 0) -> pd.DataFrame:
        """Return the simultaneous band of the path: it covers every entry at once with probability `level`.

        Parameters
        ----------
        level : float
            Joint coverage.
        seed : int
            Of the Gaussian draws behind the critical value; not used where the estimate carries draws.

        Returns
        -------
        pandas.DataFrame
            Indexed as `path`; columns estimate, conf_low, conf_high; ``attrs["critical"]`` is the sup-t value.
        """
        _check_level(level)
        if self.path is None:
            raise InferenceError(f"{self.method} has no path. Call aggregate('event') first.")
        estimate, error = self.path["estimate"].to_numpy(), self.path["std_error"].to_numpy()
        terms = [t for t, e in zip(_terms(self.path), error, strict=True) if e > 0]
        critical = self._sup_t(terms, level, seed)
        reach = critical * error
        low, high = estimate - reach, estimate + reach
        if self.scale == "ratio":
            low, high = estimate * np.exp(-reach / estimate), estimate * np.exp(reach / estimate)
        frame = pd.DataFrame({"estimate": estimate, "conf_low": low, "conf_high": high}, index=self.path.index)
        frame.attrs["critical"] = critical
        return frame

    def detectable_effect(self, power: float = 0.8, level: float = 0.95) -> float:
        """Return the smallest effect that this design would find with the given power (two-sided test at 1 - level).

        On the scale of the estimate: a difference, or for ratios a ratio above one.
        """
        error = self.std_error / self.value if self.scale == "ratio" else self.std_error
        reach = (self._critical(level) + float(self._reference.ppf(power))) * error
        return float(np.exp(reach)) if self.scale == "ratio" else float(reach)

    def tidy(self, level: float = 0.95) -> Any:
        """Return one row per term, always with the same columns, as the kind of table the panel came from."""
        rows = [self._row(HEADLINE, None, None, level)]
        if self.path is not None:
            kind = self.path.index.name
            for label, term in zip(self.path.index, _terms(self.path), strict=True):
                rows.append(
                    self._row(
                        term, label if kind == "event_time" else None, None if kind == "event_time" else label, level
                    )
                )
        if self.cells is not None:
            event = self.cells["event_time"] if "event_time" in self.cells else pd.Series([None] * len(self.cells))
            for group, e, term in zip(self.cells["group"], event, _terms(self.cells), strict=True):
                rows.append(self._row(term, e, group, level))
        frame = pd.DataFrame(rows, columns=_TIDY)
        frame["group"] = [None if g is None else str(g) for g in frame["group"]]
        frame["event_time"] = frame["event_time"].astype(float)
        return as_kind(frame, self.panel.frame_kind if self.panel is not None else "pandas")

    def glance(self) -> Any:
        """Return one row that describes the whole estimate."""
        failed = [check.name for check in self.checks if check.passed is False]
        clusters = len(pd.unique(self.clusters)) if self.clusters is not None else self.n_units
        row = {
            "method": self.method,
            "estimand": self.estimand,
            "scale": self.scale,
            "estimate": self.value,
            "std_error": self.std_error,
            "correction": self.correction,
            "n_units": self.n_units,
            "n_treated": self.n_treated,
            "n_clusters": clusters,
            "failed_checks": ", ".join(failed),
            "panel": self.panel_name,
            "digest": self.panel_digest,
        }
        return as_kind(pd.DataFrame([row]), self.panel.frame_kind if self.panel is not None else "pandas")

    # ---------------------------------------------------------------- new estimates

    def refit(self, panel: Panel) -> "Estimate":
        """Return the same estimator with the same options on another panel."""
        if self.fit is None:
            raise EstimationError(
                f"This estimate of {self.method} does not carry the function that made it (it was read from a file). Estimate again."
            )
        return self.fit(panel)

    def aggregate(self, kind: Literal["simple", "event", "group", "calendar"], **options: Any) -> "Estimate":
        """Return the cells averaged overall, by event time, by group or by calendar period.

        Raises
        ------
        EstimationError
            Where the estimate has no cells to average.
        """
        choose("kind", kind, ("simple", "event", "group", "calendar"))
        if self.aggregator is None:
            raise EstimationError(f"{self.method} has no group-time cells to aggregate.")
        found = self.aggregator(self, kind, **options)
        return found.replace(
            fit=None if self.fit is None else partial(_refit_aggregated, fit=self.fit, kind=kind, options=options)
        )

    def as_ratio(self) -> "Estimate":
        """Return a log effect as a ratio (1 is no effect); intervals stay symmetric on the log scale."""
        if self.scale == "ratio":
            return self
        if self.scale != "log":
            raise EstimationError(
                f"The effect of {self.method} is on the {self.scale} scale; only log effects become ratios (family='poisson')."
            )
        ratio = np.exp(self.estimates)
        psi = None if self.psi is None else self.psi * ratio.reindex(self.psi.columns).to_numpy()
        return replace(
            self,
            scale="ratio",
            fit=None if self.fit is None else partial(_refit_as_ratio, self.fit),
            value=float(np.exp(self.value)),
            std_error=float(np.exp(self.value) * self.std_error),
            path=_exponential(self.path),
            cells=_exponential(self.cells),
            psi=psi,
            draws=None if self.draws is None else self.draws.apply(np.exp),
            null=None if self.null is None else self.null.apply(np.exp),
            by_cell=None,
        )

    def excess(self) -> "Estimate":
        """Return the events added (positive) or averted (negative) over all treated cells, with their uncertainty."""
        if "excess" not in self.companions:
            raise EstimationError(
                f"{self.method} with these options has no count scale. Use family='poisson' and a panel with a population."
            )
        return self.companions["excess"]

    def __sub__(self, other: "Estimate") -> "Estimate":
        """Return the difference of two estimates, with the covariance that shared units give them."""
        if self.scale != other.scale or self.scale == "ratio":
            raise EstimationError(
                f"Subtract estimates on one additive scale, not {self.scale!r} and {other.scale!r} (ratios: subtract the logs)."
            )
        if self.psi is None or other.psi is None:
            raise EstimationError(
                "Both estimates need influence functions to be subtracted with a right standard error."
            )
        if "terms" in (self.psi.attrs.get("combined"), other.psi.attrs.get("combined")):
            raise EstimationError(
                "Standard errors by period or cell leave no influence by unit to subtract. Subtract first, and cluster by unit."
            )
        units = self.psi.index.union(other.psi.index)
        left, right = (e.psi[HEADLINE].reindex(units, fill_value=0.0) * np.sqrt(e.factor) for e in (self, other))  # type: ignore[index]
        psi = pd.DataFrame({HEADLINE: left - right})
        clusters = _merged_clusters(self, other, units)
        spread = float(np.sqrt((cluster_sums(psi.to_numpy(), clusters) ** 2).sum()))
        return Estimate(
            estimand=f"{self.estimand}, less {other.estimand}",
            value=self.value - other.value,
            std_error=spread,
            method=f"{self.method} less {other.method}",
            citation=self.citation,
            scale=self.scale,
            correction=self.correction,
            psi=psi,
            clusters=clusters,
            n_units=len(units),
            n_treated=max(self.n_treated, other.n_treated),
            checks=(*self.checks, *other.checks),
            panel_name=self.panel_name,
            stored_digest=self.panel_digest,
        )

    # ---------------------------------------------------------------- showing

    def sentence(self, level: float = 0.95) -> str:
        """Return the estimate as a sentence of a paper."""
        bounds = self.interval(level)
        if self.scale == "log":
            value, low, high = (f"{100 * (np.exp(v) - 1):+.1f}%" for v in (self.value, *bounds))
        else:
            value, low, high = (f"{v:.4g}" for v in (self.value, *bounds))
        reach = (
            f"{level:.0%} interval {low} to {high}"
            if np.isfinite(bounds).all()
            else "no interval yet: see placebo_test and conformal_interval"
        )
        p = self.p_value()
        parts = [
            reach,
            f"standard error {self.std_error:.3g} on the {self.scale} scale" if np.isfinite(self.std_error) else "",
            self.correction,
            f"p = {p:.3f}" if np.isfinite(p) else "",
            f"{self.n_treated:,} treated of {self.n_units:,} units",
            self.method,
        ]
        return f"{self.estimand[:1].upper()}{self.estimand[1:]}: {value} ({'; '.join(part for part in parts if part)})."

    def __str__(self) -> str:
        failed = [str(check) for check in self.checks if check.passed is False]
        return "\n".join([*failed, self.sentence()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        frame = pd.DataFrame([self._row(HEADLINE, None, None, 0.95)])[
            ["term", "estimate", "std_error", "conf_low", "conf_high", "p_value"]
        ]
        table = frame.to_html(index=False, float_format="{:.4g}".format)
        escaped = escape(str(self)).replace("\n", "<br>")
        return f"<p>{escaped}</p>{table}"

    def plot(self, **options: Any) -> Any:
        """Draw the estimate with matplotlib and return the axes; see `crimepolicy.report.plots`."""
        # The one call against the layering, by name: the core must not import matplotlib.
        return import_module("crimepolicy.report.plots").plot(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as plain values for JSON, without the panel and the function that made it."""
        skipped = {"panel", "fit", "aggregator", "by_cell", "companions", "inference_data"}
        plain = {key: _plain(getattr(self, key)) for key in self.__dataclass_fields__ if key not in skipped}
        plain["stored_digest"] = self.panel_digest
        return plain | {"companions": {key: value.to_dict() for key, value in self.companions.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the estimate that `to_dict` wrote.

        Raises
        ------
        EstimationError
            Where the values are not those of an estimate.
        """
        try:
            return cls(**_fields(values))
        except (AttributeError, KeyError, TypeError, ValueError) as problem:
            raise EstimationError(
                f"These are not the values of an estimate as to_dict writes them: {problem}."
            ) from problem

    @property
    def __maketables_coef_table__(self) -> pd.DataFrame:
        frame = pd.DataFrame([self._row(HEADLINE, None, None, 0.95)]).set_index("term")
        columns = {
            "estimate": "b",
            "std_error": "se",
            "statistic": "t",
            "p_value": "p",
            "conf_low": "ci95l",
            "conf_high": "ci95u",
        }
        return frame.rename(columns=columns)[list(columns.values())].rename_axis("Coefficient")

    @property
    def __maketables_depvar__(self) -> str:
        return self.panel.outcome if self.panel is not None else self.estimand

    def __maketables_stat__(self, key: str) -> Any:
        return {"N": self.n_units, "n_treated": self.n_treated, "se_type": self.correction}.get(key)

    # ---------------------------------------------------------------- helpers

    def _by_term(self, column: str, headline: float) -> pd.Series:
        frames = [frame for frame in (self.path, self.cells) if frame is not None]
        names = [HEADLINE, *(term for frame in frames for term in _terms(frame))]
        values = [np.array([headline], dtype=float), *(frame[column].to_numpy(dtype=float) for frame in frames)]
        return pd.Series(np.concatenate(values), index=names)

    def _at(self, term: str) -> tuple[float, float]:
        # The headline is at hand; labelling all terms for it would cost a placebo as much as its fit.
        if term == HEADLINE:
            return float(self.value), float(self.std_error)
        return float(self.estimates[term]), float(self.std_errors[term])

    @property
    def _no_effect(self) -> float:
        return 1.0 if self.scale == "ratio" else 0.0

    @property
    def _reference(self) -> Any:
        return stats.norm if self.df is None else stats.t(self.df)

    def _critical(self, level: float) -> float:
        return float(self._reference.ppf((1 + level) / 2))

    def _row(self, term: str, event_time: object, group: object, level: float) -> dict[str, Any]:
        estimate, error = self._at(term)
        low, high = self.interval(level, term)
        statistic = (estimate - self._no_effect) / error if error > 0 else float("nan")
        p = self.p_value(term)
        numbers = (estimate, error, statistic, p, low, high)
        return dict(
            zip(
                _TIDY,
                (term, event_time, group, *numbers, self.method, self.n_units, self.n_treated, self.panel_name),
                strict=True,
            )
        )

    def _sup_t(self, terms: list[str], level: float, seed: int) -> float:
        if self.draws is not None and set(terms) <= set(self.draws.columns):
            centred = (self.draws[terms] - self.estimates[terms]).abs() / self.std_errors[terms]
            return float(np.quantile(centred.max(axis=1), level))
        covariance = self.covariance(terms).to_numpy()
        spread = np.sqrt(np.diag(covariance))
        values, vectors = np.linalg.eigh(covariance / np.outer(spread, spread))
        root = vectors * np.sqrt(np.clip(values, 0, None))
        normal = np.random.default_rng(seed).standard_normal((_BAND_DRAWS, len(terms)))
        critical = float(np.quantile(np.abs(normal @ root.T).max(axis=1), level))
        # With few clusters the t quantile is the larger part; Bonferroni would ignore the correlation altogether.
        return (
            critical if self.df is None else critical * self._critical(level) / float(stats.norm.ppf((1 + level) / 2))
        )


def _refit_aggregated(
    panel: Panel,
    fit: Callable[[Panel], Estimate],
    kind: Literal["simple", "event", "group", "calendar"],
    options: Mapping[str, Any],
) -> Estimate:
    return fit(panel).aggregate(kind, **options)


def _refit_as_ratio(fit: Callable[[Panel], Estimate], panel: Panel) -> Estimate:
    return fit(panel).as_ratio()


def panel_facts(panel: Panel) -> dict[str, Any]:
    """Return the fields of an `Estimate` that describe its panel."""
    return {
        "n_units": panel.n_units,
        "n_treated": int(panel.D.any(axis=1).sum()),
        "panel_name": panel.name,
    }


def _terms(frame: pd.DataFrame) -> list[str]:
    if "time" in frame.columns and "group" in frame.columns:
        pairs = zip(_written(frame["group"]), _written(frame["time"]), strict=True)
        return [path_term("cell", f"{g}, {t}") for g, t in pairs]
    return [path_term(str(frame.index.name), label) for label in frame.index]


def _written(labels: pd.Series) -> Any:
    """Return labels that print as they should; periods one by one would take long."""
    return labels.astype(str).tolist() if isinstance(labels.dtype, pd.PeriodDtype) else labels


def _clusters_of(panel: Panel, units: pd.Index) -> Array:
    return panel.clusters if units.is_(panel.units) else panel.clusters[panel.units.get_indexer(units)]


def _with_errors(frame: pd.DataFrame | None, spread: Mapping[str, float]) -> pd.DataFrame | None:
    # A dictionary: looking labels up through an index would be a tenth of the cost of a placebo fit.
    if frame is None:
        return None
    return frame.assign(std_error=np.array([spread.get(term, np.nan) for term in _terms(frame)], dtype=float))


def _exponential(frame: pd.DataFrame | None) -> pd.DataFrame | None:
    if frame is None:
        return None
    ratio = np.exp(frame["estimate"])
    return frame.assign(estimate=ratio, std_error=ratio * frame["std_error"])


def _merged_clusters(left: Estimate, right: Estimate, units: pd.Index) -> Array:
    known: dict[object, object] = {}
    for estimate in (right, left):
        labels = estimate.psi.index if estimate.clusters is None else estimate.clusters  # type: ignore[union-attr]
        known.update(zip(estimate.psi.index, labels, strict=True))  # type: ignore[union-attr]
    return np.asarray([known[unit] for unit in units], dtype=object)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InferenceError(f"level={level!r} should lie between 0 and 1, such as 0.95.")


def _plain(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        columns = {str(name): [_plain(v) for v in column.tolist()] for name, column in value.items()}
        return {"index_name": value.index.name, "index": [_plain(v) for v in value.index.tolist()], "columns": columns}
    if isinstance(value, Check):
        return {key: _plain(getattr(value, key)) for key in ("name", "passed", "value", "text")}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, (str, bool, int)) else str(value)


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an estimate from plain values."""
    fields = dict(values)
    for key in ("path", "cells", "weights", "psi", "draws", "null"):
        fields[key] = _frame(fields.get(key))
    fields["checks"] = tuple(Check(**check) for check in fields.get("checks", ()))
    fields["clusters"] = None if fields.get("clusters") is None else np.asarray(fields["clusters"])
    for key in ("value", "std_error"):
        fields[key] = float("nan") if fields[key] is None else float(fields[key])
    fields["companions"] = {key: Estimate.from_dict(value) for key, value in fields.get("companions", {}).items()}
    return fields


def _frame(value: Mapping[str, Any] | None) -> pd.DataFrame | None:
    if value is None:
        return None
    frame = pd.DataFrame(value["columns"], index=pd.Index(value["index"], name=value["index_name"]))
    return frame.astype({name: float for name, column in frame.items() if column.isna().all() and len(column)})
