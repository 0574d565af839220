"""How far the convex terms of J [14] are above their tangents, without cancellation.

J near its minimum is the sum of these; as a difference of its values it would be rounding alone.
"""

from __future__ import annotations

import numpy as np

from mtrelu.losses import Loss
from mtrelu.validation import FloatArray


def norm_above_tangent(a: FloatArray, b: FloatArray, n: FloatArray) -> FloatArray:
    """Return how far (v² + n²)^½ at a is above its tangent at b, without cancellation.

    In units of its value at b, so that b² + n² = 1, that is A − n² − ab, A its value at a.
    """
    unit = np.hypot(b, n)
    step, a, b, n = (a - b) / unit, a / unit, b / unit, n / unit
    A = np.hypot(a, n)
    A[A == 0.0] = 1.0  # then the result is zero in any case
    # Two forms of one number: all terms are positive in the first for ab >= 0, and in the second
    # for ab < 0. Their order keeps squares of large numbers from overflowing.
    both, apart = A + np.abs(a * b) + n * n, A + n * n
    above = np.where(
        a * b >= 0.0,
        step * (n / both) * step * n,
        (a / apart) * a + n * (n / apart) * b * b + np.abs(a * b),
    )
    return np.asarray(unit * above)


def loss_above_tangent(loss: Loss, y: FloatArray, z: FloatArray, z0: FloatArray) -> FloatArray:
    """Return ℓ(y, z) − ℓ(y, z0) − ℓ′(y, z0)(z − z0)."""
    slope, slope0 = loss.gradient(y, z), loss.gradient(y, z0)
    if not loss.piecewise_quadratic:
        return np.maximum(loss.value(y, z) - loss.value(y, z0) - slope0 * (z - z0), 0.0)
    # A parabola, or a kink, between two lines: what is above the tangent is a triangle up to the
    # point where the gradient reaches its value at z, and from there to z a strip.
    reached, spread = loss.dual_fit(y, -slope)
    turn = slope - slope0
    return turn * (0.5 * spread * turn + (z - reached))
