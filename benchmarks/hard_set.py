"""Generated hard problems: nothing may be called certified, unique or not unique that is not.

Every claim is judged by `benchmarks.brute_force`, which shares no code with mtrelu:

* certified: no network found by brute force may score below the certificate's lower bound, and the
  certified network, whose objective is summed again in extended precision, may exceed the best
  network found by no more than the tolerance.
* unique: among the networks that are worse than the optimum by a small share, the range of random
  linear functions of the prediction has to shrink with that share.
* not unique: the two networks shown have to differ, both with the objective of the best network
  found by brute force.

``python -m benchmarks.hard_set 17`` judges problem 17 and shows it.
"""

from __future__ import annotations

import math
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import mtrelu
from benchmarks import brute_force, harness
from benchmarks.brute_force import HardProblem, Independent
from benchmarks.harness import Figure
from mtrelu.status import Status

SIZE = 320
TOL = 1e-6
TOL_OTHER = 1e-4
"""Relative gap asked for with a loss that is not the squared one."""
ROUNDING = 1e-12
"""Share of an objective that float64 arithmetic of a bound may be off."""
OPTIMAL = 1e-8
"""Relative excess over the best objective that a network may have that is shown as optimal."""
SHARP = 1e-5
"""A check is called sharp if brute force comes as near as this to the lower bound, relatively."""

POINTS = (
    "gaussian",
    "lattice",
    "aligned",
    "collinear",
    "duplicated",
    "squares",
    "close pairs",
    "few",
    "constant column",
    "dependent columns",
    "circle",
)
LABELS = ("gaussian", "binary", "teacher", "rank one", "affine", "one hot", "kinks")
FRACTIONS = (0.0, 1e-7, 1e-5, 1e-3, 1e-2, 0.1, 0.5, 0.999, 1.001, 2.0)
"""Of the smallest penalty without neurons; 0 interpolates."""


# --- the problems --------------------------------------------------------------------------------


def problem(index: int) -> HardProblem:
    """One problem of the set, the same on every machine."""
    rng = np.random.default_rng((2410, index))
    points = POINTS[index % len(POINTS)]
    d = int(rng.choice([1, 2, 2, 2, 2, 3, 3, 4]))
    if points in ("squares", "aligned", "circle"):
        d = 2
    elif points in ("constant column", "dependent columns", "collinear"):
        d = max(d, 2)
    X = _points(points, d, rng)
    skip = "constant" if d == 1 else str(rng.choice(["affine", "constant"]))
    n_tasks = int(rng.choice([1, 1, 1, 2, 3, 10, 100, 1000]))
    loss = str(rng.choice(["squared"] * 6 + ["huber", "logistic", "quantile"]))
    if loss != "squared":
        n_tasks = min(n_tasks, 3)
    labels = str(rng.choice(LABELS))
    Y = _labels("binary" if loss == "logistic" else labels, X, n_tasks, rng)
    if loss == "logistic":
        labels, Y = "noisy binary", 0.05 + 0.9 * Y  # 0 and 1 might be separable: no optimum
    weights = None
    if rng.random() < 0.2:
        weights = 10.0 ** rng.uniform(-2, 2, len(X))
        weights[rng.integers(len(X))] = 0.0 if len(X) > 3 else 1.0
    fraction = float(rng.choice(FRACTIONS))
    if loss != "squared":
        fraction = float(rng.choice([1e-2, 0.1, 0.5, 2.0]))
    if fraction == 0.0:
        Y = _labels_of_points(X, Y)
    X, Y, scales = _scaled(X, Y, loss, rng)
    name = f"#{index} {points} d={d} N={len(X)} T={n_tasks} {labels} {loss} {skip}{scales}"
    name += f" alpha={fraction:g} of largest" + (" weights" if weights is not None else "")
    shape = {"huber": 0.3, "quantile": 0.8}.get(loss, 1.0)
    plain = HardProblem(name, X, Y, 1.0, skip, loss, shape, weights)
    alpha = fraction * _largest(plain)
    return HardProblem(name, X, Y, alpha, skip, loss, shape, weights)


def _largest(plain: HardProblem) -> float:
    """A penalty from which on no neuron pays; 1 where none ever does."""
    largest = brute_force.largest_useful_alpha(plain)
    size = float(np.abs(plain.Y).max() * np.ptp(plain.X, axis=0).max())
    return largest if largest > 1e-9 * size else max(size, 1.0)


