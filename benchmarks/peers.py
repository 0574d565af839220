"""The convex solvers that `spline_vs_peers` is compared with, each in the form that suits it best.

All of them get the labels without their affine part, scaled to unit size, over inputs in [0, 1]
(Clarabel needs fewer iterations and reaches smaller gaps that way), and an objective whose value
is that of [9], so that a relative gap means the same everywhere. What they need to be told first
(sparse matrices, the dictionary of hinges, compilation) is not part of their time.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import statistics
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import scipy.sparse as sp

PREPARATION_LIMIT = 120.0
"""Seconds for what is not part of a peer's time."""


@dataclass(frozen=True)
class ConvexProblem:
    """Minimise ½‖Y − F‖² + α Σ_k ‖(DF)_k‖ over the values F (N, T) of a polyline at x [9].

    ``bound`` is a certified lower bound of the optimum; it is used for judging and for setting
    tolerances that are relative to the optimum.
    """

    x: np.ndarray
    Y: np.ndarray
    alpha: float
    bound: float

    @classmethod
    def scaled(cls, x: np.ndarray, Y: np.ndarray, alpha: float, bound: float) -> ConvexProblem:
        width = x[-1] - x[0]
        position = (x - x[0]) / width
        affine = _orthonormal_affine(position)
        detrended = Y - affine @ (affine.T @ Y)
        height = math.sqrt(np.mean(detrended**2))
        return cls(position, detrended / height, alpha / (width * height), bound / height**2)

    @property
    def slope_changes(self) -> sp.csc_matrix:
        """D (N − 2, N): the slope changes DF of the polyline through F."""
        g = 1.0 / np.diff(self.x)
        n = len(self.x)
        return sp.diags([g[:-1], -g[:-1] - g[1:], g[1:]], [0, 1, 2], shape=(n - 2, n)).tocsc()

    def relative_gap(self, F: np.ndarray) -> float:
        """Of the polyline through F, whatever the peer says about it."""
        path_norm = float(np.linalg.norm(self.slope_changes @ F, axis=1).sum())
        objective = 0.5 * float(((self.Y - F) ** 2).sum()) + self.alpha * path_norm
        return (objective - self.bound) / objective


class Peer(ABC):
    """`prepare` and `fitted` are free, `solve` is timed."""

    name: str

    def bytes_needed(self, n_samples: int, n_tasks: int) -> float:
        return 0.0

    def warm_up(self) -> None:
        """Compile what compiles, here and not in each child process."""
        return

    @abstractmethod
    def prepare(self, problem: ConvexProblem) -> None: ...

    @abstractmethod
    def tolerances(self, problem: ConvexProblem) -> Iterator[float]:
        """From loose to tight; the first that reaches the gap counts."""

    @abstractmethod
    def solve(self, tolerance: float) -> None: ...

    @abstractmethod
    def fitted(self) -> np.ndarray:
        """Values F (N, T) at the data."""


class Clarabel(Peer):
    """Interior point on the residual R: min ½‖R‖² + α Σ τ_k, ‖(DY − DR)_k‖ ≤ τ_k."""

    name = "Clarabel"

    def prepare(self, problem: ConvexProblem) -> None:
        import clarabel

        n, n_tasks = problem.Y.shape
        D = problem.slope_changes
        self.labels = problem.Y
        self.P = sp.block_diag([sp.eye(n * n_tasks), sp.csc_matrix((n - 2, n - 2))], format="csc")
        self.q = np.append(np.zeros(n * n_tasks), np.full(n - 2, problem.alpha))
        kron = sp.kron(D, sp.eye(n_tasks)).tocoo()
        knot, task = np.divmod(kron.row, n_tasks)
        knots = np.arange(n - 2)
        rows = np.append(knots * (n_tasks + 1), knot * (n_tasks + 1) + 1 + task)
        columns = np.append(n * n_tasks + knots, kron.col)
        entries = np.append(-np.ones(n - 2), kron.data)
        shape = ((n - 2) * (n_tasks + 1), n * n_tasks + n - 2)
        self.A = sp.csc_matrix((entries, (rows, columns)), shape=shape)
        self.b = np.column_stack((np.zeros(n - 2), D @ problem.Y)).ravel()
        self.cones = [clarabel.SecondOrderConeT(n_tasks + 1)] * (n - 2)

    def tolerances(self, problem: ConvexProblem) -> Iterator[float]:
        yield from (1e-6, 1e-7, 1e-8)

    def solve(self, tolerance: float) -> None:
        import clarabel

        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.tol_gap_rel, settings.tol_gap_abs = tolerance, 0.0
        solver = clarabel.DefaultSolver(self.P, self.q, self.A, self.b, self.cones, settings)
        self.solution = solver.solve()

    def fitted(self) -> np.ndarray:
        R = np.array(self.solution.x)[: self.labels.size].reshape(self.labels.shape)
        return np.asarray(self.labels - R)


