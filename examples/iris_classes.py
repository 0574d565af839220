"""
Classes with a bend
===================

Three kinds of iris by the length and width of their petals. `ReLUClassifier` fits one logit a class
over neurons that all classes share, and the fit is proved optimal like any other.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from mtrelu import ReLUClassifier
from mtrelu.displays import SurfaceDisplay

iris = load_iris(as_frame=True)
X = iris.data[["petal length (cm)", "petal width (cm)"]]
y = iris.target_names[iris.target]

# %%
# An estimator of scikit-learn like any other: cross-validation chooses the penalty.

search = GridSearchCV(
    ReLUClassifier(tol=1e-4), {"alpha": [0.1, 0.3, 1.0, 3.0]}, scoring="neg_log_loss"
).fit(X, y)
model = search.best_estimator_
print(f"alpha = {model.alpha}, held-out log loss {-search.best_score_:.3f}")
print(model.certificate_.in_words(), "\n")

# %%
# Two flowers, one clear and one between two kinds.

flowers = X.iloc[[0, 77]]
for flower, shares in zip(flowers.to_numpy(), model.predict_proba(flowers), strict=True):
    named = ", ".join(f"{p:.2f} {c}" for c, p in zip(model.classes_, shares, strict=True))
    print(f"{flower} cm: {named}")

# %%
# Each class against the rest. The lines where the logits bend are common to all three.

figure, panels = plt.subplots(1, 3, figsize=(12.0, 3.6), layout="constrained")
for task, axes in enumerate(panels):
    SurfaceDisplay.from_estimator(model, X, y, task=task).plot(axes)
plt.show()
