"""The shallow ReLU network of [1]: evaluate it, rescale it, simplify it, compare it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from mtrelu.validation import FloatArray, InvalidInputError, as_inputs

# Unit-norm hyperplanes closer than this are the same up to the rounding of their parameters.
_SAME_HYPERPLANE = 8 * np.finfo(np.float64).eps
_BLOCK_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False)
class ReLUNetwork:
    """A multi-task network with one hidden layer, f(x) = Σ_k v_k (w_k·x + b_k)₊ + A x + c [1].

    Parameters
    ----------
    w : array_like of shape (K, d)
        Input weights, one row a neuron.
    b : array_like of shape (K,)
        Biases.
    v : array_like of shape (K, T)
        Output weights, one column a task.
    A : array_like of shape (T, d)
        Slopes of the skip connection.
    c : array_like of shape (T,)
        Constants of the skip connection.

    Raises
    ------
    InvalidInputError
        Shapes that disagree, or parameters that are not finite numbers.

    Notes
    -----
    All arrays are stored as float64. They are not copied when they already are.

    Examples
    --------
    The absolute value and the positive part, as two tasks of one network:

    >>> from mtrelu.network import ReLUNetwork
    >>> network = ReLUNetwork(w=[[1.0], [-1.0]], b=[0.0, 0.0], v=[[1.0, 1.0], [1.0, 0.0]],
    ...                       A=[[0.0], [0.0]], c=[0.0, 0.0])
    >>> network([-2.0, 3.0])
    array([[2., 0.],
           [3., 3.]])
    """

    w: FloatArray
    b: FloatArray
    v: FloatArray
    A: FloatArray
    c: FloatArray

    def __post_init__(self) -> None:
        for name, n_dims in (("w", 2), ("b", 1), ("v", 2), ("A", 2), ("c", 1)):
            object.__setattr__(self, name, _as_parameter(getattr(self, name), name, n_dims))
        (n_neurons, n_inputs), n_tasks = self.w.shape, self.c.size
        for name, expected in (
            ("b", (n_neurons,)),
            ("v", (n_neurons, n_tasks)),
            ("A", (n_tasks, n_inputs)),
        ):
            shape = getattr(self, name).shape
            if shape != expected:
                raise InvalidInputError(
                    f"{name} has shape {shape}, but w of shape {self.w.shape} and c of shape "
                    f"{self.c.shape} need {name} of shape {expected}; pass w (K, d), b (K,), "
                    "v (K, T), A (T, d), c (T,)."
                )
        if n_inputs == 0 or n_tasks == 0:
            raise InvalidInputError(
                f"A has shape {self.A.shape}, but a network needs at least one task and one input; "
                "pass A of shape (T, d)."
            )

    def __repr__(self) -> str:
        """Return the sizes; the arrays can be long."""
        return (
            f"ReLUNetwork(n_neurons={self.n_neurons}, n_inputs={self.n_inputs}, "
            f"n_tasks={self.n_tasks})"
        )

    @property
    def n_neurons(self) -> int:
        """The number of neurons, K."""
        return int(self.w.shape[0])

    @property
    def n_inputs(self) -> int:
        """The input dimension, d."""
        return int(self.w.shape[1])

    @property
    def n_tasks(self) -> int:
        """The number of tasks, T."""
        return self.c.size

    def __call__(self, X: Any) -> FloatArray:
        """Evaluate the network [1].

        Parameters
        ----------
        X : array_like of shape (M, d), or (M,) for d = 1
            Where to evaluate; in d = 1 the cost is O((M + K) T) after sorting.

        Returns
        -------
        ndarray of shape (M, T), float64
            In d = 1 correct to the last digits whatever the offset of x; in higher dimensions to
            rounding relative to Σ_k abs(v_k) (abs(w_k)·abs(x) + abs(b_k)).

        Raises
        ------
        InvalidInputError
            The columns of ``X`` are not the network's inputs.
        """
        points = as_inputs(X)
        if points.shape[1] != self.n_inputs:
            raise InvalidInputError(
                f"X has {points.shape[1]} columns, but the network has {self.n_inputs} inputs; "
                f"pass X of shape (M, {self.n_inputs})."
            )
        if self.n_inputs == 1:
            from mtrelu._line_eval import evaluate

            return evaluate(points[:, 0], self.w[:, 0], self.b, self.v, self.A[:, 0], self.c)
        values = points @ self.A.T + self.c
        n_rows = max(1, _BLOCK_ENTRIES // max(1, self.n_neurons))
        for start in range(0, points.shape[0], n_rows):
            rows = slice(start, start + n_rows)
            hidden = points[rows] @ self.w.T
            hidden += self.b
            values[rows] += np.maximum(hidden, 0.0, out=hidden) @ self.v
        return np.asarray(values)

    def path_cost(self) -> float:
        """Return the path norm Σ_k ‖v_k‖₂‖w_k‖₂ of [3].

        Examples
        --------
        >>> ReLUNetwork([[3.0]], [0.0], [[0.0, 2.0]], [[1.0], [1.0]], [0.0, 0.0]).path_cost()
        6.0
        """
        return float(np.sum(self._strengths()))

    def weight_decay_cost(self) -> float:
        """Return the weight-decay cost ½ Σ_k (‖v_k‖₂² + ‖w_k‖₂²) of [2].

        It is at least `path_cost`, and equal to it when the network is `balanced`.

        Examples
        --------
        >>> network = ReLUNetwork([[3.0]], [0.0], [[0.0, 2.0]], [[1.0], [1.0]], [0.0, 0.0])
        >>> network.weight_decay_cost()
        6.5
        """
        return 0.5 * float(np.sum(self.v**2) + np.sum(self.w**2))

    def unit_norm(self) -> ReLUNetwork:
        """Return the same function with ‖w_k‖₂ = 1 for every neuron.

        Neurons with w = 0 become part of the constant.

        Examples
        --------
        >>> network = ReLUNetwork([[4.0]], [-2.0], [[3.0]], [[0.0]], [0.0]).unit_norm()
        >>> network.w, network.b, network.v
        (array([[1.]]), array([-0.5]), array([[12.]]))
        """
        network = self._without(np.zeros(self.n_neurons, dtype=bool))
        return network._rescaled(_row_norms(network.w))

    def balanced(self) -> ReLUNetwork:
        """Return the same function with ‖w_k‖₂ = ‖v_k‖₂, which costs least weight decay [2].

        Neurons that contribute nothing are dropped, and those with w = 0 become part of the
        constant.

        Examples
        --------
        >>> network = ReLUNetwork([[4.0]], [-2.0], [[1.0]], [[0.0]], [0.0]).balanced()
        >>> network.w, network.b, network.v
        (array([[2.]]), array([-1.]), array([[2.]]))
        """
        network = self.pruned()
        return network._rescaled(np.sqrt(_row_norms(network.w) / _row_norms(network.v)))

    def pruned(self, tol: float = 0.0) -> ReLUNetwork:
        """Return the network without the neurons whose ‖v_k‖₂‖w_k‖₂ is at most ``tol``.

        Neurons with w = 0 become part of the constant, so with ``tol = 0`` the function is kept.

        Parameters
        ----------
        tol : float
            In the units of `path_cost`; >= 0.

        Examples
        --------
        >>> network = ReLUNetwork([[1.0], [1.0]], [0.0, 1.0], [[2.0], [1e-9]], [[0.0]], [0.0])
        >>> network.pruned(tol=1e-6).n_neurons
        1
        """
        if not tol >= 0.0:
            raise InvalidInputError(
                f"tol is {tol}, but a path norm cannot be below it; pass tol >= 0."
            )
        return self._without(self._strengths() <= tol)

    def merged(self) -> ReLUNetwork:
        """Return the same function with one neuron for each hyperplane and orientation.

        Neurons whose hyperplane and orientation agree up to rounding become one, with unit ‖w‖₂;
        neurons that add up to nothing are dropped. The path norm never grows. In d = 1
        `canonical` also merges the two orientations.

        Examples
        --------
        >>> network = ReLUNetwork([[1.0], [2.0]], [1.0, 2.0], [[1.0], [1.0]], [[0.0]], [0.0])
        >>> merged = network.merged()
        >>> merged.w, merged.b, merged.v
        (array([[1.]]), array([1.]), array([[3.]]))
        """
        unit = self.unit_norm()
        if self.n_inputs == 1:
            planes = np.column_stack([unit.w[:, 0], unit.b])
            first, group = _equal_rows(planes)
        else:
            first, group = _close_rows(unit.w, unit.b, _SAME_HYPERPLANE)
        v = np.zeros((first.size, self.n_tasks))
        np.add.at(v, group, unit.v)
        return ReLUNetwork(unit.w[first], unit.b[first], v, unit.A, unit.c).pruned()

    def canonical(self) -> ReLUNetwork:
        """Return the same function of one input with one neuron a knot, w = +1, sorted by knot.

        The affine part takes up what turning a neuron around leaves behind, by the identity
        (−u)₊ = u₊ − u. Knots are rounded to float64. The path norm never grows.

        Raises
        ------
        InvalidInputError
            More than one input: then there is no such form.

        Examples
        --------
        >>> network = ReLUNetwork([[-2.0]], [2.0], [[1.0]], [[0.0]], [0.0]).canonical()
        >>> network.w, network.b, network.v, network.A, network.c
        (array([[1.]]), array([-1.]), array([[2.]]), array([[-2.]]), array([2.]))
        """
        knots, changes, slope, intercept = self._canonical_parts()
        return ReLUNetwork.from_knots(knots, changes, slope, intercept)

    def knots(self) -> FloatArray:
        """Return where the function of one input bends, ascending, shape (n_knots,).

        Examples
        --------
        >>> ReLUNetwork([[-2.0]], [2.0], [[1.0]], [[0.0]], [0.0]).knots()
        array([1.])
        """
        return self._canonical_parts()[0]

    def slope_changes(self) -> FloatArray:
        """Return by how much the slope of each task changes at the knots, shape (n_knots, T).

        Examples
        --------
        >>> ReLUNetwork([[-2.0]], [2.0], [[1.0]], [[0.0]], [0.0]).slope_changes()
        array([[2.]])
        """
        return self._canonical_parts()[1]

    @classmethod
    def from_knots(cls, knots: Any, slope_changes: Any, slope: Any, intercept: Any) -> ReLUNetwork:
        """Return the piecewise-linear function of one input with these knots, in canonical form.

        Parameters
        ----------
        knots : array_like of shape (K,)
            Where the slope changes; distinct, in any order.
        slope_changes : array_like of shape (K, T)
            By how much, for each task.
        slope, intercept : array_like of shape (T,)
            The line to the left of all knots: its slope, and its value at x = 0.

        Raises
        ------
        InvalidInputError
            Shapes that disagree, or a knot given twice.

        Examples
        --------
        >>> ReLUNetwork.from_knots([1.0], [[2.0]], [-1.0], [1.0])([0.0, 1.0, 3.0])
        array([[1.],
               [0.],
               [2.]])
        """
        t = _as_parameter(knots, "knots", 1)
        changes = _as_parameter(slope_changes, "slope_changes", 2)
        a = _as_parameter(slope, "slope", 1)
        c = _as_parameter(intercept, "intercept", 1)
        for name, array, expected in (
            ("slope_changes", changes, (t.size, a.size)),
            ("intercept", c, a.shape),
        ):
            if array.shape != expected:
                raise InvalidInputError(
                    f"{name} has shape {array.shape}, but {t.size} knots and {a.size} slopes need "
                    f"{expected}; pass knots (K,), slope_changes (K, T), slope (T,), "
                    "intercept (T,)."
                )
        order = np.argsort(t, kind="stable")
        t, changes = t[order], changes[order]
        repeated = t[1:] == t[:-1]
        if repeated.any():
            raise InvalidInputError(
                f"knots has {t[int(np.argmax(repeated))]} twice, but each knot has one slope "
                "change; add the two slope changes up."
            )
        return cls(np.ones((t.size, 1)), 0.0 - t, changes, a[:, np.newaxis], c)

    def same_function(self, other: ReLUNetwork, rtol: float = 1e-9) -> bool:
        """Tell whether two networks are the same function on all of R^d.

        Parameters
        ----------
        other : ReLUNetwork
            The network to compare with.
        rtol : float
            In d = 1 the two may differ by ``rtol`` times the largest value at any knot, and in
            slope by ``rtol`` times the largest slope, each per task; in higher dimensions by
            ``rtol`` times the largest kink and affine part. What rounding the knots to float64
            can move is always allowed.

        Returns
        -------
        bool

        Examples
        --------
        >>> first = ReLUNetwork([[2.0]], [2.0], [[1.0]], [[0.0]], [0.0])
        >>> turned = ReLUNetwork([[-1.0]], [-1.0], [[2.0]], [[2.0]], [2.0])
        >>> first.same_function(turned)
        True
        """
        if (self.n_inputs, self.n_tasks) != (other.n_inputs, other.n_tasks):
            return False
        if self.n_inputs == 1:
            return _same_on_line(self, other, rtol)
        return _same_in_space(self, other, rtol)

    def _strengths(self) -> FloatArray:
        """Return ‖v_k‖₂‖w_k‖₂ of every neuron, shape (K,)."""
        return _row_norms(self.v) * _row_norms(self.w)

    def _without(self, dropped: Any) -> ReLUNetwork:
        """Return the network without some neurons, those with w = 0 taken into the constant."""
        flat = ~self.w.any(axis=1)
        kept = ~(dropped | flat)
        c = self.c + np.maximum(self.b[flat], 0.0) @ self.v[flat] if flat.any() else self.c
        return ReLUNetwork(self.w[kept], self.b[kept], self.v[kept], self.A, c)

    def _rescaled(self, size: FloatArray) -> ReLUNetwork:
        """Return the same function with (w, b) divided and v multiplied by ``size`` (K,)."""
        column = size[:, np.newaxis]
        return ReLUNetwork(self.w / column, self.b / size, self.v * column, self.A, self.c)

    def _canonical_parts(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return knots (K,), slope changes (K, T), slope (T,) and intercept (T,)."""
        if self.n_inputs != 1:
            raise InvalidInputError(
                f"the network has {self.n_inputs} inputs, but knots exist only for one input; "
                "use merged() for the form with one neuron a hyperplane."
            )
        from mtrelu._line_eval import canonical_form, kinks_of

        network = self._without(np.zeros(self.n_neurons, dtype=bool))
        w, b = network.w[:, 0], network.b
        kinks = kinks_of(w, b)
        if not np.isfinite(kinks).all():
            raise InvalidInputError(
                "w is so small against b that a knot lies beyond the range of float64; "
                "drop such neurons with pruned(tol)."
            )
        order = np.argsort(kinks, kind="stable")
        knots, changes, slope, intercept = canonical_form(
            w, b, network.v, kinks, order, network.A[:, 0], network.c
        )
        bends = changes.any(axis=1)
        return knots[bends], changes[bends], slope, intercept


