"""Picture of a path of penalties: what the network is made of, and what is proved about it."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from mtrelu.displays._fitted import input_names, problem_of
from mtrelu.displays._style import BLUE, GREY, INK, RED, literal, new_panels, plain, sequential
from mtrelu.path import AlphaPath, alpha_path
from mtrelu.status import Status

SAME = 1e-9
"""Knots closer than this share of the width of the data are one."""
LEAST_GAP = 1e-17
"""Smaller gaps are drawn here: their logarithm would leave the picture."""


class PathDisplay:
    """Neurons over the penalty: their norms, their number, and the certified gap at each penalty.

    With one input every knot has a line of its own, in the colour of its place. With several
    inputs neurons move with the penalty, and the k-th line is the norm of the k-th strongest.

    Parameters
    ----------
    alphas : ndarray of shape (A,)
        Penalties.
    norms : ndarray of shape (A, K)
        ‖v_k‖‖w_k‖ for each knot, or of the k-th strongest neuron; 0 where the network has none.
    knots : ndarray of shape (K,) or None
        The knots; None with several inputs.
    n_neurons : ndarray of shape (A,), int
        Neurons of each network.
    relative_gaps : ndarray of shape (A,)
        Relative duality gap of each network.
    certified : ndarray of shape (A,), bool
        Whether it is proved to be at most `tol`.
    tol : float
        The relative gap that was asked for.
    alpha : float or None, default=None
        A penalty to mark: that of a fit.
    input_name : str, default="x"
        Name of the input, if there is one.

    Attributes
    ----------
    ax_ : ndarray of shape (3,) of matplotlib.axes.Axes
        Norms, numbers, gaps.
    figure_ : matplotlib.figure.Figure
        Their figure.

    Examples
    --------
    >>> import mtrelu
    >>> from mtrelu.displays import PathDisplay
    >>> path = mtrelu.alpha_path([0, 1, 2, 3, 4], [0, 1, 2, 1, 0], n_alphas=4)
    >>> display = PathDisplay.from_path(path)
    >>> display.knots, display.n_neurons, bool(display.certified.all())
    (array([2.]), array([0, 1, 1, 1]), True)
    """

    def __init__(
        self,
        *,
        alphas: np.ndarray,
        norms: np.ndarray,
        knots: np.ndarray | None,
        n_neurons: np.ndarray,
        relative_gaps: np.ndarray,
        certified: np.ndarray,
        tol: float,
        alpha: float | None = None,
        input_name: str = "x",
    ) -> None:
        self.alphas = alphas
        self.norms = norms
        self.knots = knots
        self.n_neurons = n_neurons
        self.relative_gaps = relative_gaps
        self.certified = certified
        self.tol = tol
        self.alpha = alpha
        self.input_name = input_name

    @classmethod
    def from_path(
        cls, path: AlphaPath, *, alpha: float | None = None, input_name: str = "x"
    ) -> Self:
        """Take the neurons of a path apart for drawing.

        Parameters
        ----------
        path : AlphaPath
            What `mtrelu.alpha_path` returned.
        alpha : float, optional
            A penalty to mark.
        input_name : str, default="x"
            Name of the input, if there is one.

        Returns
        -------
        PathDisplay
            Not yet drawn; call `plot`.
        """
        problem = path.solutions[0].problem
        on_line = problem.n_inputs == 1
        norms, knots = (_by_knot if on_line else _by_rank)(path)
        return cls(
            alphas=path.alphas,
            norms=norms,
            knots=knots,
            n_neurons=path.n_neurons,
            relative_gaps=path.relative_gaps,
            certified=np.array([each.status is Status.CERTIFIED for each in path.solutions]),
            tol=path.solutions[0].certificate.tol,
            alpha=alpha,
            input_name=input_name,
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        alphas: Any = None,
        n_alphas: int = 20,
        sample_weight: Any = None,
    ) -> Self:
        """Fit the network of an estimator for a sequence of penalties.

        Parameters
        ----------
        estimator : ReLURegressor, ReLUClassifier
            Fitted. Its loss, skip connection and tolerance are used, and its `alpha_` is marked.
        X, y, sample_weight : array-like
            Data to fit.
        alphas, n_alphas : optional
            As in `mtrelu.alpha_path`.

        Returns
        -------
        PathDisplay
            Not yet drawn; call `plot`.
        """
        problem = problem_of(estimator, X, y, sample_weight)
        path = alpha_path(
            problem.X, problem.Y, alphas, n_alphas=n_alphas, loss=problem.loss, skip=problem.skip,
            tol=estimator.tol, sample_weight=problem.sample_weight,
        )  # fmt: skip
        return cls.from_path(
            path,
            alpha=estimator.alpha_,
            input_name=input_names(estimator, X, problem.n_inputs)[0],
        )

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or matplotlib.figure.Figure, optional
            Where to: axes, whose place the panels share, or an empty figure. A new figure of
            pyplot's if not given.

        Returns
        -------
        PathDisplay
            Itself, with `ax_` and `figure_`.
        """
        self.figure_, panels = new_panels(
            ax, 3, 1, (7.6, 6.8), sharex=True, height_ratios=[3.0, 1.2, 1.5]
        )
        self.ax_ = panels[:, 0]
        for axes in self.ax_:
            plain(axes)
            if self.alpha:
                axes.axvline(self.alpha, color=INK, lw=1.0, ls=(0, (4, 3)), zorder=1)
        self.ax_[0].set_xscale("log")
        self._draw_norms(self.ax_[0])
        self._draw_numbers(self.ax_[1])
        self._draw_gaps(self.ax_[2])
        self.ax_[2].set_xlabel("alpha (left: follows the data, right: does not bend)", fontsize=9)
        if self.alpha:
            self.ax_[0].annotate(
                f"alpha = {self.alpha:.4g}", (self.alpha, 1.0), (0, 3), ha="center", va="bottom",
                xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=8,
                color=INK,
            )  # fmt: skip
        return self

    def _draw_norms(self, axes: Any) -> None:
        from matplotlib.collections import LineCollection

        n_lines = self.norms.shape[1]
        # A line starts and ends at zero, and is not drawn where it stays there.
        there = np.pad(self.norms > 0.0, ((1, 1), (0, 0)))
        seen = there[:-2] | there[1:-1] | there[2:]
        lines = LineCollection(
            [
                np.column_stack([self.alphas[rows], column[rows]])
                for column, rows in zip(self.norms.T, seen.T, strict=True)
            ],
            linewidths=1.4 if n_lines <= 40 else 0.8, cmap=sequential(),
            colors=None if self.knots is not None else BLUE,
            alpha=1.0 if n_lines <= 40 else 0.8,
        )  # fmt: skip
        axes.add_collection(lines)
        axes.autoscale_view()
        axes.set_ylim(bottom=0.0)
        if self.knots is None:
            axes.set_ylabel("norms of the neurons", fontsize=9)
            return
        axes.set_ylabel("norms of the slope changes", fontsize=9)
        if n_lines:
            lines.set_array(self.knots)
            bar = self.figure_.colorbar(lines, ax=axes, pad=0.02)
            bar.set_label(f"knot ({literal(self.input_name)})", fontsize=8)
            bar.ax.tick_params(colors=INK, labelsize=8)
            bar.outline.set_visible(False)

    def _draw_numbers(self, axes: Any) -> None:
        axes.plot(self.alphas, self.n_neurons, "o-", ms=3.5, lw=1.4, color=BLUE)
        axes.set_ylim(bottom=0)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set_ylabel("neurons", fontsize=9)

    def _draw_gaps(self, axes: Any) -> None:
        axes.set_yscale("log")
        known = np.isfinite(self.relative_gaps)
        gaps = np.maximum(np.where(known, self.relative_gaps, 1.0), LEAST_GAP)
        axes.plot(self.alphas, gaps, color=GREY, lw=0.8)
        for chosen, mark, colour, name in (
            (self.certified, "o", BLUE, "certified"),
            (~self.certified, "x", RED, "not certified"),
        ):
            if chosen.any():
                axes.plot(self.alphas[chosen], gaps[chosen], mark, color=colour, ms=4.5, label=name)
        axes.axhline(
            self.tol, color=RED, lw=1.0, ls=(0, (4, 3)), label=f"asked for: {self.tol:.3g}"
        )
        axes.set_ylim(top=max(10.0 * self.tol, 3.0 * gaps.max()))
        axes.set_ylabel("relative gap", fontsize=9)
        axes.legend(
            loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False, fontsize=8,
            borderaxespad=0.2,
        )  # fmt: skip


def _by_knot(path: AlphaPath) -> tuple[np.ndarray, np.ndarray]:
    """Norms of the slope changes at every knot that any network of the path has."""
    networks = [solution.network for solution in path.solutions]
    each = [network.knots() for network in networks]
    every = np.sort(np.concatenate(each))
    width = float(np.ptp(path.solutions[0].problem.X))
    knots = every[np.diff(every, prepend=-np.inf) > SAME * width]
    norms = np.zeros((len(networks), len(knots)))
    for row, network, places in zip(norms, networks, each, strict=True):
        column = np.searchsorted(knots, places, side="right") - 1
        np.add.at(row, column, np.linalg.norm(network.slope_changes(), axis=1))
    return norms, knots


def _by_rank(path: AlphaPath) -> tuple[np.ndarray, None]:
    """Norms of the neurons, those of each network in falling order."""
    norms = np.zeros((len(path.solutions), int(path.n_neurons.max(initial=0))))
    for row, solution in zip(norms, path.solutions, strict=True):
        sizes = np.linalg.norm(solution.network.unit_norm().v, axis=1)
        row[: len(sizes)] = np.sort(sizes)[::-1]
    return norms, None
