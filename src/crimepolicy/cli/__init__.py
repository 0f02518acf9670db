"""The command line: tables, panels, estimates, claims, and whether all is well here."""

from crimepolicy.cli.app import main

__all__ = ["main"]
