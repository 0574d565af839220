"""Picture of the dual function of one input: where an optimal network may bend."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from mtrelu.api import Solution
from mtrelu.displays._fitted import input_names, solution_of
from mtrelu.displays._style import BLUE, GREY, INK, RED, literal, new_axes, plain
from mtrelu.displays.dual import dual_variable
from mtrelu.solvers.interpolation import interpolate
from mtrelu.validation import InvalidInputError

SIDES = ("w > 0: acts to the right", "w < 0: to the left")
MARKED = 300
"""So many data points are marked along the axis."""


class DualLineDisplay:
    """The dual function over all knots of one input, and where the network's knots lie.

    A neuron with unit weight w = ±1 and its knot at s adds w(x − s) on one side of it. The dual
    function g(s) = ‖Σ_i p_i (w(x_i − s))₊‖ says how much a neuron there would still gain. A network
    is optimal exactly when g is nowhere above alpha, and alpha at its knots; for alpha = 0 the
    level is 1. With an affine skip connection both signs of w have the same g.

    Parameters
    ----------
    x : ndarray of shape (N,)
        Inputs of the data.
    grid : ndarray of shape (M,)
        Where g is drawn, ascending: at all data, all knots between them, and evenly.
    g : ndarray of shape (M, 1) or (M, 2)
        The dual function there, divided by its level; a column for w > 0 and one for w < 0 where
        they differ.
    knots : ndarray of shape (K,)
        The network's knots between the data.
    heights : ndarray of shape (K,)
        g there.
    strengths : ndarray of shape (K,)
        ‖v_k‖‖w_k‖.
    input_name : str, default="x"
        Name of the input.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.

    Examples
    --------
    >>> import mtrelu
    >>> from mtrelu.displays import DualLineDisplay
    >>> solution = mtrelu.solve([0, 1, 2, 3, 4], [0, 1, 2, 1, 0], alpha=0.1)
    >>> display = DualLineDisplay.from_solution(solution)
    >>> display.knots, display.heights.round(6)
    (array([2.]), array([1.]))
    """

    def __init__(
        self,
        *,
        x: np.ndarray,
        grid: np.ndarray,
        g: np.ndarray,
        knots: np.ndarray,
        heights: np.ndarray,
        strengths: np.ndarray,
        input_name: str = "x",
    ) -> None:
        self.x = x
        self.grid = grid
        self.g = g
        self.knots = knots
        self.heights = heights
        self.strengths = strengths
        self.input_name = input_name

    @classmethod
    def from_solution(cls, solution: Solution, *, input_name: str = "x", n_grid: int = 400) -> Self:
        """Evaluate the dual function of a solution.

        Parameters
        ----------
        solution : Solution
            What `mtrelu.solve` returned for one input.
        input_name : str, default="x"
            Name of the input.
        n_grid : int, default=400
            Evenly spaced points, besides all data points and knots.

        Returns
        -------
        DualLineDisplay
            Not yet drawn; call `plot`.

        Raises
        ------
        InvalidInputError
            A solution of another number of inputs.
        """
        problem = solution.problem
        if problem.n_inputs != 1:
            raise InvalidInputError(
                f"solution has {problem.n_inputs} inputs, but this picture is drawn over one"
                + ("; for two use DualFunctionDisplay." if problem.n_inputs == 2 else ".")
            )
        data, sums = _sums(solution)
        unit = solution.network.unit_norm()
        knots = -unit.b * unit.w[:, 0]
        seen = (knots >= data[0]) & (knots <= data[-1])
        knots, left = knots[seen], unit.w[seen, 0] < 0.0
        grid = np.unique(np.concatenate([np.linspace(data[0], data[-1], n_grid), data, knots]))
        g = np.column_stack([np.linalg.norm(_between(grid, data, u), axis=1) for u in sums])
        g /= problem.alpha or 1.0
        side = left.astype(int) if len(sums) == 2 else np.zeros(len(knots), dtype=int)
        return cls(
            x=problem.X[:, 0],
            grid=grid,
            g=g,
            knots=knots,
            heights=g[np.searchsorted(grid, knots), side],
            strengths=np.linalg.norm(unit.v[seen], axis=1),
            input_name=input_name,
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        sample_weight: Any = None,
        n_grid: int = 400,
    ) -> Self:
        """Evaluate the dual function of a fitted estimator.

        Parameters
        ----------
        estimator : ReLURegressor, ReLUClassifier
            Fitted by `alpha` to one input.
        X, y, sample_weight : array-like, optional
            Data to judge the network on; by default those of the fit.
        n_grid : int, default=400
            Evenly spaced points, besides all data points and knots.

        Returns
        -------
        DualLineDisplay
            Not yet drawn; call `plot`.
        """
        solution = solution_of(estimator, X, y, sample_weight)
        return cls.from_solution(
            solution, input_name=input_names(estimator, X, 1)[0], n_grid=n_grid
        )

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or matplotlib.figure.Figure, optional
            Where to; a new figure of pyplot's if not given.

        Returns
        -------
        DualLineDisplay
            Itself, with `ax_` and `figure_`.
        """
        self.ax_ = ax = new_axes(ax, (7.6, 3.6))
        self.figure_ = ax.figure
        plain(ax)
        ax.axhline(
            1.0, color=RED, lw=1.0, ls=(0, (4, 3)), zorder=1, label="an optimum is nowhere above"
        )
        names = SIDES if self.g.shape[1] == 2 else ("dual function",)
        for column, name, style in zip(self.g.T, names, ("-", "--"), strict=False):
            ax.plot(self.grid, column, color=BLUE, lw=1.4, ls=style, label=name)
        ax.fill_between(self.grid, self.g.max(axis=1), color=BLUE, alpha=0.08, lw=0)
        if len(self.knots):
            share = self.strengths / (self.strengths.max() or 1.0)
            ax.scatter(
                self.knots, self.heights, s=14.0 + 60.0 * share, color=RED, edgecolors="white",
                linewidths=0.8, zorder=3, label="knots, larger: stronger",
            )  # fmt: skip
        if len(self.x) <= MARKED:
            ax.plot(self.x, np.zeros(len(self.x)), "|", color=GREY, ms=7, mew=0.8,
                    transform=ax.get_xaxis_transform())  # fmt: skip
        ax.margins(x=0.01)
        ax.set_ylim(0.0, 1.08 * max(1.0, float(self.g.max(initial=0.0))))
        ax.set_xlabel(f"where a neuron bends ({literal(self.input_name)})", color=INK, fontsize=9)
        ax.set_ylabel("dual function / alpha", color=INK, fontsize=9)
        ax.legend(
            loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4 - self.g.shape[1], fontsize=8,
            frameon=False, borderaxespad=0.2,
        )  # fmt: skip
        return self


