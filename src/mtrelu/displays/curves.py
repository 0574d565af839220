"""Picture of a fit of one input: data, curves, knots, and the range of all optimal networks."""

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
    tasks_of,
)
from mtrelu.displays._style import (
    BLUE,
    GREY,
    INK,
    LABELLED,
    PANELS,
    RED,
    fills_figure,
    literal,
    n_columns,
    new_panels,
    plain,
    sequential,
    task_names,
)
from mtrelu.optimal_set import OptimalSet
from mtrelu.validation import InvalidInputError, as_inputs

FEW = 100
"""So many points are drawn on the curve; more are drawn behind it."""
TOGETHER = 300
"""So many curves are drawn in one panel; of more tasks, evenly chosen ones."""
SEEN = 5e-3
"""A range narrower than this share of that of the labels is hidden by the curve."""


class FittedCurvesDisplay:
    """Data, fitted curves, knots, and the range of all optimal networks, over one input.

    Up to 12 tasks get a panel each; more share one panel, coloured by their order. Of more than 300
    tasks as many are drawn, evenly chosen.

    Parameters
    ----------
    x : ndarray of shape (N,)
        Inputs.
    Y : ndarray of shape (N, T)
        Labels; NaN where there is none.
    grid : ndarray of shape (M,)
        Where the curves are drawn, ascending.
    curves : ndarray of shape (M, T)
        The network there.
    low, high : ndarray of shape (M, T), or None
        The smallest and largest value of any optimal network there; None where it is not known.
    knots : ndarray of shape (K,)
        Where the slopes change.
    tasks : sequence of str
        The name of each task.
    input_name : str, default="x"
        The name of the input.
    output_name : str, default=""
        What the curves are, along the axis; nothing where the tasks say it.

    Attributes
    ----------
    ax_ : ndarray of shape (n_panels,) of matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.

    Examples
    --------
    >>> import mtrelu
    >>> from mtrelu.displays import FittedCurvesDisplay
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 0.0, 1.0, 3.0]
    >>> model = mtrelu.ReLURegressor(alpha=0.1).fit(X, y)
    >>> display = FittedCurvesDisplay.from_estimator(model, X, y, tasks=["growth"])
    >>> display.curves.shape == (len(display.grid), 1)
    True
    """

    def __init__(
        self,
        *,
        x: np.ndarray,
        Y: np.ndarray,
        grid: np.ndarray,
        curves: np.ndarray,
        low: np.ndarray | None,
        high: np.ndarray | None,
        knots: np.ndarray,
        tasks: Sequence[str],
        input_name: str = "x",
        output_name: str = "",
    ) -> None:
        self.x = x
        self.Y = Y
        self.grid = grid
        self.curves = curves
        self.low = low
        self.high = high
        self.knots = knots
        self.tasks = list(tasks)
        self.input_name = input_name
        self.output_name = output_name

    @classmethod
    def from_solution(
        cls,
        solution: Solution,
        *,
        tasks: Sequence[str] | None = None,
        input_name: str = "x",
        scale: np.ndarray | float = 1.0,
        optimal_set: OptimalSet | None = None,
        n_grid: int = 400,
    ) -> Self:
        """Evaluate a solution of one input for drawing.

        With the logistic loss the curves are probabilities.

        Parameters
        ----------
        solution : Solution
            What `mtrelu.solve` returned.
        tasks : sequence of str, optional
            Names; numbers if not given.
        input_name : str, default="x"
            Name of the input.
        scale : float or ndarray of shape (T,), default=1.0
            What to multiply each task by, for tasks that were divided by it before the fit.
        optimal_set : OptimalSet, optional
            ``solution.optimal_set()``, where it is at hand already.
        n_grid : int, default=400
            Evenly spaced points, besides all data points and knots.

        Returns
        -------
        FittedCurvesDisplay
            Not yet drawn; call `plot`.

        Raises
        ------
        InvalidInputError
            A solution of another number of inputs, or names that are not one a task.
        """
        problem, network = solution.problem, solution.network
        _refuse_unless_line(problem.n_inputs)
        x, knots = problem.X[:, 0], network.knots()
        grid = _grid(x, knots, n_grid)
        low, high = (optimal_set or solution.optimal_set()).range(grid[:, None])
        curves, output_name = outputs_of_loss(problem.loss, network(grid[:, None]) * scale)
        low, high = (outputs_of_loss(problem.loss, end * scale)[0] for end in (low, high))
        return cls(
            x=x,
            Y=np.where(problem.used, problem.Y, np.nan) * scale,
            grid=grid,
            curves=curves,
            low=low,
            high=high,
            knots=knots,
            tasks=task_names(tasks, problem.n_tasks),
            input_name=input_name,
            output_name=output_name,
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        tasks: Sequence[str] | None = None,
        n_grid: int = 400,
    ) -> Self:
        """Evaluate a fitted estimator of one input for drawing.

        Parameters
        ----------
        estimator : ReLURegressor, ReLUClassifier or another estimator whose fit is a network
            Fitted. For a classifier the curves are probabilities, of each class against all others,
            and the labels 0 and 1.
        X : array-like of shape (N, 1) or (N,)
            The inputs to draw, and the ends of the curves.
        y : array-like of shape (N,) or (N, T)
            The labels to draw.
        tasks : sequence of str, optional
            Names; by default those of the columns of `y`, or numbers.
        n_grid : int, default=400
            Evenly spaced points, besides all data points and knots.

        Returns
        -------
        FittedCurvesDisplay
            Not yet drawn; call `plot`. Without `low` and `high` where the estimator does not know
            the range of all optimal networks: fitted with `n_knots`, or loaded without its data.

        Raises
        ------
        InvalidInputError
            An estimator of another number of inputs; data that do not fit it.
        """
        network = network_of(estimator)
        _refuse_unless_line(network.n_inputs)
        x, knots = as_inputs(X)[:, 0], network.knots()
        grid = _grid(x, knots, n_grid)
        fitted = getattr(estimator, "_solution", None)
        low, high = None, None
        if fitted is not None:
            ends = fitted.optimal_set().range(grid[:, None])
            low, high = (outputs(estimator, end)[0] for end in ends)
        curves, output_name = outputs(estimator, network(grid[:, None]))
        return cls(
            x=x,
            Y=labels_of(estimator, X, y),
            grid=grid,
            curves=curves,
            low=low,
            high=high,
            knots=knots,
            tasks=task_names(tasks_of(estimator, y, tasks, network.n_tasks), network.n_tasks),
            input_name=input_names(estimator, X, 1)[0],
            output_name=output_name,
        )

    def plot(self, ax: Any = None, *, select: Sequence[int] | None = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or matplotlib.figure.Figure, optional
            Where to: axes, whose place the panels share, or an empty figure. A new figure of
            pyplot's if not given.
        select : sequence of int, optional
            Draw these tasks only.

        Returns
        -------
        FittedCurvesDisplay
            Itself, with `ax_` and `figure_`.
        """
        chosen = list(range(len(self.tasks))) if select is None else list(select)
        if len(chosen) > PANELS:
            self.figure_, panels = new_panels(ax, 1, 1, (8.0, 4.6))
            self.ax_ = panels[0]
            self._draw_together(self.ax_[0], chosen)
            return self
        columns = n_columns(len(chosen))
        rows = -(-len(chosen) // columns)
        size = (max(2.4 * columns, 6.4), max(1.9 * rows, 4.0))
        self.figure_, panels = new_panels(ax, rows, columns, size, sharex=True)
        self.ax_ = panels.ravel()[: len(chosen)]
        for axes in panels.ravel()[len(chosen) :]:
            axes.remove()
        for axes, task in zip(self.ax_, chosen, strict=True):
            self._draw_one(axes, task)
        # A panel with none below it needs its own labels along x.
        for axes in self.ax_[-columns:]:
            axes.set_xlabel(literal(self.input_name))
            axes.tick_params(labelbottom=True)
        for axes in self.ax_[::columns]:
            axes.set_ylabel(literal(self.output_name))
        self._legend(self.ax_[0], outside=fills_figure(ax))
        return self

    def _draw_one(self, axes: Any, task: int) -> None:
        plain(axes)
        self._mark_knots(axes)
        if self.low is not None and self.high is not None:
            axes.fill_between(
                self.grid, self.low[:, task], self.high[:, task], color=BLUE, alpha=0.25, lw=0,
                label="any optimal network",
            )  # fmt: skip
        axes.plot(self.grid, self.curves[:, task], color=BLUE, lw=1.8, label="fitted curve")
        few = len(self.x) <= FEW
        axes.scatter(
            self.x, self.Y[:, task], s=18.0 if few else 6.0, zorder=3 if few else 1.5,
            alpha=1.0 if few else 0.6, color=RED, lw=0, label="data",
        )  # fmt: skip
        axes.set_title(literal(self.tasks[task]), fontsize=10, color=INK)

    def _draw_together(self, axes: Any, chosen: list[int]) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        plain(axes)
        self._mark_knots(axes)
        last, n_drawn = len(chosen) - 1, min(len(chosen), TOGETHER)
        places = np.linspace(0, last, n_drawn).round().astype(int)
        thin = min(1.2, max(0.4, 80.0 / n_drawn))
        for place in places:
            colour, task = sequential()(place / last), chosen[place]
            if self.low is not None and self.high is not None:
                axes.fill_between(
                    self.grid, self.low[:, task], self.high[:, task], color=colour, alpha=0.3, lw=0
                )
            axes.plot(self.grid, self.curves[:, task], color=colour, lw=thin, alpha=0.8)
        axes.set(xlabel=literal(self.input_name), ylabel=literal(self.output_name))
        some = f"{n_drawn} of {len(chosen)}" if n_drawn <= last else f"{n_drawn}"
        axes.set_title(f"{some} tasks, their curves and knots", fontsize=10, color=INK)
        bar = self.figure_.colorbar(
            ScalarMappable(Normalize(0, last), sequential()), ax=axes, pad=0.02
        )
        marks = np.unique(np.linspace(0, last, 5).round().astype(int))
        bar.set_ticks(marks, labels=[literal(self.tasks[chosen[i]]) for i in marks])
        bar.ax.tick_params(colors=INK, labelsize=8)
        bar.outline.set_visible(False)

    def _mark_knots(self, axes: Any) -> None:
        """Dashed lines; marks along the bottom where lines would hide the curve."""
        if len(self.knots) > LABELLED:
            bottom = np.zeros(len(self.knots))
            axes.plot(self.knots, bottom, "|", color=INK, ms=9, mew=0.7, label="knot",
                      transform=axes.get_xaxis_transform())  # fmt: skip
            return
        for i, knot in enumerate(self.knots):
            axes.axvline(knot, color=GREY, lw=0.8, ls=(0, (3, 3)), zorder=0,
                         label="knot" if i == 0 else None)  # fmt: skip

    def _legend(self, axes: Any, outside: bool) -> None:
        handles, labels = axes.get_legend_handles_labels()
        wide = False
        if self.low is not None and self.high is not None:
            extent = np.nanmax(self.Y, initial=-np.inf) - np.nanmin(self.Y, initial=np.inf)
            wide = bool(np.any(self.high - self.low > SEEN * extent))
        shown = [(h, t) for h, t in zip(handles, labels, strict=True) if wide or "optimal" not in t]
        entries = zip(*reversed(shown), strict=True)
        if outside:
            self.figure_.legend(
                *entries, loc="outside lower center", ncols=len(shown), frameon=False, fontsize=9
            )
        else:  # the rest of the figure is not this display's
            axes.legend(*entries, frameon=False, fontsize=8)


def _refuse_unless_line(n_inputs: int) -> None:
    if n_inputs != 1:
        raise InvalidInputError(
            f"there are {n_inputs} inputs, but curves are drawn over one"
            + ("; for two use SurfaceDisplay." if n_inputs == 2 else ".")
        )


def _grid(x: np.ndarray, knots: np.ndarray, n_grid: int) -> np.ndarray:
    """Return evenly spaced points, all data points, and all knots between them, ascending."""
    inside = knots[(knots >= x.min()) & (knots <= x.max())]
    return np.unique(np.concatenate([np.linspace(x.min(), x.max(), n_grid), x, inside]))
