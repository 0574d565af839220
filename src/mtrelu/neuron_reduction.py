"""Fewer neurons for the same outputs: Carathéodory's theorem, constructively."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linprog, nnls

from mtrelu.network import ReLUNetwork
from mtrelu.validation import FloatArray, InvalidInputError, as_inputs, as_skip

__all__ = ["reduce_neurons"]

# Columns of norm one whose combination is shorter than this are dependent up to rounding.
_DEPENDENT = 1e-11
# What a linear program leaves of coefficients that are zero, and of equations that hold.
_NEGLIGIBLE = (1e-9, 1e-12, 0.0)
_ROUNDING = 1e-14


def reduce_neurons(network: ReLUNetwork, X: Any, *, skip: str = "affine") -> ReLUNetwork:
    """Return a network with few neurons, the same outputs on data, and no larger path norm.

    With unit w_k and v_k = c_k u_k, c_k = ‖v_k‖, the outputs depend on the coefficients only
    through Σ_k c_k φ_k(X) u_kᵀ, up to what the skip connection can make up for. A vertex of
    {c ≥ 0: these outputs} that minimises the path norm Σ_k c_k has no more neurons than

        the dimension of the span of the matrices φ_k(X) u_kᵀ without their skip part,

    which is at most T·(N − r) for N distinct inputs, r being the dimension of the skip connection
    on them: r = 1 for a constant, r = 1 + (dimension that the inputs span) for an affine one, and
    r = 0 without one. If the tasks span only a space of dimension T' < T, T' takes the place of T.

    Parameters
    ----------
    network : ReLUNetwork
        Any network.
    X : array_like of shape (N, d)
        Where its outputs are kept. Elsewhere they change.
    skip : {"affine", "constant", "none"}
        Which parameters besides the output weights may change: A and c, only c, or neither.

    Returns
    -------
    ReLUNetwork
        With unit ‖w_k‖₂. Outputs on ``X`` are kept up to some rounding errors of the largest
        output weight times the largest feature.

    Raises
    ------
    InvalidInputError
        ``X`` has other columns than the network has inputs, or ``skip`` is not one of the three.

    Examples
    --------
    Without a skip connection, three data points and one task need at most three neurons:

    >>> rng = np.random.default_rng(0)
    >>> w, b, v = rng.standard_normal((50, 2)), rng.standard_normal(50), np.ones((50, 1))
    >>> wide = ReLUNetwork(w, b, v, np.zeros((1, 2)), np.zeros(1))
    >>> X = rng.standard_normal((3, 2))
    >>> narrow = reduce_neurons(wide, X, skip="none")
    >>> narrow.n_neurons <= 3, narrow.path_cost() <= wide.path_cost()
    (True, True)
    >>> bool(np.allclose(narrow(X), wide(X)))
    True
    """
    skip = as_skip(skip)
    if not isinstance(network, ReLUNetwork):
        raise InvalidInputError(
            f"network is a {type(network).__name__}, but only the neurons of a ReLUNetwork can be "
            "left out; pass mtrelu.as_network(model)."
        )
    points = np.unique(as_inputs(X), axis=0)
    if points.shape[1] != network.n_inputs:
        raise InvalidInputError(
            f"X has {points.shape[1]} columns, but the network has {network.n_inputs} inputs; "
            f"pass X of shape (N, {network.n_inputs})."
        )
    merged = network.merged()
    centre = points.mean(axis=0)
    basis = _skip_basis(points, skip)
    features = np.maximum(points @ merged.w.T + merged.b, 0.0)
    sizes = np.linalg.norm(merged.v, axis=1)
    u = merged.v / sizes[:, np.newaxis]
    # Neurons that the skip connection replaces on the data leave.
    without = _without(basis, features)
    lengths = np.linalg.norm(without, axis=0)
    kept = lengths > _DEPENDENT * np.linalg.norm(features, axis=0)
    columns = _columns(without[:, kept], u[kept])
    chosen = _vertex(columns, sizes[kept])
    c = np.zeros(sizes.size)
    c[kept] = chosen
    # The skip connection takes up the difference of what it can represent.
    change = features @ ((sizes - c)[:, np.newaxis] * u)
    A, constant = merged.A, merged.c
    if skip == "affine":
        scale = float(np.abs(points - centre).max()) or 1.0
        lines = np.hstack([np.ones((points.shape[0], 1)), (points - centre) / scale])
        fit = np.linalg.lstsq(lines, change, rcond=None)[0]
        A = A + fit[1:].T / scale
        constant = constant + fit[0] - (fit[1:].T / scale) @ centre
    elif skip == "constant":
        constant = constant + change.mean(axis=0)
    return ReLUNetwork(merged.w, merged.b, c[:, np.newaxis] * u, A, constant).pruned()


def _skip_basis(points: FloatArray, skip: str) -> FloatArray:
    """Return an orthonormal basis (N, r) of what the skip connection can do at the points."""
    n = points.shape[0]
    if skip == "none":
        return np.zeros((n, 0))
    ones = np.full((n, 1), 1.0 / np.sqrt(n))
    if skip == "constant":
        return ones
    centred = points - points.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    rounding = float(np.finfo(np.float64).eps) * max(points.shape) * float(np.abs(points).max())
    rank = int(np.sum(singular > np.sqrt(n) * rounding))
    return np.linalg.qr(np.hstack([ones, left[:, :rank]]))[0]


def _without(basis: FloatArray, features: FloatArray) -> FloatArray:
    """Return features (N, K) without their part in the basis."""
    for _ in range(2):  # the second time removes what rounding left behind
        features = features - basis @ (basis.T @ features)
    return features


def _columns(features: FloatArray, u: FloatArray) -> FloatArray:
    """Return the matrices φ_k u_kᵀ, each as a column, in orthonormal coordinates of both spaces."""
    n_neurons = u.shape[0]
    if n_neurons == 0:
        return np.zeros((0, 0))
    rows = (
        np.asarray(np.linalg.qr(features, mode="r")) if features.shape[0] > n_neurons else features
    )
    tasks = np.asarray(np.linalg.qr(u.T, mode="r")) if u.shape[1] > n_neurons else u.T
    return np.asarray((rows[:, np.newaxis, :] * tasks[np.newaxis]).reshape(-1, n_neurons))


def _vertex(columns: FloatArray, start: FloatArray) -> FloatArray:
    """Return c ≥ 0 with the sums of ``start``, independent columns and Σ c no larger."""
    if start.size == 0:
        return start
    lengths = np.linalg.norm(columns, axis=0)
    weight = start * lengths
    total = float(weight.sum())
    weight, costs = weight / total, 1.0 / lengths
    triangle = np.linalg.qr(columns / lengths, mode="r")
    _, singular, rows = np.linalg.svd(triangle, full_matrices=False)
    sums = rows[: int(np.sum(singular > _DEPENDENT * singular[0]))]
    if sums.shape[0] == start.size:
        return start
    found = linprog(costs / float(costs.max()), A_eq=sums, b_eq=sums @ weight, method="highs-ds")
    best = None
    if found.status == 0:
        best = _refitted(sums, weight, found.x)
    if best is None or costs @ best > costs @ weight:
        best = _eliminated(sums, weight, costs)
    return np.asarray(total * best / lengths)


def _refitted(sums: FloatArray, weight: FloatArray, guess: FloatArray) -> FloatArray | None:
    """Give the support of a guess the sums of ``weight`` to rounding, or None if it cannot."""
    for smallest in _NEGLIGIBLE:
        support = np.flatnonzero(guess > smallest)
        c, left = nnls(sums[:, support], sums @ weight)
        if left <= _ROUNDING * np.sqrt(weight.size):
            result = np.zeros_like(weight)
            result[support] = c
            return result
    return None


def _eliminated(sums: FloatArray, weight: FloatArray, costs: FloatArray) -> FloatArray:
    """Return c ≥ 0 with the same sums, independent columns and costs no larger, one by one.

    This is the proof of Carathéodory's theorem: a neuron whose column depends on those before is
    traded against them, in the direction that does not cost, until one of them is used up.
    """
    c = weight.copy()
    kept: list[int] = []
    for k in np.flatnonzero(weight).tolist():
        trade = np.append(-np.linalg.lstsq(sums[:, kept], sums[:, k], rcond=None)[0], 1.0)
        members = [*kept, k]
        if np.linalg.norm(sums[:, members] @ trade) > _DEPENDENT:
            kept = members
            continue
        if costs[members] @ trade > 0:
            trade = -trade
        falling = trade < 0
        if not falling.any():  # then it saves cost to go the other way for ever: only rounding
            trade, falling = -trade, ~falling
        steps = np.full(trade.size, np.inf)
        steps[falling] = -c[members][falling] / trade[falling]
        gone = int(np.argmin(steps))
        c[members] = np.maximum(c[members] + steps[gone] * trade, 0.0)
        c[members[gone]] = 0.0
        members.pop(gone)
        kept = members
    exact = _refitted(sums, weight, c)
    return c if exact is None else exact
