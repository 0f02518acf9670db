"""How sure: every tool takes an estimate, whoever made it, and returns an estimate, a frame or a check."""
