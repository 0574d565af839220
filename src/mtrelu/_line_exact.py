"""What a certificate of one input measures: predictions and path costs, in doubled precision.

Written for `mtrelu.verify` alone, so that it judges the parameters themselves and not another
module's evaluation of them. Private.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mtrelu.doubled import (
    accumulate,
    accumulate_scaled,
    add,
    divide,
    total,
    two_product,
    two_sum,
)
from mtrelu.network import ReLUNetwork
from mtrelu.validation import FloatArray

_BLOCK = 128  # tasks treated together, so that their running sums stay in the cache


@njit(cache=True)
def _is_active(x: float, w: float, b: float) -> bool:
    p, e = two_product(w, x)
    s, f = add(p, e, b, 0.0)
    return s > 0.0 or (s == 0.0 and f > 0.0)


@njit(cache=True)
def _correct_first_active(x: np.ndarray, w: np.ndarray, b: np.ndarray, first: np.ndarray) -> None:
    # x[first:] are the active inputs for w > 0, x[:first] for w < 0. The division that located
    # the kink may be wrong by some places among inputs that nearly coincide.
    n = x.size
    for k in range(w.size):
        i = first[k]
        rising = w[k] > 0
        while i > 0 and _is_active(x[i - 1], w[k], b[k]) == rising:
            i -= 1
        while i < n and _is_active(x[i], w[k], b[k]) != rising:
            i += 1
        first[k] = i


@njit(cache=True)
def _add_scaled_row(
    total: np.ndarray, total_low: np.ndarray, row: np.ndarray, factor: float
) -> None:
    for t in range(total.size):
        p, e = two_product(row[t], factor)
        total[t], total_low[t] = add(total[t], total_low[t], p, e)


@njit(cache=True)
def _add_neurons(
    x: np.ndarray,
    order: np.ndarray,
    first: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    v: np.ndarray,
    forward: bool,
    Z: np.ndarray,
    Z_low: np.ndarray,
) -> None:
    # Sweeps over the inputs, from the left for neurons with w > 0 and from the right for w < 0;
    # `order` lists the neurons as they become active. On the way, the active ones add up to one
    # line: its slope and its constant.
    n, n_tasks = Z.shape
    for start in range(0, n_tasks, _BLOCK):
        stop = min(start + _BLOCK, n_tasks)
        m = stop - start
        slope, slope_low = np.zeros(m), np.zeros(m)
        level, level_low = np.zeros(m), np.zeros(m)
        k = 0
        for step in range(n):
            i = step if forward else n - 1 - step
            while k < order.size and (first[order[k]] <= i if forward else first[order[k]] > i):
                neuron = order[k]
                _add_scaled_row(slope, slope_low, v[neuron, start:stop], w[neuron])
                _add_scaled_row(level, level_low, v[neuron, start:stop], b[neuron])
                k += 1
            if k > 0:
                z, z_low = Z[i, start:stop], Z_low[i, start:stop]
                accumulate_scaled(z, z_low, slope, slope_low, x[i], 0.0)
                accumulate(z, z_low, level, level_low)


@njit(cache=True)
def _add_skip(
    x: np.ndarray, A: np.ndarray, c: np.ndarray, c_low: np.ndarray, Z: np.ndarray, Z_low: np.ndarray
) -> None:
    for i in range(x.size):
        accumulate(Z[i], Z_low[i], c, c_low)
        _add_scaled_row(Z[i], Z_low[i], A, x[i])


@njit(cache=True)
def _residual_row(y: np.ndarray, z: np.ndarray, z_low: np.ndarray, out: np.ndarray) -> None:
    for t in range(y.size):
        s, e = two_sum(y[t], -z[t])
        out[t] = s + (e - z_low[t])


@njit(cache=True)
def _residuals(Y: np.ndarray, Z: np.ndarray, Z_low: np.ndarray, out: np.ndarray) -> None:
    for i in range(Y.shape[0]):
        _residual_row(Y[i], Z[i], Z_low[i], out[i])


def predict(
    x: FloatArray, Y: FloatArray, network: ReLUNetwork
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Evaluate a network of one input at ascending ``x`` (N,), to some 30 digits.

    Returns
    -------
    Z, Z_low : ndarray of shape (N, T)
        The predictions are ``Z + Z_low``.
    residuals : ndarray of shape (N, T)
        ``Y`` minus the predictions, rounded once.
    """
    w, b, v = network.w[:, 0].copy(), network.b.copy(), network.v.copy()
    Z, Z_low = np.zeros(Y.shape), np.zeros(Y.shape)
    c, c_low = network.c.copy(), np.zeros(network.c.size)
    for k in np.flatnonzero((w == 0.0) & (b > 0.0)):  # such neurons are constants
        _add_scaled_row(c, c_low, v[k], b[k])
    _add_skip(x, network.A[:, 0].copy(), c, c_low, Z, Z_low)

    moving = np.flatnonzero(w)
    with np.errstate(over="ignore"):
        kinks = -b[moving] / w[moving]
    first = np.searchsorted(x, kinks)
    w, b, v = w[moving], b[moving], v[moving]
    _correct_first_active(x, w, b, first)
    order = np.argsort(first, kind="stable")
    _add_neurons(x, order[w[order] > 0], first, w, b, v, True, Z, Z_low)
    order = order[::-1]
    _add_neurons(x, order[w[order] < 0], first, w, b, v, False, Z, Z_low)

    residuals = np.empty(Y.shape)
    _residuals(Y, Z, Z_low, residuals)
    return Z, Z_low, residuals


