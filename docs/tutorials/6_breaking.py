"""Breaking your own result, on killings by police in Rio de Janeiro."""

import marimo

app = marimo.App(app_title="6. Breaking your own result")


@app.cell
def _():
    import marimo as mo

    import crimepolicy as cp

    return cp, mo


@app.cell
def _(mo):
    mo.md("""
    # 6. Breaking your own result

    A result is worth what it survives. Here is one that looks fine: killings by police where the UPP came, against those
    expected. We try to break it four ways.

    This is a lesson. The published verdict on this claim, with more ways to break it: `crimepolicy verdict P01b`.
    """)
    return


@app.cell
def _(cp):
    doses = cp.load_panel(
        "rio_precinct_month", outcome="police_killings", start="2007-01", end="2014-12", dose="upp_share_occupied"
    )
    # Occupied or not; the share of residents inside is left for another day.
    monthly = doses.with_treatment(doses.D)
    effect = cp.imputation(monthly, family="poisson", horizon=(0, 23), pretrends=12)
    print(effect)
    return effect, monthly


@app.cell
def _(mo):
    mo.md("""
    ## 1. Did they move together before?

    A joint test of the twelve months before the occupation. Look at the second sentence too: it says how large a difference in
    trends the test would have *missed*.
    """)
    return


@app.cell
def _(cp, effect):
    print(cp.pretrend_test(effect))
    return


@app.cell
def _(mo):
    mo.md("""
    ## 2. Is it one precinct?
    """)
    return


@app.cell
def _(cp, effect):
    without = cp.leave_one_out(effect)
    print(without)
    return (without,)


@app.cell
def _(mo):
    mo.md("""
    ## 3. What if it had happened somewhere else?

    Give the same dates to precincts that were never occupied, many times, and count how often the effect is as large.
    """)
    return


@app.cell
def _(cp, effect):
    shuffled = cp.randomization_test(effect, cp.PermuteSchedules(), draws=99, seed=1)
    print(shuffled)
    return (shuffled,)


@app.cell
def _(shuffled):
    shuffled.plot(kind="null", title="Effects of dates given to other precincts").figure
    return


@app.cell
def _(mo):
    mo.md("""
    ## 4. What if trends were not parallel?

    Suppose that after the occupation trends differed by up to M times the largest difference seen before it. How large may M be
    before zero is inside the interval?
    """)
    return


@app.cell
def _(cp, monthly):
    yearly = monthly.rate().aggregate("year")
    path = cp.group_time_effects(yearly, control="not_yet", base="universal").aggregate("event")
    print(cp.honest_bounds(path))
    print(cp.breakdown(path))
    return (path,)


@app.cell
def _(mo):
    mo.md("""
    The result survives the loss of any precinct, and not a small departure from parallel trends. That is the honest summary, and
    it is why the published verdict is what it is.

    ## Exercise

    Which precinct moves the estimate most when it is left out? Put its label (as text, such as "005") in place of `None`.
    """)
    return


@app.cell
def _(without):
    def check(answer):
        """Say whether an answer names the precinct."""
        frame = without.frame
        right = str(frame.loc[frame["change"].abs().idxmax(), "left_out"])
        if answer is None:
            return "Not answered yet."
        if str(answer) == right:
            return f"Right: {right}. Without it the estimate changes by {frame['change'].abs().max():.2f} on the log scale."
        return "Not yet. Sort without.frame by the size of its column 'change'."

    return (check,)


@app.cell
def _(check):
    answer = None
    print(check(answer))
    return


if __name__ == "__main__":
    app.run()
