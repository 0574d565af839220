"""What the figures over one input share; written out anew, so that it can contradict the library.

None of this calls the closed form or the test of Theorem 3.1 that the rest of the library uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.validation import FloatArray

RESOLVED = 1e-13
"""What lies closer to zero than this is not told from rounding, whose unit is 2e-16."""


def slopes(x: FloatArray, Y: FloatArray) -> FloatArray:
    """Slopes of the straight lines between neighbouring points [5], shape (N - 1, T)."""
    return np.asarray(np.diff(Y, axis=0) / np.diff(x)[:, np.newaxis])


def cost(changes: FloatArray) -> float:
    """Representational cost [4] of a piecewise linear function, from its slope changes."""
    return float(np.linalg.norm(changes, axis=1).sum())


def through(x: FloatArray, Y: FloatArray, first: Any = None) -> ReLUNetwork:
    """Return the function that connects points by straight lines, and goes straight on after them.

    With ``first``, of shape (T,), the slope before the first point, which is then a knot too.
    """
    s = slopes(x, Y)
    if first is not None:
        s = np.vstack([first, s])
    knots = x[1:-1] if first is None else x[:-1]
    return ReLUNetwork.from_knots(knots, np.diff(s, axis=0), s[0], Y[0] - s[0] * x[0])


def slope_changes(x: FloatArray, Y: FloatArray) -> list[list[Fraction]]:
    """Return the slope changes of connect-the-dots in exact arithmetic, N - 2 rows of T fractions.

    Floating-point numbers are fractions. Where data points are close, slopes are large, and their
    differences in floating point are wrong by as much as rounding is enlarged.
    """
    at = [Fraction(float(each)) for each in x]
    labels = [[Fraction(float(each)) for each in row] for row in Y]
    s = [
        [(b - a) / (at[i + 1] - at[i]) for a, b in zip(labels[i], labels[i + 1], strict=True)]
        for i in range(len(at) - 1)
    ]
    return [[b - a for a, b in zip(s[i], s[i + 1], strict=True)] for i in range(len(s) - 1)]


def aligned_pairs(x: FloatArray, Y: FloatArray) -> list[int]:
    """Return the i for which [7] and [8] are nonzero and aligned, in exact arithmetic.

    Counted from 0: segment i, from data point i to i + 1.
    """
    d = slope_changes(x, Y)
    found = []
    for i in range(len(d) - 1):
        u, v = d[i], d[i + 1]
        # v is a multiple of u exactly if it is one by the factor of u's first nonzero entry.
        first = next((k for k, entry in enumerate(u) if entry), None)
        if first is None or not any(v):
            continue
        factor = v[first] / u[first]
        if factor > 0 and all(b == factor * a for a, b in zip(u, v, strict=True)):
            found.append(i + 1)
    return found


@dataclass(frozen=True)
class DualProof:
    """A lower bound on the cost of every interpolant, and what it says about other optima.

    Attributes
    ----------
    bound : float
        Below the cost of every interpolant, up to a few rounding errors of its own size.
    margin : float or None
        1 − ‖U‖ at its smallest between data points: if it is positive, no optimal function has a
        knot there, and connect-the-dots is the only one. None when it is not told from zero.
    """

    bound: float
    margin: float | None


def dual_proof(x: FloatArray, Y: FloatArray) -> DualProof:
    """Bound the cost of all interpolants from below by a dual variable.

    Let U be continuous, linear between data points, zero outside of them, with the direction of
    the slope change δ_i of connect-the-dots at each. Its second differences are a dual variable P
    with Σ_i p_i (x_i − b)₊ = U(b), so that every interpolant costs at least Σ_i p_i·y_i / max ‖U‖,
    and an optimal one has knots only where ‖U‖ is at its maximum.

    Summed by parts, Σ_i p_i·y_i = Σ_i U(x_i)·δ_i, and ‖U‖ is largest at a data point because
    norms are convex. P itself, whose entries are as large as points are close, is not needed, and
    with exact δ_i rounding stays that of some ten norms however close points are.
    """
    changes = np.array(slope_changes(x, Y), dtype=np.float64).reshape(-1, Y.shape[1])
    norms = np.linalg.norm(changes, axis=1)
    nonzero = norms > 0.0
    U = np.zeros_like(Y, dtype=np.float64)
    U[1:-1][nonzero] = changes[nonzero] / norms[nonzero, np.newaxis]
    largest = float(np.linalg.norm(U, axis=1).max()) or 1.0
    # Between two unit vectors the norm is convex, so that it is below 1 if it is in the middle.
    margin = float(1.0 - np.linalg.norm(0.5 * (U[1:] + U[:-1]), axis=1).max())
    return DualProof(
        float(np.sum(U[1:-1] * changes)) / largest, margin if abs(margin) > RESOLVED else None
    )


def mixture(first: ReLUNetwork, second: ReLUNetwork, share: float) -> ReLUNetwork:
    """Return (1 − share)·first + share·second, with the neurons of both."""
    one, other = 1.0 - share, share
    return ReLUNetwork(
        np.vstack([first.w, second.w]),
        np.concatenate([first.b, second.b]),
        np.vstack([one * first.v, other * second.v]),
        one * first.A + other * second.A,
        one * first.c + other * second.c,
    )
