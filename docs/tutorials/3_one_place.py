"""One treated place and what can be said of it, on the truce of El Salvador."""

import marimo

app = marimo.App(app_title="3. One treated place")


@app.cell
def _():
    import marimo as mo

    import crimepolicy as cp

    return cp, mo


@app.cell
def _(mo):
    mo.md("""
    # 3. One treated place

    In March 2012 the gangs of El Salvador agreed on a truce, and the homicide rate fell steeply from one year to the next. There
    is one El Salvador. How sure can one be of an effect in one place?

    This is a lesson. The published analysis has a plan of its own: `crimepolicy claims`.
    """)
    return


@app.cell
def _(cp):
    donors = ["BRA", "COL", "CRI", "DOM", "JAM", "MEX", "NIC", "PAN", "PRI", "URY"]
    rates = cp.load_panel("latam_country_year", start="1999", end="2013", units=["SLV", *donors]).rate()
    salvador = rates.treat(["SLV"], at=2012)
    print(salvador)
    for note in salvador.checks:
        print(note)
    return (salvador,)


@app.cell
def _(mo):
    mo.md("""
    Guatemala is not among the donors: its count of one year is that of another (the table says so and refuses to be used), and
    Honduras had a truce of its own.

    ## A counterfactual that does not exist
    """)
    return


@app.cell
def _(cp, salvador):
    plain = cp.synthetic_control(salvador, v="equal")
    print(plain)
    return


@app.cell
def _(mo):
    mo.md("""
    Two checks fail before there is any p-value. No average of the donors can be as violent as El Salvador was: the treated line
    lies outside their hull. And with ten donors no placebo test can reach five percent.

    What an average cannot reach in level it may reach in shape. With an intercept, the weights match the ups and downs only.
    """)
    return


@app.cell
def _(cp, salvador):
    shape = cp.synthetic_control(salvador, v="equal", intercept=True)
    print(shape)
    return (shape,)


@app.cell
def _(shape):
    shape.plot(title="El Salvador less its synthetic control, homicides per 100,000").figure
    return


@app.cell
def _(mo):
    mo.md("""
    ## What chance would do

    Give the truce to each donor in turn, as if it had happened there, and estimate again. If many donors show a gap as large
    (compared with how well they were fitted before), the gap of El Salvador is nothing special.
    """)
    return


@app.cell
def _(cp, shape):
    tested = cp.placebo_test(shape)
    print(tested)
    return (tested,)


@app.cell
def _(tested):
    tested.plot(kind="null", title="Where nothing happened, and El Salvador").figure
    return


@app.cell
def _(mo):
    mo.md("""
    ## Exercise

    Suppose that all ten placebos had been smaller than El Salvador. What would the p-value have been? (The place itself counts
    among the places that might have been treated.) Put it in place of `None`.
    """)
    return


@app.cell
def _(tested):
    def check(answer):
        """Say whether an answer is right, to three decimals."""
        right = 1 / (len(tested.null) + 1)
        if answer is None:
            return "Not answered yet."
        if abs(answer - right) < 0.0006:
            return f"Right: {right:.3f}. Ten donors can never give five percent: the design decides that, not the data."
        return "Not yet. El Salvador is one of eleven places; only itself is at least as large as itself."

    return (check,)


@app.cell
def _(check):
    answer = None
    print(check(answer))
    return


if __name__ == "__main__":
    app.run()
