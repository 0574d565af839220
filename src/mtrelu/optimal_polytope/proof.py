"""Uniqueness, proved from finitely many sharp peaks of a dual function."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mtrelu.optimal_polytope.family import columns_of
from mtrelu.optimal_polytope.support import Field, Peak
from mtrelu.validation import FloatArray


@dataclass(frozen=True)
class Proof:
    """Whether the neurons of all optimal networks determine each other.

    Attributes
    ----------
    holds : bool
        Whether there is only one function with given values at the data and neurons at peaks.
    n_places : int
        How many places for a neuron were found, of which every optimal neuron is at one.
    isolated : bool
        Whether each of these places is one hyperplane.
    independence : float
        Smallest singular value of the outputs of these neurons, each of norm one.
    uncertainty : float
        How much that can differ for the exact optimum.
    """

    holds: bool
    n_places: int
    isolated: bool
    independence: float
    uncertainty: float


def prove_unique(field: Field, peaks: list[Peak], used: Used | None = None) -> Proof:
    """Judge whether neurons at the maximisers of any optimal dual function are independent.

    ``peaks`` are all local maximisers of the field above ``1 - field.error()``. Every maximiser of
    an optimal dual function is in the same part of {g ≥ 1 − error} as one of them, so if each peak
    is inside a ball that proves it to be the only one, the maximisers are as many as the balls.
    ``used`` says where tasks have labels, if these differ.
    """
    level = 1.0 - field.error() - field.rounding()
    relevant = [p for p in peaks if p.value >= level]
    places: list[Peak] = []
    mirrored = field.basis.shape[1] > 1
    for found in sorted(relevant, key=lambda p: p.radius, reverse=True):
        known = any(
            place.holds(sign * found.w, sign * found.b)
            for place in places
            for sign in ((1.0, -1.0) if mirrored else (1.0,))
        )
        if not known:
            places.append(found)
    isolated = all(place.sharp for place in places)
    if not isolated:
        return Proof(False, len(places), False, 0.0, np.inf)
    if not places:
        return Proof(True, 0, True, 1.0, 0.0)
    independence, uncertainty = _independence(field, places, used)
    if independence <= uncertainty and not mirrored and used is None:
        independence, uncertainty = _independence_of_kinks(field, places)
    return Proof(independence > uncertainty, len(places), True, independence, uncertainty)


@dataclass(frozen=True, eq=False)
class Used:
    """Which labels tasks have, where they differ.

    Attributes
    ----------
    group : ndarray of shape (N,)
        Which of the distinct inputs each sample has.
    parts : list of (tasks, rows, weights)
        Tasks that have the same weights, and the samples that they use.
    """

    group: NDArray[np.intp]
    parts: list[tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]]

    def columns(self, field: Field, w: FloatArray, b: FloatArray, u: FloatArray) -> FloatArray:
        """As `columns_of`, at the labels that are used, off what each task's skip can do there."""
        features, blocks = np.maximum(field.height(w, b), 0.0), []
        for tasks, rows, weights in self.parts:
            root = np.sqrt(weights)[:, np.newaxis]
            at = self.group[rows]
            Q = np.linalg.qr(root * field.basis[at])[0]
            own = root * features[at]
            for _ in range(2):  # the second time removes what rounding left behind
                own = own - Q @ (Q.T @ own)
            blocks += [own * u[:, t] for t in tasks]
        return np.vstack(blocks)


def _independence(field: Field, places: list[Peak], used: Used | None) -> tuple[float, float]:
    """Return the smallest singular value of the normalised columns, and how far off it can be."""
    where = (
        np.array([p.w for p in places]),
        np.array([p.b for p in places]),
        np.array([p.u for p in places]),
    )
    columns = columns_of(field, *where)
    whole = sizes = np.linalg.norm(columns, axis=0)
    if used is not None:
        columns = used.columns(field, *where)
        sizes = np.linalg.norm(columns, axis=0)
    if columns.shape[0] < columns.shape[1] or not (sizes > 0.0).all():
        return 0.0, np.inf
    smallest = float(np.linalg.svd(columns / sizes, compute_uv=False)[-1])
    # Nowhere does a task weigh more than the field does: the features are no longer than there.
    errors = [
        _error(p, float(size), float(length))
        for p, size, length in zip(places, sizes, whole, strict=True)
    ]
    rounding = 1e-14 * np.sqrt(columns.shape[0]) * float(np.max(whole / sizes))
    return smallest, float(np.linalg.norm(np.array(errors) + rounding))


def _error(place: Peak, size: float, length: float) -> float:
    """Bound how far the column of an optimal neuron can be from that of a peak, of this size.

    Relative to the size; ``length`` is that of the features over all tasks.
    """
    moved = place.moved / size
    return moved + (length / size + moved) * place.turned


def _independence_of_kinks(field: Field, places: list[Peak]) -> tuple[float, float]:
    """Judge the function instead of the network, for a constant skip connection.

    Two neurons on one hyperplane, with opposite sides active, are one kink of any direction and
    a linear function. If kinks and linear functions are independent, the function is determined,
    though the share of the two neurons need not be. Only hyperplanes that data points determine
    are known to be the same.
    """
    singles: list[Peak] = []
    doubles: list[Peak] = []
    for place in places:
        for k, other in enumerate(singles):
            opposite = float(place.w @ other.w) < 0.0
            same = bool(np.array_equal(place.pinned, other.pinned))
            if opposite and same and place.fixed and other.fixed:
                doubles.append(singles.pop(k))
                break
        else:
            singles.append(place)
    if not doubles:
        return 0.0, np.inf
    n, n_tasks = field.P.shape
    lines = np.hstack([np.ones((n, 1)), field.Z])
    free = replace(field, basis=lines)
    parts = []
    errors: list[float] = []
    for place in singles:
        column = columns_of(free, place.w[np.newaxis], np.array([place.b]), place.u[np.newaxis])
        size = float(np.linalg.norm(column))
        if size == 0.0:
            return 0.0, np.inf
        parts.append(column / size)
        errors.append(_error(place, size, size))
    for place in doubles:
        every: FloatArray = np.eye(n_tasks)
        w, b = np.repeat(place.w[np.newaxis], n_tasks, axis=0), np.full(n_tasks, place.b)
        columns = columns_of(free, w, b, every)
        size = float(np.linalg.norm(columns[:, 0]))
        if size == 0.0:
            return 0.0, np.inf
        parts.append(columns / size)
        errors.extend([0.0] * n_tasks)
    matrix = np.hstack(parts)
    # Slopes must be determined too, and are only if the inputs span all directions.
    if matrix.shape[0] < matrix.shape[1] or np.linalg.matrix_rank(lines) < lines.shape[1]:
        return 0.0, np.inf
    smallest = float(np.linalg.svd(matrix, compute_uv=False)[-1])
    rounding = 1e-14 * np.sqrt(matrix.shape[0])
    return smallest, float(np.linalg.norm(np.array(errors) + rounding))
