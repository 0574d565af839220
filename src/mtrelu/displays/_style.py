"""What all pictures share: colours, figures, names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

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


def literal(name: str) -> str:
    """A name as matplotlib shows it letter by letter: a dollar sign in it starts no formula."""
    return name.replace("$", r"\$")


def n_columns(n_panels: int) -> int:
    return n_panels if n_panels <= 3 else 2 if n_panels == 4 else 3 if n_panels <= 9 else 4


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
    """The axes given, or new ones in the figure given or in a new one."""
    if fills_figure(ax):
        return new_figure(ax, size).add_subplot(projection=projection)
    return ax


def new_panels(
    ax: Any, rows: int, columns: int, size: tuple[float, float], **options: Any
) -> tuple[Any, np.ndarray]:
    """A figure and rows times columns of axes in it, in the place of the axes given, if any."""
    if fills_figure(ax):
        figure = new_figure(ax, size)
        return figure, figure.subplots(rows, columns, squeeze=False, **options)
    place = ax.get_subplotspec()
    if place is None:
        raise InvalidInputError(
            "ax lies freely in its figure, but its place has to be divided into panels; pass axes "
            "made by plt.subplots or figure.add_subplot, or an empty figure."
        )
    ax.set_axis_off()
    shared = {name: options.pop(name) for name in ("sharex", "sharey") if name in options}
    grid = place.subgridspec(rows, columns, **options)
    return ax.figure, grid.subplots(squeeze=False, **shared)


def fills_figure(ax: Any) -> bool:
    """Whether a display has a figure to itself: nothing was given, or an empty figure."""
    return ax is None or hasattr(ax, "set_size_inches")


def sequential() -> Any:
    """From violet to green: viridis without the yellow that thin lines lose on white."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["viridis"](np.linspace(0.0, 0.92, 256)), "mtrelu")


def diverging() -> Any:
    """Blue below zero, red above, and exactly white at zero."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = ["#0b3a6f", BLUE, "white", RED, "#7c2608"]
    return LinearSegmentedColormap.from_list("mtrelu", colours, N=257)  # odd: zero has its own


def colour_bar(drawn: Any, ax: Any) -> Any:
    bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=8)
    return bar
