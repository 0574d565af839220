"""Pictures of a fit of one input: curves, knots, slope changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from mtrelu.api import Solution
from mtrelu.displays._style import (
    BLUE,
    GREY,
    INK,
    LABELLED,
    PANELS,
    RED,
    n_columns,
    new_figure,
    plain,
    task_names,
    ticks,
)
from mtrelu.optimal_set import OptimalSet
from mtrelu.validation import InvalidInputError


class CurvesDisplay:
    """Data, fitted curves, knots, and the range of all optimal networks.

    Parameters
    ----------
    x : ndarray of shape (N,)
        Inputs.
    Y : ndarray of shape (N, T)
        Labels.
    grid : ndarray of shape (M,)
        Where the curves are drawn, ascending.
    curves, low, high : ndarray of shape (M, T)
        The network there, and the smallest and largest value of any optimal network.
    knots : ndarray of shape (K,)
        Where the slopes change.
    tasks : sequence of str
        The name of each task.
    input_name : str
        The name of the input.

    Attributes
    ----------
    axes_ : list of matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.

    Examples
    --------
    >>> import mtrelu
    >>> from mtrelu.displays import CurvesDisplay
    >>> solution = mtrelu.solve([0, 1, 2, 3], [0, 0, 1, 3], alpha=0.1)
    >>> display = CurvesDisplay.from_solution(solution, tasks=["growth"])
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
        low: np.ndarray,
        high: np.ndarray,
        knots: np.ndarray,
        tasks: Sequence[str],
        input_name: str = "x",
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
        CurvesDisplay
            Not yet drawn; call `plot`.
        """
        problem, network = solution.problem, solution.network
        if problem.X.shape[1] != 1:
            raise InvalidInputError(
                f"solution has {problem.X.shape[1]} inputs; curves are drawn over one."
            )
        x = problem.X[:, 0]
        knots = network.knots()
        inside = knots[(knots >= x.min()) & (knots <= x.max())]
        grid = np.unique(np.concatenate([np.linspace(x.min(), x.max(), n_grid), x, inside]))
        low, high = (optimal_set or solution.optimal_set()).range(grid[:, None])
        names = task_names(tasks, problem.Y.shape[1])
        return cls(
            x=x,
            Y=problem.Y * scale,
            grid=grid,
            curves=network(grid[:, None]) * scale,
            low=low * scale,
            high=high * scale,
            knots=knots,
            tasks=names,
            input_name=input_name,
        )

    def plot(self, figure: Any = None, *, select: Sequence[int] | None = None) -> Self:
        """Draw.

        Up to 12 tasks get a panel each; more share one panel, coloured by their order.

        Parameters
        ----------
        figure : matplotlib.figure.Figure, optional
            Where to; a new one of pyplot's if not given.
        select : sequence of int, optional
            Draw these tasks only.

        Returns
        -------
        CurvesDisplay
            Itself, with `axes_` and `figure_`.
        """
        chosen = list(range(len(self.tasks))) if select is None else list(select)
        columns = n_columns(len(chosen))
        rows = -(-len(chosen) // columns)
        together = len(chosen) > PANELS
        size = (8.0, 4.6) if together else (max(2.4 * columns, 6.4), max(1.9 * rows, 4.0))
        self.figure_ = new_figure(figure, size)
        if together:
            self.axes_ = [self.figure_.add_subplot()]
            self._draw_together(self.axes_[0], chosen)
        else:
            grid = self.figure_.subplots(rows, columns, sharex=True, squeeze=False)
            self.axes_ = list(grid.flat[: len(chosen)])
            for axes in grid.flat[len(chosen) :]:
                axes.remove()
            for axes, task in zip(self.axes_, chosen, strict=True):
                self._draw_one(axes, task)
            # A panel with none below it needs its own labels along x.
            for axes in self.axes_[-columns:]:
                axes.set_xlabel(self.input_name)
                axes.tick_params(labelbottom=True)
            self._legend(self.axes_[0])
        return self

    def _draw_one(self, axes: Any, task: int) -> None:
        plain(axes)
        self._mark_knots(axes)
        axes.fill_between(
            self.grid, self.low[:, task], self.high[:, task], color=BLUE, alpha=0.25, lw=0,
            label="any optimal network",
        )  # fmt: skip
        axes.plot(self.grid, self.curves[:, task], color=BLUE, lw=1.8, label="fitted curve")
        # Few points are seen on the curve, many behind it.
        few = len(self.x) <= 100
        axes.scatter(
            self.x, self.Y[:, task], s=18.0 if few else 6.0, zorder=3 if few else 1.5,
            alpha=1.0 if few else 0.6, color=RED, lw=0, label="data",
        )  # fmt: skip
        axes.set_title(self.tasks[task], fontsize=10, color=INK)

    def _draw_together(self, axes: Any, chosen: list[int]) -> None:
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        plain(axes)
        self._mark_knots(axes)
        colours = colormaps["viridis"](np.linspace(0.0, 0.92, len(chosen)))
        thin = min(1.2, max(0.3, 60.0 / len(chosen)))
        for colour, task in zip(colours, chosen, strict=True):
            axes.fill_between(
                self.grid, self.low[:, task], self.high[:, task], color=colour, alpha=0.3, lw=0
            )
            axes.plot(self.grid, self.curves[:, task], color=colour, lw=thin, alpha=0.8)
        axes.set_xlabel(self.input_name)
        bar = self.figure_.colorbar(
            ScalarMappable(Normalize(0, len(chosen) - 1), colormaps["viridis"]), ax=axes, pad=0.02
        )
        marks = np.unique(np.linspace(0, len(chosen) - 1, 5).round().astype(int))
        bar.set_ticks(marks, labels=[self.tasks[chosen[i]] for i in marks])
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

    def _legend(self, axes: Any) -> None:
        handles, labels = axes.get_legend_handles_labels()
        wide = bool(np.any(self.high - self.low > 1e-6 * np.ptp(self.Y)))
        shown = [(h, t) for h, t in zip(handles, labels, strict=True) if wide or "optimal" not in t]
        self.figure_.legend(
            *zip(*shown, strict=True),
            loc="outside lower center", ncols=len(shown), frameon=False, fontsize=9,
        )  # fmt: skip


class SlopeChangesDisplay:
    """How much each task bends at each knot, as a heat map.

    Parameters
    ----------
    knots : ndarray of shape (K,)
        Where the slopes change, ascending.
    slope_changes : ndarray of shape (K, T)
        By how much, for each task.
    tasks : sequence of str
        The name of each task.
    input_name : str
        The name of the input.

    Attributes
    ----------
    axes_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Its figure.
    """

    def __init__(
        self,
        *,
        knots: np.ndarray,
        slope_changes: np.ndarray,
        tasks: Sequence[str],
        input_name: str = "x",
    ) -> None:
        self.knots = knots
        self.slope_changes = slope_changes
        self.tasks = list(tasks)
        self.input_name = input_name

    @classmethod
    def from_network(
        cls, network: Any, *, tasks: Sequence[str] | None = None, input_name: str = "x"
    ) -> Self:
        """Take the knots of a network of one input.

        Parameters
        ----------
        network : ReLUNetwork
            The network.
        tasks : sequence of str, optional
            Names; numbers if not given.
        input_name : str, default="x"
            Name of the input.

        Returns
        -------
        SlopeChangesDisplay
            Not yet drawn; call `plot`.
        """
        names = task_names(tasks, network.n_tasks)
        changes = network.slope_changes()
        return cls(knots=network.knots(), slope_changes=changes, tasks=names, input_name=input_name)

    def plot(self, figure: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        figure : matplotlib.figure.Figure, optional
            Where to; a new one of pyplot's if not given.

        Returns
        -------
        SlopeChangesDisplay
            Itself, with `axes_` and `figure_`.
        """
        n_knots, n_tasks = self.slope_changes.shape
        self.figure_ = new_figure(figure, (8.0, min(2.0 + 0.14 * n_tasks, 11.0)))
        self.axes_ = self.figure_.add_subplot()
        largest = np.abs(self.slope_changes).max(initial=0.0) or 1.0
        shown = self.slope_changes if n_knots else np.zeros((1, n_tasks))
        image = self.axes_.imshow(
            shown.T, aspect="auto", cmap="RdBu_r", vmin=-largest, vmax=largest,
            interpolation="nearest",
        )  # fmt: skip
        self.axes_.set_xticks(
            *ticks([f"{knot:.6g}" for knot in self.knots]),
            fontsize=8, rotation=90 if n_knots > PANELS else 0,
        )  # fmt: skip
        self.axes_.set_yticks(*ticks(self.tasks, most=70), fontsize=7 if n_tasks > 20 else 9)
        self.axes_.set_xlabel(f"knot ({self.input_name})")
        if n_knots == 0:
            self.axes_.set_title("no knots: every curve is a straight line", fontsize=10)
        self.axes_.tick_params(length=0)
        self.axes_.spines[:].set_visible(False)
        bar = self.figure_.colorbar(image, ax=self.axes_, pad=0.02, shrink=0.8)
        bar.set_label("slope change", fontsize=8)
        bar.outline.set_visible(False)
        return self
