"""What column generation solves over the neurons at hand: for the squared loss, and for any."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mtrelu._affine import skip_basis
from mtrelu.losses import SquaredLoss
from mtrelu.network import ReLUNetwork
from mtrelu.oracles.base import Hull
from mtrelu.problem import Problem
from mtrelu.solvers._neurons import Neurons
from mtrelu.solvers.faces import Face
from mtrelu.solvers.loss_master import fit_fixed_neurons
from mtrelu.solvers.master import solve_master
from mtrelu.solvers.sliding import TaskBlock, slide
from mtrelu.validation import FloatArray

IDLE = 0.02  # of the gap: what neurons that do not matter weigh together
_LARGEST_SYSTEM = 1500  # unknowns of the slower method that are still affordable
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Point:
    """A network over some neurons, and the dual variable that belongs to it.

    Attributes
    ----------
    neurons : Neurons
        With ``eta`` the norms of V.
    V : ndarray of shape (K, r)
        Output weights.
    P : ndarray of shape (N, r)
        Dual variable, as oracles take it.
    objective, penalty : float
        The objective, and the part of it that is the path norm times α.
    rest : ndarray
        The weighted residual (N, r); for other losses than the squared the coefficients of the
        skip connection.
    """

    neurons: Neurons
    V: FloatArray
    P: FloatArray
    objective: float
    penalty: float
    rest: FloatArray


def idle_share(point: Point, gap: float) -> float:
    """Which share of the path norm can be left out and hardly matters at this duality gap."""
    return IDLE * min(gap / point.penalty, 1.0) if point.penalty > 0 else 0.0


class RestrictedProblem(ABC):
    """The problem over a given set of neurons, in coordinates of the hull.

    Attributes
    ----------
    level : float
        α in the units of the dual function of `Point.P`.
    unit : float
        Objectives are in units of its square.
    nothing_left : bool
        Whether the skip connection alone fits the labels up to rounding.
    slides : bool
        Whether `slid` moves neurons.
    """

    level: float
    unit: float
    nothing_left: bool
    slides: bool

    def __init__(self, problem: Problem, hull: Hull) -> None:
        self.problem, self.hull = problem, hull
        self.root = np.sqrt(problem.row_weight)[:, np.newaxis]
        self.basis, self.to_coefficients = skip_basis(problem)
        self._skip = self.basis * self.root

    @staticmethod
    def of(problem: Problem, hull: Hull) -> RestrictedProblem:
        """The form that suits the loss."""
        squared = isinstance(problem.loss, SquaredLoss)
        return _Squared(problem, hull) if squared else _AnyLoss(problem, hull)

    def features(self, neurons: Neurons) -> FloatArray:
        """Features (N, K), with the largest weight of each sample, off the skip connection."""
        return _off(self._skip, neurons.features(self.hull.Z) * self.root)

    @abstractmethod
    def empty(self) -> Point:
        """The best network without neurons."""

    @abstractmethod
    def fit(self, neurons: Neurons, gap: float) -> Point:
        """The best output weights, to a duality gap over these neurons."""

    @abstractmethod
    def at(self, neurons: Neurons, V: FloatArray, like: Point) -> Point:
        """The point with these output weights, and for the rest ``like`` another one."""

    @abstractmethod
    def slid(self, point: Point, gap: float) -> Point:
        """The point after its neurons have moved to where they serve best, if they can."""

    def pruned(self, point: Point, share: float) -> Point:
        """Leave out the weakest neurons, which together have a share of the path norm.

        Neurons that are active on all samples make one affine map; it needs no more of them than
        its rank, and costs least with its singular vectors.
        """
        neurons, V = point.neurons, point.V
        affine = np.array([face.active.all() for face in neurons.faces], dtype=bool)
        if np.count_nonzero(affine) > 1:
            U, singular, W = np.linalg.svd(neurons.w[affine].T @ V[affine], full_matrices=False)
            rank = np.count_nonzero(singular > 1e-14 * singular.max(initial=0.0))
            faces = [Face.everywhere(self.hull.Z, u) for u in U.T[:rank]]
            b = np.array([-float(face.anchor @ u) for face, u in zip(faces, U.T, strict=False)])
            neurons = neurons[~affine] + Neurons(U.T[:rank], b, faces, singular[:rank])
            V = np.vstack([V[~affine], singular[:rank, np.newaxis] * W[:rank]])
        eta = np.linalg.norm(V, axis=1)
        order = np.argsort(eta)
        idle = order[np.cumsum(eta[order]) <= share * eta.sum()]
        kept = np.setdiff1d(np.arange(eta.size), idle)
        return self.at(neurons[kept], V[kept], point)

    @abstractmethod
    def gap(self, point: Point, largest: float) -> float:
        """Duality gap of a point whose dual function is at most ``largest`` over all neurons."""

    @abstractmethod
    def network(self, point: Point) -> ReLUNetwork:
        """The network of a point, in the units of the problem."""

    @abstractmethod
    def dual(self, point: Point) -> FloatArray:
        """The dual variable (N, T) of a point, in the units of the problem."""


def _off(skip: FloatArray, columns: FloatArray) -> FloatArray:
    """Project columns off the orthonormal columns of ``skip``."""
    for _ in range(2):  # the second time for the rounding of the first
        columns = columns - skip @ (skip.T @ columns)
    return columns


@dataclass(frozen=True, eq=False)
class _Block:
    """Tasks that share their weights, compressed, in rows of all samples.

    Attributes
    ----------
    tasks : ndarray of int
        Which tasks of the problem.
    back : ndarray of shape (tasks, r), or None
        From the compressed tasks to these.
    labels : ndarray of shape (N, r)
        Compressed labels, 0 where they are not used.
    root : ndarray of shape (N, 1)
        Square roots of the weights.
    skip : ndarray of shape (N, q)
        Orthonormal basis of the weighted skip functions.
    to_coefficients : ndarray of shape (1 + d, q)
        From that basis to constants and slopes.
    """

    tasks: NDArray[np.intp]
    back: FloatArray | None
    labels: FloatArray
    root: FloatArray
    skip: FloatArray
    to_coefficients: FloatArray

    @classmethod
    def all_of(cls, problem: Problem) -> list[_Block]:
        """Split a problem."""
        n, blocks = problem.n_samples, []
        for tasks, rows, part in problem.by_weights():
            small, back = part.compressed()
            basis, to_coefficients = skip_basis(part)
            root = np.sqrt(part.sample_weight)[:, np.newaxis]

            def everywhere(values: FloatArray, rows: NDArray[np.intp] = rows) -> FloatArray:
                if len(rows) == n:
                    return values
                spread = np.zeros((n, values.shape[1]))
                spread[rows] = values
                return spread

            labels, skip = everywhere(small.Y), everywhere(basis * root)
            blocks.append(cls(tasks, back, labels, everywhere(root), skip, to_coefficients))
        return blocks

    def off_skip(self, columns: FloatArray) -> FloatArray:
        """Weight columns (N, ·) and project them off the skip connection."""
        return _off(self.skip, columns * self.root)


class _Squared(RestrictedProblem):
    """Tasks compressed, samples weighted, everything off the skip connection and of size one.

    Where tasks differ in their weights that is done block by block.
    """

    slides = True

    def __init__(self, problem: Problem, hull: Hull) -> None:
        super().__init__(problem, hull)
        self._blocks = _Block.all_of(problem)
        weighted = np.hstack([block.labels * block.root for block in self._blocks])
        Y = np.hstack([block.off_skip(block.labels) for block in self._blocks])
        size = float(np.linalg.norm(Y))
        self.nothing_left = size <= 16 * _EPS * float(np.linalg.norm(weighted))
        self.unit = 2.0 ** math.frexp(size)[1] if size > 0 else 1.0
        self._Y = Y / self.unit
        self.level = problem.alpha / self.unit
        self._alpha = self.level / hull.scale
        self._ends = np.cumsum([block.labels.shape[1] for block in self._blocks])[:-1]
        self._root = np.hstack(
            [np.broadcast_to(block.root, block.labels.shape) for block in self._blocks]
        )

    def empty(self) -> Point:
        none = Neurons.none(self.hull.Z.shape[1])
        return self._point(none, np.zeros((0, self._Y.shape[1])), self._Y)

    def fit(self, neurons: Neurons, gap: float) -> Point:
        features, (n, r) = self._features(neurons), self._Y.shape
        if r > 1:
            guess = neurons.eta if neurons.eta.any() else None
            blocks = list(zip(features, self._split(self._Y), strict=True))
            found = solve_master(blocks, self._alpha, gap=gap, eta=guess)
            too_large = r * min(n, len(neurons)) > _LARGEST_SYSTEM
            if found.gap <= gap or too_large or len(blocks) > 1:
                return self._point(neurons, found.V, found.residual)
        # For one task its unknowns are as few, and it takes any α.
        Phi = features[0]
        slower = fit_fixed_neurons(
            self._Y, np.ones(n), SquaredLoss(), Phi, np.empty((n, 0)), self._alpha, gap=gap
        )
        if r > 1 and slower.gap >= found.gap:
            return self._point(neurons, found.V, found.residual)
        point = self._point(neurons, slower.V, self._Y - Phi @ slower.V)
        return replace(point, P=self._root * slower.P)

    def at(self, neurons: Neurons, V: FloatArray, like: Point) -> Point:
        fitted = [
            Phi @ part for Phi, part in zip(self._features(neurons), self._split(V), strict=True)
        ]
        return self._point(neurons, V, self._Y - np.hstack(fitted))

    def slid(self, point: Point, gap: float) -> Point:
        share = idle_share(point, gap)
        neurons = self.pruned(point, share).neurons.merged()
        if len(neurons) == 0:
            return point
        try:
            tasks = [
                TaskBlock(Y, block.skip, block.root[:, 0])
                for Y, block in zip(self._split(self._Y), self._blocks, strict=True)
            ]
            found = slide(
                self.hull.Z, neurons.faces, neurons.w, neurons.eta, tasks, self._alpha, gap=gap
            )
        except np.linalg.LinAlgError:  # α is so small that the system is singular
            return point
        moved = Neurons(found.w, found.b, found.faces, neurons.eta[:0])
        return self._point(moved, found.V, found.residual)

    def gap(self, point: Point, largest: float) -> float:
        P, residual = self._over_root(point.P), point.rest
        square = float(np.sum(P**2))
        limit = self.level / largest if largest > 0 else math.inf
        scale = max(min(float(np.sum(P * self._Y)) / square, limit), 0.0) if square > 0 else 0.0
        # Two parts that are not negative, so that no digits cancel.
        misfit = 0.5 * float(np.sum((residual - scale * P) ** 2))
        return misfit + point.penalty - scale * float(np.sum(P * (self._Y - residual)))

    def network(self, point: Point) -> ReLUNetwork:
        d, n_tasks = self.problem.n_inputs, self.problem.n_tasks
        features = point.neurons.features(self.hull.Z)
        V, A, c = np.empty((len(point.V), n_tasks)), np.empty((n_tasks, d)), np.empty(n_tasks)
        for block, part in zip(self._blocks, self._split(point.V * self.unit), strict=True):
            left = block.labels - features @ part
            coefficients = block.to_coefficients @ (block.skip.T @ (block.root * left))
            slopes, constants, part = coefficients[1:].T, coefficients[0], part / self.hull.scale
            if block.back is not None:
                part, slopes = part @ block.back.T, block.back @ slopes
                constants = block.back @ constants
            V[:, block.tasks], A[block.tasks], c[block.tasks] = part, slopes, constants
        return ReLUNetwork(*self.hull.lift(point.neurons.w, point.neurons.b), V, A, c)

    def dual(self, point: Point) -> FloatArray:
        P = np.empty_like(self.problem.Y)
        for block, part in zip(self._blocks, self._split(point.P * self.unit), strict=True):
            P[:, block.tasks] = part if block.back is None else part @ block.back.T
        return P

    def _features(self, neurons: Neurons) -> list[FloatArray]:
        """Features (N, K) for each block."""
        plain = neurons.features(self.hull.Z)
        return [block.off_skip(plain) for block in self._blocks]

    def _split(self, columns: FloatArray) -> list[FloatArray]:
        """Columns (·, Σ r) block by block."""
        return np.split(columns, self._ends, axis=1)

    def _over_root(self, P: FloatArray) -> FloatArray:
        return np.divide(P, self._root, out=np.zeros_like(P), where=self._root > 0.0)

    def _point(self, neurons: Neurons, V: FloatArray, residual: FloatArray) -> Point:
        eta = np.linalg.norm(V, axis=1)
        penalty = self._alpha * float(eta.sum())
        objective = 0.5 * float(np.sum(residual**2)) + penalty
        neurons = replace(neurons, eta=eta)
        return Point(neurons, V, self._root * residual, objective, penalty, residual)


class _AnyLoss(RestrictedProblem):
    """All tasks as they are, the skip connection fitted along with the output weights."""

    unit = 1.0
    nothing_left = False
    slides = False

    def __init__(self, problem: Problem, hull: Hull) -> None:
        super().__init__(problem, hull)
        self.level = problem.alpha
        self._alpha = problem.alpha / hull.scale

    def empty(self) -> Point:
        A, c, P = self.problem.affine_fit()
        fitted = self.problem.X @ A.T + c
        theta = self.basis.T @ (self.problem.row_weight[:, np.newaxis] * fitted)
        none = Neurons.none(self.hull.Z.shape[1])
        return self._point(none, np.zeros((0, c.size)), theta, P)

    def fit(self, neurons: Neurons, gap: float) -> Point:
        problem = self.problem
        found = fit_fixed_neurons(
            problem.Y, problem.sample_weight, problem.loss, neurons.features(self.hull.Z),
            self.basis, self._alpha, gap=gap,
        )  # fmt: skip
        return self._point(neurons, found.V, found.theta, found.P)

    def at(self, neurons: Neurons, V: FloatArray, like: Point) -> Point:
        return self._point(neurons, V, like.rest, like.P)

    def slid(self, point: Point, gap: float) -> Point:
        return point

    def gap(self, point: Point, largest: float) -> float:
        scale = min(self.level / largest, 1.0) if largest > 0 else 1.0
        return point.objective - self.problem.dual_value(scale * point.P)

    def network(self, point: Point) -> ReLUNetwork:
        coefficients = self.to_coefficients @ point.rest
        w, b = self.hull.lift(point.neurons.w, point.neurons.b)
        V = point.V / self.hull.scale
        return ReLUNetwork(w, b, V, coefficients[1:].T, coefficients[0])

    def dual(self, point: Point) -> FloatArray:
        return point.P

    def _point(self, neurons: Neurons, V: FloatArray, theta: FloatArray, P: FloatArray) -> Point:
        eta = np.linalg.norm(V, axis=1)
        penalty = self._alpha * float(eta.sum())
        fitted = self.basis @ theta + neurons.features(self.hull.Z) @ V
        objective = self.problem.loss_value(fitted) + penalty
        return Point(replace(neurons, eta=eta), V, P, objective, penalty, theta)
