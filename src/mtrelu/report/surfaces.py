"""The report of a fit of several inputs: surfaces and the neurons along which they bend."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from mtrelu.displays import PANELS, DualFunctionDisplay, RangeWidthDisplay, SurfaceDisplay
from mtrelu.displays._style import literal
from mtrelu.network import ReLUNetwork
from mtrelu.report.base import MOST_NEURONS, Report
from mtrelu.report.page import bar, number, paragraph, shortened, table

RANGES = 2500
"""About how many ranges the picture of their width may ask for, each two linear programs."""


VISIBLE = 1e-6
"""A range narrower than this share of a task's labels is not drawn."""


class SurfaceReport(Report):
    """Everything there is to say about one fit of several inputs."""

    @property
    def size(self) -> tuple[str, int, str]:
        """The neurons."""
        where = "lines along which the tasks bend" if self._is_plane else "places of bending"
        return "neurons", self._network.n_neurons, where

    @property
    def spread(self) -> str:
        """How far apart two optimal networks can be, in words."""
        verdict = self.optimal_set.verdict.value
        if verdict == "unique":
            return "nowhere"
        if verdict == "undecided":
            return "not known"
        if self._widths is None:
            return "beyond what is drawn here" if self._is_plane else "see the reason"
        display = self._widths[self._widest_task]
        width = np.where(np.isfinite(display.width), display.width, -1.0)
        i, j = np.unravel_index(int(np.argmax(width)), width.shape)
        place = ", ".join(
            f"{name} = {value:.4g}"
            for name, value in zip(
                self.input_names, (display.grid[0][j], display.grid[1][i]), strict=True
            )
        )
        unit = " in log-odds" if self.tells_classes else ""
        return f"by up to {number(float(width[i, j]))}{unit} ({display.task} at {place})"

    @property
    def _is_plane(self) -> bool:
        return len(self.input_names) == 2

    @cached_property
    def _network(self) -> ReLUNetwork:
        """The network of the fit, every neuron with unit weights."""
        return self.solution.network.unit_norm()

    @cached_property
    def _widths(self) -> list[RangeWidthDisplay] | None:
        """The width of the range of every task over the plane; None where there is none to see."""
        if not self._is_plane or self.optimal_set.verdict.value == "unique":
            return None
        n_grid = int(np.clip(np.sqrt(RANGES / len(self.tasks)), 6, 25))
        displays = RangeWidthDisplay.of_tasks(
            self.solution,
            tasks=self.tasks,
            input_names=self.input_names,
            scaling=self.scaling,
            optimal_set=self.optimal_set,
            n_grid=n_grid,
        )
        width = np.stack([display.width for display in displays])
        seen = width > VISIBLE * self._sizes[:, np.newaxis, np.newaxis]
        return displays if seen.any() else None

    @cached_property
    def _widest_task(self) -> int:
        """The task whose optimal range is widest, in the units of the fit."""
        widest = [np.nanmax(display.width) for display in self._widths or ()]
        return int(np.argmax(widest / self.scaling.task_spread))

    @property
    def _sizes(self) -> np.ndarray:
        """From the least to the largest label of each task, shape (T,)."""
        return np.asarray(np.nanmax(self.labels, axis=0) - np.nanmin(self.labels, axis=0))

    def _drawn(self, figure: Any) -> dict[str, Any]:
        chosen = self._examples() if len(self.tasks) > PANELS else list(range(len(self.tasks)))
        if not self._is_plane:
            return {"fit": self._predicted(figure(), chosen)}
        drawn = {"contours": self._contours(figure(), chosen)}
        if self.solution.problem.alpha > 0 or self.solution.dual is not None:
            whole = figure(figsize=(8.0, 4.4), layout="constrained")
            DualFunctionDisplay.from_solution(self.solution).plot(whole.add_subplot())
            drawn["dual"] = whole
        if self._widths is not None:
            whole = figure(figsize=(6.4, 4.6), layout="constrained")
            self._widths[self._widest_task].plot(whole.add_subplot())
            drawn["width"] = whole
        return drawn

    def _contours(self, figure: Any, chosen: list[int]) -> Any:
        for axes, task in zip(_panels(figure, len(chosen), 4.4, 3.6), chosen, strict=True):
            SurfaceDisplay.from_solution(
                self.solution,
                task,
                tasks=self.tasks,
                input_names=self.input_names,
                scaling=self.scaling,
            ).plot(axes)
        return figure

    def _predicted(self, figure: Any, chosen: list[int]) -> Any:
        from sklearn.metrics import PredictionErrorDisplay

        predictions = self.labels - self.residuals
        for axes, task in zip(_panels(figure, len(chosen), 3.4, 3.2), chosen, strict=True):
            known = ~np.isnan(self.labels[:, task])
            PredictionErrorDisplay(
                y_true=self.labels[known, task], y_pred=predictions[known, task]
            ).plot(axes, kind="actual_vs_predicted")
            axes.set_title(literal(self.tasks[task]), fontsize=10)
        return figure

    def _place(self, i: int) -> str:
        place = self.solution.problem.X[i] * self.scaling.spread + self.scaling.centre
        return ", ".join(f"{value:.6g}" for value in place)

    def _what_was_fitted(self) -> Iterable[str]:
        N, T = self.n_samples, len(self.tasks)
        alpha = self.solution.problem.alpha
        bends = "along straight lines" if self._is_plane else "across flat boundaries"
        yield "<h2>What was fitted</h2>"
        yield paragraph(
            f"{N} samples of {_and(self.input_names)}"
            + (f", and at each the labels of {T} tasks." if T > 1 else ", and a label at each.")
            + " A shallow neural network with ReLU units was fitted to "
            + ("all tasks at once." if T > 1 else "them.")
            + f" Such a network is piecewise linear and bends {bends}, one for each neuron"
            + ("; all tasks bend there, but each by its own amount." if T > 1 else ".")
        )
        yield paragraph(
            "The surfaces pass through every label and, among all that do, bend least in total "
            "(alpha = 0)."
            if alpha == 0
            else "The fit weighs two wishes against each other: to pass close to the data (the "
            f"{self.solution.problem.loss.name} loss), and to bend little. The weight of the "
            f"second wish is called alpha; here alpha = {number(alpha)}."
        )
        yield paragraph(self._units())
        yield self._kind_of_fit()
        yield self._uneven()
        yield self._left_out()
        if not self._is_plane:
            yield self._figure("fit", "Labels against predictions; on the dashed line they agree.")
            return
        which = "" if T <= PANELS else f" {PANELS} of the {T} tasks, from the worst fitted on."
        yield self._figure(
            "contours",
            "The fit as colour, the data as dots in the colour of their label; where a dot stands "
            "out, the fit misses it. Dark lines are the neurons, wider where stronger. Pale: "
            f"outside of the data.{which}",
        )

    def _units(self) -> str:
        if not self.scaling.scales_inputs:
            return (
                "Inputs and tasks were fitted in their own units, as asked by --no-standardize: a "
                "step of one counts alike along every input."
            )
        tasks = ", and every task was divided by its own" if self.scaling.scales_tasks else ""
        return (
            "The inputs are in different units, and bending means nothing before they are on one "
            "scale. So every input was centred and divided by its standard deviation"
            f"{tasks}. The stored network takes the inputs as they came: the scales are folded "
            "into its weights. Pictures, predictions and errors are in the data's own units; "
            "alpha, the strength of the neurons and the certificate are in standard deviations."
        )

    def _verdict(self) -> Iterable[str]:
        verdict = self.optimal_set.verdict.value
        yield "<h2>Is it the only best fit?</h2>"
        yield paragraph(
            {
                "unique": "Yes. Every network that reaches the optimum, of any width and however "
                "it was trained, gives these very predictions, everywhere.",
                "not unique": "No. Other networks are exactly as good and predict otherwise "
                "between some data points. Training again could end at any of them.",
            }.get(verdict, "That cannot be decided here.")
        )
        yield paragraph(f"Reason: {self.optimal_set.reason}")
        yield paragraph(f"Two optimal networks differ: {self.spread}.")
        if self._widths is not None:
            yield self._figure(
                "width",
                "How far apart the predictions of two optimal networks can be"
                + (", as far as is known" if verdict == "undecided" else "")
                + "; of all tasks the one where that is most.",
            )

    def _neurons(self) -> Iterable[str]:
        yield "<h2>The neurons</h2>"
        network = self._network
        if network.n_neurons == 0:
            yield paragraph(
                "There are none: every task is "
                + (
                    "constant."
                    if self.solution.problem.skip == "constant"
                    else "linear in the inputs."
                )
            )
            return
        strengths = np.linalg.norm(network.v, axis=1)
        bends = np.abs(network.v)
        several = len(self.tasks) > 1
        yield paragraph(
            "Each neuron is silent on one side of a boundary and adds a slope on the other, where "
            "the inequality holds."
        )
        rows = []
        order = np.argsort(-strengths, kind="stable")[:MOST_NEURONS]
        for k in order:
            share = strengths[k] / strengths.sum()
            text = f"{100 * share:.0f} %" if share >= 0.005 else "below 1 %"
            row = [escape(self._inequality(int(k))), bar(strengths[k] / strengths.max(), text)]
            if several:
                row.append(escape(self.tasks[int(np.argmax(bends[k]))]))
            rows.append(row)
        yield table(
            ["active where", "share of all bending", *(["bends most"] if several else [])], rows
        )
        yield shortened(len(rows), network.n_neurons, "strongest neurons")
        if "dual" in self.figures:
            yield self._figure(
                "dual",
                "Every possible neuron is a point of this picture, by the direction of its weights "
                "and the offset of its line. The colour says how much a neuron there would still "
                "gain, relative to what it costs (1, the red mark). A fit is the best possible "
                "exactly when nothing exceeds 1 and its own neurons lie where 1 is reached.",
            )

    def _inequality(self, k: int) -> str:
        """Where neuron k is active, in the data's own units."""
        weights = self._network.w[k] / self.scaling.spread
        bias = self._network.b[k] - weights @ self.scaling.centre
        # The input that matters most comes with the factor 1.
        first = int(np.argmax(np.abs(self._network.w[k])))
        factors = weights / weights[first]
        terms = [self.input_names[first]]
        for j in np.argsort(-np.abs(self._network.w[k]), kind="stable"):
            if j != first and abs(self._network.w[k, j]) > 1e-6:
                sign = "+" if factors[j] > 0 else "−"
                terms.append(f"{sign} {abs(factors[j]):.4g} · {self.input_names[j]}")
        side = ">" if weights[first] > 0 else "<"
        return f"{' '.join(terms)} {side} {0.0 - bias / weights[first]:.6g}"


def _panels(figure: Any, count: int, width: float, height: float) -> list[Any]:
    """Axes for so many panels, in rows of two, or of three where there are many."""
    columns = min(count, 2 if count <= 6 else 3)
    rows = -(-count // columns)
    figure.set_size_inches(width * columns, height * rows)
    figure.set_layout_engine("constrained")
    return [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def _and(names: Any) -> str:
    quoted = [repr(name) for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]])
