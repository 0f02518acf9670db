"""Donors to which something happened as well."""

from collections.abc import Iterable

from crimepolicy.errors import CrimepolicyError, EstimationError, of_kind, offenders
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Event, Panel
from crimepolicy.panel_checks import Check

__all__ = ["donor_events"]


def donor_events(estimate: Estimate, events: Iterable[Event]) -> Estimate:
    """Return the estimate with a check that counts the donors in use that have events of their own.

    Parameters
    ----------
    estimate : Estimate
        Of this family, with donor weights and its panel.
    events : iterable of Event
        Interventions, of any kind, that would spoil a donor. Those at treated units, and before or after the panel, do not count.

    Returns
    -------
    Estimate
        With the check ``"donors_contaminated"``, whose value is the weight of the donors concerned. Estimate again with
        ``exclude=`` to be without them.

    Raises
    ------
    EstimationError
        Where the estimate has no donor weights or no panel.

    Examples
    --------
    >>> import pandas as pd
    >>> from crimepolicy.synth.synthetic_control import synthetic_control
    >>> rows = [(u, t, h * t) for u, h in zip("abc", (1, 2, 3)) for t in range(6)]
    >>> frame = pd.DataFrame(rows, columns=["unit", "time", "y"])
    >>> panel = Panel.from_frame(frame, unit="unit", time="time", outcome="y").treat(["b"], at=4)
    >>> effect = donor_events(synthetic_control(panel), [Event("e1", "a", at="3")])
    >>> round(effect.checks[-1].value, 6)
    0.5
    """
    of_kind("estimate", estimate, Estimate)
    if estimate.panel is None or estimate.weights is None or "role" not in estimate.weights:
        raise EstimationError(
            f"{estimate.method} has no donor weights with its panel: use synthetic_control or a relative."
        )
    donors = estimate.weights[estimate.weights["role"] == "donor"]
    # One unit may serve several cohorts; its mean weight says how much it matters.
    shares = donors.groupby("label", sort=True)["weight"].mean().abs()
    panel = estimate.panel
    struck = {event.unit for event in events if event.unit in shares.index and _inside(panel, event)}
    touched = [unit for unit in shares.index if unit in struck and shares[unit] > 0]
    weight = float(shares[touched].sum())
    text = (
        f"{len(touched)} donors in use have events of their own, with weight {weight:.2f}: {offenders(touched)}; see exclude=."
        if touched
        else f"none of the {int((shares > 0).sum())} donors in use has an event of its own."
    )
    return estimate.replace(checks=(*estimate.checks, Check("donors_contaminated", not touched, weight, text)))


def _inside(panel: Panel, event: Event) -> bool:
    """Whether any part of an event lies within the panel."""
    try:
        panel.position(int(event.at[:4]) if panel.periods.dtype.kind == "i" else event.at)
    except CrimepolicyError:
        return False
    return True
