"""A feasible dual variable near a solution, and what its duality gap says about optimal ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.optimal_polytope.support import Field, peak
from mtrelu.oracles import OracleResult
from mtrelu.oracles.base import Oracle
from mtrelu.problem import Problem
from mtrelu.validation import TINY, FloatArray

_EPS = float(np.finfo(np.float64).eps)
# Maximisers within this of the bound are looked at for the sharper maximum.
_NEARLY = 1e-6
# Relative to the sizes of the terms: hyperplanes this near to a data point touch it.
_TOUCHING = 1e-13
_MOST_LONG_PRODUCTS = 20_000_000  # beyond, extended precision takes too long


@dataclass(frozen=True, eq=False)
class DualPoint:
    """A dual feasible P and what it proves.

    Attributes
    ----------
    P : ndarray of shape (N, T)
        Orthogonal to the skip connection and, if ``proved``, with a dual function of at most α
        (at most 1 for α = 0).
    summed : ndarray of shape (n, T)
        The same, summed over samples with equal inputs.
    group : ndarray of shape (N,)
        Which of the distinct inputs each sample has.
    gap : float
        Upper bound on what any network can gain on the network, if ``proved``.
    proved : bool
        Whether the oracle gave the maximum of the dual function or a bound of it.
    """

    P: FloatArray
    summed: FloatArray
    group: np.ndarray
    gap: float
    proved: bool

    def distance(self, problem: Problem) -> float:
        """Bound (Σ_i ‖p_i − p*_i‖²/w_i)^½ for every optimal P*; infinite if nothing is known.

        The conjugate of a loss with an L-smooth gradient is 1/L-strongly convex. Where tasks
        differ in their weights, w_i is the largest.
        """
        known = self.proved and problem.alpha > 0 and np.isfinite(problem.loss.smoothness)
        return float(np.sqrt(2.0 * self.gap * problem.loss.smoothness)) if known else np.inf

    def fixes_values(self, problem: Problem) -> bool:
        """Tell whether it is proved that all optimal functions agree at the labels in use."""
        if problem.loss.strictly_convex:
            return problem.alpha > 0
        room = self.distance(problem) * np.sqrt(problem.weights)
        low, high = problem.dual_bounds()
        inside = (self.P - room > low) & (self.P + room < high)
        return bool(inside[problem.used].all()) or problem.alpha == 0


def nearest_dual(
    problem: Problem,
    network: ReLUNetwork,
    hint: FloatArray | None,
    oracle: Oracle,
    X: FloatArray,
    group: np.ndarray,
) -> DualPoint:
    """Return the better of the dual variables that the network and the hint stand for."""
    long = _precision(problem, network)
    guesses = [] if hint is None else [hint.astype(long)]
    if problem.alpha > 0:
        own = problem.dual_variable(network(problem.X)).astype(long)
        guesses.append(own)
        if problem.shares_weights:
            guesses.append(_stationary(problem, network, own))
    points = [_feasible(problem, network, guess, oracle, X, group) for guess in guesses]
    return min(points, key=lambda point: point.gap)


def _precision(problem: Problem, network: ReLUNetwork) -> type[np.floating]:
    """Return the extended precision for all but large problems."""
    size = max(network.n_neurons, 1) * problem.n_samples * problem.n_tasks
    return np.longdouble if size <= _MOST_LONG_PRODUCTS else np.float64


def _parameters(
    problem: Problem, network: ReLUNetwork
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return w, b, v with hyperplanes exactly through the data points that they nearly touch.

    Rounding of parameters to float64 moves a hyperplane off its data points, which costs the
    gap its last digits; the network without that rounding proves as much.
    """
    long = _precision(problem, network)
    w, b, v = (array.astype(long) for array in (network.w, network.b, network.v))
    X = problem.X.astype(long)
    height = X @ w.T + b
    sizes = np.abs(X) @ np.abs(w).T + np.abs(b)
    for k in range(b.size):
        touched = np.flatnonzero(np.abs(height[:, k]) <= _TOUCHING * sizes[:, k])
        if touched.size:
            w[k] = turned(X[touched] - X[touched[0]], w[k])
            b[k] = -(X[touched[0]] @ w[k])
    return w, b, v


