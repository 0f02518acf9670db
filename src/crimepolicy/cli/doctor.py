"""`crimepolicy doctor`."""

import typer

from crimepolicy.cli.showing import AsJson, show_json

__all__ = ["EXAMPLES", "doctor"]

EXAMPLES = """\b
Examples:
  crimepolicy doctor
  crimepolicy doctor --json
"""


def doctor(as_json: AsJson = False) -> None:
    """Say what is installed and what is missing, and whether some fixed numbers come out the same here."""
    # All estimators at once are a second of imports that no other command should pay for.
    from crimepolicy.cli.health import examine

    findings = examine()
    if as_json:
        show_json([{"name": f.name, "passed": f.passed, "value": f.value, "text": f.text} for f in findings])
    else:
        for finding in findings:
            typer.echo(str(finding))
    if any(finding.passed is False for finding in findings):
        raise typer.Exit(1)
