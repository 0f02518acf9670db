"""Counts and zeros, on the removal of leaders in Mexico."""

import marimo

app = marimo.App(app_title="4. Counts and zeros")


@app.cell
def _():
    from dataclasses import replace

    import marimo as mo
    import numpy as np

    import crimepolicy as cp

    return cp, mo, np, replace


@app.cell
def _(mo):
    mo.md("""
    # 4. Counts and zeros

    What happens to homicides in a municipality of Mexico after the leader of a criminal organisation is captured or killed
    there? Most municipalities have no homicide in most months. Logarithms of zero do not exist, and what is done about that
    decides the result.

    This is a lesson. The published analysis is claim K01: `crimepolicy verdict K01a`.
    """)
    return


@app.cell
def _(cp):
    leaders = cp.load_events("kingpins_mexico", rank=["leader"], place_precision=["municipality"], first_per_unit=True)
    counts = cp.load_panel("mexico_municipality_month", start="2005-01", end="2012-12", events=leaders)
    print(counts)
    print(f"{(counts.Y == 0).mean():.0%} of all municipality-months have no homicide")
    return (counts,)


@app.cell
def _(mo):
    mo.md("""
    ## The usual trick, and what is wrong with it

    Take the logarithm of one plus the rate. The "one" is one homicide per 100,000 - or per million, or per thousand. Nobody
    thinks that an effect in percent should depend on that choice.
    """)
    return


@app.cell
def _(cp, counts, np, replace):
    def log_of_one_plus_rate(per):
        """Return the effect on log(1 + rate) where the rate is per so many persons."""
        logged = counts.with_outcome(np.log1p(counts.Y / counts.population * per), "log(1 + rate)")
        return cp.imputation(replace(logged, population=None), horizon=(0, 11), average="event_time").value

    for per in (1_000, 100_000, 1_000_000):
        print(f"per {per:>9,}: {log_of_one_plus_rate(per):+.3f}")
    return (log_of_one_plus_rate,)


@app.cell
def _(mo):
    mo.md("""
    The data are the same, and the "effect" grows with the unit: most of it is the step from zero to one, priced at will.

    ## Let counts be counts

    A Poisson model of the count with the population as exposure has no such choice. It needs no distribution to be right, only
    the mean; its effect is a ratio of homicides to those expected.
    """)
    return


@app.cell
def _(cp, counts):
    effect = cp.imputation(counts, family="poisson", horizon=(0, 11), pretrends=6)
    print(effect)
    print(effect.as_ratio())
    print(effect.excess())
    return (effect,)


@app.cell
def _(effect):
    effect.plot(title="Homicides by month since the removal, against those expected").figure
    return


@app.cell
def _(mo):
    mo.md("""
    Before you believe it, look at the months before the removal, and read the verdict on K01a: clustered errors are far too
    small when nineteen places are treated.

    ## Exercise

    How large would the "effect" on log(1 + rate) be with a rate per *ten* million persons? Use the function above.
    Put the number in place of `None`.
    """)
    return


@app.cell
def _(log_of_one_plus_rate):
    def check(answer):
        """Say whether an answer is right, to two decimals."""
        right = log_of_one_plus_rate(10_000_000)
        if answer is None:
            return "Not answered yet."
        if abs(answer - right) < 0.006:
            return f"Right: {right:+.2f}. Any answer can be had by the choice of a unit."
        return "Not yet. Call log_of_one_plus_rate(10_000_000)."

    return (check,)


@app.cell
def _(check):
    answer = None
    print(check(answer))
    return


if __name__ == "__main__":
    app.run()
