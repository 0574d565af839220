"""
Four series, the same breakpoints
=================================

When did the growth of the US economy change its pace? Fitted one by one, four series give four
answers. Fitted together they bend in the same quarters, each by its own amount.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mtrelu import ReLURegressor
from mtrelu.datasets import load_macrodata
from mtrelu.displays import FittedCurvesDisplay

NAMES = {
    "realgdp": "gross domestic product",
    "realcons": "consumption",
    "realinv": "investment",
    "realdpi": "disposable income",
}
data = load_macrodata()
X = pd.DataFrame(data.X, columns=data.input_names)
Y = np.log(pd.DataFrame(data.Y, columns=data.tasks)[[*NAMES]].rename(columns=NAMES))

# %%
# On a logarithmic scale a slope is a rate of growth, and a knot is a change of pace. Investment
# swings most: divided by the variance, every series has the same say in where the knots are.

together = ReLURegressor(n_knots=4, task_weight=1.0 / Y.var()).fit(X, Y)
alone = {name: ReLURegressor(n_knots=4).fit(X, Y[name]) for name in Y}

network = together.network_
rates = network.A.T + np.cumsum(np.vstack([0.0 * network.A.T, network.slope_changes()]), axis=0)
ends = [X["year"].min(), *together.knots_, X["year"].max()]
print(f"{'growth, % a year':<20}" + "".join(f"{name:>24}" for name in Y))
for start, stop, rate in zip(ends[:-1], ends[1:], rates, strict=True):
    print(f"{start:.2f} to {stop:.2f}" + " " * 2 + "".join(f"{100 * r:>24.1f}" for r in rate))

display = FittedCurvesDisplay.from_estimator(together, X, Y).plot()
for axes in display.ax_:
    axes.set_ylabel("logarithm")
plt.show()

# %%
# What does it cost to agree? Sixteen dates become four. For three of the series the share of the
# variance that is left unexplained hardly rises; income would rather have gone its own way.

figure, axes = plt.subplots(figsize=(7.6, 2.8), layout="constrained")
for row, (name, model) in enumerate(alone.items()):
    axes.plot(model.knots_, np.full(4, row), "o", color="#c2410c")
    left = np.mean((model.predict(X) - Y[name]) ** 2) / Y[name].var(ddof=0)
    joint = np.mean((together.predict(X)[:, row] - Y[name]) ** 2) / Y[name].var(ddof=0)
    print(f"{name:<24} unexplained: {100 * left:.2f} % alone, {100 * joint:.2f} % together")
for knot in together.knots_:
    axes.axvline(knot, color="#1d5fa6", zorder=0)
axes.set_yticks(range(len(alone)), list(alone))
axes.set(xlabel="year", title="breakpoints: each series alone (dots), all together (lines)")
axes.spines[["top", "right"]].set_visible(False)
plt.show()
