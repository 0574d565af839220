"""What all pictures share: colours, figures, names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtrelu.api import Solution
from mtrelu.validation import InvalidInputError, MissingExtraError

INK = "#1f2933"
BLUE = "#1d5fa6"
RED = "#c2410c"
GREY = "#9aa5b1"
PANELS = 12
"""The most tasks that get a panel of their own."""
LABELLED = 40
"""The most knots or tasks that are named along an axis."""


def task_names(tasks: Sequence[str] | None, n_tasks: int) -> list[str]:
    """The names given, checked for their number, or numbers from 1.

    Parameters
    ----------
    tasks : sequence of str or None
        Names.
    n_tasks : int
        How many there must be.

    Returns
    -------
    list of str
        One name per task.
    """
    if tasks is None:
        return [f"task {t + 1}" for t in range(n_tasks)]
    if len(tasks) != n_tasks:
        raise InvalidInputError(
            f"tasks has {len(tasks)} names, but there are {n_tasks} tasks; give one name a task."
        )
    return [str(name) for name in tasks]


def new_figure(figure: Any, size: tuple[float, float]) -> Any:
    """The figure given, or a new one of pyplot's, which notebooks then show by themselves."""
    if figure is None:
        try:
            from matplotlib import pyplot
        except ImportError:
            raise MissingExtraError("plot", "matplotlib") from None
        return pyplot.figure(figsize=size, layout="constrained")
    figure.set_size_inches(*size)
    figure.set_layout_engine("constrained")
    return figure


def n_columns(n_panels: int) -> int:
    return 1 if n_panels == 1 else 2 if n_panels <= 4 else 3 if n_panels <= 9 else 4


def plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=8)


def ticks(names: Sequence[str], most: int = LABELLED) -> tuple[list[int], list[str]]:
    """Positions and labels: all names, or evenly chosen ones where they would not be legible."""
    step = -(-len(names) // most) or 1
    positions = list(range(0, len(names), step))
    return positions, [names[i] for i in positions]


def new_axes(ax: Any, size: tuple[float, float], projection: str | None = None) -> Any:
    return new_figure(None, size).add_subplot(projection=projection) if ax is None else ax


def colour_bar(drawn: Any, ax: Any) -> Any:
    bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=8)
    return bar


def refuse_unless_plane(n_inputs: int) -> None:
    """Raise an error for a picture over two inputs when there is another number of them."""
    if n_inputs != 2:
        raise InvalidInputError(
            f"solution has {n_inputs} inputs, but this picture is drawn over two"
            + ("; for one use CurvesDisplay." if n_inputs == 1 else ".")
        )


def solution_of(estimator: Any) -> Solution:
    """Return the solution behind a fitted estimator."""
    solution = getattr(estimator, "_solution", None)
    if not isinstance(solution, Solution):
        raise InvalidInputError(
            "estimator is not a ReLURegressor that was fitted by alpha; call fit(X, y) first, and "
            "leave n_knots out."
        )
    return solution
