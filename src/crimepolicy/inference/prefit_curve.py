"""The placebo p-value by how well placebos must fit before treatment."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crimepolicy.errors import InferenceError
from crimepolicy.estimate import HEADLINE, Estimate, path_term
from crimepolicy.inference.placebo_statistics import PlaceboStatistic, extremeness, gap_path, rmspe
from crimepolicy.inference.randomization import Sides

__all__ = ["prefit_curve"]


def prefit_curve(
    estimate: Estimate,
    *,
    statistic: PlaceboStatistic = "gap",
    sides: Sides = "two",
    limits: Sequence[float] = (1, 2, 5, 10, 20, np.inf),
) -> pd.DataFrame:
    """Return the p-value when placebos that fitted badly before treatment are left out, for several limits.

    A single limit, such as five times the error of the treated unit, can be chosen to suit; the whole curve cannot.

    Parameters
    ----------
    estimate : Estimate
        As `placebo_test` returned it, with a path before treatment.
    statistic : {"gap", "rmspe_ratio"}
    sides : {"two", "greater", "less"}
    limits : sequence of float
        Largest mean squared error before treatment, as a multiple of that of the treated unit.

    Returns
    -------
    pandas.DataFrame
        Indexed by limit; columns placebos, p_value, smallest_p.

    Raises
    ------
    InferenceError
        Where the estimate carries no placebo paths.

    References
    ----------
    Abadie, Diamond and Hainmueller (2010), figures 5 to 7.

    Examples
    --------
    >>> path = pd.DataFrame({"estimate": [1.0, 6.0]}, index=pd.Index([-1, 0], name="event_time"))
    >>> null = pd.DataFrame({"att": [3.0, 9.0], "event_time[-1]": [1.0, 9.0], "event_time[0]": [3.0, 9.0]})
    >>> effect = Estimate(estimand="", value=6.0, std_error=np.nan, method="", citation="", path=path, null=null)
    >>> prefit_curve(effect, limits=(2, np.inf)).p_value.round(3).tolist()
    [0.5, 0.667]
    """
    events, own = gap_path(estimate)
    terms = [path_term("event_time", event) for event in events]
    if estimate.null is None or not set(terms) <= set(estimate.null.columns):
        raise InferenceError("This needs placebo paths. Call placebo_test first.")
    null = estimate.null.apply(np.log) if estimate.scale == "ratio" else estimate.null
    value = np.log(estimate.value) if estimate.scale == "ratio" else estimate.value
    gaps = np.vstack([own, null[terms].to_numpy()])
    values = np.r_[value, null[HEADLINE].to_numpy()]
    fitted = ~np.isnan(values)
    gaps, values = gaps[fitted], values[fitted]
    size = extremeness(statistic, sides, values, np.ones(len(values)), events, gaps)
    before = rmspe(gaps[:, events < 0]) ** 2
    rows = [_at(size, before, limit) for limit in limits]
    return pd.DataFrame(rows, index=pd.Index(limits, name="limit", dtype=float))


def _at(size: np.ndarray, before: np.ndarray, limit: float) -> dict[str, float]:
    kept = before <= limit * before[0]
    kept[0] = True
    return {
        "placebos": int(kept.sum()) - 1,
        "p_value": float((size[kept] >= size[0]).mean()),
        "smallest_p": 1 / int(kept.sum()),
    }
