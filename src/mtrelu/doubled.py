"""Doubled precision: numbers held as an unevaluated sum ``high + low`` of two float64.

A certificate subtracts numbers that agree in most of their digits, over up to millions of terms.
With some 32 digits in every sum, what is left of rounding is below anything a float64 can show.
These building blocks of numba kernels are the classical error-free transformations (Dekker 1971;
Hida, Li, Bailey 2001). They need IEEE rounding: no ``fastmath``. The loops over whole arrays are
functions of their own because the compiler turns them into vector instructions only so.
"""

import numpy as np
from numba import njit

_SPLITTER = 134217729.0  # 2^27 + 1 cuts a float64 into two halves whose products are exact
_LANES = 64  # sums that run side by side

Pair = tuple[float, float]


@njit(cache=True)
def two_sum(a: float, b: float) -> Pair:
    """Sum of two float64, exactly."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@njit(cache=True)
def two_product(a: float, b: float) -> Pair:
    """Product of two float64, exactly (barring over- and underflow)."""
    p = a * b
    t = _SPLITTER * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = _SPLITTER * b
    b_high = t - (t - b)
    b_low = b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


@njit(cache=True)
def add(a: float, a_low: float, b: float, b_low: float) -> Pair:
    """Sum of two doubled numbers."""
    s, e = two_sum(a, b)
    t, f = two_sum(a_low, b_low)
    e += t
    r = s + e
    e = (e - (r - s)) + f
    s = r + e
    return s, e - (s - r)


@njit(cache=True)
def multiply(a: float, a_low: float, b: float, b_low: float) -> Pair:
    """Product of two doubled numbers."""
    p, e = two_product(a, b)
    e += a * b_low + a_low * b
    s = p + e
    return s, e - (s - p)


@njit(cache=True)
def divide(a: float, a_low: float, b: float, b_low: float) -> Pair:
    """Quotient of two doubled numbers."""
    q = a / b
    p, e = multiply(q, 0.0, b, b_low)
    r, f = add(a, a_low, -p, -e)
    e = (r + f) / b
    s = q + e
    return s, e - (s - q)


@njit(cache=True)
def accumulate(
    total: np.ndarray, total_low: np.ndarray, terms: np.ndarray, terms_low: np.ndarray
) -> None:
    """Add doubled ``terms`` to the doubled ``total``, elementwise and in place."""
    for t in range(total.size):
        total[t], total_low[t] = add(total[t], total_low[t], terms[t], terms_low[t])


@njit(cache=True)
def accumulate_scaled(
    total: np.ndarray,
    total_low: np.ndarray,
    terms: np.ndarray,
    terms_low: np.ndarray,
    factor: float,
    factor_low: float,
) -> None:
    """Add doubled ``terms`` times one doubled factor to the doubled ``total``, in place."""
    for t in range(total.size):
        p, p_low = multiply(terms[t], terms_low[t], factor, factor_low)
        total[t], total_low[t] = add(total[t], total_low[t], p, p_low)


@njit(cache=True)
def _total_row(sums: np.ndarray, errors: np.ndarray, values: np.ndarray) -> None:
    for t in range(values.size):
        sums[t], e = two_sum(sums[t], values[t])
        errors[t] += e


@njit(cache=True)
def _inner_row(
    total: np.ndarray,
    total_low: np.ndarray,
    a: np.ndarray,
    a_low: np.ndarray,
    b: np.ndarray,
    b_low: np.ndarray,
) -> None:
    for t in range(a.size):
        p, e = multiply(a[t], a_low[t], b[t], b_low[t])
        total[t], total_low[t] = add(total[t], total_low[t], p, e)


@njit(cache=True)
def total(values: np.ndarray) -> float:
    """Sum of an array (n,), correctly rounded in all but contrived cases."""
    sums, errors = np.zeros(_LANES), np.zeros(_LANES)
    for first in range(0, values.size, _LANES):
        row = values[first : first + _LANES]
        _total_row(sums, errors, row)
    s, s_low = 0.0, 0.0
    for j in range(_LANES):
        s, s_low = add(s, s_low, sums[j], errors[j])
    return s + s_low


@njit(cache=True)
def inner(A: np.ndarray, A_low: np.ndarray, B: np.ndarray, B_low: np.ndarray) -> float:
    """Inner product of two doubled arrays (n, m)."""
    sums, sums_low = np.zeros(_LANES), np.zeros(_LANES)
    for i in range(A.shape[0]):
        for first in range(0, A.shape[1], _LANES):
            last = min(first + _LANES, A.shape[1])
            _inner_row(
                sums,
                sums_low,
                A[i, first:last],
                A_low[i, first:last],
                B[i, first:last],
                B_low[i, first:last],
            )
    s, s_low = 0.0, 0.0
    for j in range(_LANES):
        s, s_low = add(s, s_low, sums[j], sums_low[j])
    return s + s_low
