"""A few inputs: the maximum of the dual function over all cells of the data's arrangements.

A maximiser has its hyperplane through a data point z_j, the pivot. The directions ``z_i − z_j``
cut the sphere of all w into cells, polyhedral cones on which ``g² = |G w|²`` with
``G = Σ_active p_i (z_i − z_j)ᵀ``. Cells and their rays are enumerated once. A search evaluates g
on the rays; on a cell g is convex, so ``g(w) ≤ d·w ≤ |d|`` for each d with ``d·r ≥ g(r)`` on its
rays. That leaves few cells, and on these the eigenvectors of GᵀG decide.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mtrelu.oracles import OracleResult
from mtrelu.oracles._cells import TIE, Arrangement, arrange, count_cells
from mtrelu.oracles._faces import Pencil, refine, surviving_cells
from mtrelu.oracles.base import Oracle
from mtrelu.validation import FloatArray, InvalidInputError

_EPS = float(np.finfo(np.float64).eps)
_MOST_INCIDENCES = 1e8


def n_cells(n_samples: int, n_dims: int, skip: str) -> int:
    """Count the cells that a search looks at.

    Parameters
    ----------
    n_samples : int
        Samples N, without duplicates.
    n_dims : int
        Dimension q of their affine hull.
    skip : {"affine", "constant"}
        With an affine skip half of the cells are enough.

    Returns
    -------
    int
        N · 2 Σ_{k<q} C(N−2, k), halved for the affine skip; there are fewer if data points are
        aligned.

    Examples
    --------
    >>> n_cells(20, 5, "affine")
    80960
    """
    if n_samples < 2:
        return 0
    return n_samples * count_cells(n_samples - 1, n_dims) * (1 if skip == "affine" else 2)


def n_incidences(n_samples: int, n_dims: int) -> int:
    """Count pairs of a cell and a ray of it, which decide about time and memory.

    Each takes about 4 bytes, 0.2 µs to enumerate, and up to 1 µs in a search.

    Parameters
    ----------
    n_samples : int
        Samples N, without duplicates.
    n_dims : int
        Dimension q ≥ 1 of their affine hull.

    Returns
    -------
    int
        N C(N−1, q−1) 2^(q−1).

    Examples
    --------
    >>> n_incidences(20, 5)
    1240320
    """
    return n_samples * math.comb(max(n_samples - 1, 0), n_dims - 1) * (1 << (n_dims - 1))


class _Pivot(NamedTuple):
    pencil: Pencil
    arrangement: Arrangement
    simple: bool


class ArrangementOracle(Oracle):
    """Exact maximum of the dual function for few inputs, whatever their position.

    The constructor enumerates the cells; `n_incidences` says what that costs. A search bounds
    each from its rays and refines only those that may exceed the target, down to their rays.
    Data points that coincide or lie on lines, planes or lattices are exact: angles below 1e-10
    are treated as zero, and the largest angle for which that was done (about 1e-16 for exact
    ties) enters ``value``.

    With ``target = 0`` cells are compared with the best neuron so far, and only the best are
    returned; to see all local maximisers pass a positive target.

    Parameters
    ----------
    X : ndarray of shape (N, d)
        Inputs.
    skip : {"affine", "constant"}
        See `Oracle`.

    Raises
    ------
    InvalidInputError
        The arrangement is too large.

    Examples
    --------
    >>> X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> oracle = ArrangementOracle(X, "affine")
    >>> round(oracle.search(np.array([[1.0], [-1.0], [-1.0], [1.0]])).value, 9)
    0.707106781
    """

    def __init__(self, X: FloatArray, skip: str) -> None:
        super().__init__(X, skip)
        Z = self.hull.Z
        q = Z.shape[1]
        self._pivots: list[_Pivot] = []
        if q == 0:
            return
        # The cells do not change when coordinates are scaled; angles become meaningful.
        self._spread = np.sqrt(np.mean(Z * Z, axis=0))
        even = Z / self._spread
        pivots = _distinct(even)
        _refuse_too_large(pivots.size, q, skip)
        self._merged = _merged_distance(Z, even, pivots)
        self._sizes = np.linalg.norm(even, axis=1)
        self._pivots = [self._at(even, int(j)) for j in pivots]

    def _at(self, even: FloatArray, pivot: int) -> _Pivot:
        points, sides, starts, straight, rho = _hyperplanes(even, pivot)
        arrangement = arrange(straight)
        # Back from even coordinates.
        vectors = arrangement.vectors / self._spread
        arrangement = arrangement._replace(
            vectors=vectors / np.linalg.norm(vectors, axis=1)[:, None],
            treated_as_zero=max(rho, arrangement.treated_as_zero),
        )
        first = starts[:-1]
        normals = self.hull.Z[points[first]] - self.hull.Z[pivot]
        normals *= (sides[first] / np.linalg.norm(normals, axis=1))[:, None]
        simple = (
            starts.size == even.shape[0]
            and arrangement.cells.shape[0] == count_cells(*straight.shape)
            and arrangement.treated_as_zero == 0.0
        )
        return _Pivot(Pencil(pivot, points, sides, starts, normals), arrangement, simple)

    def _search(self, P: FloatArray, target: float) -> OracleResult:
        Z, q = self.hull.Z, self.hull.Z.shape[1]
        raising = target <= 0.0
        weights = np.linalg.norm(P, axis=1)
        state = np.array([target, 0.0])
        if raising:
            state[0] = _climb(Z, P, [pivot.pencil.pivot for pivot in self._pivots])
        found = []
        stretch = float(self._spread.max())
        uneven = stretch / float(self._spread.min())
        for pencil, arrangement, simple in self._pivots:
            j = pencil.pivot
            U = Z - Z[j]
            size = float(weights @ np.linalg.norm(U, axis=1))
            tied = 8 * q * arrangement.treated_as_zero * stretch
            tied *= float(weights @ (self._sizes + self._sizes[j]))
            # Sums of N terms, their triangle and its products with a basis; four times that, as the
            # top eigenvector may seem to be beyond a facet where the maximum is no less.
            error = 2 * (Z.shape[0] + 16 * q) * _EPS * size + tied
            moved = 2 * uneven * arrangement.ray_error
            h = arrangement.vectors @ U.T
            values = np.linalg.norm([np.maximum(h, 0.0) @ P, np.maximum(-h, 0.0) @ P], axis=2)
            values += (moved + 2 * Z.shape[0] * _EPS) * size
            survivors = surviving_cells(
                arrangement.starts, arrangement.incident, arrangement.vectors, values,
                moved, state[0] - error, self.skip != "affine",
            )  # fmt: skip
            if survivors.size == 0:
                continue
            capacity = 1024
            while True:
                out = np.empty((capacity, q + 1))
                count = refine(
                    survivors, arrangement.cells, arrangement.starts, arrangement.incident,
                    arrangement.vectors, arrangement.zeros, values, moved,
                    simple, error, raising, Z, P, *pencil, state, out,
                )  # fmt: skip
                if count <= capacity:
                    break
                capacity = count
            found.append(out[:count])
        neurons = np.concatenate(found) if found else np.zeros((0, q + 1))
        # A bias has the rounding of its data point.
        rounding = 16 * _EPS * float(weights.sum())
        best = state[0] * (1 - 1e-12) - rounding
        w, b, g = _ranked(Z, P, neurons, best if raising else target, self.skip)
        value = max(state[0], state[1]) + self._merged * float(weights.sum())
        return OracleResult(float(value), "exact", w, b, g)


def _refuse_too_large(n_samples: int, q: int, skip: str) -> None:
    pairs = n_incidences(n_samples, q)
    if pairs <= _MOST_INCIDENCES:
        return
    memory = 4 * pairs + 8 * (q + 2) * pairs / 2 ** (q - 1)
    raise InvalidInputError(
        f"X has {n_samples} distinct samples that span {q} dimensions, whose arrangement has "
        f"about {n_cells(n_samples, q, skip):.0e} cells with {pairs:.0e} rays in all: "
        f"{memory / 2**30:.1g} GiB, {2e-7 * pairs:.1g} s to build and up to {1e-6 * pairs:.1g} s "
        "a search. Use BranchAndBoundOracle for an upper bound, or fewer samples or inputs."
    )


def _distinct(even: FloatArray) -> np.ndarray:
    # The first of each group of points closer than TIE.
    kept: list[int] = []
    for i in range(even.shape[0]):
        if not kept or float(np.abs(even[kept] - even[i]).max(axis=1).min()) > TIE:
            kept.append(i)
    return np.array(kept)


def _merged_distance(Z: FloatArray, even: FloatArray, pivots: np.ndarray) -> float:
    # How far a point can be from the pivot that stands for it.
    rest = np.setdiff1d(np.arange(Z.shape[0]), pivots)
    farthest = 0.0
    for i in rest:
        nearest = pivots[np.abs(even[pivots] - even[i]).max(axis=1).argmin()]
        farthest = max(farthest, float(np.linalg.norm(Z[i] - Z[nearest])))
    return farthest


def _hyperplanes(
    even: FloatArray, pivot: int
) -> tuple[np.ndarray, FloatArray, np.ndarray, FloatArray, float]:
    # Group the other points by the line on which they lie with the pivot.
    U = even - even[pivot]
    points = np.flatnonzero(np.abs(U).max(axis=1) > TIE)
    U = U[points] / np.linalg.norm(U[points], axis=1)[:, None]
    group = np.full(points.size, -1)
    sides = np.ones(points.size)
    representatives: list[int] = []
    rho = 0.0
    for i in range(points.size):
        if group[i] >= 0:
            continue
        dots = U @ U[i]
        sine = np.linalg.norm(U - dots[:, None] * U[i], axis=1)
        members = (group < 0) & (sine <= TIE)
        members[i] = True
        rho = max(rho, float(sine[members].max()))
        group[members] = len(representatives)
        sides[members] = np.sign(dots[members])
        representatives.append(i)
    order = np.argsort(group, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(group))])
    lone = starts.size - 1 == points.size
    return points[order], sides[order], starts, U[representatives], 0.0 if lone else rho


def _values(Z: FloatArray, P: FloatArray, w: FloatArray, b: FloatArray) -> FloatArray:
    values: FloatArray = np.linalg.norm(np.maximum(w @ Z.T + b[:, None], 0.0) @ P, axis=1)
    return values


def _climb(Z: FloatArray, P: FloatArray, pivots: list[int]) -> float:
    # A good neuron, so that most cells are below it: power iterations from each pivot.
    q = Z.shape[1]
    starts = np.random.default_rng(0).standard_normal((4 * q, q))
    best = 0.0
    for j in pivots:
        U = Z - Z[j]
        w = starts / np.linalg.norm(starts, axis=1)[:, None]
        for _ in range(12):
            h = w @ U.T
            active = np.maximum(h, 0.0)
            s = active @ P
            best = max(best, float(np.linalg.norm(s, axis=1).max()))
            step = ((h > 0) * (s @ P.T)) @ U
            length = np.linalg.norm(step, axis=1)
            w = np.where(length[:, None] > 0, step / np.maximum(length, 1e-300)[:, None], w)
    return best


def _ranked(
    Z: FloatArray, P: FloatArray, neurons: FloatArray, target: float, skip: str
) -> tuple[FloatArray, FloatArray, FloatArray]:
    # Largest first, each once.
    w, b = neurons[:, :-1], neurons[:, -1]
    if skip == "affine":  # (w, b) and (−w, −b) are one
        lead = np.take_along_axis(w, np.abs(w).argmax(axis=1)[:, None], axis=1)[:, 0]
        w, b = w * np.sign(lead)[:, None], b * np.sign(lead)
    g = _values(Z, P, w, b)
    kept = np.flatnonzero(g > target)
    _, first = np.unique(np.column_stack([w, b])[kept].round(9) + 0.0, axis=0, return_index=True)
    kept = kept[first]
    kept = kept[np.argsort(-g[kept], kind="stable")]
    return w[kept], b[kept], g[kept]
