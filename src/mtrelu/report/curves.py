"""The report of a fit of one input: curves and their knots."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from mtrelu.displays import PANELS, CoefficientDisplay, FittedCurvesDisplay
from mtrelu.optimal_set import OptimalSet
from mtrelu.report.base import MOST_NEURONS, Report
from mtrelu.report.page import bar, number, paragraph, shortened, table


class CurveReport(Report):
    """Everything there is to say about one fit of one input.

    Examples
    --------
    >>> import mtrelu, numpy as np
    >>> from mtrelu.report import CurveReport
    >>> from mtrelu.scaling import Scaling
    >>> solution = mtrelu.solve([0, 1, 2, 3], [0, 0, 1, 3], alpha=0.1)
    >>> units = Scaling(np.zeros(1), np.ones(1), np.ones(1))
    >>> report = CurveReport(
    ...     solution, ["sales"], ["week"], "Sales", "Made up.", units, None, "", ""
    ... )
    >>> report.rmse.shape
    (1,)
    >>> report.html().startswith("<!doctype html>")
    True
    """

    @property
    def input_name(self) -> str:
        """The name of the input."""
        return self.input_names[0]

    @cached_property
    def curves(self) -> FittedCurvesDisplay:
        """Data, curves and ranges in the tasks' own units."""
        return FittedCurvesDisplay.from_solution(
            self.solution,
            tasks=self.tasks,
            input_name=self.input_name,
            scale=self.scaling.task_spread,
            optimal_set=self.optimal_set,
        )

    @property
    def size(self) -> tuple[str, int, str]:
        """The knots."""
        return "knots", len(self.curves.knots), "places where the slope changes"

    @cached_property
    def widest(self) -> tuple[float, float, str]:
        """The largest difference of two optimal networks: how much, at which input, which task."""
        low, high = self.curves.low, self.curves.high
        assert low is not None and high is not None  # a solution knows all its optima
        width = high - low
        i, t = np.unravel_index(int(np.argmax(width)), width.shape)
        return float(width[i, t]), float(self.curves.grid[i]), self.tasks[int(t)]

    @property
    def spread(self) -> str:
        """How far apart two optimal networks can be, in words."""
        width, place, task = self.widest
        if self.optimal_set.verdict == "unique":
            return "nowhere"
        if self.optimal_set.verdict == "undecided":
            return "not known"
        unit = " in probability" if self.tells_classes else ""
        return f"by up to {number(width)}{unit} ({task} at {self.input_name} = {place:.6g})"

    def _drawn(self, figure: Any) -> dict[str, Any]:
        drawn = {"curves": self.curves.plot(figure()).figure_}
        if len(self.tasks) > PANELS:
            drawn["tasks"] = self.curves.plot(figure(), select=self._examples()).figure_
        display = CoefficientDisplay.from_network(
            self.solution.network, tasks=self.tasks, input_name=self.input_name
        )
        drawn["knots"] = display.plot(figure()).figure_
        return drawn

    def _place(self, i: int) -> str:
        return f"{self.curves.x[i]:.6g}"

    def _what_was_fitted(self) -> Iterable[str]:
        N, T = self.n_samples, len(self.tasks)
        several = T > 1
        yield "<h2>What was fitted</h2>"
        yield paragraph(
            f"{N} values of {self.input_name!r}"
            + (f", and at each the labels of {T} tasks." if several else ", and a label at each.")
            + " A shallow neural network with ReLU units was fitted to "
            + (
                "all tasks at once. With one input such a network is a set of piecewise-linear "
                "curves: all tasks bend at the same places, the knots, but each by its own amount."
                if several
                else "them. With one input such a network is a piecewise-linear curve; the places "
                "where it bends are called knots."
            )
        )
        alpha = self.solution.problem.alpha
        yield paragraph(
            "The curves pass through every label and, among all curves that do, bend least in "
            "total (alpha = 0)."
            if alpha == 0
            else "The fit weighs two wishes against each other: to pass close to the data (the "
            f"{self.solution.problem.loss.name} loss), and to bend little. The weight of the "
            f"second wish is called alpha; here alpha = {number(alpha)}."
        )
        if self.scaling.scales_tasks:
            yield paragraph(
                "Before the fit every task was divided by its standard deviation, so that tasks in "
                "different units count alike. Curves and errors below are in the tasks' own units "
                "again; alpha, the bends and the certificate are in standard deviations."
            )
        yield self._kind_of_fit()
        yield self._uneven()
        yield self._left_out()
        many = T > PANELS
        yield self._figure(
            "curves",
            "Fitted curves, one colour per task in their order; dashed lines are the knots."
            if many
            else "Data (dots), fitted curves (lines) and knots (dashed).",
        )
        if many:
            yield self._figure(
                "tasks",
                f"{PANELS} of the {T} tasks, from the worst fitted (top left) to the best (bottom "
                "right), with their data.",
            )

    def _neurons(self) -> Iterable[str]:
        changes = np.abs(self.solution.network.slope_changes())
        yield "<h2>The knots</h2>"
        if len(changes) == 0:
            flat = self.solution.problem.skip == "constant"
            yield paragraph(
                f"There are none: every curve is {'constant' if flat else 'a straight line'}."
            )
            return
        shares = changes.sum(axis=1) / changes.sum()
        order = np.sort(np.argsort(-shares, kind="stable")[:MOST_NEURONS])
        rows = []
        for k in order:
            most = int(np.argmax(changes[k]))
            share = f"{100 * shares[k]:.0f} %" if shares[k] >= 0.005 else "below 1 %"
            row = [f"{self.curves.knots[k]:.6g}", bar(shares[k] / shares.max(), share)]
            if len(self.tasks) > 1:
                bend = number(float(changes[k, most]))
                row.append(f"{escape(self.tasks[most])} ({bend})")
            rows.append(row)
        head = [self.input_name, "share of all bending"]
        if len(self.tasks) > 1:
            head.append("bends most (slope change)")
        yield table(head, rows)
        yield shortened(len(rows), len(changes), "largest knots")
        yield self._figure(
            "knots",
            "Slope change of each task (row) at each knot (column)"
            + (", of its log-odds" if self.tells_classes else "")
            + ": red bends up, blue bends down.",
        )

    def _verdict(self) -> Iterable[str]:
        optimal_set = self.optimal_set
        verdict = optimal_set.verdict.value
        yield "<h2>Is it the only best fit?</h2>"
        meaning = {
            "unique": "Yes. Every network that reaches the optimum, of any width and however it "
            "was trained, gives these very curves.",
            "not unique": "No. Other networks are exactly as good and give other curves between "
            "some data points. Training again could end at any of them.",
        }.get(verdict, "That cannot be decided here.")
        yield paragraph(meaning)
        yield paragraph(f"Reason: {optimal_set.reason}")
        columns = "The columns low and high of predictions.csv give the range for every data point."
        if verdict == "undecided":
            columns = "The columns low and high of predictions.csv are empty, for the same reason."
        yield paragraph(f"How far two optimal networks differ: {self.spread}. {columns}")
        if not isinstance(optimal_set, OptimalSet):  # which alone knows intervals
            return
        intervals = list(optimal_set.intervals)
        if intervals:
            shown = "; ".join(f"{lo:.6g} to {hi:.6g}" for lo, hi in intervals[:10])
            more = f" and {len(intervals) - 10} more" if len(intervals) > 10 else ""
            where = "They differ" if verdict == "not unique" else "Open is whether they differ"
            yield paragraph(f"{where} for {self.input_name} in: {shown}{more}.")
        yield paragraph(f"Tolerance of this verdict: {optimal_set.tolerance:.1e}.")
