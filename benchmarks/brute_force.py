"""A second solver for small problems, which shares no code with mtrelu: slow, plain, independent.

It takes neurons from an enumeration of all arcs of directions (two inputs) or from a dense sample
of directions, and their output weights from a cone program. What it finds is a network, whose
objective, summed in extended precision, no true lower bound can exceed.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np

LONG = np.longdouble
ROUNDS = 8
EXCESS = 1e-8  # neurons that exceed the dual bound by less can change the optimum by no more


@dataclass(frozen=True)
class HardProblem:
    """A problem as a user states it. ``loss`` is a name, ``shape`` its parameter (delta, level)."""

    name: str
    X: np.ndarray
    Y: np.ndarray
    alpha: float
    skip: str = "affine"
    loss: str = "squared"
    shape: float = 1.0
    weights: np.ndarray | None = None

    @property
    def sample_weight(self) -> np.ndarray:
        return np.ones(len(self.X)) if self.weights is None else self.weights


Neurons = tuple[np.ndarray, np.ndarray]
"""Input weights (K, d) and biases (K,)."""


# --- what an objective is, in extended precision -------------------------------------------------


def predictions(network: Any, X: np.ndarray) -> np.ndarray:
    """Outputs of anything with the parameters w, b, v, A, c, term by term as they are defined."""
    inputs = X.astype(LONG)
    hidden = np.maximum(inputs @ network.w.T.astype(LONG) + network.b.astype(LONG), 0)
    linear = inputs @ network.A.T.astype(LONG) + network.c.astype(LONG)
    return np.asarray(hidden @ network.v.astype(LONG) + linear)


def path_norm(network: Any) -> Any:
    v, w = network.v.astype(LONG), network.w.astype(LONG)
    return np.sum(np.sqrt(np.sum(v * v, axis=1)) * np.sqrt(np.sum(w * w, axis=1)))


def misfit(problem: HardProblem, Z: np.ndarray) -> Any:
    """Weighted sum of losses at predictions Z (N, T)."""
    Y, shape = problem.Y.astype(LONG), LONG(problem.shape)
    R = Y - Z
    if problem.loss == "squared":
        terms = R * R / 2
    elif problem.loss == "huber":
        a = np.abs(R)
        terms = np.where(a <= shape, a * a / 2, shape * (a - shape / 2))
    elif problem.loss == "logistic":
        terms = Y * np.logaddexp(LONG(0), -Z) + (1 - Y) * np.logaddexp(LONG(0), Z)
    else:
        terms = np.maximum(shape * R, (shape - 1) * R)
    return np.sum(problem.sample_weight.astype(LONG)[:, np.newaxis] * terms)


def objective(problem: HardProblem, network: Any) -> float:
    """Objective of a network; its path norm if alpha is 0."""
    if problem.alpha == 0:
        return float(path_norm(network))
    cost = LONG(problem.alpha) * path_norm(network)
    return float(misfit(problem, predictions(network, problem.X)) + cost)


# --- units in which inputs and labels are about 1 ------------------------------------------------


@dataclass(frozen=True)
class Units:
    """X = centre + x Z with Z about 1, Y = middle + y L with L about 1; tasks rotated to few.

    Losses other than the squared one keep their labels. The objective is ``y**2`` times that of
    (Z, L, alpha), or ``y / x`` times the path norm.
    """

    Z: np.ndarray
    L: np.ndarray
    alpha: float
    centre: np.ndarray
    middle: np.ndarray
    x: float
    y: float
    back: np.ndarray

    @classmethod
    def of(cls, problem: HardProblem) -> Units:
        rows = problem.sample_weight > 0
        X, Y = problem.X[rows], problem.Y[rows]
        centre = X.mean(axis=0)
        D = (X.astype(LONG) - centre.astype(LONG)).astype(float)
        x = _power_of_two(float(np.abs(D).max()))
        middle, y, back = np.zeros(Y.shape[1]), 1.0, np.eye(Y.shape[1])
        if problem.loss == "squared" or problem.alpha == 0:
            middle = Y.mean(axis=0)
            Y = (Y.astype(LONG) - middle.astype(LONG)).astype(float)
            y = _power_of_two(float(np.abs(Y).max()))
            Y = Y / y
            if Y.shape[1] > min(Y.shape):
                back = np.linalg.svd(Y, full_matrices=False)[2].T
                Y = Y @ back
        return cls(D / x, Y, problem.alpha / (x * y), centre, middle, x, y, back)

    def neurons(self, network: Any) -> Neurons:
        """A network's neurons with unit input weights, in these units."""
        sizes = np.linalg.norm(network.w, axis=1)
        w = network.w[sizes > 0] / sizes[sizes > 0, np.newaxis]
        b = network.b[sizes > 0] / sizes[sizes > 0]
        return w, (w @ self.centre + b) / self.x


