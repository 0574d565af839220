"""Picture of how alpha was chosen."""

from __future__ import annotations

from typing import Any, Self

from mtrelu.displays._style import BLUE, RED, new_figure, plain
from mtrelu.selection import Selection


class SelectionDisplay:
    """Held-out loss against alpha.

    Parameters
    ----------
    selection : Selection
        What `mtrelu.selection.select_alpha` returned.

    Attributes
    ----------
    axes_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Its figure.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection

    def plot(self, figure: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        figure : matplotlib.figure.Figure, optional
            Where to; a new one of pyplot's if not given.

        Returns
        -------
        SelectionDisplay
            Itself, with `axes_` and `figure_`.
        """
        choice = self.selection
        self.figure_ = new_figure(figure, (8.0, 3.4))
        self.axes_ = axes = self.figure_.add_subplot()
        plain(axes)
        axes.set_xscale("log")
        axes.fill_between(
            choice.alphas, choice.mean - choice.standard_error,
            choice.mean + choice.standard_error, color=BLUE, alpha=0.18, lw=0,
            label="± one standard error over the folds",
        )  # fmt: skip
        axes.plot(choice.alphas, choice.mean, "o-", ms=3.5, color=BLUE, label="mean held-out loss")
        axes.axvline(choice.alpha, color=RED, lw=1.2, label=f"chosen: alpha = {choice.alpha:.4g}")
        axes.set_xlabel("alpha (left: follows the data, right: does not bend)")
        axes.set_ylabel("loss per held-out label")
        axes.legend(
            loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False, fontsize=9,
            borderaxespad=0.2,
        )  # fmt: skip
        return self