class CvxpyClarabel(Peer):
    """The same solver from the formula that one writes down, modelling included in the time."""

    name = "CVXPY + Clarabel"

    def prepare(self, problem: ConvexProblem) -> None:
        import cvxpy  # noqa: F401  (its import is not part of the time)

        self.problem, self.D = problem, problem.slope_changes

    def tolerances(self, problem: ConvexProblem) -> Iterator[float]:
        yield from (1e-6, 1e-7, 1e-8)

    def solve(self, tolerance: float) -> None:
        import cvxpy as cp

        F = cp.Variable(self.problem.Y.shape)
        cost = 0.5 * cp.sum_squares(self.problem.Y - F) + self.problem.alpha * cp.sum(
            cp.norm(self.D @ F, axis=1)
        )
        cp.Problem(cp.Minimize(cost)).solve(
            solver=cp.CLARABEL, tol_gap_rel=tolerance, tol_gap_abs=0.0
        )
        if F.value is None:
            raise RuntimeError("Clarabel gave up")
        self.values = F.value

    def fitted(self) -> np.ndarray:
        return np.asarray(self.values)


class HingeDictionary(Peer):
    """A group lasso over hinges (x − x_k)₊ with the affine part projected out."""

    def bytes_needed(self, n_samples: int, n_tasks: int) -> float:
        return 3 * 8.0 * n_samples**2  # the dictionary, the projected one, a work copy

    def prepare(self, problem: ConvexProblem) -> None:
        x = problem.x
        hinges = np.maximum(x[:, None] - x[1:-1], 0.0)
        affine = _orthonormal_affine(x)
        self.dictionary = np.asfortranarray(hinges - affine @ (affine.T @ hinges))
        self.labels = np.asfortranarray(problem.Y)
        self.alpha = problem.alpha / len(x)  # both minimise ‖Y − HW‖²/(2N) + (α/N) Σ_k ‖W_k‖
        self.W = np.zeros((len(x) - 2, problem.Y.shape[1]))

    def warm_up(self) -> None:
        x, Y = np.linspace(0, 1, 20), np.random.default_rng(0).standard_normal((20, 2))
        problem = ConvexProblem.scaled(x, Y, 1e-2, 1.0)
        self.prepare(problem)
        self.solve(next(self.tolerances(problem)))

    def fitted(self) -> np.ndarray:
        return np.asarray(self.dictionary @ self.W)


class Skglm(HingeDictionary):
    """Block coordinate descent with working sets and Anderson acceleration."""

    name = "skglm"

    def tolerances(self, problem: ConvexProblem) -> Iterator[float]:
        # Its tolerance is on the violation of the optimality conditions, in units of its alpha.
        yield from (10.0**-k * problem.alpha / len(problem.x) for k in range(3, 8))

    def solve(self, tolerance: float) -> None:
        from skglm.datafits import QuadraticMultiTask
        from skglm.penalties import L2_1
        from skglm.solvers import MultiTaskBCD

        solver = MultiTaskBCD(fit_intercept=False, tol=tolerance, max_iter=100_000)
        self.W = solver.solve(self.dictionary, self.labels, QuadraticMultiTask(), L2_1(self.alpha))[
            0
        ]


