"""Picture of a certificate: what is proved about a network, in numbers, a curve and words."""

from __future__ import annotations

from textwrap import fill
from typing import Any, Self

import numpy as np

from mtrelu.api import Solution
from mtrelu.certificate import Certificate
from mtrelu.displays._fitted import input_names, solution_of
from mtrelu.displays._style import BLUE, GREY, INK, RED, new_panels, plain
from mtrelu.displays.dual import DualFunctionDisplay
from mtrelu.displays.dual_line import DualLineDisplay
from mtrelu.status import Status

NO_SMALLER = 1e-16
"""Relative gaps below this are rounding, and drawn at the edge."""
REACHES = {
    "exact": "The dual function reaches {}{}; 1 is the most it may for an optimum.",
    "bound": "The dual function is proved to reach at most {}{}; an optimum needs 1.",
    "estimate": "The dual function reaches at least {}{}, as far as a search went.",
}


class CertificateDisplay:
    """Primal and dual with the gap between them, the dual function, and the verdict in words.

    The dual function says how much a neuron would still gain, wherever it could be: over the line
    for one input, over the plane for two. With more inputs there is no picture of it.

    Parameters
    ----------
    certificate : Certificate
        What was proved.
    dual_function : DualLineDisplay, DualFunctionDisplay or None
        The dual function; None where there is no picture of it.

    Attributes
    ----------
    ax_ : ndarray of shape (2,) or (3,) of matplotlib.axes.Axes
        Primal and dual; the relative gap; the dual function, if any.
    figure_ : matplotlib.figure.Figure
        Their figure.

    Examples
    --------
    >>> import mtrelu
    >>> from mtrelu.displays import CertificateDisplay
    >>> solution = mtrelu.solve([0, 1, 2, 3, 4], [0, 1, 2, 1, 0], alpha=0.1)
    >>> display = CertificateDisplay.from_solution(solution)
    >>> display.in_words().split(":")[0]
    'certified'
    """

    def __init__(
        self,
        *,
        certificate: Certificate,
        dual_function: DualLineDisplay | DualFunctionDisplay | None = None,
    ) -> None:
        self.certificate = certificate
        self.dual_function = dual_function

    @classmethod
    def from_solution(cls, solution: Solution, *, input_name: str = "x") -> Self:
        """Take the certificate of a solution, and evaluate the dual function.

        Parameters
        ----------
        solution : Solution
            What `mtrelu.solve` returned.
        input_name : str, default="x"
            Name of the input, if there is one.

        Returns
        -------
        CertificateDisplay
            Not yet drawn; call `plot`.
        """
        problem = solution.problem
        dual_function: DualLineDisplay | DualFunctionDisplay | None = None
        if problem.n_inputs == 1:
            dual_function = DualLineDisplay.from_solution(solution, input_name=input_name)
        elif problem.n_inputs == 2 and (problem.alpha > 0.0 or solution.dual is not None):
            dual_function = DualFunctionDisplay.from_solution(solution)
        return cls(certificate=solution.certificate, dual_function=dual_function)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any = None, y: Any = None, *, sample_weight: Any = None
    ) -> Self:
        """Take the certificate of a fitted estimator, and evaluate the dual function.

        Parameters
        ----------
        estimator : ReLURegressor, ReLUClassifier
            Fitted by `alpha`.
        X, y, sample_weight : array-like, optional
            Data to judge the network on, for the alpha of the estimator; by default those of the
            fit. An estimator that was loaded from a file does not have these.

        Returns
        -------
        CertificateDisplay
            Not yet drawn; call `plot`.

        Raises
        ------
        InvalidInputError
            Fitted with `n_knots`; no data, and none of the fit.
        """
        solution = solution_of(estimator, X, y, sample_weight)
        name = input_names(estimator, X, solution.problem.n_inputs)[0]
        return cls.from_solution(solution, input_name=name)

    def in_words(self) -> str:
        """Return the verdict, and how far the dual function exceeds what it may be.

        Returns
        -------
        str
            Two or three sentences; those of `Certificate.in_words` say more.
        """
        proof = self.certificate
        reaches = REACHES[proof.oracle].format(
            _near_one(proof.violation), " times alpha" if proof.alpha else ""
        )
        return f"{proof.status.value}: {proof.status.meaning} {reaches}"

    def plot(self, ax: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or matplotlib.figure.Figure, optional
            Where to: axes, whose place the panels share, or an empty figure. A new figure of
            pyplot's if not given.

        Returns
        -------
        CertificateDisplay
            Itself, with `ax_` and `figure_`.
        """
        flat = isinstance(self.dual_function, DualLineDisplay)
        heights = [0.9, 0.45] + ([2.6 if flat else 3.4] if self.dual_function else [])
        self.figure_, panels = new_panels(
            ax, len(heights), 1, (7.6, 1.5 * sum(heights) + 1.0), height_ratios=heights
        )
        self.ax_ = panels[:, 0]
        self._draw_values(self.ax_[0])
        self._draw_gap(self.ax_[1])
        if self.dual_function is not None:
            self.dual_function.plot(self.ax_[2])
        self._write_verdict(self.ax_[0])
        return self

    def _write_verdict(self, axes: Any) -> None:
        status, sentences = self.in_words().split(": ", 1)
        words = fill(sentences, 84)
        axes.annotate(
            words, (0.0, 1.0), (0, 8), xycoords="axes fraction", textcoords="offset points",
            va="bottom", fontsize=9, color=INK, linespacing=1.3,
        )  # fmt: skip
        height = 13 * len(words.splitlines())  # in points
        axes.set_title(
            status, loc="left", fontsize=13, fontweight="bold", pad=16 + height,
            color=BLUE if self.certificate.status is Status.CERTIFIED else RED,
        )  # fmt: skip

    def _draw_values(self, axes: Any) -> None:
        proof = self.certificate
        plain(axes)
        proved = proof.oracle != "estimate"
        names = (
            "this network (primal)",
            "no network below (dual)" if proved else "search: none below (dual)",
        )
        values = np.array([proof.primal, proof.dual])
        known = np.isfinite(values)
        primal, dual = np.where(known, values, 0.0)
        lower = min(dual, primal)
        axes.barh(1, lower, height=0.55, color=GREY, label="primal")
        axes.barh(1, primal - lower, height=0.55, left=lower, color=RED, label="gap")
        axes.barh(
            0, dual, height=0.55, color=BLUE if proved else "white", edgecolor=BLUE,
            hatch=None if proved else "//", label="dual",
        )  # fmt: skip
        digits = _digits(proof)
        for place, value in zip((1, 0), values, strict=True):
            axes.annotate(
                f"{value:.{digits}g}", (value if np.isfinite(value) else 0.0, place), (5, 0),
                textcoords="offset points", va="center", fontsize=9, color=INK,
            )  # fmt: skip
        axes.set_yticks([1, 0], names, fontsize=9)
        axes.set_xlim(0.0, 1.3 * float(values[known].max(initial=0.0)) or 1.0)
        axes.set_xlabel("objective" if proof.alpha else "path norm", fontsize=9, color=INK)
        axes.tick_params(axis="y", length=0)

    def _draw_gap(self, axes: Any) -> None:
        proof = self.certificate
        plain(axes)
        axes.spines["left"].set_visible(False)
        axes.set_xscale("log")
        most = max(10.0, 10.0 * proof.tol)
        axes.axvspan(NO_SMALLER, proof.tol, color=BLUE, alpha=0.12, lw=0)
        axes.axvline(proof.tol, color=BLUE, lw=1.2)
        axes.annotate(
            f"tol = {proof.tol:.3g}", (proof.tol, 1.0), (4, -2), xycoords=("data", "axes fraction"),
            textcoords="offset points", fontsize=8, va="top", color=BLUE,
        )  # fmt: skip
        gap = min(max(proof.relative_gap, NO_SMALLER), most)
        certified = proof.status is Status.CERTIFIED
        axes.plot(
            [gap], [0.5], "o" if proof.oracle != "estimate" else "x", ms=9, mew=1.6,
            color=BLUE if certified else RED, clip_on=False, zorder=3,
        )  # fmt: skip
        left = gap > 0.1 or 1e-3 < gap / proof.tol <= 1.0  # of the mark, not across the line
        axes.annotate(
            f"{proof.relative_gap:.2g}", (gap, 0.5), (-9 if left else 9, 0),
            textcoords="offset points", va="center", ha="right" if left else "left",
            fontsize=9, color=INK,
        )  # fmt: skip
        if proof.estimated_relative_gap is not None:
            estimated = min(max(proof.estimated_relative_gap, NO_SMALLER), most)
            axes.plot([estimated], [0.5], "o", ms=9, mfc="white", color=GREY, zorder=2)
            axes.annotate(
                "if a search found the worst", (estimated, 0.5), (-9, 0), va="center", ha="right",
                textcoords="offset points", fontsize=8, color=INK,
            )  # fmt: skip
        axes.set(xlim=(NO_SMALLER, most), ylim=(0.0, 1.0), yticks=[])
        axes.set_xlabel(
            "relative gap: how much of the objective could still be gained at most"
            if proof.oracle != "estimate"
            else "relative gap, as far as a search went: no proof",
            fontsize=9, color=INK,
        )  # fmt: skip


def _near_one(violation: float) -> str:
    """Say a violation near 1 by its distance from 1."""
    beyond = violation - 1.0
    if violation == 1.0 or not abs(beyond) < 1e-3:
        return f"{violation:.4g}"
    return f"1 {'+' if beyond > 0 else '−'} {abs(beyond):.1e}"


def _digits(proof: Certificate) -> int:
    """So many digits that primal and dual are seen to differ, from 6 to 12."""
    if not 0.0 < proof.relative_gap < 1.0:
        return 6
    return int(np.clip(np.ceil(-np.log10(proof.relative_gap)) + 2, 6, 12))
