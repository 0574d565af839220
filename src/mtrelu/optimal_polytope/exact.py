"""The part of a family of functions whose equalities hold to the last digits.

That two networks have nearly the same objective does not prove that there are two optima: a second
task of size ε costs other networks ε² only. What makes optima many are equalities: several neurons
where the dual function is as high, plateaus of it, combinations of neurons that vanish at the data.
Here they have to hold as well as float64 labels and inputs can tell.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mtrelu.optimal_polytope.coefficients import Coefficients
from mtrelu.optimal_polytope.family import Family, Support, columns_of
from mtrelu.optimal_polytope.support import Field
from mtrelu.problem import Problem
from mtrelu.validation import FloatArray

_EPS = float(np.finfo(np.float64).eps)
# Computed from data points: normals of parallel hyperplanes, and heights above them.
_PARALLEL = 64 * _EPS
# Combinations of K neurons of norm one that vanish at the data do so up to √K times this.
_VANISHING = 1e-14
# What is left of the fitted values by these neurons is rounding, or nothing that others would fit.
_FITTED = 1e-11
_SAME_SHARE = 1e-6


def exact_part(
    problem: Problem,
    family: Family,
    field: Field,
    values: FloatArray,
    left: float,
    *,
    rotated: bool,
) -> Family | None:
    """Return the functions of a family that equalities exact to rounding make optimal.

    Parameters
    ----------
    problem : Problem
        Gives the size of the labels, of whose rounding the dual variable consists at last.
    family : Family
        Neurons where the dual function is nearly 1, with nearly parallel ends of plateaus.
    field : Field
        The dual function.
    values : ndarray of shape (n, T)
        What the functions are at the data.
    left : float
        The share of the values that all neurons of the family leave over.
    rotated : bool
        Whether the tasks are combinations of the given ones: then each of them has rounding of
        the size of all, else of its own size.

    Returns
    -------
    Family or None
        None if these functions do not have the values.
    """
    support, rounding = family.support, _rounding(problem, field, rotated)
    vectors = field.vectors(support.w, support.b)
    heights = np.linalg.norm(vectors, axis=1)
    level = float(np.linalg.norm(rounding))
    is_exact = [
        bool(np.all(np.abs(vectors[k] - vectors[end]) <= rounding))
        and _is_plateau(field, support, k, end, level)
        for k, end in support.joins
    ]
    known = heights >= heights.max(initial=0.0) - level
    for pair, holds in zip(support.joins, is_exact, strict=True):
        if not holds:  # a little higher between them or beyond: the ends are no maximisers
            known[list(pair)] = False
    kept = np.flatnonzero(known)
    place = np.cumsum(known) - 1
    joins = [
        (int(place[k]), int(place[end])) for k, end in support.joins if known[k] and known[end]
    ]
    exact = Support(support.w[kept], support.b[kept], support.u[kept], joins, support.far[kept])
    part, without = Family.of(family.hull, field, exact, values)
    if kept.size == 0 or without > max(_FITTED, left * (1 + _SAME_SHARE)):
        return None
    # Combinations have to vanish in each task, however small its share.
    share = 1.0 if rotated else np.abs(exact.u).max(axis=0)
    columns = columns_of(field, exact.w, exact.b, exact.u / np.where(share == 0.0, 1.0, share))
    start = part.coefficients.start
    null = Coefficients.of(columns, columns @ start, _VANISHING * np.sqrt(kept.size))[0].null
    return replace(part, coefficients=Coefficients(start, null))


def _rounding(problem: Problem, field: Field, rotated: bool) -> FloatArray:
    """Return how far rounding in the last digits moves Σ_i p_i φ(z_i), (T,)."""
    sizes = np.linalg.norm(field.P, axis=0)
    smoothness = problem.loss.smoothness
    if problem.alpha > 0 and np.isfinite(smoothness):
        # The dual variable is the gradient of the loss, which has rounding of the labels' size.
        labels = np.linalg.norm(problem.sample_weight[:, np.newaxis] * problem.Y, axis=0)
        sizes = sizes + smoothness * field.unit * labels
    if rotated:
        sizes = np.full_like(sizes, np.linalg.norm(sizes))
    return np.asarray(8 * _EPS * sizes)


def _is_plateau(field: Field, support: Support, k: int, end: int, level: float) -> bool:
    """Tell whether all hyperplanes between two parallel ones are maximisers, to rounding."""
    w = support.w[k]
    if np.abs(support.w[end] - w).max() > _PARALLEL:
        return False
    first, last = (field.Z @ w + b for b in (support.b[k], support.b[end]))
    if np.any((first < -_PARALLEL) & (last > _PARALLEL)):
        return False
    active = first + last > 0.0
    slope = (field.P[active] @ support.u[k]) @ field.Z[active]
    return bool(np.linalg.norm(slope - (slope @ w) * w) <= level)
