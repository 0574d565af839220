"""Every globally optimal function of one input: whether there are several, and how they differ."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.solvers.interpolation import (
    RTOL,
    Interpolant,
    Verdict,
    interpolate,
    one_column,
    without_zero_knots,
)
from mtrelu.validation import FloatArray, InvalidInputError, as_generator

__all__ = ["OptimalSet", "Verdict"]

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class OptimalSet:
    """All global optima of [3] or [9] with one input and an affine skip connection.

    Made by `of_interpolation` (α = 0) or `of_fit` (α > 0). Optimal functions agree at the data
    points, outside of them, and on every segment between two neighbours unless both bend in the
    same direction there (Theorem 3.1, Remark 1). On such a segment an optimal function may leave
    the straight line in that direction, as far as the neighbouring lines, extended, allow. A set
    of optima is convex: mixtures of optimal functions are optimal.

    Attributes
    ----------
    verdict : Verdict
        ``"unique"``, ``"not unique"`` or ``"undecided"``.
    reason : str
        Why, in plain words, with the tolerance that was used.
    intervals : list of (float, float)
        Where optimal functions differ; when undecided, where they may differ.
    tolerance : float
        For α = 0 the largest distance between two directions that are called one; for α > 0 the
        duality gap that the verdict was derived from.
    curve : Interpolant
        The optimal function that connects the labels (α = 0) or fitted values (α > 0).
    range_is_proved : bool
        Whether `range` is that of all optimal functions, for the fitted values at hand. If not, the
        verdict leaves something open: for α = 0 `range` may be too wide, for α > 0 too narrow.

    Examples
    --------
    >>> optima = OptimalSet.of_interpolation([0, 1, 2, 3], [0, 0, 1, 3])
    >>> optima.verdict.value, optima.intervals
    ('not unique', [(1.0, 2.0)])
    >>> low, high = optima.range([1.5])
    >>> low, high
    (array([[0.]]), array([[0.5]]))
    >>> optima.sparsest().n_neurons
    1
    """

    verdict: Verdict
    reason: str
    intervals: list[tuple[float, float]]
    tolerance: float
    curve: Interpolant
    range_is_proved: bool
    _aligned: np.ndarray  # (N - 3,) which neighbouring data knots k, k + 1 let the optimum vary
    _possible: np.ndarray  # (N - 3,) those, and the ones that are undecided
    _fitted: tuple[FloatArray, FloatArray] | None  # slope changes (N - 2, T) and slope, for α > 0
    # For tasks that have labels at one input only, so that their slope is free, that input.
    _lone: dict[int, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the verdict and where it applies; the arrays can be long."""
        more = f" and {len(self.intervals) - 3} more" if len(self.intervals) > 3 else ""
        return f"<OptimalSet: {self.verdict}, intervals {self.intervals[:3]}{more}>"

    @classmethod
    def of_interpolation(cls, X: Any, Y: Any, *, precision: float = _EPS) -> OptimalSet:
        """Return all optimal interpolants [3].

        Parameters
        ----------
        X : array_like of shape (N,) or (N, 1)
            Inputs.
        Y : array_like of shape (N, T) or (N,)
            Labels.
        precision : float
            Relative precision of the data; see `mtrelu.interpolate`.

        Returns
        -------
        OptimalSet

        Raises
        ------
        InvalidInputError
            As `mtrelu.interpolate`.

        Examples
        --------
        >>> OptimalSet.of_interpolation([0, 1, 2, 3], [[0, 0], [0, 1], [1, 0], [3, 1]]).reason
        'No two neighbouring data points bend in the same direction, so connecting the dots is ...'
        """
        curve = interpolate(X, Y, precision=precision)
        n = curve.x.size
        if n == 1:
            return _one_point(curve, True)
        from mtrelu.solvers.polyline import ALIGNED, CANNOT_TELL

        aligned, open_pairs = curve.pairs == ALIGNED, curve.pairs == CANNOT_TELL
        verdict = curve.verdict
        known = f"{curve.precision:.1g} relative to the size of the data"
        if verdict is Verdict.NOT_UNIQUE:
            intervals = _merge(curve.x, aligned)
            reason = (
                f"{_named(intervals)}, neighbouring data points bend in the same direction, so "
                "there are infinitely many optimal functions (Theorem 3.1). Directions closer "
                f"than {RTOL:g}, or than the precision of the data, {known}, count as the same."
            )
            if open_pairs.any():
                reason += (
                    f" Undecided at that precision: {_named(_merge(curve.x, open_pairs)).lower()}."
                )
        elif verdict is Verdict.UNDECIDED:
            intervals = _merge(curve.x, open_pairs)
            reason = (
                f"{_named(intervals)}, whether neighbouring data points bend in the same "
                f"direction hangs on digits beyond the precision of the data, {known}. "
                "Everywhere else the optimal function is unique."
            )
        else:
            intervals = []
            reason = (
                f"With {n} data points there is nothing to choose: connecting the dots is the "
                "only optimal function (Theorem 3.1)."
                if n < 4
                else "No two neighbouring data points bend in the same direction, so connecting "
                "the dots is the only optimal function (Theorem 3.1). Directions closer than "
                f"{RTOL:g}, or than the precision of the data, {known}, would count as the same."
            )
        possible, decided = aligned | open_pairs, not open_pairs.any()
        return cls(verdict, reason, intervals, RTOL, curve, decided, aligned, possible, None)

    @classmethod
    def of_fit(
        cls, problem: Problem, network: ReLUNetwork, dual: FloatArray | None = None
    ) -> OptimalSet:
        """Return all optimal functions of a regularised problem [9], from a nearly optimal one.

        The verdict is a proof about the exact optimum: what `mtrelu.uniqueness` derives from the
        duality gap. Range, samples and witness are exact for the fitted values ŷ, which are as
        close to the optimal ones as the gap says.

        Parameters
        ----------
        problem : Problem
            With α > 0, one input and an affine skip connection.
        network : ReLUNetwork
            A nearly optimal network. Knots between data points are first moved onto them, which
            keeps the fitted values and costs nothing (Lemma 3.2).
        dual : ndarray of shape (n_samples, T), optional
            A nearly optimal dual variable, by default that of the network's predictions; a bad
            one can only make the verdict undecided.

        Returns
        -------
        OptimalSet

        Raises
        ------
        InvalidInputError
            α = 0, several inputs, another skip connection, or a network of another size.

        Examples
        --------
        >>> problem = Problem.make([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], alpha=1.0)
        >>> A, c, P = problem.affine_fit()
        >>> network = ReLUNetwork.from_knots([], np.zeros((0, 1)), A[:, 0], c)
        >>> OptimalSet.of_fit(problem, network, P).verdict.value
        'unique'
        """
        if problem.n_inputs != 1 or problem.skip != "affine" or problem.alpha == 0.0:
            raise InvalidInputError(
                f"problem has {problem.n_inputs} inputs, skip={problem.skip!r} and "
                f"alpha={problem.alpha:g}, but this needs one input, an affine skip connection "
                "and alpha > 0; for alpha = 0 use OptimalSet.of_interpolation."
            )
        problem.check_network(network)
        from mtrelu.uniqueness import prove

        x, group = np.unique(problem.X[:, 0], return_inverse=True)
        curve = interpolate(x, network(x))
        n = x.size
        if n == 1:
            return _one_point(curve, problem.loss.strictly_convex)
        slope, changes = _on_data(network, x)
        predictions = curve.Y[group]
        if dual is None:
            dual = problem.dual_variable(predictions)
        elif np.shape(dual) != problem.Y.shape:
            raise InvalidInputError(
                f"dual has shape {np.shape(dual)}, but a dual variable needs the shape of Y, "
                f"{problem.Y.shape}; leave it out if in doubt."
            )
        P = np.asarray(dual, dtype=np.float64)
        proof = prove(problem, x, group, predictions, changes, P)
        bent = proof.bent
        certain = (bent[:-1] * bent[1:] > 0) & ~proof.straight[1:-1]
        along = changes if proof.axis is None else changes @ proof.axis
        aligned = certain | (_same_direction(along) & ~proof.straight[1:-1])
        based = f"the duality gap of {proof.gap:.2g}"
        possible = ~proof.straight
        lone = _lone_inputs(problem)
        if lone:
            verdict, intervals = Verdict.NOT_UNIQUE, [(float(x[0]), float(x[-1]))]
            named = ", ".join(str(t) for t in list(lone)[:3]) + (", ..." if len(lone) > 3 else "")
            reason = (
                f"{'A task has' if len(lone) == 1 else f'{len(lone)} tasks have'} labels at one "
                f"input only (column {named}), so any slope there fits as well and costs nothing."
            )
        elif certain.any():
            verdict = Verdict.NOT_UNIQUE
            runs = _runs(aligned)
            proved = np.zeros(aligned.size, dtype=bool)
            proved[np.isin(runs, runs[certain])] = True
            intervals = _merge(x, proved & aligned)
            reason = (
                f"{_named(intervals)}, the optimal function bends in the same direction at "
                "neighbouring data points, so there are infinitely many optimal functions "
                f"(Theorem 3.1, Remark 1). That follows from {based}. How far they differ is "
                "exact for the fitted values."
            )
            if problem.n_tasks > 1:
                reason += " Up to rounding, the tasks are multiples of one task."
        elif not possible.any() and proof.values_fixed:
            verdict, intervals = Verdict.UNIQUE, []
            reason = (
                "Every optimal function bends at data points only and they all agree there, so "
                f"there is only one. That follows from {based}."
            )
        else:
            verdict = Verdict.UNDECIDED
            intervals = _merge(x, possible[1:-1])
            if not np.isfinite(problem.loss.smoothness):
                reason = (
                    f"The {problem.loss.name} loss has kinks, and then a duality gap does not "
                    "bound how far two optimal functions can be apart."
                )
            elif intervals:
                reason = (
                    f"{_named(intervals)}, {based} leaves open whether an optimal function may "
                    "bend between the data points. Solve with a smaller tol to sharpen it."
                )
            elif not problem.shares_weights and problem.loss.strictly_convex:
                intervals = [(float(x[0]), float(x[-1]))]
                reason = (
                    "All optimal functions bend at data points only and agree at the labels that "
                    "are used, but it is open whether those that are left out let them differ in "
                    "between. What is shown are functions with the fitted values."
                )
            else:
                intervals = [(float(x[0]), float(x[-1]))]
                reason = (
                    "All optimal functions bend at data points only, but the loss is flat or "
                    "straight at some labels, so it is open whether they agree there."
                )
        fitted = changes, slope
        # Where neighbours may bend in the same direction they must be known to.
        decided = verdict is not Verdict.UNDECIDED and proof.values_fixed
        decided = decided and not (possible[1:-1] & ~aligned).any()
        return cls(
            verdict, reason, intervals, proof.gap, curve, decided, aligned, aligned, fitted, lone
        )

    def range(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """Return the smallest and largest value that optimal functions take.

        Unless `range_is_proved`, it is not known whether that is all. For α = 0 the range is then
        what it is if the data are aligned, and no optimal function leaves it. For α > 0 it is what
        is known: on segments that are open ``low`` equals ``high``, which is no proof that optimal
        functions agree there.

        Parameters
        ----------
        X : array_like of shape (M,) or (M, 1)
            Where.

        Returns
        -------
        low, high : ndarray of shape (M, T)
            Both attained (for α = 0 if `range_is_proved`), each task by a function of its own.
            Infinite for a single data point
            (of a task), whose slope is free.
        """
        queries = one_column(X)
        low = self.curve(queries)
        high = low.copy()
        x = self.curve.x
        if x.size == 1:
            elsewhere = queries != x[0]
            low[elsewhere], high[elsewhere] = -np.inf, np.inf
            return low, high
        pair = np.searchsorted(x, queries, side="right") - 2
        rows = np.flatnonzero((pair >= 0) & (pair < self._possible.size))
        rows = rows[self._possible[pair[rows]]]
        k = pair[rows]
        norms = self._norms
        depth = np.minimum(
            norms[k] * (queries[rows] - x[k + 1]), norms[k + 1] * (x[k + 2] - queries[rows])
        )
        dip = depth[:, np.newaxis] * self._directions(k)
        low[rows] -= np.maximum(dip, 0.0)
        high[rows] -= np.minimum(dip, 0.0)
        for t, at in self._lone.items():
            low[queries != at, t], high[queries != at, t] = -np.inf, np.inf
        return low, high

    def connect_the_dots(self) -> ReLUNetwork:
        """Return the optimal network with knots at data points only."""
        if self.curve.x.size == 1:
            return self.curve.network()
        none = np.zeros(self._aligned.size, dtype=bool)
        return self._merged(none)

    def sparsest(self) -> ReLUNetwork:
        """Return an optimal network with the fewest neurons.

        A run of m neighbouring data points that bend in one direction needs ⌈m/2⌉ neurons.

        Examples
        --------
        >>> OptimalSet.of_interpolation([0, 1, 2, 3, 4], [0, 0, 1, 3, 6]).sparsest().n_neurons
        2
        """
        if self.curve.x.size == 1:
            return self.curve.network()
        return self._merged(self._aligned & (self._position % 2 == 0))

    def extremes(self) -> tuple[ReLUNetwork, ReLUNetwork]:
        """Return the two pictures of the paper's Figure 1.

        Returns
        -------
        dots : ReLUNetwork
            Connect-the-dots, which no optimal function exceeds in any direction of bending.
        corner : ReLUNetwork
            An optimum as far from it as possible: on the segment of each run where optima differ
            most, and on every second one from there, the neighbouring lines are extended until
            they meet. The same network twice when the optimum is unique.
        """
        if self.curve.x.size == 1:
            return self.curve.network(), self._sloped(np.ones(self.curve.Y.shape[1]))
        x, norms = self.curve.x, self._norms
        k = np.flatnonzero(self._aligned)
        before, after = norms[k], norms[k + 1]
        depth = np.zeros(self._aligned.size)
        depth[k] = (x[k + 2] - x[k + 1]) * before * after / (before + after)
        # The deepest pair of each run comes last among those of its run in this order.
        run = _runs(self._aligned)
        order = np.lexsort((depth, run))
        deepest = np.zeros(run.max(initial=0) + 1, dtype=np.intp)
        deepest[run[order]] = self._position[order]
        corner = self._merged(self._aligned & ((self._position - deepest[run]) % 2 == 0))
        return self.connect_the_dots(), corner

    def witness(self) -> ReLUNetwork | None:
        """Return an optimal network other than connect-the-dots, if one is known.

        Returns
        -------
        ReLUNetwork or None
            None when the optimum is unique, or when no second one could be constructed.
        """
        if self._lone:
            return self._turned()
        if self.curve.x.size > 1 and not self._aligned.any():
            return None
        return self.extremes()[1]

    def sample(self, n: int = 1, random_state: Any = None) -> list[ReLUNetwork]:
        """Draw optimal networks at random.

        Each data point of a run is given a random tangent between its two neighbouring slopes;
        each segment becomes a random mixture of its straight line and the upper envelope of the
        tangents at its ends. Every optimal function with at most one knot in each segment can
        come out.

        Parameters
        ----------
        n : int
            How many.
        random_state : int, Generator or None
            Seed.

        Returns
        -------
        list of ReLUNetwork

        Raises
        ------
        InvalidInputError
            ``n`` that is not a whole number, or something that cannot seed a generator.

        Examples
        --------
        >>> optima = OptimalSet.of_interpolation([0, 1, 2, 3], [0, 0, 1, 3])
        >>> [bool(np.allclose(f([0, 1, 2, 3]).ravel(), [0, 0, 1, 3])) for f in optima.sample(2, 0)]
        [True, True]
        """
        if not isinstance(n, int | np.integer) or n < 0:
            raise InvalidInputError(f"n is {n!r}; pass how many samples, a whole number >= 0.")
        rng = as_generator(random_state)
        if self.curve.x.size == 1:
            shape = (n, self.curve.Y.shape[1])
            return [self._sloped(slope) for slope in rng.standard_normal(shape)]
        return [self._bent(rng) for _ in range(n)]

    @cached_property
    def _spline(self) -> tuple[FloatArray, FloatArray]:
        """Slope changes (N - 2, T), zero where there is no knot, and the slope at the left end."""
        if self._fitted is not None:
            return self._fitted
        slope, changes, _ = without_zero_knots(self.curve, self.curve.slope_changes)
        return changes, slope

    @cached_property
    def _norms(self) -> FloatArray:
        return np.asarray(np.linalg.norm(self._spline[0], axis=1))

    @cached_property
    def _position(self) -> np.ndarray:
        """How many aligned pairs of the same run come before a pair."""
        index = np.arange(self._aligned.size)
        starts = self._aligned & ~np.append(False, self._aligned[:-1])
        return index - np.maximum.accumulate(np.where(starts, index, 0))

    def _directions(self, k: np.ndarray) -> FloatArray:
        """Return the unit vectors along which both slope changes of the pairs k point."""
        changes = self._spline[0]
        both = changes[k] + changes[k + 1]
        length = np.linalg.norm(both, axis=1, keepdims=True)
        return np.asarray(both / np.where(length > 0.0, length, 1.0))

    def _network(self, knots: FloatArray, changes: FloatArray) -> ReLUNetwork:
        """Return the spline with these knots right of the first data point."""
        slope = self._spline[1]
        bends = changes.any(axis=1)
        intercept = self.curve.Y[0] - slope * self.curve.x[0]
        return ReLUNetwork.from_knots(knots[bends], changes[bends], slope, intercept)

    def _merged(self, pairs: np.ndarray) -> ReLUNetwork:
        """Return the optimum whose knots k, k + 1 are one, for pairs that do not touch."""
        x, (changes, _), norms = self.curve.x, self._spline, self._norms
        k = np.flatnonzero(pairs)
        share = norms[k + 1] / (norms[k] + norms[k + 1])
        at = x[k + 1] + share * (x[k + 2] - x[k + 1])
        stays = np.ones(changes.shape[0], dtype=bool)
        stays[k] = stays[k + 1] = False
        return self._network(
            np.concatenate([x[1:-1][stays], at]),
            np.concatenate([changes[stays], changes[k] + changes[k + 1]]),
        )

    def _bent(self, rng: np.random.Generator) -> ReLUNetwork:
        """Return a random optimum: part of each slope change moves into the segments beside it."""
        x, norms = self.curve.x, self._norms
        changes = self._spline[0].copy()
        k = np.flatnonzero(self._aligned)
        tangent = rng.beta(0.5, 0.5, (changes.shape[0],))
        mixture = np.sqrt(rng.random((k.size,)))
        from_left = mixture * (1.0 - tangent[k]) * norms[k]
        from_right = mixture * tangent[k + 1] * norms[k + 1]
        start, step = x[k + 1], x[k + 2] - x[k + 1]
        moved = from_left + from_right
        at = start + step * np.divide(from_right, moved, out=np.zeros_like(moved), where=moved > 0)
        inside = (at > start) & (at < x[k + 2])
        k, at, from_left = k[inside], at[inside], from_left[inside]
        # Balanced for the knot as float64 has it, so that the data points are still met.
        from_right = from_left * (at - x[k + 1]) / (x[k + 2] - at)
        along = self._directions(k)
        changes[k] -= from_left[:, np.newaxis] * along
        changes[k + 1] -= from_right[:, np.newaxis] * along
        return self._network(
            np.concatenate([x[1:-1], at]),
            np.concatenate([changes, (from_left + from_right)[:, np.newaxis] * along]),
        )

    def _turned(self) -> ReLUNetwork:
        """Return the optimum with other slopes for the tasks that have labels at one input only."""
        dots = self.connect_the_dots()
        A, c = dots.A.copy(), dots.c.copy()
        for t, at in self._lone.items():
            A[t] += 1.0
            c[t] -= at
        return replace(dots, A=A, c=c)

    def _sloped(self, slope: FloatArray) -> ReLUNetwork:
        """Return the line through a single data point."""
        none = np.zeros((0, slope.size))
        intercept = self.curve.Y[0] - slope * self.curve.x[0]
        return ReLUNetwork.from_knots(none[:, 0], none, slope, intercept)


def _lone_inputs(problem: Problem) -> dict[int, float]:
    """Return the only input of each task that has labels at no other."""
    if problem.shares_weights:
        return {}
    return {
        int(t): float(part.X[0, 0])
        for tasks, _, part in problem.by_weights()
        for t in tasks
        if (part.X == part.X[0]).all()
    }


def _one_point(curve: Interpolant, value_is_fixed: bool) -> OptimalSet:
    """Return the optima for a single distinct input."""
    none = np.zeros(0, dtype=bool)
    reason = (
        f"All data are at x = {curve.x[0]:.10g}, so every line through that point is optimal: "
        "any slope is free."
    )
    everywhere = [(-np.inf, np.inf)]
    return OptimalSet(
        Verdict.NOT_UNIQUE, reason, everywhere, 0.0, curve, value_is_fixed, none, none, None
    )


def _on_data(network: ReLUNetwork, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return slope (T,) and slope changes (N - 2, T) of the function that connects f(x).

    A knot between two data points is shared out between them with its mass and moment, which is
    what connecting the values of its neuron amounts to; a knot at a data point is kept as it is.
    """
    canonical = network.canonical()
    knots, changes = -canonical.b, canonical.v
    slope = canonical.A[:, 0] + changes[knots <= x[0]].sum(axis=0)
    between = (knots > x[0]) & (knots < x[-1])
    knots, changes = knots[between], changes[between]
    left = np.searchsorted(x, knots, side="right") - 1
    share = ((knots - x[left]) / (x[left + 1] - x[left]))[:, np.newaxis]
    shared = np.zeros((x.size, slope.size))
    np.add.at(shared, left, (1.0 - share) * changes)
    np.add.at(shared, left + 1, share * changes)
    return slope + shared[0], shared[1:-1]


def _same_direction(changes: FloatArray) -> np.ndarray:
    """Tell for neighbouring slope changes (K, T) whether both are nonzero and aligned."""
    norms = np.linalg.norm(changes, axis=1, keepdims=True)
    units = changes / np.where(norms > 0.0, norms, 1.0)
    nonzero = norms[:, 0] > 0.0
    chord = np.linalg.norm(np.diff(units, axis=0), axis=1)
    return np.asarray(nonzero[:-1] & nonzero[1:] & (chord <= RTOL))


def _runs(pairs: np.ndarray) -> np.ndarray:
    """Return the number of the run of True that each entry is in, from 1; else 0."""
    starts = pairs & ~np.append(False, pairs[:-1])
    return np.where(pairs, np.cumsum(starts), 0)


def _merge(x: FloatArray, pairs: np.ndarray) -> list[tuple[float, float]]:
    """Return the intervals that the pairs of data knots k, k + 1 enclose, joined up."""
    starts = np.flatnonzero(pairs & ~np.append(False, pairs[:-1]))
    stops = np.flatnonzero(pairs & ~np.append(pairs[1:], False))
    return list(zip(x[starts + 1].tolist(), x[stops + 2].tolist(), strict=True))


def _named(intervals: list[tuple[float, float]]) -> str:
    """Name the first interval and count the others."""
    low, high = intervals[0]
    text = f"Between x = {low:.10g} and x = {high:.10g}"
    if len(intervals) > 1:
        more = len(intervals) - 1
        text += f", and in {more} other interval{'s' if more > 1 else ''}"
    return text