def _as_parameter(value: Any, name: str, n_dims: int) -> FloatArray:
    """Return one parameter array as finite float64."""
    try:
        array = np.ascontiguousarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"{name} is not a rectangular array of numbers; pass one of {n_dims} dimension(s)."
        ) from None
    if np.ndim(value) != n_dims:
        raise InvalidInputError(
            f"{name} has {np.ndim(value)} dimensions, but it must have {n_dims}; pass w (K, d), "
            "b (K,), v (K, T), A (T, d), c (T,)."
        )
    if not np.isfinite(array).all():
        raise InvalidInputError(
            f"{name} has entries that are NaN or infinite, so the network is not a function; "
            "check how it was trained or computed."
        )
    return array


def _row_norms(matrix: FloatArray) -> FloatArray:
    """Return the Euclidean norm of each row, without underflow or overflow on the way."""
    largest = np.abs(matrix).max(axis=1, initial=0.0)
    scale = np.where(largest > 0.0, largest, 1.0)
    return np.asarray(scale * np.sqrt(np.sum((matrix / scale[:, np.newaxis]) ** 2, axis=1)))


def _equal_rows(rows: FloatArray) -> tuple[Any, Any]:
    """Return the first index of each distinct row, and the group of each row."""
    _, first, group = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, group.reshape(-1)


