"""`LearnedKernelRidge` on real tables with many tasks: how well it predicts, and how long it takes.

Two questions. **Held-out samples**: all tasks are known on 70 % of the samples and predicted on the
others. **New tasks**: half of the tasks are known everywhere and shape the neurons, the other half
are known on 70 % of the samples and fitted in closed form. Inputs and tasks are standardised on
what is known, errors are root mean squares in these units over all tasks; the mean of the labels
has error one or so. Samples and tasks are divided at random, the same way for all models.

The other models: kernel ridge regression with a Gaussian kernel, width and ridge by five-fold
cross-validation; `MultiTaskLassoCV` on the inputs and on splines (one input) or cubic polynomials;
`ReLURegressor` with alpha by `select_alpha`; for new tasks also ridge regression on the known
tasks as features, which says nothing about inputs where these were not measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.datasets import load_digits, load_iris, load_linnerud, load_wine
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import MultiTaskLassoCV, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer, StandardScaler

import mtrelu
from benchmarks import harness
from benchmarks.harness import Figure, in_time_units
from mtrelu.datasets import load_cars, load_el_nino, load_macrodata
from mtrelu.estimators.learned_kernel import LearnedKernelRidge
from mtrelu.estimators.regressor import ReLURegressor
from mtrelu.kernels.neuron import NeuronKernel
from mtrelu.selection import select_alpha

KNOWN = 0.7
ENOUGH_TASKS = 10
"""Tables with fewer tasks are not divided into known and new ones."""

RBF_GRID = {"alpha": np.geomspace(1e-4, 10.0, 6), "gamma": np.geomspace(1e-2, 10.0, 7)}


@dataclass(frozen=True, eq=False)
class Table:
    """Labels Y (N, T) over inputs X (N, d)."""

    name: str
    X: np.ndarray
    Y: np.ndarray
    n_splits: int


@dataclass(frozen=True, eq=False)
class Split:
    """Standardised: known samples of the tasks in question, the others, and tasks known on both."""

    X: np.ndarray
    Y: np.ndarray
    X_test: np.ndarray
    Y_test: np.ndarray
    others: np.ndarray
    others_test: np.ndarray


Model = Callable[[Split], tuple[Callable[[], np.ndarray], float]]
"""Fits; returns the prediction of the held-out samples, and seconds of work before the fit."""


def tables(quick: bool) -> Iterator[Table]:
    """Shipped with mtrelu or with scikit-learn; at most 200 samples, chosen at random."""
    el_nino, economy, cars = load_el_nino(), load_macrodata(), load_cars(drop_missing=True)
    linnerud, iris, wine, digits = load_linnerud(), load_iris(), load_wine(), load_digits()
    pixels = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij"), axis=-1)
    every = (
        Table("El Niño: months, years as tasks", el_nino.X, el_nino.Y, 10),
        Table("economy: quarters", economy.X, economy.Y, 5),
        Table("cars: power, weight", cars.X, cars.Y, 3),
        Table("iris: sepals to petals", iris.data[:, :2], iris.data[:, 2:], 3),
        Table("wine: alcohol, colour", wine.data[:, [0, 9]], np.delete(wine.data, [0, 9], 1), 3),
        Table("Linnerud: exercises", linnerud.data, linnerud.target, 3),
        Table("digits: pixels, images as tasks", pixels.reshape(-1, 2), digits.data[:100].T, 2),
    )
    for table in every[:2] if quick else every:
        kept = np.random.default_rng(0).permutation(len(table.X))[:200]
        yield Table(table.name, table.X[kept], table.Y[kept], 2 if quick else table.n_splits)


def split(table: Table, seed: int, new_tasks: bool) -> Split:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(table.X))
    known, held_out = np.split(order, [round(KNOWN * len(order))])
    tasks = rng.permutation(table.Y.shape[1])
    half = len(tasks) // 2 if new_tasks else 0
    inputs = StandardScaler().fit(table.X if new_tasks else table.X[known])
    labels = StandardScaler().fit(table.Y[known][:, tasks[half:]])
    X, X_test = (inputs.transform(table.X[rows]) for rows in (known, held_out))
    Y, Y_test = (labels.transform(table.Y[rows][:, tasks[half:]]) for rows in (known, held_out))
    others = table.Y[:, tasks[:half]]
    if half:
        others = StandardScaler().fit_transform(others)
    return Split(X, Y, X_test, Y_test, others[known], others[held_out])


def by_scikit_learn(make: Callable[[Split], Any], data: Split) -> Any:
    model = make(data).fit(data.X, data.Y)
    return partial(model.predict, data.X_test), 0.0


def gaussian(data: Split) -> Any:
    return GridSearchCV(KernelRidge(kernel="rbf"), RBF_GRID, cv=5, scoring="neg_mean_squared_error")


def lasso(data: Split) -> Any:
    return MultiTaskLassoCV(alphas=30, cv=5, max_iter=10_000, tol=1e-2)


def lasso_on_features(data: Split) -> Any:
    one = data.X.shape[1] == 1
    features = SplineTransformer(8, extrapolation="linear") if one else PolynomialFeatures(3)
    return make_pipeline(features, StandardScaler(), lasso(data))


def relu(data: Split) -> Any:
    return ReLURegressor(select_alpha(data.X, data.Y).alpha, tol=1e-3)


def neurons(data: Split) -> Any:
    return LearnedKernelRidge("neurons", kernel_alpha=select_alpha(data.X, data.Y).alpha)


def from_known_tasks(data: Split) -> Any:
    """Neurons from the other tasks on all samples, then the tasks in question in closed form."""
    start = time.perf_counter()
    X = np.vstack([data.X, data.X_test])
    Y = np.vstack([data.others, data.others_test])
    kernel = NeuronKernel(mtrelu.solve(X, Y, select_alpha(X, Y).alpha, tol=1e-3).network)
    before = time.perf_counter() - start
    model = LearnedKernelRidge(kernel).fit(data.X, data.Y)
    return partial(model.predict, data.X_test), before


def tasks_as_features(data: Split) -> Any:
    model = RidgeCV(np.geomspace(1e-3, 1e5, 33)).fit(data.others, data.Y)
    return partial(model.predict, data.others_test), 0.0


OURS: dict[str, Model] = {
    "LearnedKernelRidge, infinite-task": partial(by_scikit_learn, lambda _: LearnedKernelRidge()),
    "LearnedKernelRidge, neurons": partial(
        by_scikit_learn, lambda _: LearnedKernelRidge("neurons")
    ),
    "LearnedKernelRidge, neurons, select_alpha": partial(by_scikit_learn, neurons),
}
PEERS: dict[str, Model] = {
    "ReLURegressor, select_alpha": partial(by_scikit_learn, relu),
    "KernelRidge, Gaussian, CV": partial(by_scikit_learn, gaussian),
    "MultiTaskLassoCV, inputs": partial(by_scikit_learn, lasso),
    "MultiTaskLassoCV, features": partial(by_scikit_learn, lasso_on_features),
}
FOR_NEW_TASKS: dict[str, Model] = {
    "LearnedKernelRidge, known tasks": from_known_tasks,
    "RidgeCV on the known tasks": tasks_as_features,
}


def measure(table: Table, models: dict[str, Model], new_tasks: bool) -> dict[str, float]:
    """Print error and time of every model; return the errors."""
    errors: dict[str, list[float]] = {name: [] for name in models}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    before: dict[str, list[float]] = {name: [] for name in models}
    for seed in range(table.n_splits):
        data = split(table, seed, new_tasks)
        for name, model in models.items():
            start = time.perf_counter()
            predict, kernel_seconds = model(data)
            seconds[name].append(time.perf_counter() - start - kernel_seconds)
            before[name].append(kernel_seconds)
            errors[name].append(float(np.sqrt(np.mean((predict() - data.Y_test) ** 2))))
    n, d = table.X.shape
    print(f"\n{table.name}: N={n} d={d} T={table.Y.shape[1]}, {table.n_splits} splits")
    mean = {name: float(np.mean(values)) for name, values in errors.items()}
    for name, values in errors.items():
        best = "  best" if mean[name] == min(mean.values()) else ""
        earlier = float(np.mean(before[name]))
        learned = f" after {in_time_units(earlier)} for the kernel" if earlier else ""
        spread = np.std(values, ddof=1) / np.sqrt(len(values))
        print(
            f"  {name:<42}{mean[name]:.3f} ± {spread:.3f}"
            f"{in_time_units(float(np.mean(seconds[name]))):>12}{learned}{best}",
            flush=True,
        )
    return mean


def run(quick: bool) -> list[Figure]:
    figures = []
    for new_tasks in (False, True):
        print(f"\n-- {'new tasks' if new_tasks else 'held-out samples'}")
        models = (FOR_NEW_TASKS if new_tasks else {}) | OURS | PEERS
        ours = next(iter(models))
        errors = [
            measure(table, models, new_tasks)
            for table in tables(quick)
            if not new_tasks or table.Y.shape[1] >= ENOUGH_TASKS
        ]
        label = "learned kernel, new tasks" if new_tasks else "learned kernel, held-out samples"
        for name in models:
            ratio = np.exp(np.mean([np.log(table[name] / table[ours]) for table in errors]))
            wins = sum(table[name] < table[ours] for table in errors)
            if name != ours:
                figures += [
                    Figure(f"{label}: error of {name} / {ours}", float(ratio)),
                    Figure(f"{label}: … tables of {len(errors)} where it is better", wins),
                ]
    return figures


if __name__ == "__main__":
    harness.main(run, __doc__)
