"""Weights of single labels: 0 for those that are not used. Private."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mtrelu.validation import FloatArray, InvalidInputError


def with_unused(labels: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Store labels that are not used as 0, and refuse tasks that have no others."""
    if weights.ndim == 1:
        return labels, weights
    empty = np.flatnonzero(~weights.any(axis=0))
    if empty.size:
        named = ", ".join(str(task) for task in empty[:3]) + (", ..." if empty.size > 3 else "")
        raise InvalidInputError(
            f"Y has {'a task' if empty.size == 1 else f'{empty.size} tasks'} without any label "
            f"that counts (column {named}): all are missing or of weight 0. Leave the column out."
        )
    return np.where(weights > 0.0, labels, 0.0), weights


def equal_for_interpolation(weights: FloatArray) -> FloatArray:
    """Return one weight a sample: how much a label counts means nothing where all are met."""
    if not (weights > 0.0).all():
        raise InvalidInputError(
            "alpha is 0, which means to interpolate, but labels are left out (missing, or of "
            "weight 0), and no closed form tells how to fill them in; pass a small alpha > 0, "
            "such as alpha_max(X, Y, ...) * 1e-6."
        )
    return np.asarray(weights.mean(axis=1))


def equal_columns(weights: FloatArray) -> list[NDArray[np.intp]]:
    """Return which columns of a matrix are equal, each group ascending.

    Examples
    --------
    >>> equal_columns(np.array([[1.0, 0.0, 1.0]]))
    [array([0, 2]), array([1])]
    """
    groups: dict[bytes, list[int]] = {}
    for t, column in enumerate(weights.T):
        groups.setdefault(column.tobytes(), []).append(t)
    return [np.array(group, dtype=np.intp) for group in groups.values()]
