"""Event-study estimates with a given path and covariance."""

import numpy as np
import pandas as pd

from crimepolicy.estimate import Estimate


def event_study(values: np.ndarray, covariance: np.ndarray, n_pre: int, **changes: object) -> Estimate:
    """Return an estimate with n_pre leads before event time -1, whose influence functions give this covariance."""
    times = [k - n_pre - 1 for k in range(len(values) + 1)]
    terms = [f"event_time[{k}]" for k in times if k != -1]
    psi = pd.DataFrame(np.linalg.cholesky(covariance).T, columns=terms)
    path = pd.DataFrame({"estimate": np.insert(values, n_pre, 0.0)}, index=pd.Index(times, name="event_time"))
    spread = pd.Series(np.sqrt(np.diag(covariance)), index=[k for k in times if k != -1])
    facts = {"estimand": "effect of the event", "method": "example", "citation": "", "value": 0.0, "std_error": 1.0}
    return Estimate(**(facts | {"path": path.assign(std_error=spread), "psi": psi} | changes))


def random_study(seed: int, n_pre: int, n_post: int, scale: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Return a path (n,) and a covariance (n, n) with serial correlation."""
    rng = np.random.default_rng(seed)
    n = n_pre + n_post
    factor = rng.standard_normal((n, n)) * 0.5 + 2 * np.eye(n)
    covariance = scale**2 * factor @ factor.T / n
    return rng.multivariate_normal(np.zeros(n), covariance), covariance
