"""Pooling several truces: what they say together, and how much they differ."""

import marimo

app = marimo.App(app_title="5. Pooling truces")


@app.cell
def _():
    import marimo as mo
    import pandas as pd

    import crimepolicy as cp

    return cp, mo, pd


@app.cell
def _(mo):
    mo.md("""
    # 5. Pooling truces

    One truce says little about truces. Several truces say more, if one neither counts them as draws of one effect nor picks the
    one that fits. Here are four that were made for a whole country or a large city, with their first full year or nearly so.

    This is a lesson with yearly national counts. The published analyses have plans of their own: `crimepolicy claims`.
    """)
    return


@app.cell
def _(cp):
    truces = {"El Salvador": ("SLV", 2012), "Honduras": ("HND", 2013), "Belize": ("BLZ", 2012)}
    truces["Trinidad and Tobago"] = ("TTO", 2007)
    donors = ["COL", "CRI", "DOM", "MEX", "NIC", "PAN", "PRI", "URY"]

    def one(country, year):
        """Return the effect on the log homicide rate in the year of the truce and the next."""
        rates = cp.load_panel(
            "latam_country_year", start="2000", end=str(year + 1), units=[country, *donors], missing="drop_units"
        ).rate()
        return cp.synthetic_did(rates.treat([country], at=year), scale="log")

    effects = {name: one(*where) for name, where in truces.items()}
    for name, effect in effects.items():
        print(f"{name:20} {effect.as_ratio().value:5.2f}  (standard error of the log {effect.std_error:.2f})")
    return donors, effects, one, truces


@app.cell
def _(mo):
    mo.md("""
    A value of 0.6 means two fifths fewer homicides than the synthetic country had.

    ## The average, and the next truce

    A random-effects summary asks for two things: the *mean* effect over truces like these, and how far the effect of a single
    one may lie from it. The second is what a mayor wants to know, and it is always the wider one.
    """)
    return


@app.cell
def _(cp, effects):
    pooled = cp.synthesise(effects)
    print(pooled)
    for note in pooled.checks:
        print(note)
    return (pooled,)


@app.cell
def _(pooled):
    pooled.plot(title="Each truce, and all together").figure
    return


@app.cell
def _(mo):
    mo.md("""
    The interval is wide because four places are few, which the failed check says aloud. The spread of the true effects is
    estimated at zero with an interval that reaches one: four places cannot tell truces that differ from truces that do not.

    ## Exercise

    El Salvador is the famous one. Leave it out and pool the other three (`cp.synthesise({...})`). What ratio comes out?
    Put it in place of `None`.
    """)
    return


@app.cell
def _(cp, effects, pooled):
    def check(answer):
        """Say whether an answer is right, to two decimals."""
        rest = cp.synthesise({name: effect for name, effect in effects.items() if name != "El Salvador"})
        right = rest.as_ratio().value
        if answer is None:
            return "Not answered yet."
        if abs(answer - right) < 0.006:
            return f"Right: {right:.2f}, against {pooled.as_ratio().value:.2f} with El Salvador. One place carries much of it."
        return "Not yet. Drop 'El Salvador' from effects, pool, and take as_ratio().value."

    return (check,)


@app.cell
def _(check):
    answer = None
    print(check(answer))
    return


if __name__ == "__main__":
    app.run()