class Celer(HingeDictionary):
    """Block coordinate descent with dual extrapolation.

    `celer.MultiTaskLasso` 0.7.4 cannot be fitted with scikit-learn >= 1.6, so the function that
    it calls is called here.
    """

    name = "celer"

    def tolerances(self, problem: ConvexProblem) -> Iterator[float]:
        # Its tolerance is on the gap divided by ‖Y‖².
        relative = problem.bound / float((problem.Y**2).sum())
        yield from (gap * relative for gap in (1e-6, 1e-7, 1e-8))

    def solve(self, tolerance: float) -> None:
        from celer.homotopy import mtl_path

        _, coefficients, _ = mtl_path(
            self.dictionary, self.labels, alphas=[self.alpha], tol=tolerance, max_iter=100_000
        )
        self.W = coefficients[..., 0].T


@dataclass(frozen=True)
class Outcome:
    """Seconds and gap of a peer that reached the gap; otherwise the reason why there are none."""

    seconds: float = math.nan
    gap: float = math.nan
    reason: str = ""


def attempt(peer: Peer, problem: ConvexProblem, gap: float, limit: float) -> Outcome:
    """Time a peer in a process of its own, ended when one run exceeds ``limit`` seconds.

    The process is a fork, so that compiled code is there; this needs Linux or another Unix.
    """
    needed, there = peer.bytes_needed(*problem.Y.shape), memory()
    if needed > there:
        return Outcome(reason=f"not run: needs {needed / 1e9:.0f} GB, {there / 1e9:.0f} GB free")
    context = multiprocessing.get_context("fork")
    here, child_end = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(child_end, peer, problem, gap), daemon=True)
    process.start()
    child_end.close()
    best, patience = math.inf, PREPARATION_LIMIT
    try:
        while True:
            if not here.poll(patience):
                return Outcome(reason=f"no gap of {gap:g} within {limit:g} s (best {best:.1g})")
            message: Any = here.recv()
            if isinstance(message, Outcome):
                return message
            best, patience = min(best, message), limit
    except EOFError:
        return Outcome(reason="its process died, probably for lack of memory")
    finally:
        process.kill()
        process.join()


def _serve(parent: Connection, peer: Peer, problem: ConvexProblem, gap: float) -> None:
    """Send infinity when prepared, the gap after each tolerance that does not do, an outcome."""
    warnings.simplefilter("ignore")  # what they warn about is measured
    try:
        peer.prepare(problem)
        parent.send(math.inf)
        reached = math.inf
        for tolerance in peer.tolerances(problem):
            seconds = [_timed(peer, tolerance)]
            reached = problem.relative_gap(peer.fitted())
            if reached <= gap:
                while len(seconds) < 5 and sum(seconds) < 1.0:
                    seconds.append(_timed(peer, tolerance))
                parent.send(Outcome(statistics.median(seconds), reached))
                return
            parent.send(reached)
        parent.send(Outcome(reason=f"its tightest tolerance stops at a gap of {reached:.1g}"))
    except BaseException as error:  # a panic of Rust code is no Exception
        parent.send(Outcome(reason=f"failed: {str(error)[:70] or type(error).__name__}"))


def _timed(peer: Peer, tolerance: float) -> float:
    start = time.perf_counter()
    peer.solve(tolerance)
    return time.perf_counter() - start


def memory() -> float:
    """Bytes that are free or used as a file cache only."""
    if os.path.exists("/proc/meminfo"):
        with open("/proc/meminfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("MemAvailable"):
                    return 1024.0 * int(line.split()[1])
    return math.inf


def _orthonormal_affine(x: np.ndarray) -> np.ndarray:
    return np.linalg.qr(np.column_stack((np.ones_like(x), x)))[0]
