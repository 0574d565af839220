"""Connect-the-dots: the optimal interpolant of Theorem 3.1, its cost, and what makes it unique."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.validation import FloatArray, InvalidInputError, as_inputs, as_labels

RTOL = 1e-9
"""Largest distance between the directions of two slope changes that are called aligned."""

_EPS = float(np.finfo(np.float64).eps)
# A slope change whose relative error is above this has no direction that decides anything ...
_UNDECIDABLE = 5e-8
# ... unless the caller vouched for a precision, then it may be this much above that precision.
_AMPLIFICATION = 1e3
# A slope change below its own error counts as zero if that error is this small beside the slopes.
_NEGLIGIBLE = 1e-6
_SAFETY = 8.0


class Verdict(enum.StrEnum):
    """Whether there is one optimal function, several, or no telling."""

    UNIQUE = "unique"
    NOT_UNIQUE = "not unique"
    UNDECIDED = "undecided"


@dataclass(frozen=True, eq=False)
class Interpolant:
    """The connect-the-dots interpolant [5], straight between the data points and beyond them.

    Made by `interpolate`. It is an optimal solution of [3], its cost is the optimal value.

    Attributes
    ----------
    x : ndarray of shape (N,)
        Distinct inputs, ascending.
    Y : ndarray of shape (N, T)
        Labels.
    slopes : ndarray of shape (N - 1, T)
        Slopes between the data points [5].
    cost : float
        Path cost [3]: the sum of the norms of the slope changes.
    precision : float
        Relative precision η to which the data were taken to be known.
    changes : ndarray of shape (N - 2,)
        Norm of the slope change at each data point but the outermost.
    errors : ndarray of shape (N - 2,)
        Bounds on what the precision of the data leaves open in these slope changes.
    knots : ndarray of shape (N - 2,), uint8
        `NONZERO`, `ZERO` or `BELOW_PRECISION` of `mtrelu.solvers.polyline`.
    pairs : ndarray of shape (N - 3,), uint8
        `NOT_ALIGNED`, `ALIGNED` or `CANNOT_TELL`: Theorem 3.1's test of neighbouring data points.

    Examples
    --------
    >>> fit = interpolate([0.0, 1.0, 2.0, 4.0], [0.0, 1.0, 0.0, 2.0])
    >>> fit.cost, fit.verdict.value
    (4.0, 'unique')
    >>> fit([3.0])
    array([[1.]])
    """

    x: FloatArray
    Y: FloatArray
    slopes: FloatArray
    cost: float
    precision: float
    changes: FloatArray
    errors: FloatArray
    knots: np.ndarray
    pairs: np.ndarray

    def __repr__(self) -> str:
        """Return the sizes and the cost; the arrays can be long."""
        n_samples, n_tasks = self.Y.shape
        return f"Interpolant(n_samples={n_samples}, n_tasks={n_tasks}, cost={self.cost:.6g})"

    @property
    def verdict(self) -> Verdict:
        """Theorem 3.1: several optimal functions exist iff two neighbours are aligned."""
        from mtrelu.solvers.polyline import ALIGNED, CANNOT_TELL

        if self.x.size == 1 or np.any(self.pairs == ALIGNED):
            return Verdict.NOT_UNIQUE
        return Verdict.UNDECIDED if np.any(self.pairs == CANNOT_TELL) else Verdict.UNIQUE

    @property
    def slope_changes(self) -> FloatArray:
        """Slope changes at the data points but the outermost, shape (N - 2, T) [7]."""
        return np.diff(self.slopes, axis=0)

    def __call__(self, X: Any, out: FloatArray | None = None) -> FloatArray:
        """Evaluate.

        Parameters
        ----------
        X : array_like of shape (M,) or (M, 1)
            Where; sorted inputs are fastest.
        out : ndarray of shape (M, T), float64, C-contiguous, optional
            Receives the values. Reusing one saves most of the time of large evaluations.

        Returns
        -------
        ndarray of shape (M, T)

        Raises
        ------
        InvalidInputError
            Inputs that are not finite or have several columns, or ``out`` of another form.
        """
        from mtrelu.solvers.polyline import evaluate, in_parallel

        queries = one_column(X)
        shape = (queries.size, self.Y.shape[1])
        if out is None:
            out = np.empty(shape)
        elif out.shape != shape or out.dtype != np.float64 or not out.flags.c_contiguous:
            raise InvalidInputError(
                f"out is {out.dtype} of shape {out.shape}, but the values need C-contiguous "
                f"float64 of shape {shape}; pass np.empty({shape})."
            )
        if self.x.size == 1:
            out[:] = self.Y
            return out
        x, Y, values, buckets = self.x, self.Y, out, self._buckets
        in_parallel(
            lambda start, stop: evaluate(x, Y, buckets, queries, values, start, stop), *shape
        )
        return out

    @cached_property
    def _buckets(self) -> np.ndarray:
        from mtrelu.solvers.polyline import bucket_index

        buckets: np.ndarray = bucket_index(self.x)
        return buckets

    def network(self) -> ReLUNetwork:
        """Return the network: one neuron for each nonzero slope change, and the affine part.

        Returns
        -------
        ReLUNetwork
            With at most N - 2 neurons, in canonical form.
        """
        if self.x.size == 1:
            none = np.zeros((0, self.Y.shape[1]))
            return ReLUNetwork.from_knots(none[:, 0], none, np.zeros_like(self.Y[0]), self.Y[0])
        slope, changes, dropped = without_zero_knots(self, self.slope_changes)
        return ReLUNetwork.from_knots(
            self.x[1:-1][~dropped], changes[~dropped], slope, self.Y[0] - slope * self.x[0]
        )


def interpolate(
    X: Any, Y: Any, *, precision: float = _EPS, out: Interpolant | None = None
) -> Interpolant:
    """Connect the dots: an optimal network through all data points [3], in closed form [5].

    Slopes, cost and the test of Theorem 3.1 take one pass over the labels.

    Parameters
    ----------
    X : array_like of shape (N,) or (N, 1)
        Inputs, in any order. Equal inputs with equal labels count once.
    Y : array_like of shape (N, T) or (N,)
        Labels, one column a task.
    precision : float
        Relative precision of the data, by default that of float64. Pass 6e-8 when they were
        rounded to float32, or the relative size of the noise: it decides how nearly aligned two
        slope changes may be before the verdict becomes "undecided".
    out : Interpolant, optional
        An interpolant of the same size that is no longer needed: its arrays are overwritten.
        Fresh arrays cost several times the computation when they are large.

    Returns
    -------
    Interpolant

    Raises
    ------
    InvalidInputError
        Invalid data, several input columns, or equal inputs with different labels.

    Examples
    --------
    >>> fit = interpolate([0, 1, 2, 3], [0, 0, 1, 3])
    >>> fit.verdict.value, fit.slopes.ravel()
    ('not unique', array([0., 1., 2.]))
    """
    from mtrelu.solvers.polyline import (
        ALIGNED,
        BELOW_PRECISION,
        CANNOT_TELL,
        ZERO,
        connect_the_dots,
        in_parallel,
    )

    if not (math.isfinite(precision) and precision > 0):
        raise InvalidInputError(
            f"precision is {precision}, but it is the relative precision of the data; "
            "pass a number > 0, for example 6e-8 for float32 labels."
        )
    precision = max(float(precision), _EPS)
    x = one_column(X)
    labels = _labels(Y, x.size)
    if not np.all(x[1:] > x[:-1]):
        x, labels = sorted_distinct(x, labels)
    n, n_tasks = labels.shape
    if out is None:
        slopes = np.empty((n - 1, n_tasks))
        changes, errors = np.empty(max(n - 2, 0)), np.empty(max(n - 2, 0))
        knots = np.empty(max(n - 2, 0), dtype=np.uint8)
        pairs = np.empty(max(n - 3, 0), dtype=np.uint8)
    elif out.slopes.shape != (n - 1, n_tasks):
        raise InvalidInputError(
            f"out is for {out.x.size} distinct inputs and {out.Y.shape[1]} tasks, but these data "
            f"have {n} and {n_tasks}; pass an interpolant of the same size, or none."
        )
    else:
        slopes, changes, errors = out.slopes, out.changes, out.errors
        knots, pairs = out.knots, out.pairs
    undecidable = max(_UNDECIDABLE, _AMPLIFICATION * precision)
    parts = in_parallel(
        lambda start, stop: connect_the_dots(
            x, labels, precision, RTOL, undecidable,
            slopes, changes, errors, knots, pairs, start, stop,
        ),
        n - 1,
        n_tasks,
    )  # fmt: skip
    cost = math.fsum(part[0] for part in parts)
    if not math.isfinite(cost):
        # Labels that are not finite show up here, which saves a pass over finite ones.
        as_labels(labels, n)
        raise InvalidInputError(
            f"Y has slope changes up to {np.abs(np.diff(slopes, axis=0)).max():.3g}, which cannot "
            "be squared in float64; rescale the labels or the inputs."
        )
    steepest = max((part[1] for part in parts), default=0.0)
    unclear = np.flatnonzero(knots == BELOW_PRECISION)
    knots[unclear[errors[unclear] <= _NEGLIGIBLE * steepest]] = ZERO
    # A slope change below its error may be aligned with a neighbour that is not clearly zero.
    for k in (unclear - 1, unclear):
        k = k[(k >= 0) & (k < pairs.size)]
        open_question = (knots[k] != ZERO) & (knots[k + 1] != ZERO)
        pairs[k[open_question]] = CANNOT_TELL
    fit = Interpolant(x, labels, slopes, cost, precision, changes, errors, knots, pairs)
    open_pairs = np.flatnonzero(pairs == CANNOT_TELL)
    if open_pairs.size and (sign := _signs_along_one_axis(fit)) is not None:
        # Tasks that are multiples of one are one task, whose signs are certain.
        pairs[open_pairs[sign[open_pairs] * sign[open_pairs + 1] > 0]] = ALIGNED
    return fit


def _signs_along_one_axis(fit: Interpolant) -> FloatArray | None:
    """Return the signs of all slope changes along the one axis that they lie on, or None.

    Directions that are not clear one by one are clear together, if it would be a coincidence
    that all of them lie on one axis up to their errors. A slope change below its error counts
    as 0.
    """
    from mtrelu.solvers.polyline import NONZERO

    changes = fit.slope_changes
    clear = np.flatnonzero(fit.knots == NONZERO)
    if clear.size == 0:
        return None
    spread = fit.errors[clear] / fit.changes[clear]
    sharpest = int(np.argmin(spread))
    axis = changes[clear[sharpest]] / fit.changes[clear[sharpest]]
    along = changes[clear] @ axis
    beside = np.linalg.norm(changes[clear] - np.outer(along, axis), axis=1)
    window = RTOL + spread + spread[sharpest]
    others = np.delete(window, sharpest)
    coincidence = float(np.sum(np.log(np.minimum(others, 1.0))))
    if np.any(beside > window * fit.changes[clear]) or coincidence > math.log(_UNDECIDABLE):
        return None
    signs = np.zeros(fit.changes.size)
    signs[clear] = np.sign(along)
    return signs


def one_column(X: Any) -> FloatArray:
    """Return inputs with one column as a vector.

    Parameters
    ----------
    X : array_like of shape (N,) or (N, 1)
        Inputs.

    Returns
    -------
    ndarray of shape (N,)

    Raises
    ------
    InvalidInputError
        Invalid, or with several columns.

    Examples
    --------
    >>> one_column([[1], [2]])
    array([1., 2.])
    """
    inputs = as_inputs(X)
    if inputs.shape[1] != 1:
        raise InvalidInputError(
            f"X has {inputs.shape[1]} columns, but connect-the-dots and the set of all optimal "
            "functions are for one input; pass one column."
        )
    return inputs[:, 0]


def sorted_distinct(x: FloatArray, Y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sort data points by input and merge equal ones.

    Parameters
    ----------
    x : ndarray of shape (N,)
        Inputs.
    Y : ndarray of shape (N, T)
        Labels.

    Returns
    -------
    x : ndarray of shape (M,)
        Strictly increasing.
    Y : ndarray of shape (M, T)

    Raises
    ------
    InvalidInputError
        Equal inputs with different labels; no function interpolates both.

    Examples
    --------
    >>> x, Y = sorted_distinct(np.array([2.0, 1.0, 2.0]), np.array([[5.0], [4.0], [5.0]]))
    >>> x, Y.ravel()
    (array([1., 2.]), array([4., 5.]))
    """
    order = np.argsort(x, kind="stable")
    ascending, labels = x[order], Y[order]
    repeated = np.flatnonzero(ascending[1:] == ascending[:-1])
    clash = repeated[np.any(labels[repeated] != labels[repeated + 1], axis=1)]
    if clash.size:
        named = "; ".join(
            f"rows {order[k]} and {order[k + 1]} (X = {ascending[k]:.17g})" for k in clash[:3]
        )
        more = f" and {clash.size - 3} more" if clash.size > 3 else ""
        raise InvalidInputError(
            f"X has equal inputs with different labels in Y: {named}{more}. No function passes "
            "through both; average them, or pass alpha > 0 to smooth."
        )
    keep = np.ones(x.size, dtype=bool)
    keep[repeated + 1] = False
    return ascending[keep], labels[keep]


