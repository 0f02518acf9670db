"""Claims, the plan that they are judged under, and verdicts."""