def _close_rows(normals: FloatArray, offsets: FloatArray, tol: float) -> tuple[Any, Any]:
    """Group hyperplanes (normals unit, (K, d); offsets (K,)) that agree up to ``tol``.

    Returns the first index of each group and the group of each row.
    """
    # Planes that agree have close keys, so only runs of close keys need comparing in full.
    direction = np.random.default_rng(0).standard_normal(normals.shape[1])
    keys = normals @ direction
    order = np.argsort(keys, kind="stable")
    slack = 2.0 * tol * float(np.abs(direction).sum())
    group = np.full(order.size, -1)
    first: list[int] = []
    for run in _runs(keys[order], slack):
        candidates = order[run]
        while candidates.size:
            k = candidates[0]
            close = (np.abs(normals[candidates] - normals[k]).max(axis=1) <= tol) & (
                np.abs(offsets[candidates] - offsets[k]) <= tol * (1.0 + abs(offsets[k]))
            )
            group[candidates[close]] = len(first)
            first.append(int(k))
            candidates = candidates[~close]
    return np.array(first, dtype=np.intp), group


def _runs(keys: FloatArray, slack: float) -> Iterator[slice]:
    """Split ascending keys wherever two neighbours are further apart than ``slack``."""
    if keys.size:
        cuts = [0, *(np.flatnonzero(np.diff(keys) > slack) + 1).tolist(), keys.size]
        yield from (slice(a, b) for a, b in pairwise(cuts))