def without_zero_knots(
    fit: Interpolant, changes: FloatArray
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Straighten the stretches on which all slope changes are zero up to the precision.

    The slope changes of such a stretch are moved to its two ends with their mass and moment, so
    the curve is the straight line there, and the same everywhere else. Stretches whose data
    points would be missed by more than the precision are left alone: there, many slope changes
    that are each below the precision add up to a bend.

    Parameters
    ----------
    fit : Interpolant
        Of two or more data points.
    changes : ndarray of shape (N - 2, T)
        Its slope changes.

    Returns
    -------
    slope : ndarray of shape (T,)
        Slope left of the first knot that is left.
    changes : ndarray of shape (N - 2, T)
        The new slope changes.
    dropped : ndarray of shape (N - 2,), bool
        Which of them are no longer knots.

    Examples
    --------
    >>> fit = interpolate([0, 1, 2, 3], [0, 1, 2, 4])
    >>> without_zero_knots(fit, fit.slope_changes)[2]
    array([ True, False])
    """
    from mtrelu.solvers.polyline import ZERO

    x, Y = fit.x, fit.Y
    dropped = fit.knots == ZERO
    if not dropped.any():
        return fit.slopes[0], changes, dropped
    kept = np.concatenate(([True], ~dropped, [True]))
    stations = np.flatnonzero(kept)
    inside = np.flatnonzero(~kept)
    stretch = np.searchsorted(stations, inside) - 1
    left, right = stations[stretch], stations[stretch + 1]
    share = (x[inside] - x[left]) / (x[right] - x[left])
    rise = Y[right] - Y[left]
    missed = np.linalg.norm(Y[left] + share[:, None] * rise - Y[inside], axis=1)
    size = np.linalg.norm(Y[left], axis=1) + np.linalg.norm(Y[right], axis=1)
    tilt = np.linalg.norm(rise, axis=1) / (x[right] - x[left])
    reach = np.maximum(np.abs(x[left]), np.abs(x[right]))
    bent = np.unique(stretch[missed > _SAFETY * fit.precision * (size + tilt * reach)])
    straight = ~np.isin(stretch, bent)
    dropped = np.zeros_like(dropped)
    dropped[inside[straight] - 1] = True
    left, right, share = left[straight], right[straight], share[straight, None]
    moved = changes[dropped]
    # Position 0 stands for the first data point, whose "slope change" is part of the slope.
    spread = np.zeros((x.size, Y.shape[1]))
    spread[1:-1][~dropped] = changes[~dropped]
    np.add.at(spread, left, (1.0 - share) * moved)
    np.add.at(spread, right, share * moved)
    return fit.slopes[0] + spread[0], spread[1:-1], dropped


def _labels(Y: Any, n_samples: int) -> FloatArray:
    """Return the labels as a matrix; finiteness of large ones is left to the pass over them."""
    if (
        type(Y) is np.ndarray
        and Y.ndim == 2
        and Y.dtype == np.float64
        and Y.flags.c_contiguous
        and Y.shape[0] == n_samples >= 3
        and Y.shape[1] > 0
    ):
        return Y
    return as_labels(Y, n_samples)