@njit(cache=True)
def _slope_changes(x: np.ndarray, Y: np.ndarray, out: np.ndarray) -> None:
    n, n_tasks = Y.shape
    slope, slope_low = np.zeros(n_tasks), np.zeros(n_tasks)
    for i in range(n - 1):
        h, h_low = two_sum(x[i + 1], -x[i])
        for t in range(n_tasks):
            rise, rise_low = two_sum(Y[i + 1, t], -Y[i, t])
            s, s_low = divide(rise, rise_low, h, h_low)
            if i > 0:
                change, change_low = add(s, s_low, -slope[t], -slope_low[t])
                out[i - 1, t] = change + change_low
            slope[t], slope_low[t] = s, s_low


def slope_changes(x: FloatArray, Y: FloatArray) -> FloatArray:
    """Slope changes δ_i of the connect-the-dots spline [5], each rounded once.

    Parameters
    ----------
    x : ndarray of shape (N,)
        Inputs, strictly ascending.
    Y : ndarray of shape (N, T)
        Labels.

    Returns
    -------
    ndarray of shape (max(N - 2, 0), T)
    """
    changes = np.zeros((max(x.size - 2, 0), Y.shape[1]))
    _slope_changes(x, Y, changes)
    return changes


@njit(cache=True)
def _product_row(sums: np.ndarray, p: np.ndarray, r: np.ndarray, weight: float) -> None:
    for t in range(p.size):
        sums[0, t], e = two_sum(sums[0, t], p[t] * r[t])
        sums[1, t] += e
        sums[2, t], e = two_sum(sums[2, t], p[t] * (p[t] / weight))
        sums[3, t] += e


@njit(cache=True)
def _weighted_product_row(
    sums: np.ndarray, p: np.ndarray, r: np.ndarray, weights: np.ndarray
) -> None:
    for t in range(p.size):
        if weights[t] > 0.0:  # elsewhere p = 0
            sums[0, t], e = two_sum(sums[0, t], p[t] * r[t])
            sums[1, t] += e
            sums[2, t], e = two_sum(sums[2, t], p[t] * (p[t] / weights[t]))
            sums[3, t] += e


@njit(cache=True)
def products(P: np.ndarray, R: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Return Σ_it p_it r_it and Σ_it p_it² / w_it for P, R (N, T) and weights (N, 1) or (N, T)."""
    n, n_tasks = P.shape
    sums = np.zeros((4, min(n_tasks, _BLOCK)))
    for i in range(n):
        for first in range(0, n_tasks, _BLOCK):
            last = min(first + _BLOCK, n_tasks)
            if weights.shape[1] == 1:
                _product_row(sums, P[i, first:last], R[i, first:last], weights[i, 0])
            else:
                row = weights[i, first:last]
                _weighted_product_row(sums, P[i, first:last], R[i, first:last], row)
    return total(sums[:2].ravel()), total(sums[2:].ravel())


def row_norms(rows: FloatArray) -> FloatArray:
    """Euclidean norms of the rows (n, T), whatever their size: no square over- or underflows."""
    largest = np.abs(rows).max(axis=1, initial=0.0)
    if bool(np.all(((largest > 1e-140) & (largest < 1e140)) | (largest == 0.0))):
        return np.asarray(np.linalg.norm(rows, axis=1))
    exponent = np.frexp(largest)[1]
    return np.asarray(
        np.ldexp(np.linalg.norm(np.ldexp(rows, -exponent[:, np.newaxis]), axis=1), exponent)
    )
