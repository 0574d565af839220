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


def aligned_pairs(x: FloatArray, Y: FloatArray) -> list[int]:
    """Return the i for which [7] and [8] are nonzero and aligned, in exact arithmetic.

    Floating-point numbers are fractions, so that the condition of Theorem 3.1 can be decided for
    them without rounding. Counted from 0: segment i, from data point i to i + 1.
    """
    at = [Fraction(float(each)) for each in x]
    labels = [[Fraction(float(each)) for each in row] for row in Y]
    s = [
        [(b - a) / (at[i + 1] - at[i]) for a, b in zip(labels[i], labels[i + 1], strict=True)]
        for i in range(len(at) - 1)
    ]
    d = [[b - a for a, b in zip(s[i], s[i + 1], strict=True)] for i in range(len(s) - 1)]
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
    gap : float
        How far connect-the-dots is above the bound, relative to its cost.
    margin : float or None
        1 − ‖U‖ at its smallest between data points: if it is positive, no optimal function has a
        knot there, and connect-the-dots is the only one. None when it is not told from zero.
    """

    gap: float
    margin: float | None


def dual_proof(x: FloatArray, Y: FloatArray) -> DualProof:
    """Bound the cost of all interpolants from below by a dual variable.

    Let U be continuous, linear between data points, zero outside of them, with the direction of
    the slope change of connect-the-dots at each. Its second differences are a dual variable P with
    Σ_i p_i (x_i − b)₊ = U(b), so that every interpolant costs at least Σ_i p_i·y_i / max ‖U‖, and
    an optimal one has knots only where ‖U‖ is at its maximum.
    """
    s = slopes(x, Y)
    changes = np.diff(s, axis=0)
    norms = np.linalg.norm(changes, axis=1)
    nonzero = norms > 0.0
    U = np.zeros_like(Y)
    U[1:-1][nonzero] = changes[nonzero] / norms[nonzero, np.newaxis]
    steps = slopes(x, U)
    P = np.diff(np.vstack([np.zeros_like(steps[:1]), steps, np.zeros_like(steps[:1])]), axis=0)
    middles = 0.5 * (x[1:] + x[:-1])
    hinges = np.maximum(x - np.concatenate([x, middles])[:, np.newaxis], 0.0)
    largest = float(np.linalg.norm(hinges @ P, axis=1).max())
    total = float(norms.sum())
    # Between two unit vectors the norm is convex, so that it is below 1 if it is in the middle.
    margin = float(1.0 - np.linalg.norm(0.5 * (U[1:] + U[:-1]), axis=1).max())
    return DualProof(
        (total - float(np.sum(P * Y)) / largest) / total,
        margin if abs(margin) > RESOLVED else None,
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
