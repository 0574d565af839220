"""What the certificates of one and of several inputs have in common."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mtrelu.status import Status

EPS = float(np.finfo(np.float64).eps)
LARGEST = float(np.finfo(np.float64).max)
# How near a kink of the loss a residual, relative to the largest, is taken to be on it.
KINK_TOLERANCES = (1e-10, 1e-8, 1e-6, 1e-4)
BLOCK_ENTRIES = 1 << 20  # 8 MB an array: memory of that size is reused, not returned and faulted


def conclude(
    relative_gap: float,
    estimated: float | None,
    tol: float,
    certified: bool,
    limit_reached: bool,
) -> Status:
    """Return what gaps, proved and estimated, amount to."""
    if certified:
        return Status.CERTIFIED
    if estimated is not None and estimated <= tol:
        return Status.UNCERTIFIED
    if limit_reached:
        return Status.LIMIT_REACHED
    return Status.ALMOST if relative_gap <= 1e3 * tol else Status.NOT_OPTIMAL


def minimise_convex(function: Callable[[float], float], limit: float) -> float:
    """Least value found of a convex function on [0, limit]; its minimum is most often at limit."""
    at_limit = function(limit)
    if at_limit <= function(limit * (1 - 1e-6)):
        return at_limit
    if limit > 1:  # then the dual variable may be optimal as it is
        at_one = function(1.0)
        if at_one <= function(1 - 1e-6) and at_one <= function(1 + 1e-6):
            return at_one
    golden = 0.5 * (5.0**0.5 - 1)
    lo, hi = 0.0, limit
    left, right = hi - golden * (hi - lo), lo + golden * (hi - lo)
    at_left, at_right = function(left), function(right)
    best = min(at_limit, function(0.0), at_left, at_right)
    for _ in range(60):
        if at_left <= at_right:
            hi, right, at_right = right, left, at_left
            left = hi - golden * (hi - lo)
            at_left = function(left)
        else:
            lo, left, at_left = left, right, at_right
            right = lo + golden * (hi - lo)
            at_right = function(right)
        best = min(best, at_left, at_right)
        if hi - lo <= 1e-8 * limit:
            break
    return best