def _power_of_two(size: float) -> float:
    return float(2.0 ** np.round(np.log2(size))) if size > 0 else 1.0


@dataclass(frozen=True)
class Network:
    """Parameters as in [1], in extended precision: for a network that is not one of mtrelu's."""

    w: np.ndarray
    b: np.ndarray
    v: np.ndarray
    A: np.ndarray
    c: np.ndarray


# --- fixed neurons: a cone program ---------------------------------------------------------------


class Fixed:
    """Output weights over fixed neurons, as a cone program of a modelling tool."""

    def __init__(self, problem: HardProblem, units: Units, neurons: Neurons) -> None:
        self.problem, self.units, (self.w, self.b) = problem, units, neurons
        rows = problem.sample_weight > 0
        weight = problem.sample_weight[rows][:, np.newaxis] * np.ones(units.L.shape)
        n_tasks = units.L.shape[1]
        self.basis = skip_basis(units.Z, problem.skip)
        self.features = np.maximum(units.Z @ self.w.T + self.b, 0.0)
        self.V = cp.Variable((max(self.b.size, 1), n_tasks))
        self.S = cp.Variable((self.basis.shape[1], n_tasks))
        features = self.features if self.b.size else np.zeros((len(units.Z), 1))
        self.fit = features @ self.V + self.basis @ self.S
        norms = cp.sum(cp.norm(self.V, 2, axis=1))
        if problem.loss == "squared" or problem.alpha == 0:
            rest = cp.Variable(units.L.shape)  # the residual divided by alpha: about 1 at any alpha
            self.link = self.fit + units.alpha * rest == units.L
            self.cost = norms + 0.5 * units.alpha * cp.sum_squares(
                cp.multiply(np.sqrt(weight), rest)
            )
        else:
            F = cp.Variable(units.L.shape)
            self.link = self.fit == F
            terms = _terms(problem, units.L, F)
            self.cost = norms + cp.sum(cp.multiply(weight / units.alpha, terms))
        self.least = np.inf

    def solve(self) -> bool:
        """Minimise; whether anything came back. The dual of ``link`` is the dual variable."""
        done = _solve(cp.Problem(cp.Minimize(self.cost), [self.link]))
        self.least = float(self.cost.value) if done else np.inf
        return done

    @property
    def dual(self) -> np.ndarray:
        """P / alpha up to its sign: feasible if the dual function is at most 1."""
        return np.asarray(self.link.dual_value)

    def extreme(self, direction: Any, excess: float) -> float:
        """Largest value of a linear function among networks that are worse by a small share.

        Of the optimum, or of 1 where the optimum is 0. The cone program may exceed that share by
        its own inaccuracy; NaN where it did so fivefold.
        """
        room = excess * (self.least if self.least > 1e-6 else 1.0)
        limit = self.least + room
        done = _solve(cp.Problem(cp.Maximize(direction), [self.link, self.cost <= limit]))
        if not done or float(self.cost.value) > limit + 4 * room:
            return float("nan")
        return float(direction.value)

    def values_at(self, points: np.ndarray) -> Any:
        features = np.maximum(points @ self.w.T + self.b, 0.0)
        if not self.b.size:
            features = np.zeros((len(points), 1))
        return features @ self.V + skip_basis(points, self.problem.skip) @ self.S

    def network(self) -> Network:
        """The network in the units of the problem; it interpolates as well as numbers can."""
        units, n = self.units, self.b.size
        V, S = self.V.value[:n].astype(LONG), self.S.value.astype(LONG)
        if self.problem.alpha == 0:
            V, S = self._interpolating(V, S)
        w = self.w.astype(LONG)
        v = LONG(units.y) * V @ units.back.T.astype(LONG) / LONG(units.x)
        c = LONG(units.y) * S[0] @ units.back.T.astype(LONG) + units.middle.astype(LONG)
        A = np.zeros((units.back.shape[0], w.shape[1]), dtype=LONG)
        if self.problem.skip == "affine":
            A = (LONG(units.y) * S[1:] @ units.back.T.astype(LONG)).T / LONG(units.x)
            c = c - A @ units.centre.astype(LONG)
        b = self.b.astype(LONG) * LONG(units.x) - w @ units.centre.astype(LONG)
        return Network(w, b, v, A, c)

    def _interpolating(self, V: np.ndarray, S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns = np.hstack((self.features, self.basis))
        inverse = np.linalg.pinv(columns, rcond=1e-12).astype(LONG)
        for _ in range(4):  # each step removes what rounding of the one before has left
            missed = self.units.L.astype(LONG) - columns.astype(LONG) @ np.vstack((V, S))
            step = inverse @ missed
            V, S = V + step[: len(V)], S + step[len(V) :]
        return V, S


def _terms(problem: HardProblem, Y: np.ndarray, F: Any) -> Any:
    if problem.loss == "huber":
        return 0.5 * cp.huber(Y - F, problem.shape)
    if problem.loss == "logistic":
        return cp.logistic(F) - cp.multiply(Y, F)
    return cp.maximum(problem.shape * (Y - F), (problem.shape - 1) * (Y - F))


def _solve(program: Any) -> bool:
    """Solve as exactly as the solver can; a solution that is not exact is of use as well."""
    for tolerance in (1e-11, 1e-8):
        options: Mapping[str, float] = {
            "tol_gap_abs": 0.1 * tolerance,
            "tol_gap_rel": tolerance,
            "tol_feas": tolerance,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is inexact is taken into account
            try:
                program.solve(solver=cp.CLARABEL, **options)
            except cp.SolverError:
                continue
        if program.variables()[0].value is not None:
            return True
    return False


def linear(weights: np.ndarray, values: Any) -> Any:
    """Σ_ij weights_ij values_ij."""
    return cp.sum(cp.multiply(weights, values))


def skip_basis(Z: np.ndarray, skip: str) -> np.ndarray:
    ones = np.ones((len(Z), 1))
    return np.hstack((ones, Z)) if skip == "affine" else ones


# --- the dual function: every place where it may be largest --------------------------------------


def dual_function(Z: np.ndarray, P: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """‖Σ_i p_i (w·z_i + b)₊‖ for unit w (K, d)."""
    return np.asarray(np.linalg.norm(np.maximum(w @ Z.T + b[:, np.newaxis], 0.0) @ P, axis=1))


def peaks(Z: np.ndarray, P: np.ndarray, rng: np.random.Generator) -> tuple[Neurons, np.ndarray]:
    """Neurons that may be local maxima of the dual function, highest first, and its values.

    With at most two inputs the highest is the maximum, found by going through every arc.
    """
    d = Z.shape[1]
    if d == 1:
        w = np.repeat([[1.0], [-1.0]], len(Z), axis=0)
        pivots = np.tile(np.arange(len(Z)), 2)
    elif d == 2:
        w, pivots = _arcs(Z, P)
    else:
        w, pivots = _sampled(Z, P, rng)
    b = -np.einsum("kd,kd->k", w, Z[pivots])
    g = dual_function(Z, P, w, b)
    order = np.argsort(-g, kind="stable")
    return (w[order], b[order]), g[order]


def _arcs(Z: np.ndarray, P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per pivot: both ends of each arc on which the same points are active, and its stationary w.

    Of these, those that are not lower than both of their neighbours.
    """
    directions, pivots = [], []
    for j, z in enumerate(Z):
        D = Z - z
        D = D[np.any(D != 0, axis=1)]
        if not len(D):
            continue
        normals = np.arctan2(D[:, 1], D[:, 0]) + np.pi / 2
        ends = np.unique(np.mod(np.concatenate((normals, normals + np.pi)), 2 * np.pi))
        nexts = np.append(ends[1:], ends[0] + 2 * np.pi)
        middle = _unit((ends + nexts) / 2)
        G = np.einsum("ai,it,id->atd", (middle @ (Z - z).T > 0).astype(float), P, Z - z)
        top = np.linalg.eigh(np.einsum("atd,ate->ade", G, G))[1][:, :, 1]
        top *= np.where(np.sum(top * middle, axis=1) < 0, -1.0, 1.0)[:, np.newaxis]
        inside = np.sum(top * middle, axis=1) > np.cos((nexts - ends) / 2)
        angle = np.concatenate((ends, np.arctan2(top[inside, 1], top[inside, 0])))
        angle = np.sort(np.mod(angle, 2 * np.pi))
        w = _unit(angle)
        g = dual_function(Z, P, w, -w @ z)
        flat = 1e-12 * g.max()
        high = (g >= np.roll(g, 1) - flat) & (g >= np.roll(g, -1) - flat)
        directions.append(w[high])
        pivots.append(np.full(int(high.sum()), j))
    if not directions:
        return np.empty((0, 2)), np.empty(0, dtype=int)
    return np.vstack(directions), np.concatenate(pivots)


def _unit(angle: np.ndarray) -> np.ndarray:
    return np.column_stack((np.cos(angle), np.sin(angle)))


def _sampled(
    Z: np.ndarray, P: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Random directions and all that are normal to d - 1 differences of points, then climbed."""
    n, d = Z.shape
    w = [rng.standard_normal((1500, d)), _normals(Z)]
    directions = np.vstack(w)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions = np.vstack((directions, -directions))
    pivots = np.repeat(np.arange(n), len(directions))
    directions = np.tile(directions, (n, 1))

    def heights(w: np.ndarray, j: np.ndarray) -> np.ndarray:
        return dual_function(Z, P, w, -np.einsum("kd,kd->k", w, Z[j]))

    order = np.argsort(-heights(directions, pivots), kind="stable")[:400]
    w_best, j_best = _apart(directions[order], pivots[order], 60)
    at = heights(w_best, j_best)
    for radius in np.geomspace(0.2, 1e-10, 60):
        moves = rng.standard_normal((12, *w_best.shape)) * radius
        tried = w_best + moves
        tried /= np.linalg.norm(tried, axis=2, keepdims=True)
        g = heights(tried.reshape(-1, d), np.tile(j_best, 12)).reshape(12, -1)
        best = np.argmax(g, axis=0)
        columns = np.arange(len(j_best))
        better = g[best, columns] > at
        w_best = np.where(better[:, np.newaxis], tried[best, columns], w_best)
        at = np.maximum(at, g[best, columns])
    start, pivot = _apart(directions[order], pivots[order], 60)  # corners are exact only there
    return np.vstack((w_best, start)), np.concatenate((j_best, pivot))


def _normals(Z: np.ndarray) -> np.ndarray:
    """Directions normal to d - 1 differences from a point."""
    n, d = Z.shape
    subsets = [
        (j, *others)
        for j in range(n)
        for others in itertools.combinations([i for i in range(n) if i != j], d - 1)
    ]
    if not subsets:
        return np.empty((0, d))
    index = np.array(subsets)
    index = index[:: max(1, len(index) // 3000)]
    spans = Z[index[:, 1:]] - Z[index[:, :1]]
    return np.asarray(np.linalg.svd(spans)[2][:, -1])


def _apart(w: np.ndarray, pivots: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first of each group of similar directions, at most n."""
    kept: list[int] = []
    for k in range(len(w)):
        same = [i for i in kept if pivots[i] == pivots[k] and w[i] @ w[k] > 0.995]
        if not same:
            kept.append(k)
        if len(kept) == n:
            break
    return w[kept], pivots[kept]


# --- both together -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Independent:
    """The best network found, its objective, and the cone program over its neurons and others."""

    objective: float
    program: Fixed | None
    excess: float
    """By how much the dual function exceeds its bound: 0 for an optimum."""


def second_opinion(problem: HardProblem, network: Any, seed: int = 0) -> Independent:
    """Improve on a network as far as an independent search can.

    The neurons of the network are among those to start from, so that even a small mistake in what
    is claimed about it shows; the rest are the peaks of the dual function for the labels.
    """
    rng = np.random.default_rng(seed)
    units = Units.of(problem)
    neurons = units.neurons(network)
    P = _residual_of_skip(problem, units)
    neurons = _joined(neurons, _distinct(peaks(units.Z, P, rng)[0], 40))
    best, kept, excess = np.inf, None, np.inf
    for _ in range(ROUNDS):
        program = Fixed(problem, units, neurons)
        if not program.solve():
            break
        found = program.network()
        value = objective(problem, found)
        if problem.alpha == 0 and not interpolates(problem, found):
            value = np.inf
        if value < best:
            best = value
        kept = program
        P = program.dual
        P = P - _onto(program.basis, P)
        new, g = peaks(units.Z, P, rng)
        excess = float(g[0] - 1) if g.size else 0.0
        more = g > 1 + EXCESS
        if not more.any():
            break
        size = np.linalg.norm(program.V.value[: neurons[1].size], axis=1)
        active = size > 1e-9 * max(float(size.max(initial=0.0)), 1e-300)
        neurons = _joined(
            (neurons[0][active], neurons[1][active]),
            _distinct((new[0][more], new[1][more]), 30),
        )
    return Independent(best, kept, excess)


def interpolates(problem: HardProblem, network: Any, share: float = 1e-13) -> bool:
    """Whether outputs are the labels up to a share of the size of what they are summed from."""
    X, Y = problem.X, problem.Y
    w, b, v, A, c = (
        np.abs(each).astype(float)
        for each in (network.w, network.b, network.v, network.A, network.c)
    )
    rows = problem.sample_weight > 0
    missed = np.abs(Y - predictions(network, X))[rows]
    size = (np.abs(X) @ w.T + b) @ v + np.abs(X) @ A.T + c + np.abs(Y)
    return bool(missed.max() <= share * size[rows].max())


def _residual_of_skip(problem: HardProblem, units: Units) -> np.ndarray:
    rows = problem.sample_weight > 0
    basis, L = skip_basis(units.Z, problem.skip), units.L
    root = np.sqrt(problem.sample_weight[rows])[:, np.newaxis]
    rest = L - basis @ np.linalg.lstsq(root * basis, root * L, rcond=None)[0]
    return np.asarray(root * root * rest)


def largest_useful_alpha(problem: HardProblem) -> float:
    """The penalty from which on the squared loss leaves no neuron, as well as the search knows."""
    units = Units.of(problem)
    P = _residual_of_skip(problem, units)
    g = peaks(units.Z, P, np.random.default_rng(0))[1]
    return float(g[0]) * units.x * units.y if g.size else 0.0


def _onto(basis: np.ndarray, P: np.ndarray) -> np.ndarray:
    return np.asarray(basis @ np.linalg.lstsq(basis, P, rcond=None)[0])


def _distinct(neurons: Neurons, n: int) -> Neurons:
    """The first of equal neurons, at most n."""
    w, b = neurons
    rows = np.unique(np.round(np.column_stack((w, b)), 9), axis=0, return_index=True)[1]
    rows = np.sort(rows)[:n]
    return w[rows], b[rows]


def _joined(first: Neurons, second: Neurons) -> Neurons:
    return np.vstack((first[0], second[0])), np.concatenate((first[1], second[1]))
