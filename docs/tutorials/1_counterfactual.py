"""What a counterfactual is, on homicides in Sao Paulo."""

import marimo

app = marimo.App(app_title="1. What a counterfactual is")


@app.cell
def _():
    import marimo as mo

    import crimepolicy as cp

    return cp, mo


@app.cell
def _(cp):
    rates = cp.load_panel("brazil_state_year", end="2012").rate()
    start = rates.position(1999)
    row = rates.Y[rates.units.get_loc("SP")]
    return rates, row, start


@app.cell
def _(mo, row, start):
    mo.md(f"""
    # 1. What a counterfactual is

    In 1999 the state of Sao Paulo had {row[start]:.0f} homicides per 100,000 people; ten years later it had {row[start + 10]:.0f}. The state had
    reformed its police, the federation had restricted guns, a prison gang had come to rule the outskirts, the young had become
    fewer. What part of the fall would have come anyway?

    The fall is a fact. The *effect* is the fall less the fall that would have come anyway, and that second number nobody has
    seen. Every method in this package is a way to guess it, with its assumption said aloud.
    """)
    return


@app.cell
def _(rates):
    paulo = rates.treat(["SP"], at=1999)
    print(paulo)
    return (paulo,)


@app.cell
def _(mo):
    mo.md("""
    ## First guess: nothing would have changed

    Then the effect is the mean after 1999 less the mean before. It asks us to believe that every other thing stood still.
    """)
    return


@app.cell
def _(row, start):
    before, after = row[:start].mean(), row[start:].mean()
    print(f"before {before:.1f}, after {after:.1f}, change {after - before:+.1f}")
    return


@app.cell
def _(mo, rates, start):
    rose = (rates.Y[:, start:].mean(axis=1) > rates.Y[:, :start].mean(axis=1)).sum()
    mo.md(f"""
    ## Second guess: it would have changed as elsewhere

    The rate rose in {rose} of the {rates.n_units} states. If Sao Paulo would have shared their change, the effect is the difference of the two
    changes: *difference in differences*.
    """)
    return


@app.cell
def _(cp, paulo):
    print(cp.two_way_fixed_effects(paulo))
    return


@app.cell
def _(mo):
    mo.md("""
    ## Third guess: it would have gone the way of states that were like it

    A *synthetic control* is an average of other states whose weights make it run along Sao Paulo before 1999. If it ran along
    for nine years, perhaps it would have gone on doing so.
    """)
    return


@app.cell
def _(cp, paulo):
    synthetic = cp.synthetic_control(paulo, v="equal")
    print(synthetic)
    print(synthetic.weights[synthetic.weights["weight"] > 0.001])
    return (synthetic,)


@app.cell
def _(synthetic):
    synthetic.plot(title="Sao Paulo less its synthetic control, homicides per 100,000").figure
    return


@app.cell
def _(mo):
    mo.md("""
    The three guesses lie far apart, and the data are the same. What differs is the counterfactual.
    How well the synthetic state fits before 1999 can be seen in the plot; whether it would have gone on fitting cannot.

    ## Exercise

    The state with the largest weight may have had a history of its own. Leave it out of the donors
    (`exclude=[...]` of `synthetic_control`) and estimate again. What is the effect then, in homicides per 100,000?
    Put your number in place of `None`.
    """)
    return


@app.cell
def _(cp, paulo, synthetic):
    def check(answer):
        """Say whether an answer is right, to one decimal."""
        weights = synthetic.weights
        donor = weights.loc[weights["weight"].idxmax(), "label"]
        right = cp.synthetic_control(paulo, v="equal", exclude=[donor]).value
        if answer is None:
            return "Not answered yet."
        if abs(answer - right) < 0.06:
            return f"Right: {right:.1f}. One donor moves the effect by {right - synthetic.value:+.1f}."
        return "Not yet. Look up the donor with the largest weight, and name it in exclude=[...]."

    return (check,)


@app.cell
def _(check):
    answer = None
    print(check(answer))
    return


if __name__ == "__main__":
    app.run()