def _points(kind: str, d: int, rng: np.random.Generator) -> np.ndarray:
    n = int(rng.integers(d + 1, {1: 16, 2: 15, 3: 11, 4: 9}[d]))
    X: np.ndarray = rng.standard_normal((n, d))
    if kind == "lattice":
        X = rng.integers(-1, 2, (n, d)).astype(float)
    elif kind == "aligned":
        X[:, 1] = rng.integers(0, 3, n)
    elif kind == "collinear":
        along = rng.integers(-4, 5, n).astype(float)
        X = along[:, np.newaxis] * rng.integers(1, 4, d) + rng.integers(-3, 4, d)
    elif kind == "duplicated":
        X = X[rng.integers(0, max(2, n // 2), n)]
    elif kind == "squares":
        corners = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)])
        sides = rng.choice([1.0, 0.5, 0.25, 2.0], size=int(rng.integers(1, 4)), replace=False)
        X = np.vstack([side * corners for side in sides])
    elif kind == "close pairs":
        half = X[: (n + 1) // 2]
        apart = 10.0 ** rng.uniform(-9, -3) * rng.standard_normal(half.shape)
        X = np.vstack((half, half + apart))[:n]
    elif kind == "few":
        X = X[: int(rng.integers(1, d + 1))]
    elif kind == "constant column":
        X[:, rng.integers(d)] = 3.0
    elif kind == "dependent columns":
        X[:, -1] = X[:, 0] - (2.0 * X[:, 1] if d > 2 else 0.0)
    elif kind == "circle":
        n = int(rng.integers(3, 13))
        angle = 2 * np.pi * np.arange(n) / n
        X = np.vstack((np.column_stack((np.cos(angle), np.sin(angle))), np.zeros((1, 2))))
    return X


def _labels(kind: str, X: np.ndarray, n_tasks: int, rng: np.random.Generator) -> np.ndarray:
    n, d = X.shape
    if kind == "binary":
        return rng.integers(0, 2, (n, n_tasks)).astype(float)
    if kind == "teacher":
        w, v = rng.standard_normal((3, d)), rng.standard_normal((3, n_tasks))
        pivots = X[rng.integers(0, n, 3)]
        return np.asarray(np.maximum(X @ w.T - np.sum(w * pivots, axis=1), 0.0) @ v)
    if kind == "rank one":
        return np.outer(rng.standard_normal(n), rng.integers(-1, 2, n_tasks))
    if kind == "affine":
        return X @ rng.integers(-2, 3, (d, n_tasks)) + rng.standard_normal(n_tasks)
    if kind == "one hot":
        return np.equal.outer(rng.integers(0, n, n_tasks), np.arange(n)).T.astype(float)
    if kind == "kinks":
        slopes = rng.integers(-1, 2, (d, n_tasks))
        return np.asarray(np.abs(X @ slopes) + np.max(X, axis=1, keepdims=True))
    return rng.standard_normal((n, n_tasks))


def _labels_of_points(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """The same labels for equal points: those of the first."""
    first, group = np.unique(X, axis=0, return_index=True, return_inverse=True)[1:]
    return Y[first[group.reshape(-1)]]


def _scaled(
    X: np.ndarray, Y: np.ndarray, loss: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, str]:
    said = ""
    if rng.random() < 0.15:
        offset = float(10.0 ** rng.integers(1, 6))
        X, said = X + offset, said + f" X+{offset:g}"
    for name in "XY":
        if rng.random() < 0.3 and not (name == "Y" and loss != "squared"):
            scale = float(10.0 ** rng.choice([-8, -3, 3, 8]))
            X, Y = (X * scale, Y) if name == "X" else (X, Y * scale)
            said += f" {name}*{scale:g}"
    return X, Y, said


# --- the judgement -------------------------------------------------------------------------------


@dataclass
class Verdict:
    """What mtrelu claimed about a problem, and every claim that was found false."""

    problem: HardProblem
    status: str = ""
    verdict: str = ""
    oracle: str = ""
    gap: float = math.nan
    sharpness: float = math.nan
    """How far brute force stays above the lower bound, relatively."""
    false: list[str] = field(default_factory=list)
    failed: str = ""
    seconds: float = 0.0
    doubted: bool = False
    """A "unique" that the cone programs could neither confirm nor refute."""

    def line(self) -> str:
        text = (
            f"{self.problem.name}: {self.status or 'no solution'} ({self.oracle}, gap "
            f"{self.gap:.0e}, brute force {self.sharpness:+.0e}), "
            f"{self.verdict or 'no verdict'}, {self.seconds:.1f} s"
        )
        for claim in self.false:
            text += f"\n  FALSE: {claim}"
        return text + (f"\n  FAILED: {self.failed}" if self.failed else "")


def judge(given: HardProblem) -> Verdict:
    """Solve a problem and check what is claimed about it."""
    found = Verdict(given)
    begin = time.perf_counter()
    solution: mtrelu.Solution | None = None
    optima: Any = None
    try:
        solution = _solve(given)
        certificate = solution.certificate
        found.status, found.oracle = certificate.status.value, certificate.oracle
        found.gap = certificate.relative_gap
        optima = solution.optimal_set()
        found.verdict = str(optima.verdict.value)
    except Exception:
        found.failed = traceback.format_exc(limit=-2).strip().replace("\n", "\n    ")
    found.seconds = time.perf_counter() - begin
    if solution is None:
        return found
    other = brute_force.second_opinion(given, solution.network)
    _check_certificate(found, solution, other)
    if found.verdict == "not unique":
        _check_not_unique(found, optima, other)
    if found.verdict == "unique":
        _check_unique(found, given, optima.network)
    return found


def _solve(given: HardProblem) -> mtrelu.Solution:
    loss: Any = given.loss
    if given.loss == "huber":
        loss = mtrelu.HuberLoss(delta=given.shape)
    elif given.loss == "quantile":
        loss = mtrelu.QuantileLoss(quantile=given.shape)
    return mtrelu.solve(
        given.X, given.Y, given.alpha, loss=loss, skip=given.skip, tol=tolerance(given),
        sample_weight=given.weights, time_limit=20.0,
    )  # fmt: skip


def tolerance(given: HardProblem) -> float:
    return TOL if given.loss == "squared" else TOL_OTHER


def _check_certificate(found: Verdict, solution: mtrelu.Solution, other: Independent) -> None:
    """The lower bound, the objective, the tolerance."""
    given, certificate = found.problem, solution.certificate
    if certificate.status is Status.INFEASIBLE:
        return
    objective = brute_force.objective(given, solution.network)
    wrong = abs(objective - certificate.primal) > ROUNDING * objective + certificate.gap
    if wrong and not _is_rounding(given, objective):
        found.false.append(f"objective {certificate.primal!r}, but it sums to {objective!r}")
    if given.alpha == 0 and not brute_force.interpolates(given, solution.network):
        found.false.append("a network that is said to interpolate does not")
    best = min(other.objective, objective)
    found.sharpness = (best - certificate.dual) / max(best, 1e-300)
    if certificate.oracle == "estimate":
        return
    if certificate.dual > best * (1 + ROUNDING):
        found.false.append(f"lower bound {certificate.dual!r}, but a network has {best!r}")
    if certificate.status is not Status.CERTIFIED:
        return
    excess = (objective - best) / max(objective, 1e-300)
    if excess > tolerance(given) + ROUNDING and not _is_rounding(given, objective):
        found.false.append(f"certified {objective!r}, but a network has {best!r}")


def _is_rounding(given: HardProblem, objective: float) -> bool:
    """Whether an objective is what rounding of the labels, or of inputs times slopes, makes."""
    units = brute_force.Units.of(given)
    basis = brute_force.skip_basis(units.Z, given.skip)
    slope = np.linalg.lstsq(basis, units.L @ units.back.T, rcond=None)[0]
    size = np.abs(given.Y).max(axis=0)
    if given.skip == "affine":
        size = size + units.y / units.x * np.linalg.norm(given.X, axis=1).max() * np.linalg.norm(
            slope[1:], axis=0
        )
    rounding = 1e-14 * size
    if given.alpha == 0:
        return objective <= 1e3 * float(np.linalg.norm(rounding)) / units.x
    return objective <= float(given.sample_weight.sum() * (rounding**2).sum())


def _check_not_unique(found: Verdict, optima: Any, other: Independent) -> None:
    """Two of the networks that are shown differ, and all have the best objective."""
    given = found.problem
    if optima.witness() is None:
        found.false.append("not unique, but no second network is shown")
        return
    shown = {"network": optima.network, "witness": optima.witness(), "sparsest": optima.sparsest()}
    shown |= {f"sample {k}": network for k, network in enumerate(optima.sample(3, 0))}
    for name, network in shown.items():
        value = brute_force.objective(given, network)
        if value > other.objective * (1 + OPTIMAL) and not _is_rounding(given, value):
            found.false.append(f"{name} has {value!r}, but a network has {other.objective!r}")
        if given.alpha == 0 and not brute_force.interpolates(given, network, 1e-10):
            found.false.append(f"{name} misses the labels")
    at = _query(given, 400)
    values = [brute_force.predictions(network, at).astype(float) for network in shown.values()]
    spread = float(np.ptp(values, axis=0).max())
    size = float(np.ptp(given.Y, axis=0).max()) or float(np.abs(given.Y).max())
    if not spread > 1e-5 * size:
        found.false.append(f"not unique, but the networks differ by {spread:.1e} only")


def _check_unique(found: Verdict, given: HardProblem, network: Any) -> None:
    """The nearer to the optimum, the smaller the range of random functions of the prediction."""
    other = brute_force.second_opinion(given, network, seed=1)
    program = other.program
    if program is None or not program.solve():
        found.doubted = True
        return
    rng = np.random.default_rng(0)
    units = program.units
    points = (_query(given, 30) - units.centre) / units.x
    values = program.values_at(points)
    widths = []
    for _ in range(2):
        signs = rng.standard_normal(values.shape) / values.size
        direction = brute_force.linear(signs, values)
        for excess in (1e-4, 1e-6):
            high = program.extreme(direction, excess)
            low = -program.extreme(-direction, excess)
            widths.append(high - low)
    pairs = zip(widths[::2], widths[1::2], strict=True)
    reached = [pair for pair in pairs if np.all(np.isfinite(pair))]
    least = 1e-5 * max(1.0, float(np.abs(units.L).max()))
    # Those of a unique optimum shrink by 1/5 at least; an interval of optima keeps its width.
    shrunk = [narrow / wide if narrow > least else 0.0 for wide, narrow in reached]
    if any(ratio > 0.6 for ratio in shrunk):
        found.false.append(f"unique, but ranges shrink by {shrunk} only")
    found.doubted = not found.false and (not shrunk or max(shrunk) > 0.35)


def _query(given: HardProblem, n: int) -> np.ndarray:
    """Points in and around the box of the inputs."""
    rng = np.random.default_rng(0)
    low, high = given.X.min(axis=0), given.X.max(axis=0)
    side = float((high - low).max()) or max(1.0, float(np.abs(low).max()))
    return np.asarray((low + high) / 2 + side * rng.uniform(-0.8, 0.8, (n, given.X.shape[1])))


# --- the benchmark -------------------------------------------------------------------------------


def run(quick: bool) -> list[Figure]:
    verdicts = []
    for index in range(0, SIZE, 8 if quick else 1):
        found = judge(problem(index))
        verdicts.append(found)
        if found.false or found.failed:
            print(found.line(), flush=True)
    return summary(verdicts)


def summary(verdicts: list[Verdict]) -> list[Figure]:
    """Print what was claimed how often, and return the figures."""
    statuses = Counter(found.status or "failed" for found in verdicts)
    claims = Counter(found.verdict or "failed" for found in verdicts)
    close = [found for found in verdicts if found.gap <= tolerance(found.problem)]
    sharp = [found for found in close if found.sharpness <= SHARP]
    print(f"{len(verdicts)} problems; {dict(statuses)}; optima {dict(claims)}")
    print(
        f"brute force came within {SHARP:g} of the lower bound in {len(sharp)} of {len(close)} "
        f"small gaps; {sum(found.doubted for found in verdicts)} times unique left open"
    )
    false = sum(bool(found.false) for found in verdicts)
    failed = sum(bool(found.failed) for found in verdicts)
    share = statuses[Status.CERTIFIED.value] / len(verdicts)
    return [
        Figure(f"hard set: problems with a false claim, of {len(verdicts)}", false, at_most=0),
        Figure("hard set: problems that raised an error", failed, at_most=0),
        Figure("hard set: share certified", share),
        Figure("hard set: unique", claims["unique"]),
        Figure("hard set: not unique", claims["not unique"]),
        Figure("hard set: undecided", claims["undecided"]),
    ]


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].isdigit():
        for number in sys.argv[1:]:
            print(judge(problem(int(number))).line(), flush=True)
    else:
        harness.main(run, __doc__)