def _difference(f: ReLUNetwork, g: ReLUNetwork) -> ReLUNetwork:
    """Return the network f − g."""
    return ReLUNetwork(
        np.vstack([f.w, g.w]),
        np.concatenate([f.b, g.b]),
        np.vstack([f.v, -g.v]),
        f.A - g.A,
        f.c - g.c,
    )


def _same_on_line(f: ReLUNetwork, g: ReLUNetwork, rtol: float) -> bool:
    """Compare two functions of one input by their values at all knots and their slopes outside.

    Knot by knot would not do: one knot and two that are a rounding apart are the same function.
    """
    knots_f, changes_f, slope_f, _ = f._canonical_parts()
    knots_g, changes_g, slope_g, _ = g._canonical_parts()
    knots = np.union1d(knots_f, knots_g)
    if knots.size == 0:
        knots = np.zeros(1)
    values_f, values_g = f(knots), g(knots)
    largest_value = np.maximum(np.abs(values_f).max(axis=0), np.abs(values_g).max(axis=0))
    slopes_f = slope_f + np.vstack([np.zeros_like(slope_f), changes_f.cumsum(axis=0)])
    slopes_g = slope_g + np.vstack([np.zeros_like(slope_g), changes_g.cumsum(axis=0)])
    largest_slope = np.maximum(np.abs(slopes_f).max(axis=0), np.abs(slopes_g).max(axis=0))
    eps = np.finfo(np.float64).eps
    rounding = (
        8
        * eps
        * (
            np.abs(knots_f) @ np.abs(changes_f)
            + np.abs(knots_g) @ np.abs(changes_g)
            + np.abs(knots).max() * (np.abs(slope_f) + np.abs(slope_g))
        )
    )
    outer = np.maximum(np.abs(slopes_f[0] - slopes_g[0]), np.abs(slopes_f[-1] - slopes_g[-1]))
    return bool(
        np.all(np.abs(values_f - values_g) <= rtol * largest_value + rounding)
        and np.all(outer <= rtol * largest_slope)
    )


