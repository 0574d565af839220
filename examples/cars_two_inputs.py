"""
Cars: bends in two inputs
=========================

Fuel economy, acceleration and engine size of 392 cars, from their power and their weight. With two
inputs a neuron is a line across which all three tasks change their slope.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import mtrelu
from mtrelu import ReLURegressorCV
from mtrelu.datasets import load_cars
from mtrelu.displays import SurfaceDisplay
from mtrelu.scaling import Scaling

cars = load_cars(drop_missing=True)

# %%
# The penalty adds inputs and tasks up, so they are brought to one scale. Held-out cars choose how
# strong it is; the network for this penalty is then proved to be the best of any width.

scaling = Scaling.of(cars.X, cars.Y, inputs=True, tasks=True)
X, Y = scaling.inputs(cars.X), scaling.labels(cars.Y)
choice = ReLURegressorCV(cv=3, n_alphas=9, tol=1e-4).fit(X, Y)
solution = mtrelu.solve(X, Y, choice.alpha_)
print(solution.certificate.in_words(), "\n")

# %%
# In the data's own units it is a network like any other.

network = scaling.in_own_units(solution.network)
error = np.sqrt(np.mean((network(cars.X) - cars.Y) ** 2, axis=0))
line = np.column_stack([cars.X, np.ones(len(cars.X))])
of_line = np.sqrt(np.mean((cars.Y - line @ np.linalg.lstsq(line, cars.Y)[0]) ** 2, axis=0))
print(f"root mean square error of the {network.n_neurons} neurons, and of planes without them")
for task, ours, planes in zip(cars.tasks, error, of_line, strict=True):
    print(f"{task:<20}{ours:8.2f}{planes:8.2f}")

# %%
# The lines are the same in all pictures, because the tasks share the neurons: it is where a car
# stops being light, or starts being strong.

figure, panels = plt.subplots(1, 3, figsize=(13.0, 3.8), layout="constrained")
for task, axes in enumerate(panels):
    SurfaceDisplay.from_solution(
        solution, task, tasks=cars.tasks, input_names=cars.input_names, scaling=scaling
    ).plot(axes)
plt.show()
