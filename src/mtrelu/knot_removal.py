"""Lemma 3.2: straightening a curve at a knot between two data points never costs anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.solvers.interpolation import one_column
from mtrelu.validation import InvalidInputError


@dataclass(frozen=True, eq=False)
class KnotRemoval:
    """What removing a knot did.

    Attributes
    ----------
    network : ReLUNetwork
        The function after the removal, in canonical form.
    knot : float
        Where the knot was.
    left, right : float
        The ends of the straight line that took its place.
    cost_before, cost_after : float
        Path cost [3] of the canonical form of the function.
    """

    network: ReLUNetwork
    knot: float
    left: float
    right: float
    cost_before: float
    cost_after: float


def remove_knot(network: ReLUNetwork, knot: int, X: Any) -> KnotRemoval:
    """Remove a knot between two data points and join what is next to it by a straight line.

    The line goes from the nearest knot or data point on the left to the nearest on the right, so
    the values at all data points stay. The path cost does not grow (Lemma 3.2), and it falls
    unless the slope changes at the two ends, once the line is drawn, and at the knot are aligned.

    Parameters
    ----------
    network : ReLUNetwork
        With one input.
    knot : int
        Which one of ``network.knots()``, counted from 0.
    X : array_like of shape (N,) or (N, 1)
        Inputs of the data, in any order.

    Returns
    -------
    KnotRemoval

    Raises
    ------
    InvalidInputError
        No such knot, or it does not lie strictly between two data points.

    Examples
    --------
    A corner at x = 1.5 costs as much as the two corners at data points that replace it:

    >>> corner = ReLUNetwork.from_knots([1.5], [[2.0]], [0.0], [0.0])
    >>> removal = remove_knot(corner, 0, [0, 1, 2, 3])
    >>> removal.network.knots(), removal.cost_before, removal.cost_after
    (array([1., 2.]), 2.0, 2.0)
    """
    canonical = network.canonical()
    knots, changes = canonical.knots(), canonical.slope_changes()
    x = np.unique(one_column(X))
    if not 0 <= knot < knots.size:
        raise InvalidInputError(
            f"knot is {knot}, but the network has {knots.size} knots; "
            f"pass a number from 0 to {knots.size - 1}, counted along network.knots()."
        )
    at = knots[knot]
    after = int(np.searchsorted(x, at))
    if after in (0, x.size) or x[after] == at:
        raise InvalidInputError(
            f"knot {knot} is at x = {at:.10g}, which is not strictly between two data points, "
            "so Lemma 3.2 says nothing about it; choose one that is."
        )
    left, right = x[after - 1], x[after]
    if knot > 0:
        left = max(left, knots[knot - 1])
    if knot + 1 < knots.size:
        right = min(right, knots[knot + 1])
    # The line is what connecting the ends makes of the neuron: its slope change is shared out.
    share = (at - left) / (right - left)
    ends, which = np.unique(
        np.concatenate([np.delete(knots, knot), [left, right]]), return_inverse=True
    )
    shared = np.zeros((ends.size, changes.shape[1]))
    moved = np.concatenate(
        [np.delete(changes, knot, axis=0), [(1.0 - share) * changes[knot], share * changes[knot]]]
    )
    np.add.at(shared, which, moved)
    bends = shared.any(axis=1)
    straightened = ReLUNetwork.from_knots(
        ends[bends], shared[bends], canonical.A[:, 0], canonical.c
    )
    return KnotRemoval(
        straightened,
        float(at),
        float(left),
        float(right),
        canonical.path_cost(),
        straightened.path_cost(),
    )