def _same_in_space(f: ReLUNetwork, g: ReLUNetwork, rtol: float) -> bool:
    """Compare two functions by the kink of each hyperplane and the affine part left over."""
    difference = _difference(f, g).unit_norm()
    w, b, v = difference.w, difference.b, difference.v
    # Turn every neuron so that the first nonzero entry of its normal is positive.
    leading = w[np.arange(w.shape[0]), np.argmax(np.abs(w) > rtol, axis=1)]
    turned = leading < 0
    slope = difference.A + v[turned].T @ w[turned]
    constant = difference.c + b[turned] @ v[turned]
    side = np.where(turned, -1.0, 1.0)
    first, group = _close_rows(w * side[:, np.newaxis], b * side, rtol)
    kinks = np.zeros((first.size, difference.n_tasks))
    np.add.at(kinks, group, v)
    strength = np.abs(v).sum(axis=0)
    slope_scale = strength + np.maximum(np.abs(f.A), np.abs(g.A)).max(axis=1)
    constant_scale = np.abs(b) @ np.abs(v) + np.maximum(np.abs(f.c), np.abs(g.c))
    return bool(
        np.all(np.abs(kinks) <= rtol * strength)
        and np.all(np.abs(slope) <= rtol * slope_scale[:, np.newaxis])
        and np.all(np.abs(constant) <= rtol * constant_scale)
    )
