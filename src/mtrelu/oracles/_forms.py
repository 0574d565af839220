"""Quadratic forms ``|G w|²`` on flats, for the faces of arrangements.

Squared, rounding is relative to the square of |G|. On a flat where |G w| is much smaller it is
more than |G w| itself would lose, so what decides is made from G anew on each flat, and what is
only carried over from a larger flat needs room.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_EPS = float(np.finfo(np.float64).eps)


@njit(cache=True)
def trace(form: np.ndarray, k: int) -> float:
    """Sum the first k diagonal entries."""
    total = 0.0
    for i in range(k):
        total += form[i, i]
    return total


@njit(cache=True)
def is_bounded(
    form: np.ndarray, k: int, threshold: float, room: float, work: np.ndarray
) -> bool:  # fmt: skip
    """Say whether form[:k, :k], which rounding may have moved by ``room``, is below threshold²."""
    # LDL', whose own rounding is relative to the square.
    square = threshold * threshold * (1.0 - 16 * k * k * _EPS) - room
    if threshold <= 0.0 or square <= 0.0:
        return False
    if trace(form, k) < square:
        return True
    for i in range(k):
        for c in range(i):
            work[i, c] = -form[i, c]
        work[i, i] = square - form[i, i]
    for i in range(k):
        pivot = work[i, i]
        if not pivot > 0.0:
            return False
        for row in range(i + 1, k):
            factor = work[row, i] / pivot
            for c in range(i + 1, row + 1):
                work[row, c] -= factor * work[c, i]
    return True


@njit(cache=True)
def top_eigenpair(form: np.ndarray, k: int, A: np.ndarray, V: np.ndarray, out: np.ndarray) -> float:
    """Return the largest eigenvalue of form[:k, :k]; its eigenvector goes to ``out``."""
    # Jacobi rotations: for a handful of rows nothing is faster.
    for i in range(k):
        for c in range(k):
            A[i, c] = form[i, c]
            V[i, c] = 1.0 if i == c else 0.0
    for _ in range(30):
        off, size = 0.0, 0.0
        for i in range(k):
            size += A[i, i] * A[i, i]
            for c in range(i):
                off += A[i, c] * A[i, c]
        if off <= 1e-33 * size:
            break
        for i in range(k - 1):
            for c in range(i + 1, k):
                if A[i, c] == 0.0:
                    continue
                theta = (A[c, c] - A[i, i]) / (2 * A[i, c])
                t = 1.0 / (abs(theta) + math.sqrt(theta * theta + 1.0))
                if theta < 0:
                    t = -t
                cosine = 1.0 / math.sqrt(t * t + 1.0)
                sine = t * cosine
                for m in range(k):
                    x, y = A[m, i], A[m, c]
                    A[m, i], A[m, c] = cosine * x - sine * y, sine * x + cosine * y
                    x, y = V[m, i], V[m, c]
                    V[m, i], V[m, c] = cosine * x - sine * y, sine * x + cosine * y
                for m in range(k):
                    x, y = A[i, m], A[c, m]
                    A[i, m], A[c, m] = cosine * x - sine * y, sine * x + cosine * y
    best = 0
    for i in range(1, k):
        if A[i, i] > A[best, best]:
            best = i
    for m in range(k):
        out[m] = V[m, best]
    return float(max(A[best, best], 0.0))


@njit(cache=True)
def restrict(
    basis: np.ndarray, form: np.ndarray, k: int, across: np.ndarray, length: float,
    v: np.ndarray, new_basis: np.ndarray, new_form: np.ndarray,
) -> None:  # fmt: skip
    """Restrict basis and form to the hyperplane orthogonal to ``across``, given in the basis."""
    # A Householder reflection.
    q = basis.shape[0]
    for i in range(k):
        v[i] = across[i] / length
    v[0] += 1.0 if v[0] >= 0 else -1.0
    dot = 0.0
    for i in range(k):
        dot += v[i] * v[i]
    beta, inner = 2.0 / dot, 0.0
    for i in range(k):
        t = 0.0
        for c in range(k):
            t += form[i, c] * v[c]
        across[i] = t
        inner += t * v[i]
    for i in range(1, k):
        for c in range(1, k):
            new_form[i - 1, c - 1] = (
                form[i, c]
                - beta * (v[i] * across[c] + across[i] * v[c])
                + beta * beta * inner * v[i] * v[c]
            )
    for a in range(q):
        t = 0.0
        for c in range(k):
            t += basis[a, c] * v[c]
        for c in range(1, k):
            new_basis[a, c - 1] = basis[a, c] - beta * t * v[c]


@njit(cache=True)
def triangle(G: np.ndarray) -> np.ndarray:
    """Return a matrix R with at most q rows and |R w| = |G w|; overwrites G."""
    # R of G = Q R, if G has more rows than columns: Householder reflections.
    n_rows, q = G.shape
    if n_rows <= q:
        return G
    R = np.zeros((q, q))
    for c in range(q):
        square = 0.0
        for t in range(c, n_rows):
            square += G[t, c] * G[t, c]
        R[c, c] = -math.sqrt(square) if G[c, c] > 0.0 else math.sqrt(square)
        first = G[c, c] - R[c, c]
        if first * R[c, c] == 0.0:
            for m in range(c + 1, q):
                R[c, m] = G[c, m]
            continue
        G[c, c] = first
        for m in range(c + 1, q):
            dot = 0.0
            for t in range(c, n_rows):
                dot += G[t, c] * G[t, m]
            dot /= first * R[c, c]
            for t in range(c, n_rows):
                G[t, m] += dot * G[t, c]
            R[c, m] = G[c, m]
    return R


@njit(cache=True)
def length_of(G: np.ndarray, w: np.ndarray) -> float:
    """Return |G w|, to rounding of G; the root of w'G'G w may lose half the digits."""
    total = 0.0
    for t in range(G.shape[0]):
        entry = 0.0
        for a in range(w.size):
            entry += G[t, a] * w[a]
        total += entry * entry
    return math.sqrt(total)


@njit(cache=True)
def gram(G: np.ndarray, basis: np.ndarray, k: int, row: np.ndarray, form: np.ndarray) -> None:
    """Form (G B)'(G B) for k columns B of a basis; rounding is relative to this form alone."""
    for a in range(k):
        for c in range(k):
            form[a, c] = 0.0
    for t in range(G.shape[0]):
        for c in range(k):
            row[c] = 0.0
            for a in range(G.shape[1]):
                row[c] += G[t, a] * basis[a, c]
        for a in range(k):
            for c in range(a + 1):
                form[a, c] += row[a] * row[c]
    for a in range(k):
        for c in range(a):
            form[c, a] = form[a, c]
