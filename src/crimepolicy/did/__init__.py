"""Difference-in-differences estimators: one public function per module, all `f(panel, *, options) -> Estimate`."""
