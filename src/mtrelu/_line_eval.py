"""Compiled kernels for networks of one input, in doubled precision.

Between two kinks a network is a line whose slope and intercept are running sums over the neurons
to one side. The intercepts grow with the offset of x and cancel again, so every sum and product
here carries its rounding error along (see `mtrelu.doubled`). The result is
then as accurate as the final rounding for offsets far beyond 1e10, at O(M + K) operations a task.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from mtrelu.doubled import add, two_product
from mtrelu.validation import FloatArray


@njit(inline="always")
def _add_product(hi: float, lo: float, a: float, b: float) -> tuple[float, float]:
    """Return hi + lo + a * b in doubled precision."""
    p, e = two_product(a, b)
    return add(hi, lo, p, e)


@njit(cache=True)
def _add_active(sign, x, x_order, w, b, v, kinks, kink_order, hi, lo):  # type: ignore[no-untyped-def]
    """Add to (hi, lo) the neurons that are active to the right of their kink.

    With ``sign = -1`` everything is mirrored: then it is those to the left, and both orders run
    from right to left.
    """
    n_tasks = v.shape[1]
    slope = np.zeros((2, n_tasks))
    intercept = np.zeros((2, n_tasks))
    tied = np.zeros((2, n_tasks))
    tied_at = np.nan
    k = 0
    for i in x_order:
        at = sign * x[i]
        while k < kink_order.size and sign * kinks[kink_order[k]] < at:
            n = kink_order[k]
            for t in range(n_tasks):
                slope[0, t], slope[1, t] = _add_product(slope[0, t], slope[1, t], v[n, t], w[n])
                intercept[0, t], intercept[1, t] = _add_product(
                    intercept[0, t], intercept[1, t], v[n, t], b[n]
                )
            k += 1
        # A kink that rounds to x may truly lie to either side of it: decide by the exact sign.
        if at != tied_at:
            tied_at = at
            tied[:] = 0.0
            j = k
            while j < kink_order.size and sign * kinks[kink_order[j]] == at:
                n = kink_order[j]
                # Exact in one float64: all but the last digits of the product cancel.
                inner = _add_product(b[n], 0.0, w[n], x[i])[0]
                if inner > 0.0:
                    for t in range(n_tasks):
                        tied[0, t], tied[1, t] = _add_product(
                            tied[0, t], tied[1, t], v[n, t], inner
                        )
                j += 1
        for t in range(n_tasks):
            h, e = add(hi[i, t], lo[i, t], intercept[0, t], intercept[1, t])
            h, e = _add_product(h, e, slope[0, t], x[i])
            h, e = _add_product(h, e, slope[1, t], x[i])
            hi[i, t], lo[i, t] = add(h, e, tied[0, t], tied[1, t])


@njit(cache=True)
def _affine_part(x, slope, intercept, hi, lo):  # type: ignore[no-untyped-def]
    """Set (hi, lo) to slope * x + intercept."""
    for i in range(x.size):
        for t in range(slope.size):
            hi[i, t], lo[i, t] = _add_product(intercept[t], 0.0, slope[t], x[i])


def evaluate(
    x: FloatArray,
    w: FloatArray,
    b: FloatArray,
    v: FloatArray,
    slope: FloatArray,
    intercept: FloatArray,
) -> FloatArray:
    """Evaluate a network of one input [1], accurately, in O((M + K) T) after sorting.

    Parameters
    ----------
    x : ndarray of shape (M,)
        Where to evaluate, in any order.
    w, b : ndarray of shape (K,)
        Input weights and biases; a neuron with w = 0 is a constant.
    v : ndarray of shape (K, T)
        Output weights.
    slope, intercept : ndarray of shape (T,)
        The affine part.

    Returns
    -------
    ndarray of shape (M, T)

    Examples
    --------
    >>> one, zero = np.ones(1), np.zeros(1)
    >>> evaluate(np.array([-1.0, 2.0]), one, zero, np.ones((1, 1)), zero, one)
    array([[1.],
           [3.]])
    """
    hi = np.empty((x.size, v.shape[1]))
    lo = np.empty_like(hi)
    _affine_part(x, slope, intercept, hi, lo)
    x_order = np.argsort(x, kind="stable")
    kinks = kinks_of(w, b)
    for sign in (1.0, -1.0):
        active = np.flatnonzero(sign * w > 0)
        if active.size:
            kink_order = active[np.argsort(kinks[active], kind="stable")]
            # Contiguous in both directions, so that one compiled kernel serves both.
            along = [np.ascontiguousarray(order[:: int(sign)]) for order in (x_order, kink_order)]
            _add_active(sign, x, along[0], w, b, v, kinks, along[1], hi, lo)
    flat = w == 0
    if flat.any():
        hi += np.maximum(b[flat], 0.0) @ v[flat]
    hi += lo
    return hi


def kinks_of(w: FloatArray, b: FloatArray) -> FloatArray:
    """Return where each neuron bends, −b/w; NaN or infinite for one that never does.

    Examples
    --------
    >>> kinks_of(np.array([2.0, -1.0]), np.array([-3.0, 1.0]))
    array([1.5, 1. ])
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Adding zero turns -0.0 into 0.0.
        return np.asarray(-b / w + 0.0)


@njit(cache=True)
def canonical_form(w, b, v, kinks, kink_order, slope, intercept):  # type: ignore[no-untyped-def]
    """Turn every neuron to w = +1 and add up those that bend at one point.

    Parameters
    ----------
    w, b : ndarray of shape (K,)
        Input weights and biases.
    v : ndarray of shape (K, T)
        Output weights.
    kinks : ndarray of shape (K,)
        Where the neurons bend.
    kink_order : ndarray of int
        The neurons with w != 0, sorted by kink.
    slope, intercept : ndarray of shape (T,)
        The affine part.

    Returns
    -------
    knots : ndarray of shape (n,)
        The distinct kinks, ascending.
    changes : ndarray of shape (n, T)
        By how much the slope of each task changes there.
    slope, intercept : ndarray of shape (T,)
        The function to the left of all knots.
    """
    n_tasks = v.shape[1]
    knots = np.empty(kink_order.size)
    changes = np.empty((kink_order.size, n_tasks))
    change = np.zeros((2, n_tasks))
    slopes = np.zeros((2, n_tasks))
    slopes[0] = slope
    intercepts = np.zeros((2, n_tasks))
    intercepts[0] = intercept
    n_knots = 0
    for j in range(kink_order.size):
        n = kink_order[j]
        for t in range(n_tasks):
            change[0, t], change[1, t] = _add_product(
                change[0, t], change[1, t], v[n, t], abs(w[n])
            )
            if w[n] < 0:  # (-u)_+ = u_+ - u
                slopes[0, t], slopes[1, t] = _add_product(slopes[0, t], slopes[1, t], v[n, t], w[n])
                intercepts[0, t], intercepts[1, t] = _add_product(
                    intercepts[0, t], intercepts[1, t], v[n, t], b[n]
                )
        if j + 1 == kink_order.size or kinks[kink_order[j + 1]] != kinks[n]:
            knots[n_knots] = kinks[n]
            changes[n_knots] = change[0] + change[1]
            n_knots += 1
            change[:] = 0.0
    return knots[:n_knots], changes[:n_knots], slopes.sum(axis=0), intercepts.sum(axis=0)
