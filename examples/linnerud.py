"""
Linnerud: when not to bend
==========================

Twenty men, three exercises, three measures of their bodies: scikit-learn's smallest table with
several outputs. A network can follow them as closely as one likes. Should it?
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_linnerud
from sklearn.preprocessing import StandardScaler

import mtrelu
from mtrelu import ReLURegressor, ReLURegressorCV
from mtrelu.displays import CoefficientDisplay, SelectionDisplay

exercises, body = load_linnerud(return_X_y=True, as_frame=True)
X = StandardScaler().set_output(transform="pandas").fit_transform(exercises)
Y = StandardScaler().set_output(transform="pandas").fit_transform(body)

# %%
# Ever smaller penalties fit the twenty men ever better, each network proved to be the best for its
# penalty. A certificate speaks of these men, though, and not of the next one. Men who were held
# out do that.

alphas = mtrelu.alpha_max(X, Y) * np.geomspace(1.0, 0.03, 7)
model = ReLURegressorCV(alphas, rule="min").fit(X, Y)
print("   alpha  neurons  R² of the fit  held-out loss")
for alpha, held_out in zip(alphas, model.cv_losses_.mean(axis=1), strict=True):
    fit = ReLURegressor(alpha).fit(X, Y)
    assert fit.status_ is mtrelu.Status.CERTIFIED
    print(f"{alpha:8.3f}{fit.network_.n_neurons:9d}{fit.score(X, Y):15.2f}{held_out:15.2f}")

SelectionDisplay.from_estimator(model).plot()
plt.show()

# %%
# They choose the largest penalty: no neurons, a linear model. The picture shows what was turned
# down, the network of the last row of the table: more neurons than there are men.

CoefficientDisplay.from_estimator(fit, X, Y).plot()
plt.show()
