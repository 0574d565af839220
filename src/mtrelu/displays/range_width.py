"""Picture of how far apart two optimal networks of two inputs can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from mtrelu.api import Solution
from mtrelu.displays._fitted import input_names, solution_of, tasks_of
from mtrelu.displays._plane import grid_points, plane_grid, scaling_of
from mtrelu.displays._style import BLUE, GREY, INK, colour_bar, literal, new_axes, plain, task_names
from mtrelu.scaling import Scaling


class RangeWidthDisplay:
    """How far apart two optimal networks can be, over two inputs.

    Parameters
    ----------
    X : ndarray of shape (N, 2)
        Inputs.
    grid : tuple of ndarray of shape (G,) and (H,)
        Where the width is known, along each input, ascending.
    width : ndarray of shape (H, G)
        Largest minus smallest prediction of all optimal networks there; infinite where nothing
        bounds them.
    verdict : str
        Whether the optimum is one function.
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
    """

    def __init__(
        self,
        *,
        X: np.ndarray,
        grid: tuple[np.ndarray, np.ndarray],
        width: np.ndarray,
        verdict: str,
        task: str = "task",
        input_names: Sequence[str] = ("x1", "x2"),
    ) -> None:
        self.X = X
        self.grid = grid
        self.width = width
        self.verdict = verdict
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
        optimal_set: Any = None,
        n_grid: int = 25,
    ) -> Self:
        """Find the range of one task over a grid, two linear programs a point.

        Parameters
        ----------
        solution, task, tasks, input_names, scaling
            As for `SurfaceDisplay.from_solution`.
        optimal_set : OptimalPolytope, optional
            ``solution.optimal_set()``, where it is at hand already.
        n_grid : int, default=25
            Points along each input.

        Returns
        -------
        RangeWidthDisplay
            Not yet drawn; call `plot`.

        Raises
        ------
        InvalidInputError
            A solution of another number of inputs, or a task that it does not have.
        """
        scaling_of(solution, task, scaling)
        displays = cls.of_tasks(
            solution,
            tasks=tasks,
            input_names=input_names,
            scaling=scaling,
            optimal_set=optimal_set,
            n_grid=n_grid,
        )
        return displays[task]

    @classmethod
    def of_tasks(
        cls,
        solution: Solution,
        *,
        tasks: Sequence[str] | None = None,
        input_names: Sequence[str] = ("x1", "x2"),
        scaling: Scaling | None = None,
        optimal_set: Any = None,
        n_grid: int = 25,
    ) -> list[Self]:
        """Find the ranges of all tasks at once; parameters as for `from_solution`.

        Returns
        -------
        list of RangeWidthDisplay
            One a task.
        """
        scaling = scaling_of(solution, 0, scaling)
        optima = optimal_set or solution.optimal_set()
        X = solution.problem.X * scaling.spread + scaling.centre
        grid = plane_grid(X, n_grid)
        low, high = optima.range(scaling.inputs(grid_points(grid)))
        widths = (high - low) * scaling.task_spread
        return [
            cls(
                X=X,
                grid=grid,
                width=width.reshape(len(grid[1]), len(grid[0])),
                verdict=optima.verdict.value,
                task=name,
                input_names=input_names,
            )
            for width, name in zip(
                widths.T, task_names(tasks, solution.problem.n_tasks), strict=True
            )
        ]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        task: int = 0,
        tasks: Sequence[str] | None = None,
        n_grid: int = 25,
    ) -> Self:
        """Find the range of one task of a fitted estimator over its data.

        Parameters
        ----------
        estimator : ReLURegressor, ReLUClassifier
            Fitted by `alpha` to two inputs.
        X, y : array-like, optional
            Only the names of their columns are used: of the inputs, and of the tasks.
        task : int, default=0
            Which task.
        tasks : sequence of str, optional
            Names of all tasks; by default those of the columns of `y`, or numbers.
        n_grid : int, default=25
            Points along each input.

        Returns
        -------
        RangeWidthDisplay
            Not yet drawn; call `plot`.
        """
        solution = solution_of(estimator)
        problem = solution.problem
        return cls.from_solution(
            solution,
            task,
            tasks=tasks_of(estimator, y, tasks, problem.n_tasks),
            input_names=input_names(estimator, X, problem.n_inputs),
            n_grid=n_grid,
        )

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or matplotlib.figure.Figure, optional
            Where to; a new figure of pyplot's if not given.

        Returns
        -------
        RangeWidthDisplay
            Itself, with `ax_` and `figure_`.
        """
        self.ax_ = ax = new_axes(ax, (6.4, 4.8))
        self.figure_ = ax.figure
        finite = self.width[np.isfinite(self.width)]
        image = ax.pcolormesh(
            *self.grid, np.ma.masked_invalid(self.width), cmap="magma_r", vmin=0.0,
            vmax=float(finite.max(initial=0.0)) or 1.0, shading="nearest", rasterized=True,
        )  # fmt: skip
        ax.set_facecolor(GREY)  # where nothing bounds the range
        ax.scatter(*self.X.T, s=12.0, color=BLUE, edgecolors="white", linewidths=0.6, zorder=3)
        ax.set(xlabel=literal(self.input_names[0]), ylabel=literal(self.input_names[1]))
        ax.set_title(f"{literal(self.task)} (optimum: {self.verdict})", fontsize=10, color=INK)
        colour_bar(image, ax).set_label("two optimal networks differ by up to", fontsize=8)
        plain(ax)
        return self
