"""
El Niño: when the sea turns
===========================

Sixty-one years of sea-surface temperature off Peru, every year a task over the twelve months. All
years bend at the same months, each by its own amount.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mtrelu import ReLURegressor, ReLURegressorCV
from mtrelu.datasets import load_el_nino
from mtrelu.displays import CoefficientDisplay, FittedCurvesDisplay

data = load_el_nino()
X = pd.DataFrame(data.X, columns=data.input_names)
Y = pd.DataFrame(data.Y, columns=data.tasks)

# %%
# Three turns
# -----------
# If the year has three turning points, where are they? One question to all 61 years at once. This
# is a search, good but without a proof: the best position of a given number of knots is not a
# convex problem.

model = ReLURegressor(n_knots=3).fit(X, Y)
network = model.network_
slopes = network.A.T + np.cumsum(np.vstack([0.0 * network.A.T, network.slope_changes()]), axis=0)
ends = [1.0, *model.knots_, 12.0]
print("months         °C a month, middle half of the years")
for start, stop, slope in zip(ends[:-1], ends[1:], slopes, strict=True):
    low, high = np.quantile(slope, [0.25, 0.75])
    print(f"{start:4.1f} to {stop:4.1f}   {low:+.2f} to {high:+.2f}")

FittedCurvesDisplay.from_estimator(model, X, Y).plot()
plt.show()

# %%
# How much turning do the data support?
# -------------------------------------
# Instead of a number of knots, let months that were held out choose a penalty. Now the network is
# proved optimal, and no other optimal one differs from it on any day of any year.

model = ReLURegressorCV().fit(X, Y)
days = pd.DataFrame({"month": np.linspace(1.0, 12.0, 331)})
low, high = model.optimal_range(days)
print(f"{model.status_.value}, relative gap {model.certificate_.relative_gap:.0e}")
print(f"{len(model.knots_)} knots; two optimal networks differ by {np.max(high - low):.1g} °C")

# %%
# Which years are different?
# --------------------------
# Each row is a year: blue bends towards cooling, red towards warming. Sorted by how the year ended
# against how it began, the four at the top are the onsets of the great El Niños.

january, december = model.predict(pd.DataFrame({"month": [1.0, 12.0]}))
for year in np.argsort(december - january)[::-1][:4]:
    print(f"{data.tasks[year]}: December {december[year] - january[year]:+.1f} °C against January")

CoefficientDisplay.from_estimator(model, X, Y).plot()
plt.show()
