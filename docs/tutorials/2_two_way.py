"""Why two-way fixed effects mislead where treatment starts at different times, on the UPP of Rio de Janeiro."""

import marimo

app = marimo.App(app_title="2. Why two-way fixed effects mislead")


@app.cell
def _():
    from dataclasses import replace

    import marimo as mo

    import crimepolicy as cp

    return cp, mo, replace


@app.cell
def _(mo):
    mo.md("""
    # 2. Why two-way fixed effects mislead

    From 2008 to 2014 the police of Rio de Janeiro occupied favelas for good, one after another. Some precincts hold a
    part of these areas. The regression that everybody knows has an effect for each precinct, an effect for each quarter, and
    one coefficient for "occupied". What does that coefficient average?

    This is a lesson. The published analysis of the same policy is claim P01: `crimepolicy verdict P01b`.
    """)
    return


@app.cell
def _(cp, replace):
    monthly = cp.load_panel(
        "rio_precinct_month", outcome="police_killings", start="2007-01", end="2014-12", dose="upp_share_occupied"
    )
    quarterly = monthly.rate().aggregate("quarter")
    # Occupied or not, every precinct counts once: neither the dose nor the population is used here.
    occupied = replace(quarterly.with_treatment(quarterly.D), weights=None)
    staggered = occupied.keep(occupied.units[occupied.D.any(axis=1)])
    print(staggered)
    return (staggered,)


@app.cell
def _(mo):
    mo.md("""
    ## One number from many comparisons

    The coefficient is a weighted average of all comparisons of two groups at two times. Some of them compare a precinct that is
    occupied *now* with one that was occupied *before*. If the effect of the earlier occupation is still growing, its growth is
    taken for a trend and subtracted.
    """)
    return


@app.cell
def _(cp, staggered):
    twfe = cp.two_way_fixed_effects(staggered)
    parts = cp.bacon_decomposition(staggered)
    print(twfe)
    print(parts)
    return parts, twfe


@app.cell
def _(mo):
    mo.md("""
    More than half of the weight lies on comparisons with precincts that are treated already. The package does not forbid the
    regression; it counts what it does.

    ## Only clean comparisons

    Group-time effects compare the precincts that start in a quarter with those that have not started yet, and nobody else.
    """)
    return


@app.cell
def _(cp, staggered, twfe):
    clean = cp.group_time_effects(staggered, control="not_yet")
    print(clean)
    print(f"two-way {twfe.value:+.2f}, clean comparisons {clean.value:+.2f} killings per 100,000 and quarter")
    return (clean,)


@app.cell
def _(clean):
    clean.aggregate("event").plot(title="Killings by police per 100,000, by quarter since the occupation").figure
    return


@app.cell
def _(mo):
    mo.md("""
    Neither number is "the" effect: they answer different questions about the same precincts, and the second one says which.

    ## Exercise

    The decomposition has one row per comparison (`parts.components`). Sum the weight of the rows whose `comparison` is
    `"later_earlier"`: the share of the coefficient that rests on precincts treated already. Put it in place of `None`, as a
    number between 0 and 1.
    """)
    return


@app.cell
def _(parts):
    def check(answer):
        """Say whether an answer is right, to two decimals."""
        rows = parts.components
        right = rows.loc[rows["comparison"] == "later_earlier", "weight"].sum()
        if answer is None:
            return "Not answered yet."
        if abs(answer - right) < 0.006:
            return (
                f"Right: {right:.1%}. With precincts that were never occupied in the sample, it would be a few percent."
            )
        return "Not yet. Choose the rows with comparison == 'later_earlier' and sum their weight."

    return (check,)


@app.cell
def _(check):
    answer = None
    print(check(answer))
    return


if __name__ == "__main__":
    app.run()
