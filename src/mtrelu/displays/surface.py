"""Picture of one task over two inputs: contours or a surface, and the lines of the neurons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from mtrelu.api import Solution
from mtrelu.displays._fitted import (
    input_names,
    labels_of,
    network_of,
    outputs,
    outputs_of_loss,
    refuse_unless_plane,
    tasks_of,
)
from mtrelu.displays._plane import grid_points, plane_grid, refuse_unless_task, scaling_of
from mtrelu.displays._style import INK, RED, colour_bar, literal, new_axes, plain, task_names
from mtrelu.scaling import Scaling
from mtrelu.validation import InvalidInputError, as_inputs

WIDEST = 2.6
"""Width in points of the line of the strongest neuron."""


class SurfaceDisplay:
    """One task over two inputs: contours or a surface, the data, and the lines of the neurons.

    A neuron is a line along which the task bends; its width shows the neuron's strength ‖v‖‖w‖.
    Outside the convex hull of the data, where the network extrapolates, the contours are faded.

    Parameters
    ----------
    X : ndarray of shape (N, 2)
        Inputs.
    y : ndarray of shape (N,)
        Labels of the task; NaN where there is none.
    grid : tuple of ndarray of shape (G,) and (H,)
        Where the task is drawn, along each input, ascending.
    values : ndarray of shape (H, G)
        The task there.
    w : ndarray of shape (K, 2)
        Weights of the neurons, which have their lines at w·x + b = 0.
    b : ndarray of shape (K,)
        Biases.
    strengths : ndarray of shape (K,)
        ‖v_k‖‖w_k‖ in the units of the fit.
    task : str
        Name of the task.
    input_names : sequence of str
        Names of the two inputs.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.

    Examples
    --------
    >>> import mtrelu, numpy as np
    >>> from mtrelu.displays import SurfaceDisplay
    >>> X = np.random.default_rng(0).uniform(-1, 1, (12, 2))
    >>> solution = mtrelu.solve(X, np.abs(X[:, 0]), alpha=0.1)
    >>> SurfaceDisplay.from_solution(solution, n_grid=50).values.shape
    (50, 50)
    """

    def __init__(
        self,
        *,
        X: np.ndarray,
        y: np.ndarray,
        grid: tuple[np.ndarray, np.ndarray],
        values: np.ndarray,
        w: np.ndarray,
        b: np.ndarray,
        strengths: np.ndarray,
        task: str = "task",
        input_names: Sequence[str] = ("x1", "x2"),
    ) -> None:
        self.X = X
        self.y = y
        self.grid = grid
        self.values = values
        self.w = w
        self.b = b
        self.strengths = strengths
        self.task = task
        self.input_names = list(input_names)

    @classmethod
    def from_solution(
        cls,
        solution: Solution,
        task: int = 0,
        *,
        tasks: Sequence[str] | None = None,
        input_names: Sequence[str] = ("x1", "x2"),
        scaling: Scaling | None = None,
        n_grid: int = 200,
    ) -> Self:
        """Evaluate one task of a solution for drawing.

        With the logistic loss that is a probability.

        Parameters
        ----------
        solution : Solution
            What `mtrelu.solve` returned for two inputs.
        task : int, default=0
            Which task.
        tasks : sequence of str, optional
            Names of all tasks; numbers if not given.
        input_names : sequence of str, default=("x1", "x2")
            Names of the inputs.
        scaling : Scaling, optional
            The units of the fit, where the data were scaled before it; the picture is in the
            data's own units.
        n_grid : int, default=200
            Points along each input.

        Returns
        -------
        SurfaceDisplay
            Not yet drawn; call `plot`.

        Raises
        ------
        InvalidInputError
            A solution of another number of inputs, or a task that it does not have.
        """
        scaling = scaling_of(solution, task, scaling)
        problem = solution.problem
        network = scaling.in_own_units(solution.network)
        X = problem.X * scaling.spread + scaling.centre
        grid = plane_grid(X, n_grid)
        unit = solution.network.unit_norm()
        lines = scaling.in_own_units(unit)
        values, _ = outputs_of_loss(problem.loss, network(grid_points(grid)))
        return cls(
            X=X,
            y=np.where(problem.used, problem.Y, np.nan)[:, task] * scaling.task_spread[task],
            grid=grid,
            values=values[:, task].reshape(len(grid[1]), len(grid[0])),
            w=lines.w,
            b=lines.b,
            strengths=np.linalg.norm(unit.v, axis=1),
            task=task_names(tasks, problem.n_tasks)[task],
            input_names=input_names,
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        task: int = 0,
        tasks: Sequence[str] | None = None,
        n_grid: int = 200,
    ) -> Self:
        """Evaluate one task of a fitted estimator of two inputs for drawing.

        Parameters
        ----------
        estimator : ReLURegressor, ReLUClassifier or another estimator whose fit is a network
            Fitted. Of a classifier the probability of one class against all others is drawn, and
            the labels 0 and 1.
        X : array-like of shape (N, 2)
            The inputs to draw.
        y : array-like of shape (N,) or (N, T)
            The labels to draw.
        task : int, default=0
            Which task.
        tasks : sequence of str, optional
            Names of all tasks; by default those of the columns of `y`, or numbers.
        n_grid : int, default=200
            Points along each input.

        Returns
        -------
        SurfaceDisplay
            Not yet drawn; call `plot`.

        Raises
        ------
        InvalidInputError
            An estimator of another number of inputs, or a task that it does not have.
        """
        network, inputs = network_of(estimator), as_inputs(X)
        refuse_unless_plane(network.n_inputs)
        refuse_unless_task(task, network.n_tasks)
        grid, unit = plane_grid(inputs, n_grid), network.unit_norm()
        values, _ = outputs(estimator, network(grid_points(grid)))
        return cls(
            X=inputs,
            y=labels_of(estimator, X, y)[:, task],
            grid=grid,
            values=values[:, task].reshape(len(grid[1]), len(grid[0])),
            w=unit.w,
            b=unit.b,
            strengths=np.linalg.norm(unit.v, axis=1),
            task=task_names(tasks_of(estimator, y, tasks, network.n_tasks), network.n_tasks)[task],
            input_names=input_names(estimator, X, 2),
        )

    def plot(self, ax: Any = None, *, kind: str = "contour") -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to; a new figure of pyplot's if not given. For a surface, one with
            ``projection="3d"``.
        kind : {"contour", "surface"}, default="contour"
            The view from above, or in perspective.

        Returns
        -------
        SurfaceDisplay
            Itself, with `ax_` and `figure_`.
        """
        if kind not in ("contour", "surface"):
            raise InvalidInputError(f'kind is {kind!r}; pass "contour" or "surface".')
        if kind == "surface" and ax is not None and not hasattr(ax, "plot_surface"):
            raise InvalidInputError(
                'ax is flat, but a surface needs depth; pass axes with projection="3d".'
            )
        self.ax_ = new_axes(ax, (6.4, 4.8), "3d" if kind == "surface" else None)
        self.figure_ = self.ax_.figure
        (self._draw_surface if kind == "surface" else self._draw_contours)(self.ax_)
        self.ax_.set(xlabel=literal(self.input_names[0]), ylabel=literal(self.input_names[1]))
        self.ax_.set_title(literal(self.task), fontsize=10, color=INK)
        return self

    def neuron_lines(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the parts of the neurons' lines that the picture shows.

        Returns
        -------
        segments : ndarray of shape (n, 2, 2)
            Both ends of each.
        neurons : ndarray of shape (n,), int
            Which neurons they belong to; those that bend outside the picture are missing.
        """
        low = np.array([axis[0] for axis in self.grid])
        size = np.array([axis[-1] for axis in self.grid]) - low
        # In coordinates where the picture is the unit square, along point + t · direction.
        w = self.w * size
        norm = np.linalg.norm(w, axis=1)
        seen = np.flatnonzero(norm > 0.0)
        w, offset = w[seen] / norm[seen, None], (self.b + self.w @ low)[seen] / norm[seen]
        middle = np.full(2, 0.5)
        point = middle - (w @ middle + offset)[:, None] * w
        direction = np.column_stack([-w[:, 1], w[:, 0]])
        with np.errstate(divide="ignore", invalid="ignore"):
            at = np.stack([(0.0 - point) / direction, (1.0 - point) / direction])
        inside = (point >= 0.0) & (point <= 1.0)
        parallel = direction == 0.0
        start = np.where(parallel, np.where(inside, -np.inf, np.inf), at.min(axis=0)).max(axis=1)
        stop = np.where(parallel, np.where(inside, np.inf, -np.inf), at.max(axis=0)).min(axis=1)
        crosses = start < stop
        t = np.stack([start, stop], axis=1)[crosses]
        ends = point[crosses, None, :] + t[:, :, None] * direction[crosses, None, :]
        return low + ends * size, seen[crosses]

    def _draw_contours(self, ax: Any) -> None:
        from matplotlib.collections import LineCollection

        levels, norm = self._levels()
        filled = ax.contourf(
            *self.grid, self.values, levels=levels, norm=norm, cmap="viridis", extend="both"
        )
        _fade_outside(ax, self.X, self.grid)
        segments, neurons = self.neuron_lines()
        share = self.strengths[neurons] / self.strengths.max(initial=0.0)
        widths = WIDEST * np.sqrt(share)
        for colour, wider in (("white", 1.2), (INK, 0.0)):
            ax.add_collection(
                LineCollection(list(segments), linewidths=widths + wider, colors=colour, zorder=2.5)
            )
        few = len(self.X) <= 100
        ax.scatter(
            *self.X.T, c=self.y, norm=norm, cmap="viridis", s=28.0 if few else 13.0,
            edgecolors="white", linewidths=0.8 if few else 0.4, zorder=3,
        )  # fmt: skip
        ax.set(xlim=self.grid[0][[0, -1]], ylim=self.grid[1][[0, -1]])
        colour_bar(filled, ax)
        plain(ax)

    def _draw_surface(self, ax: Any) -> None:
        _, norm = self._levels()
        # Thinned here: matplotlib would pad its polygons with NaN, and warn when it projects them.
        down, across = (-(-n // 80) for n in self.values.shape)
        thin = np.s_[::down, ::across]
        mesh = [coordinates[thin] for coordinates in np.meshgrid(*self.grid)]
        ax.plot_surface(
            *mesh, self.values[thin], cmap="viridis", norm=norm, rstride=1, cstride=1, lw=0,
            alpha=0.85, antialiased=True,
        )  # fmt: skip
        ax.scatter(*self.X.T, self.y, color=RED, s=12.0, depthshade=False)
        ax.set_zlabel(literal(self.task))
        ax.tick_params(colors=INK, labelsize=8)

    def _levels(self) -> tuple[np.ndarray, Any]:
        """Contour levels that span the labels and the fit at the data, with their colours."""
        from matplotlib.colors import Normalize
        from matplotlib.ticker import MaxNLocator

        low, high = float(np.nanmin(self.y)), float(np.nanmax(self.y))
        if low == high:
            low, high = low - 0.5, high + 0.5
        levels = np.asarray(MaxNLocator(14).tick_values(low, high))
        return levels, Normalize(levels[0], levels[-1])


def _fade_outside(ax: Any, X: np.ndarray, grid: tuple[np.ndarray, np.ndarray]) -> None:
    """Whiten what lies outside the convex hull of the data."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path
    from scipy.spatial import ConvexHull, QhullError

    size = np.array([np.ptp(axis) for axis in grid])
    try:
        hull = X[ConvexHull(X / size).vertices]
    except QhullError:  # all data on a line
        return
    (left, right), (bottom, top) = (axis[[0, -1]] for axis in grid)
    frame = np.array([[left, bottom], [left, top], [right, top], [right, bottom]])
    outlines = []
    for corners in (frame, hull):  # one clockwise, one not: what lies between is filled
        outlines.append(Path(np.vstack([corners, corners[:1]]), closed=True))
    ax.add_patch(
        PathPatch(Path.make_compound_path(*outlines), facecolor="white", alpha=0.6, lw=0, zorder=2)
    )
