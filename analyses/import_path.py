"""Make `analyses` importable wherever the tasks run; pytask reads this first (hook_module in pyproject.toml)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