def turned(relative: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return a normal with its part along the vectors ``relative`` (J, d) taken away."""
    across = np.linalg.pinv(relative.astype(np.float64), rcond=1e-10)
    for _ in range(2):  # the second time removes what rounding left behind
        normal = normal - across @ (relative @ normal)
    return normal


def _projected(problem: Problem, P: np.ndarray) -> np.ndarray:
    """Return the nearest P that is orthogonal to the skip connection, in P's precision."""
    if not problem.shares_weights:
        projected = np.zeros_like(P)
        for tasks, rows, part in problem.by_weights():
            kept = np.ix_(rows, tasks)
            projected[kept] = _projected(part, P[kept])
        return projected
    root = np.sqrt(problem.sample_weight)[:, np.newaxis]
    basis = np.ones((P.shape[0], 1), dtype=P.dtype)
    if problem.skip == "affine":
        basis = np.hstack([basis, problem.X.astype(P.dtype) - problem.X.mean(axis=0)])
    rough = (root * basis).astype(np.float64)
    inverse = np.linalg.pinv(rough.T @ rough, rcond=1e-14)
    for _ in range(4):  # each time removes what rounding left behind
        P = P - root**2 * (basis @ (inverse @ (basis.T @ P)))
    return P


def _stationary(problem: Problem, network: ReLUNetwork, P: np.ndarray) -> np.ndarray:
    """Return the P nearest to this one for which the size of each output weight is stationary.

    Residuals of a good fit are small differences of labels and predictions, and have lost as
    many digits. The equations ⟨v_k, Σ_i p_i φ_k(x_i)⟩ = α‖v_k‖‖w_k‖ give them back.
    """
    pruned = network.pruned()
    if pruned.n_neurons == 0:
        return P
    w, b, v = _parameters(problem, pruned)
    norms = np.sqrt(np.sum(w**2, axis=1))
    features = np.maximum(problem.X.astype(P.dtype) @ w.T + b, 0) / norms
    u = v / np.sqrt(np.sum(v**2, axis=1))[:, np.newaxis]
    root = np.sqrt(problem.sample_weight)[:, np.newaxis]
    steps = _projected(problem, root**2 * features)
    rough, turn = (steps / root).astype(np.float64), u.astype(np.float64)
    gram = (rough.T @ rough) * (turn @ turn.T)
    P = _projected(problem, P)
    for _ in range(4):  # the Gram matrix squares the condition, which repeating makes good
        missing = problem.alpha - np.sum((features.T @ P) * u, axis=1)
        step = np.linalg.lstsq(gram, missing.astype(np.float64), rcond=1e-13)[0]
        P = P + steps @ (step[:, np.newaxis] * u)
    return np.asarray(P)


def _feasible(
    problem: Problem,
    network: ReLUNetwork,
    P: np.ndarray,
    oracle: Oracle,
    X: FloatArray,
    group: np.ndarray,
) -> DualPoint:
    """Project onto the constraints of the skip connection, and shrink."""
    P = _projected(problem, P)
    low, high = problem.dual_bounds()
    if problem.alpha > 0 and (np.isfinite(low).any() or np.isfinite(high).any()):
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(P > 0, high / P, np.where(P < 0, low / P, np.inf))
        P = P * max(min(1.0, float(room.min()) * (1 - 4 * _EPS)), 0.0)
    summed = np.zeros((oracle.hull.Z.shape[0], P.shape[1]), dtype=P.dtype)
    np.add.at(summed, group, P)
    limit = problem.alpha or 1.0
    largest, exactness = _largest(summed, oracle, X, limit)
    if largest > limit or (problem.alpha == 0 and largest > 0):
        P, summed = P * (limit / largest), summed * (limit / largest)
    gap = duality_gap(problem, network, P)
    return DualPoint(
        P.astype(np.float64), summed.astype(np.float64), group, gap, exactness != "estimate"
    )


def maximisers(oracle: Oracle, summed: FloatArray, target: float) -> OracleResult:
    """Search, and on a line return all data points above the target.

    There the dual function can dip between two data points of which one is a little higher, and
    then both are local maximisers.
    """
    found = oracle.search(summed, target=target)
    hull = oracle.hull
    if hull.Z.shape[1] != 1:
        return found
    z = hull.Z[:, 0]
    signs = (1.0,) if oracle.skip == "affine" else (1.0, -1.0)
    w = np.repeat(signs, z.size)
    b = -w * np.tile(z, len(signs))
    height = np.outer(z, w) + b
    g = np.linalg.norm(np.maximum(height, 0.0).T @ summed, axis=1) * hull.scale
    order = np.argsort(-g, kind="stable")
    order = order[g[order] >= target]
    w, b = hull.lift(w[order, np.newaxis], b[order])
    return OracleResult(found.value, found.exactness, w, b, g[order])


def _largest(
    summed: np.ndarray, oracle: Oracle, X: FloatArray, limit: float
) -> tuple[np.floating, str]:
    """Return the maximum of the dual function, sharper than with the oracle's room for rounding.

    If the largest maximisers are sharp, their places are known to rounding, of which the value
    feels only the square along a face: so it can be computed there with more digits.
    """
    rough = summed.astype(np.float64)
    found = maximisers(oracle, rough, limit * (1.0 - _NEARLY))
    plain = summed.dtype.type(found.value), found.exactness
    if found.exactness != "exact" or found.value <= limit or found.b.size == 0:
        return plain
    hull, eps = oracle.hull, np.finfo(summed.dtype).eps
    P = rough * (hull.scale / float(found.g[0]))
    field = Field.of(hull, P, np.ones(P.shape[0]), 0.0, oracle.skip)
    norms = np.sqrt(np.sum(summed**2, axis=1))
    largest = summed.dtype.type(0.0)
    for w, b in zip(found.w, found.b.tolist(), strict=True):
        near = peak(field, hull.axes.T @ w, (float(w @ hull.centre) + b) / hull.scale)
        if near.climbs:
            continue
        if not near.sharp:
            return plain
        # The inputs themselves, not their coordinates, and a normal that turns around those that
        # the hyperplane passes through.
        normal = (hull.axes @ near.w).astype(summed.dtype)
        relative = X.astype(summed.dtype) - X[int(np.argmax(near.pinned))]
        normal = turned(relative[near.pinned], normal)
        height = relative @ (normal / np.sqrt(normal @ normal))
        V = summed.T @ np.maximum(height, 0)
        # Data points that are on the hyperplane but for rounding are a little off it here.
        off = norms[near.pinned] @ np.abs(height[near.pinned])
        sizes = norms @ np.abs(height)
        largest = max(largest, np.sqrt(V @ V) + 2 * off + 16 * eps * sizes)
    return min(plain[0], largest), found.exactness


def duality_gap(problem: Problem, network: ReLUNetwork, P: np.ndarray) -> float:
    """Return primal minus dual value as a sum of terms that are each >= 0, and room for rounding.

    As P is orthogonal to the skip connection, Σ_i ⟨p_i, f(x_i)⟩ = Σ_k ⟨v_k, Σ_i p_i φ_k(x_i)⟩, so
    the gap is Σ w [ℓ(y, f) + ℓ*(y, −p/w) + pf/w] + Σ_k (α‖v_k‖‖w_k‖ − ⟨v_k, Σ_i p_i φ_k(x_i)⟩).
    For α = 0, with f = y, only the second sum remains.
    """
    dtype = _precision(problem, network)
    X, Y, A, c, P = (
        array.astype(dtype) for array in (problem.X, problem.Y, network.A, network.c, P)
    )
    w, b, v = _parameters(problem, network)
    weights = problem.weights
    alpha = problem.alpha or 1.0
    features = np.maximum(X @ w.T + b, 0)
    values = features @ v + X @ A.T + c
    sizes = np.sqrt((v**2).sum(axis=1) * (w**2).sum(axis=1))
    neurons = alpha * sizes - ((features.T @ P) * v).sum(axis=1)
    reached = np.abs(X) @ np.abs(w).T + np.abs(b)
    affine = np.abs(X) @ np.abs(A).T + np.abs(c)
    size = alpha * sizes.sum() + np.sum(np.abs(P) * (reached @ np.abs(v) + affine))
    if problem.alpha == 0:
        misses = np.abs(P * (values - Y))
        gap = np.maximum(neurons, 0).sum() + misses.sum()
    elif problem.loss.name == "squared":
        gap = np.maximum(neurons, 0).sum()
        missing = weights * (Y - values) - P
        gap += problem.per_weight(0.5 * missing**2).sum()
    else:
        y, z, p = (np.asarray(array, dtype=np.float64) for array in (Y, values, P))
        if problem.loss.of_residual:  # then the gap can be summed without cancellation
            y, z = np.asarray(Y - values, dtype=np.float64), np.zeros_like(z)
        value = weights * problem.loss.value(y, z)
        conjugate = weights * problem.loss.conjugate(y, -problem.per_weight(p))
        gap = np.maximum(neurons, 0).sum() + np.maximum(value + conjugate + p * z, 0.0).sum()
        gap += 16 * _EPS * np.sum(np.abs(value) + np.abs(conjugate) + np.abs(p * z))
    # The constraints of the skip connection hold for P as it is stored to this.
    basis = np.hstack([np.ones((X.shape[0], 1)), X - X.mean(axis=0)]).astype(dtype)
    slopes = np.vstack([c + A @ X.mean(axis=0), A.T])
    if problem.skip != "affine":
        basis, slopes = basis[:, :1], slopes[:1]
    gap += np.abs((basis.T @ P) * slopes).sum()
    if problem.alpha > 0 and size > 0:
        gap += TINY  # for what underflowed to zero
    return float(gap + 16 * np.finfo(dtype).eps * size)
