"""Compiled loops over polylines: slopes and alignment in one pass, and evaluation.

All loops work on a range of rows and release the GIL, so that plain threads share the work;
`in_parallel` hands the ranges out. Importing this module loads numba; nothing is compiled before
the first call, and the compiled code is cached on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numba import config, njit

from mtrelu.validation import FloatArray

# What a data knot, or a pair of neighbouring ones, was found to be.
NONZERO, ZERO, BELOW_PRECISION = 0, 1, 2
NOT_ALIGNED, ALIGNED, CANNOT_TELL = 0, 1, 2

_EPS = float(np.finfo(np.float64).eps)
_SAFETY = 8.0  # c of the error bounds: room for the roundings that they do not count
_ENTRIES_A_BLOCK = 1 << 19

Part = TypeVar("Part")

_compiled = njit(cache=True, nogil=True, error_model="numpy")
# Sums of squares may be added up in any order, which is what lets them use vector instructions;
# nothing else about floating point is relaxed: NaN stays NaN.
_any_order = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})


def in_parallel(part: Callable[[int, int], Part], n_rows: int, n_columns: int) -> list[Part]:
    """Call ``part(start, stop)`` on ranges that cover the rows, in threads when it pays.

    The ranges depend on the sizes only, so that sums do not depend on the number of threads.

    Parameters
    ----------
    part : callable
        Takes a range of rows; releases the GIL.
    n_rows, n_columns : int
        Size of the array to work through.

    Returns
    -------
    list
        What the calls returned, in the order of the rows.

    Examples
    --------
    >>> in_parallel(lambda start, stop: stop - start, 10, 1)
    [10]
    """
    rows = max(_ENTRIES_A_BLOCK // n_columns, 1)
    ranges = [(start, min(start + rows, n_rows)) for start in range(0, n_rows, rows)]
    n_threads = min(config.NUMBA_NUM_THREADS, len(ranges))  # type: ignore[attr-defined]
    if n_threads < 2:
        return [part(start, stop) for start, stop in ranges]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(lambda bounds: part(*bounds), ranges))


@_compiled
def _slope_row(x: FloatArray, Y: FloatArray, i: int, slopes: FloatArray) -> None:
    step = x[i + 1] - x[i]
    for t in range(Y.shape[1]):
        slopes[i, t] = (Y[i + 1, t] - Y[i, t]) / step


@_any_order
def _change_row(
    x: FloatArray, Y: FloatArray, i: int, slopes: FloatArray, previous: FloatArray
) -> tuple[float, float, float, float]:
    """Fill in slope i; replace the slope change δ' of the point before by δ = s_i − s_{i−1}.

    Returns ‖y‖² of point i + 1, ‖s_i‖², ‖δ‖² and δᵀδ'.
    """
    step = x[i + 1] - x[i]
    label = slope = change = product = 0.0
    for t in range(Y.shape[1]):
        y = Y[i + 1, t]
        s = (y - Y[i, t]) / step
        d = s - slopes[i - 1, t]
        slopes[i, t] = s
        label += y * y
        slope += s * s
        change += d * d
        product += d * previous[t]
        previous[t] = d
    return label, slope, change, product


@_any_order
def _square_norm(values: FloatArray, i: int) -> float:
    total: float = 0.0
    for t in range(values.shape[1]):
        total += values[i, t] * values[i, t]
    return total


@_compiled
def _slope_error(x: FloatArray, i: int, labels: float, slope: float, precision: float) -> float:
    """Bound the error of slope i when labels and inputs are known to a relative precision."""
    step: float = x[i + 1] - x[i]
    reach: float = (abs(x[i]) + abs(x[i + 1])) / step
    return float(precision * (labels / step + slope * reach + slope))


@_compiled
def _chord(slopes: FloatArray, i: int, before: float, after: float) -> float:
    """Return the distance between the directions of the slope changes at points i−1 and i."""
    total = 0.0
    for t in range(slopes.shape[1]):
        d = (slopes[i, t] - slopes[i - 1, t]) / after
        d -= (slopes[i - 1, t] - slopes[i - 2, t]) / before
        total += d * d
    return float(np.sqrt(total))


@_compiled
def connect_the_dots(
    x: FloatArray,
    Y: FloatArray,
    precision: float,
    rtol: float,
    undecidable: float,
    slopes: FloatArray,
    changes: FloatArray,
    errors: FloatArray,
    knots: np.ndarray,
    pairs: np.ndarray,
    start: int,
    stop: int,
) -> tuple[float, float]:
    """Fill in everything about the segments ``start`` to ``stop`` in one pass.

    Parameters
    ----------
    x : ndarray of shape (N,)
        Strictly increasing inputs.
    Y : ndarray of shape (N, T)
        Labels.
    precision : float
        Relative precision of the labels and inputs, η.
    rtol : float
        Largest chord between two directions that count as one.
    undecidable : float
        Relative error of a slope change above which its direction decides nothing.
    slopes : ndarray of shape (N - 1, T)
        Receives the slopes [5].
    changes, errors : ndarray of shape (N - 2,)
        Receive the norms of the slope changes and the bounds on their errors.
    knots : ndarray of shape (N - 2,), uint8
        Receives ``NONZERO``, ``ZERO`` or ``BELOW_PRECISION``.
    pairs : ndarray of shape (N - 3,), uint8
        Receives ``NOT_ALIGNED``, ``ALIGNED`` or ``CANNOT_TELL`` for neighbouring data knots.
    start, stop : int
        Range of segments.

    Returns
    -------
    cost, largest_slope : float
        Sum of the norms of the slope changes at the left ends of these segments, and the norm of
        the steepest slope.
    """
    # The two segments before the range belong to another call, which writes the same numbers.
    for i in range(max(start - 2, 0), start):
        _slope_row(x, Y, i, slopes)
    previous = np.zeros(Y.shape[1])
    label = label_before = slope_before = error_before = 0.0
    change_before = change_error_before = 0.0
    if start > 0:
        label = np.sqrt(_square_norm(Y, start - 1))
        label_before = label
        label = np.sqrt(_square_norm(Y, start))
        slope_before = np.sqrt(_square_norm(slopes, start - 1))
        error_before = _slope_error(x, start - 1, label_before + label, slope_before, precision)
    if start > 1:
        label_earlier = np.sqrt(_square_norm(Y, start - 2))
        slope_earlier = np.sqrt(_square_norm(slopes, start - 2))
        error = _slope_error(x, start - 2, label_earlier + label_before, slope_earlier, precision)
        change_before = np.sqrt(_change_row(x, Y, start - 1, slopes, previous)[2])
        change_error_before = _SAFETY * (error + error_before)
    cost = lost = steepest = 0.0
    for i in range(start, stop):
        if i == 0:
            _slope_row(x, Y, 0, slopes)
            slope = np.sqrt(_square_norm(slopes, 0))
            label_before = np.sqrt(_square_norm(Y, 0))
            label = np.sqrt(_square_norm(Y, 1))
            error = _slope_error(x, 0, label_before + label, slope, precision)
        else:
            label_square, slope_square, change_square, product = _change_row(
                x, Y, i, slopes, previous
            )
            label_before = label
            label = np.sqrt(label_square)
            slope = np.sqrt(slope_square)
            change = np.sqrt(change_square)
            error = _slope_error(x, i, label_before + label, slope, precision)
            change_error = _SAFETY * (error + error_before)
            # What the arithmetic alone can have done to a slope change of exact numbers.
            rounding = 0.5 * _SAFETY * _EPS * (slope + slope_before)
            changes[i - 1] = change
            errors[i - 1] = change_error
            if change > change_error:
                knots[i - 1] = NONZERO
            elif change <= rounding:
                knots[i - 1] = ZERO
            else:
                knots[i - 1] = BELOW_PRECISION
            if i > 1:
                pairs[i - 2] = NOT_ALIGNED
                clear = change > change_error and change_before > change_error_before
                if product > 0.0 and clear:
                    spread = change_error / change + change_error_before / change_before
                    window = rtol + spread
                    slack = window * window + 1e-12
                    if product >= (1.0 - slack) * change * change_before:
                        if _chord(slopes, i, change_before, change) <= window:
                            # The sign of a nonzero number is certain, so one task is decided.
                            decided = spread <= undecidable or Y.shape[1] == 1
                            pairs[i - 2] = ALIGNED if decided else CANNOT_TELL
            change_before = change
            change_error_before = change_error
            # Neumaier's sum: what an addition loses is collected apart.
            total = cost + change
            lost += (cost - total) + change if cost >= change else (change - total) + cost
            cost = total
        steepest = max(steepest, slope)
        slope_before = slope
        error_before = error
    return cost + lost, steepest


@_compiled
def bucket_index(x: FloatArray) -> np.ndarray:
    """Index sorted inputs by equally wide buckets.

    Parameters
    ----------
    x : ndarray of shape (N,)
        Strictly increasing inputs, N >= 2.

    Returns
    -------
    ndarray of shape (N + 1,), int32
        Entry b is the first input that lies in bucket b or a later one.
    """
    n = x.size
    first = np.empty(n + 1, np.int32)
    width = x[n - 1] - x[0]
    bucket = 0
    for i in range(n):
        own = min(int((x[i] - x[0]) / width * n), n - 1)
        while bucket <= own:
            first[bucket] = i
            bucket += 1
    while bucket <= n:
        first[bucket] = n
        bucket += 1
    return first


@_compiled
def _segment(x: FloatArray, first: np.ndarray, q: float) -> int:
    """Return the segment that a query lies in; the outermost ones reach to infinity."""
    n = x.size
    if q >= x[n - 1]:
        return n - 2
    if not q > x[0]:  # also NaN, which then comes out as NaN
        return 0
    bucket = min(int((q - x[0]) / (x[n - 1] - x[0]) * n), n - 1)
    low: int = max(first[bucket] - 1, 0)
    high = first[bucket + 1]
    while high - low > 1:
        middle = (low + high) >> 1
        if x[middle] <= q:
            low = middle
        else:
            high = middle
    return low


@_compiled
def evaluate(
    x: FloatArray,
    Y: FloatArray,
    first: np.ndarray,
    queries: FloatArray,
    out: FloatArray,
    start: int,
    stop: int,
) -> None:
    """Evaluate the polyline through (x, Y) at the queries ``start`` to ``stop``.

    A query in the same segment as the last one or the next needs no search, so sorted queries
    take one pass over the data. Data points are reproduced exactly.

    Parameters
    ----------
    x : ndarray of shape (N,)
        Strictly increasing, N >= 2.
    Y : ndarray of shape (N, T)
        Values at x.
    first : ndarray of shape (N + 1,)
        What `bucket_index` returned for x.
    queries : ndarray of shape (M,)
        Where to evaluate.
    out : ndarray of shape (M, T)
        Receives the values.
    start, stop : int
        Range of queries.
    """
    last = x.size - 2
    i = 0
    for m in range(start, stop):
        q = queries[m]
        if not x[i] <= q < x[i + 1]:
            if i < last and x[i + 1] <= q < x[i + 2]:
                i += 1
            else:
                i = _segment(x, first, q)
        anchor = i + 1 if q >= x[i + 1] else i
        share = (q - x[anchor]) / (x[i + 1] - x[i])
        for t in range(Y.shape[1]):
            out[m, t] = Y[anchor, t] + share * (Y[i + 1, t] - Y[i, t])
