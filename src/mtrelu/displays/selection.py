"""Picture of how alpha was chosen."""

from __future__ import annotations

from typing import Any, Self

from mtrelu.displays._style import BLUE, RED, new_axes, plain
from mtrelu.selection import Selection
from mtrelu.validation import InvalidInputError


class SelectionDisplay:
    """Held-out loss against alpha.

    Parameters
    ----------
    selection : Selection
        What `mtrelu.selection.select_alpha` returned.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes drawn on.
    figure_ : matplotlib.figure.Figure
        Its figure.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any = None, y: Any = None) -> Self:
        """Take the choice of a fitted estimator.

        Parameters
        ----------
        estimator : ReLURegressorCV
            Fitted.
        X, y : array-like, optional
            Not used; all displays are called alike.

        Returns
        -------
        SelectionDisplay
            Not yet drawn; call `plot`.

        Raises
        ------
        InvalidInputError
            An estimator that was fitted for a given penalty.
        """
        if not hasattr(estimator, "selection_"):
            raise InvalidInputError(
                f"estimator is a {type(estimator).__name__} that has chosen no alpha; fit a "
                "ReLURegressorCV."
            )
        return cls(estimator.selection_)

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or matplotlib.figure.Figure, optional
            Where to; a new figure of pyplot's if not given.

        Returns
        -------
        SelectionDisplay
            Itself, with `ax_` and `figure_`.
        """
        choice = self.selection
        self.ax_ = axes = new_axes(ax, (8.0, 3.4))
        self.figure_ = axes.figure
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
