"""Official figures and dated events: where they come from, what they mean, and ready-made panels."""

from crimepolicy.data.catalogue import datasets
from crimepolicy.data.events import load_events
from crimepolicy.data.fetch import fetch
from crimepolicy.data.panels import load_panel
from crimepolicy.data.tables import load_table

__all__ = ["datasets", "fetch", "load_events", "load_panel", "load_table"]
