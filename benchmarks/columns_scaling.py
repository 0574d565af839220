"""Several inputs: seconds of `mtrelu.solve` with its certificate, held against targets.

The time is that of one call of `solve` from data to certificate, with compiled code in its cache:
a fit of a small problem comes first and is not counted. A time counts only if the status is
``CERTIFIED`` at the tolerance that is named; otherwise it is shown as missing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import mtrelu
from benchmarks import harness
from benchmarks.harness import Figure, in_time_units
from mtrelu.status import Status

SKIPS = ("affine", "constant")
OPTIMA = {"affine": 0.069667438667217, "constant": 0.070434729994226}
"""Two squares with 101 tasks at alpha = 1e-3, by skip connection; known to 15 digits."""


@dataclass(frozen=True)
class Case:
    """A problem, the relative gap that is asked for, and the seconds that it may take."""

    name: str
    X: np.ndarray
    Y: np.ndarray
    alpha: float
    tol: float
    seconds: float

    @property
    def label(self) -> str:
        return f"{self.name}, certified {self.tol:g}"


def two_squares(n_tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a square with label 0, those of one of half its size with 1; random tasks."""
    corners = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)])
    first = np.repeat([0.0, 1.0], 4)[:, np.newaxis]
    more = np.random.default_rng(0).integers(0, 2, size=(8, 100))
    return np.vstack((corners, 0.5 * corners)), np.hstack((first, more))[:, :n_tasks]


def gaussian(n_samples: int, n_tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels without any structure, which take the most neurons."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n_samples, 2)), rng.standard_normal((n_samples, n_tasks))


def student_teacher() -> tuple[np.ndarray, np.ndarray]:
    """Labels of 25 ReLU neurons of five inputs, one a task."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((25, 5))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    X = rng.standard_normal((20, 5))
    return X, np.maximum(X @ W.T, 0.0)


def cases(quick: bool) -> Iterator[Case]:
    for n_tasks in (1, 101):
        yield Case(f"two squares T={n_tasks}", *two_squares(n_tasks), 1e-3, 1e-9, 1.0)
    yield _gaussian(50, 100, 0.01, 1e-9, 3.0)
    if not quick:
        yield _gaussian(200, 10, 0.01, 1e-6, 10.0)
        yield _gaussian(1000, 10, 0.1, 1e-6, 120.0)
        yield Case("student-teacher d=5 N=20 T=25", *student_teacher(), 0.025, 1e-6, 60.0)


def _gaussian(n_samples: int, n_tasks: int, fraction: float, tol: float, seconds: float) -> Case:
    X, Y = gaussian(n_samples, n_tasks)
    name = f"Gaussian d=2 N={n_samples} T={n_tasks} at {fraction:g} alpha_max"
    return Case(name, X, Y, fraction * mtrelu.alpha_max(X, Y), tol, seconds)


def run(quick: bool) -> list[Figure]:
    mtrelu.solve(*gaussian(20, 3), 0.1)  # loads compiled code
    figures = [_timed(case) for case in cases(quick)]
    return figures + _reference_values()


def _timed(case: Case) -> Figure:
    begin = time.perf_counter()
    solution = mtrelu.solve(case.X, case.Y, case.alpha, tol=case.tol)
    seconds = time.perf_counter() - begin
    certificate = solution.certificate
    print(
        f"{case.name}: {in_time_units(seconds)}, {solution.status.value}, "
        f"gap {certificate.relative_gap:.1e} ({certificate.oracle}), "
        f"{solution.network.n_neurons} neurons, {solution.n_iter} rounds",
        flush=True,
    )
    counted = seconds if solution.status is Status.CERTIFIED else math.nan
    return Figure(f"columns: {case.label}", counted, "s", at_most=case.seconds)


def _reference_values() -> list[Figure]:
    """How far certified objectives are from known optima, relatively."""
    X, Y = two_squares(1)
    alpha = 1e-3
    known = [("T=1, 4α - 4α²", Y, "affine", 4 * alpha - 4 * alpha**2)]
    _, Y = two_squares(101)
    known += [(f"T=101, skip {skip}", Y, skip, OPTIMA[skip]) for skip in SKIPS]
    figures = []
    for name, labels, skip, optimum in known:
        found = mtrelu.solve(X, labels, alpha, skip=skip, tol=1e-11).certificate
        print(f"two squares {name}: {found.primal:.16g}, known {optimum:.16g}", flush=True)
        error = abs(found.primal - optimum) / optimum
        figures.append(Figure(f"columns: distance to the optimum, {name}", error, at_most=1e-9))
    return figures


if __name__ == "__main__":
    harness.main(run, __doc__)
