"""Picture of the kernel regime: every quantity of Section 4 over the number of tasks."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from mtrelu.displays._style import BLUE, GREY, INK, PANELS, RED, new_figure, plain
from mtrelu.regime.measurement import BETAS, CERTIFIED_TOL
from mtrelu.regime.sweep import Sweep, lemma_promise

GREEN = "#2f855a"
THEOREM = -0.25
"""The exponent of [16] and [17]."""


class RegimeDisplay:
    """Medians over the seeds against the number of tasks, their spread, and fitted rates.

    Lines go through medians of the certified cells, and pale bands from the least of them to the
    largest. Cells that are not certified are red crosses.

    Parameters
    ----------
    sweep : Sweep
        What `mtrelu.regime.sweep.run_sweep` returned.

    Attributes
    ----------
    axes_ : list of matplotlib.axes.Axes
        Six panels: outputs, objectives, weights γ, shares, neurons, and what was proved.
    figure_ : matplotlib.figure.Figure
        Their figure.

    Examples
    --------
    >>> from mtrelu.regime.designs import DESIGNS
    >>> from mtrelu.regime.sweep import Plan, run_sweep
    >>> sweep = run_sweep(Plan.make(DESIGNS["gaussian-1d"], n_tasks=[1, 2, 8], n_seeds=2))
    >>> from matplotlib.figure import Figure
    >>> len(RegimeDisplay(sweep).plot(Figure()).axes_)
    6
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep

    def plot(self, figure: Any = None) -> Self:
        """Draw.

        Parameters
        ----------
        figure : matplotlib.figure.Figure, optional
            Where to; a new one of pyplot's if not given.

        Returns
        -------
        RegimeDisplay
            Itself, with `axes_` and `figure_`.
        """
        self.figure_ = new_figure(figure, (10.5, 14.5))
        self.axes_ = list(self.figure_.subplots(3, 2).flat)
        panels = (
            (self._outputs, "The measured task: how far from a kernel method?"),
            (self._objectives, "Theorem 4.1: the ℓ² problem in place of the true one"),
            (self._weights, "Lemma 4.2: do all tasks see the same weights?"),
            (self._shares, "How often the statements hold"),
            (self._neurons, "Size of the network"),
            (self._proofs, "What was proved"),
        )
        for axes, (draw, title) in zip(self.axes_, panels, strict=True):
            plain(axes)
            axes.set_xscale("log")
            axes.set_xlabel("number of tasks T", fontsize=9)
            axes.set_title(title, fontsize=10, color=INK, loc="left")
            draw(axes)
            self._mark(axes)
            # Below the panel, for curves may be anywhere in it.
            axes.legend(
                frameon=False, fontsize=9, ncols=2 if draw == self._shares else 1,
                loc="upper left", bbox_to_anchor=(0.0, -0.16), borderaxespad=0.0,
            )  # fmt: skip
        return self

    def _outputs(self, axes: Any) -> None:
        self._curve(axes, "output_difference", BLUE, "own neurons, ridge [18]")
        self._curve(axes, "leave_task_out_difference", GREEN, "others' neurons, kernel ridge")
        self._curve(axes, "l1_difference", INK, "own neurons, ℓ1 [19]", rate=False)
        again = self.sweep.median("restart_difference")
        most = f": ≤ {np.nanmax(again):.0e}" if np.any(again > 0.0) else ""
        self._curve(axes, "restart_difference", GREY, f"the same, solved twice{most}", rate=False)
        falling = ("output_difference", "leave_task_out_difference")
        self._slope(axes, falling, "for comparison")
        self._logarithmic(axes, "largest difference / largest output")
        # What is rounding may leave through the bottom, not make all else flat.
        values = np.concatenate([self.sweep.values(name) for name in falling])
        if np.any(values > 0.0):
            axes.set_ylim(bottom=max(axes.get_ylim()[0], values[values > 0.0].min() / 1e3))

    def _objectives(self, axes: Any) -> None:
        self._curve(axes, "surrogate_gap", GREEN, "largest H − J nearby [16]")
        self._curve(axes, "excess", BLUE, "J(v′) − J(v*) [17]")
        fixed = self.sweep.plan.weight_decay is None  # what the theorem is about
        self._slope(
            axes, ("surrogate_gap", "excess"), "the theorem's rate" if fixed else "for comparison"
        )
        self._logarithmic(axes, "objective of the task")

    def _weights(self, axes: Any) -> None:
        self._curve(axes, "gamma_spread", BLUE, "largest $γ_{ks}/γ_k − 1$")
        self._logarithmic(axes, "relative difference")

    def _shares(self, axes: Any) -> None:
        from matplotlib import colormaps

        several = np.array([n for n in self.sweep.plan.n_tasks if n > 1])
        smooth = np.geomspace(several.min(), several.max(), 100) if several.size else several
        colours = colormaps["viridis"](np.linspace(0.05, 0.85, len(BETAS)))
        for beta, colour in zip(BETAS, colours, strict=True):
            self._line(axes, self.sweep.lemma_shares(beta), colour, f"[20], β = {beta:.2g}")
            axes.plot(smooth, lemma_promise(smooth, beta), color=colour, lw=1.0, ls=(0, (3, 2)))
        axes.plot([], [], color=GREY, lw=1.0, ls=(0, (3, 2)), label="promised: $1 − T^{−β}$")
        shares = self.sweep.values("neighbourhood_share")
        self._line(axes, shares, RED, "v′ near v* as in [16]")
        axes.set_ylim(-0.03, 1.05)
        axes.set_ylabel("share", fontsize=9)

    def _neurons(self, axes: Any) -> None:
        self._line(axes, self.sweep.values("n_neurons"), BLUE, "active neurons")
        self._line(axes, self.sweep.values("n_private"), RED, "used by one task alone")
        axes.set_ylim(bottom=0)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set_ylabel("neurons", fontsize=9)

    def _proofs(self, axes: Any) -> None:
        self._curve(axes, "relative_gap", BLUE, "relative gap, all tasks", rate=False)
        self._curve(axes, "leave_task_out_gap", GREEN, "relative gap, the other tasks", rate=False)
        self._curve(axes, "kernel_deviation", INK, "distance from own kernel ridge", rate=False)
        axes.axhline(CERTIFIED_TOL, color=GREY, lw=1.0, ls=(0, (3, 2)),
                     label="certified below")  # fmt: skip
        self._logarithmic(axes, "relative")

    def _curve(self, axes: Any, name: str, colour: Any, label: str, rate: bool = True) -> None:
        """One quantity on logarithmic axes, with its rate, and crosses where nothing is proved."""
        values = self.sweep.values(name)
        fitted = self.sweep.rate(name) if rate else None
        if fitted is not None and not np.isnan(fitted.exponent):
            label += f": $T^{{{fitted.exponent:.2f}}}$"
            if not np.isnan(fitted.low):
                label += f" (95 %: {fitted.low:.2f} … {fitted.high:.2f})".replace("-", "−")
            ends = np.array([min(fitted.n_tasks), max(fitted.n_tasks)])
            axes.plot(ends, fitted(ends), color=colour, lw=0.8, ls=":")
        measured = values[~np.isnan(values)]
        if measured.size and not measured.any():
            label += ": 0"
        infinite = int(np.count_nonzero(np.isinf(values)))
        if infinite:
            label += f" (∞ in {infinite} cells)"
        drawable = np.where(np.isfinite(values) & (values > 0.0), values, np.nan)
        self._line(axes, drawable, colour, label)
        unproved = [
            (cell.n_tasks, getattr(cell, name))
            for cell in self.sweep.measurements
            if not cell.proves(name) and 0.0 < getattr(cell, name) < np.inf
        ]
        if unproved:
            known = "not certified" in axes.get_legend_handles_labels()[1]
            axes.plot(
                *zip(*unproved, strict=True), "x", color=RED, ms=6, mew=1.2, zorder=4,
                label=None if known else "not certified",
            )  # fmt: skip

    def _line(self, axes: Any, values: np.ndarray, colour: Any, label: str) -> None:
        """Medians with a band from the least value to the largest; gaps where there is none."""
        seen = ~np.isnan(values).all(axis=0)
        counts = np.array(self.sweep.plan.n_tasks)[seen]
        columns = values[:, seen]
        axes.fill_between(
            counts, np.nanmin(columns, axis=0) if seen.any() else [],
            np.nanmax(columns, axis=0) if seen.any() else [], color=colour, alpha=0.15, lw=0,
        )  # fmt: skip
        middle = np.nanmedian(columns, axis=0) if seen.any() else []
        axes.plot(counts, middle, "o-", color=colour, ms=3.5, lw=1.5, label=label)

    def _slope(self, axes: Any, names: tuple[str, ...], what: str) -> None:
        """The slope T^(-1/4) of Theorem 4.1, from the highest of the curves at its first T."""
        counts = np.array(self.sweep.plan.n_tasks)
        heights = np.array([self.sweep.median(name) for name in names])
        usable = (counts > 1) & np.isfinite(heights).any(axis=0) & (counts < counts.max())
        if not usable.any():
            return
        first = int(np.argmax(usable))
        column = heights[:, first]
        height = float(column[np.isfinite(column)].max())
        ends = np.array([counts[first], counts.max()], dtype=np.float64)
        axes.plot(ends, height * (ends / ends[0]) ** THEOREM, color=RED, lw=1.3, ls=(0, (5, 2)),
                  label=f"$T^{{−1/4}}$, {what}")  # fmt: skip

    def _logarithmic(self, axes: Any, ylabel: str) -> None:
        axes.set_ylabel(ylabel, fontsize=9)
        drawn = [np.asarray(each.get_ydata(), dtype=np.float64) for each in axes.get_lines()]
        if any(np.any(values > 0.0) for values in drawn):
            axes.set_yscale("log")
            return
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing to draw", transform=axes.transAxes, ha="center", color=GREY)

    def _mark(self, axes: Any) -> None:
        """The numbers of tasks along the axis, as they are while there is room for them."""
        counts = list(self.sweep.plan.n_tasks)
        axes.set_xlim(0.85 * counts[0], 1.18 * counts[-1])
        if len(counts) <= PANELS:
            axes.set_xticks(counts, labels=[f"{n}" for n in counts], minor=False)
            axes.set_xticks([], minor=True)