def _sums(solution: Solution) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the distinct inputs, ascending, and at each Σ_i p_i (w(x_i − s))₊, linear between.

    One array for both signs of w, or one each where they differ.
    """
    problem = solution.problem
    affine = problem.skip == "affine"
    if problem.alpha == 0.0 and affine:  # Theorem 3.1: it has norm 1 where the labels bend
        curve = interpolate(problem.X, problem.Y)
        changes, sizes = curve.slope_changes, curve.changes
        bends = np.flatnonzero(sizes > curve.errors)
        if bends.size == 0:
            return curve.x, [np.zeros_like(curve.Y)]
        inner = np.concatenate([[0], bends + 1, [len(curve.x) - 1]])
        u = np.vstack([
            np.zeros_like(curve.Y[:1]), changes[bends] / sizes[bends, None],
            np.zeros_like(curve.Y[:1]),
        ])  # fmt: skip
        return curve.x, [_between(curve.x, curve.x[inner], u)]
    order = np.argsort(problem.X[:, 0], kind="stable")
    x, P = problem.X[order, 0], dual_variable(solution)[order]
    mass = np.cumsum(P, axis=0)[:-1]
    left = np.vstack([np.zeros_like(P[:1]), np.cumsum(np.diff(x)[:, None] * mass, axis=0)])
    data, first = np.unique(x, return_index=True)
    left = left[first]
    if affine:
        return data, [left]
    # (x − s)₊ − (s − x)₊ = x − s, and the p_i add up to zero.
    return data, [left + (x - x[0]) @ P, left]


def _between(points: np.ndarray, x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interpolate the columns of values (n, r), given at ascending x (n,), linearly."""
    if len(x) == 1:
        return np.repeat(values, len(points), axis=0)
    place = np.clip(np.searchsorted(x, points, side="right") - 1, 0, len(x) - 2)
    share = ((points - x[place]) / (x[place + 1] - x[place]))[:, None]
    return np.asarray((1.0 - share) * values[place] + share * values[place + 1])
