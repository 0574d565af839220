"""`ReLURegressorCV` beside the usual regressors on real tables with several outputs.

On every table 70 % of the samples are known and the others are predicted; all models get the same
divisions. Inputs and tasks are standardised on what is known, errors are root mean squares in these
units over all tasks. Every model chooses its hyperparameters by cross-validation inside the known
samples, with seed 0; random ones are then fitted from several seeds. The fit time is that of the
choice and of one fit, in seconds of one core.

The size of a model: neurons (`ReLURegressorCV`, MLP), features that are used (Lasso), knots of all
tasks together (pwlf, which fits each task alone), leaves (forest), samples kept (kernel ridge).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from joblib import Parallel, delayed, parallel_config
from pwlf import PiecewiseLinFit
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_linnerud, load_wine
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import MultiTaskLassoCV
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer, StandardScaler

from benchmarks import harness
from benchmarks.harness import Figure, in_time_units
from mtrelu.datasets import load_cars, load_el_nino, load_macrodata
from mtrelu.estimators.cv import ReLURegressorCV
from mtrelu.estimators.regressor import ReLURegressor

KNOWN = 0.7
FOLDS = KFold(5, shuffle=True, random_state=0)
N_SEEDS = 5
OURS = "ReLURegressorCV"
MOST_EXACT = 3
"""Beyond so many inputs an exact search for neurons takes too long, and fits end unproved."""


@dataclass(frozen=True, eq=False)
class Table:
    """Labels Y (N, T) over inputs X (N, d)."""

    name: str
    X: np.ndarray
    Y: np.ndarray
    n_splits: int


@dataclass(frozen=True)
class Outcome:
    """One model on one division: errors (one a seed), size, seconds."""

    errors: tuple[float, ...]
    size: float
    seconds: float


def tables(quick: bool) -> Iterator[Table]:
    """Shipped with mtrelu or with scikit-learn; at most 200 samples, chosen at random."""
    el_nino, economy, cars = load_el_nino(), load_macrodata(), load_cars(drop_missing=True)
    linnerud, iris, wine, digits = load_linnerud(), load_iris(), load_wine(), load_digits()
    diabetes = load_diabetes()
    serum = np.column_stack([diabetes.data[:, 4:], diabetes.target])
    pixels = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0), indexing="ij"), axis=-1)
    every = (
        Table("El Niño: months, years as tasks", el_nino.X, el_nino.Y, 5),
        Table("iris: sepals to petals", iris.data[:, :2], iris.data[:, 2:], 5),
        Table("economy: quarters", economy.X, economy.Y, 3),
        Table("cars: weight", cars.X[:, 1:], cars.Y, 5),
        Table("cars: power, weight", cars.X, cars.Y, 5),
        Table("wine: alcohol, colour", wine.data[:, [0, 9]], np.delete(wine.data, [0, 9], 1), 5),
        Table("digits: pixels, images as tasks", pixels.reshape(-1, 2), digits.data[:100].T, 3),
        Table("Linnerud: exercises", linnerud.data, linnerud.target, 5),
        Table("diabetes: age, sex, bmi, pressure", diabetes.data[:, :4], serum, 2),
    )
    for table in every[:2] if quick else every:
        kept = np.random.default_rng(0).permutation(len(table.X))[:200]
        yield Table(table.name, table.X[kept], table.Y[kept], 1 if quick else table.n_splits)


class Segments(RegressorMixin, BaseEstimator):
    """Each task by pwlf's fast fit alone, with as many segments as cross-validation says."""

    def __init__(self, n_segments: tuple[int, ...] | None = None, random_state: int = 0) -> None:
        self.n_segments = n_segments
        self.random_state = random_state

    def fit(self, X: np.ndarray, Y: np.ndarray) -> Self:
        assert self.n_segments is not None
        pairs = zip(Y.T, self.n_segments, strict=True)
        self.fits_ = [self._one(X[:, 0], y, n) for y, n in pairs]
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.column_stack([fit.predict(X[:, 0]) for fit in self.fits_])

    def chosen(self, X: np.ndarray, Y: np.ndarray) -> Segments:
        """With the number of segments of each task that predicts held-out samples best."""
        most = min(5, len(np.unique(X)) // 3)
        errors = np.zeros((most, Y.shape[1]))
        for train, test in FOLDS.split(X):
            for n in range(1, most + 1):
                fit = Segments((n,) * Y.shape[1]).fit(X[train], Y[train])
                errors[n - 1] += np.sum((fit.predict(X[test]) - Y[test]) ** 2, axis=0)
        return Segments(tuple(int(n) for n in 1 + np.argmin(errors, axis=0)))

    def _one(self, x: np.ndarray, y: np.ndarray, n_segments: int) -> Any:
        fit = PiecewiseLinFit(x, y, seed=self.random_state)
        fit.fitfast(n_segments)
        return fit


def models(d: int) -> dict[str, Any]:
    """Every model by its name, its hyperparameters not yet chosen."""
    effort: dict[str, Any] = {"tol": 1e-3}
    if d > MOST_EXACT:
        effort = {"tol": 1e-2, "time_limit": 0.2, "n_alphas": 7}
    lasso = MultiTaskLassoCV(alphas=30, cv=FOLDS, max_iter=10_000, tol=1e-2)
    features, complexity = (
        (SplineTransformer(degree=1, extrapolation="linear"), {"n_knots": [3, 5, 9, 17]})
        if d == 1
        else (PolynomialFeatures(include_bias=False), {"degree": [1, 2, 3]})
    )
    every = {
        OURS: ReLURegressorCV(**effort),
        f"{OURS}, rule='min'": ReLURegressorCV(rule="min", **effort),
        "MLPRegressor": search(
            MLPRegressor(hidden_layer_sizes=(100,), solver="lbfgs", max_iter=500),
            alpha=np.geomspace(1e-3, 100.0, 6),
        ),
        "RandomForestRegressor": search(RandomForestRegressor(), min_samples_leaf=[1, 3, 10]),
        "KernelRidge, Gaussian": search(
            KernelRidge(kernel="rbf"),
            alpha=np.geomspace(1e-4, 10.0, 6),
            gamma=np.geomspace(1e-2, 10.0, 7),
        ),
        "MultiTaskLassoCV on features": search(
            Pipeline([("features", features), ("scale", StandardScaler()), ("lasso", lasso)]),
            **{f"features__{name}": values for name, values in complexity.items()},
        ),
    }
    return every | ({"pwlf, task by task": Segments()} if d == 1 else {})


def search(estimator: Any, **grid: Any) -> GridSearchCV:
    if "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=0)
    return GridSearchCV(
        estimator,
        grid,
        cv=FOLDS,
        scoring="neg_mean_squared_error",
        refit=False,
        error_score="raise",
    )


def chosen(model: Any, X: np.ndarray, Y: np.ndarray) -> Any:
    """The model with its hyperparameters chosen, to be fitted."""
    if isinstance(model, GridSearchCV):
        return clone(model.estimator).set_params(**model.fit(X, Y).best_params_)
    if isinstance(model, Segments):
        return model.chosen(X, Y)
    if X.shape[1] <= MOST_EXACT:
        return model  # one fit does both, and has no use for a seed
    found = model.fit(X, Y)
    return ReLURegressor(found.alpha_, tol=found.tol, time_limit=found.time_limit)


def size(fitted: Any) -> int:
    """How much of a model there is; the heading says of what."""
    match fitted:
        case ReLURegressor() | ReLURegressorCV():
            return int(fitted.network_.n_neurons)
        case MLPRegressor():
            return sum(fitted.hidden_layer_sizes)
        case RandomForestRegressor():
            return sum(tree.get_n_leaves() for tree in fitted.estimators_)
        case KernelRidge():
            return len(fitted.X_fit_)
        case Segments():
            return sum(fit.n_segments - 1 for fit in fitted.fits_)
    return int(np.any(fitted[-1].coef_ != 0.0, axis=0).sum())


def measure(table: Table, split: int, n_seeds: int) -> dict[str, Outcome]:
    """Every model on one division of a table."""
    order = np.random.default_rng(split).permutation(len(table.X))
    known, held_out = np.split(order, [round(KNOWN * len(order))])
    inputs, labels = StandardScaler().fit(table.X[known]), StandardScaler().fit(table.Y[known])
    X, X_test = (inputs.transform(table.X[rows]) for rows in (known, held_out))
    Y, Y_test = (labels.transform(table.Y[rows]) for rows in (known, held_out))
    d = X.shape[1]
    ReLURegressorCV([1.0], cv=2).fit(X[:8], Y[:8])  # reads compiled code
    outcomes = {}
    for name, model in models(d).items():
        start = time.process_time()
        best = chosen(model, X, Y)
        choice = time.process_time() - start
        random = "random_state" in best.get_params(deep=False) and best is not model
        errors, sizes, seconds = [], [], []
        for seed in range(n_seeds if random else 1):
            fitted = clone(best).set_params(random_state=seed) if random else best
            start = time.process_time()
            fitted.fit(X, Y)
            seconds.append(choice + time.process_time() - start)
            errors.append(float(np.sqrt(np.mean((fitted.predict(X_test) - Y_test) ** 2))))
            sizes.append(size(fitted))
        outcomes[name] = Outcome(tuple(errors), float(np.mean(sizes)), float(np.mean(seconds)))
    return outcomes


def quietly(table: Table, split: int, n_seeds: int) -> dict[str, Outcome]:
    """Measure; that a fit ended at its limit of iterations or of time is what its limit is for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return measure(table, split, n_seeds)


def show(table: Table, splits: list[dict[str, Outcome]]) -> dict[str, float]:
    """Print error, spreads, size and time of every model; return errors in units of the best."""
    n, d = table.X.shape
    mean = {name: float(np.mean([s[name].errors for s in splits])) for name in splits[0]}
    least = min(mean.values())
    print(f"\n{table.name}: N={n} d={d} T={table.Y.shape[1]}, {len(splits)} divisions")
    head = ("/ best", "error", "± divisions", "± seeds", "size", "fit")
    print(f"  {'':<32}{'{:>7}{:>8}{:>13}{:>9}{:>9}{:>11}'.format(*head)}")
    for name in sorted(mean, key=mean.__getitem__):
        errors = [s[name].errors for s in splits]
        divisions = np.std([np.mean(e) for e in errors], ddof=1) if len(splits) > 1 else np.nan
        seeds = f"{np.mean([np.std(e, ddof=1) for e in errors]):.3f}" if len(errors[0]) > 1 else "0"
        sizes, seconds = ([getattr(s[name], of) for s in splits] for of in ("size", "seconds"))
        print(
            f"  {name:<32}{mean[name] / least:>7.3f}{mean[name]:>8.3f}"
            f"{divisions / np.sqrt(len(splits)):>13.3f}{seeds:>9}{np.mean(sizes):>9.1f}"
            f"{in_time_units(float(np.mean(seconds))):>11}",
            flush=True,
        )
    return {name: error / least for name, error in mean.items()}


def run(quick: bool) -> list[Figure]:
    every = list(tables(quick))
    n_seeds = 2 if quick else N_SEEDS
    jobs = (delayed(quietly)(table, s, n_seeds) for table in every for s in range(table.n_splits))
    errors = []
    # One thread a fit, so that times compare; two divisions at a time.
    with parallel_config("loky", inner_max_num_threads=1):
        outcomes = Parallel(n_jobs=2, return_as="generator")(jobs)
        for table in every:
            errors.append(show(table, [next(outcomes) for _ in range(table.n_splits)]))
    head = ("error / least error of the table", "mean", "worst", "best on")
    print("\n{:<36}{:>8}{:>8}{:>9}  worst table".format(*head))
    figures = []
    for name in dict.fromkeys(name for found in errors for name in found):
        ratios = np.array([found.get(name, np.nan) for found in errors])
        there = ratios[~np.isnan(ratios)]
        typical = float(np.exp(np.mean(np.log(there))))
        print(
            f"  {name:<34}{typical:>8.3f}{there.max():>8.3f}{int((there == 1.0).sum()):>5} of "
            f"{len(there)}  {every[int(np.nanargmax(ratios))].name}"
        )
        figures.append(Figure(f"comparison: held-out error of {name} / the best", typical))
    return figures


if __name__ == "__main__":
    harness.main(run, __doc__)
