"""Evidence put together: random-effects and hierarchical synthesis of estimates that may share units."""
