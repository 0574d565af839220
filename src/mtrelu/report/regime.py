"""The report of a sweep: how many tasks turn a network into a kernel method."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np

from mtrelu.displays.regime import RegimeDisplay
from mtrelu.regime.measurement import CERTIFIED_TOL
from mtrelu.regime.rates import FEWEST_SEEDS
from mtrelu.regime.sweep import FALLING, RESOLVED, Sweep
from mtrelu.report.page import cards, image, number, page, paragraph, png, shortened, table
from mtrelu.validation import MissingExtraError

SHOWN = {
    "n_tasks": "T",
    "alpha": "α",
    "certified": "proved",
    "n_neurons": "neurons",
    "output_difference": "ridge [18]",
    "leave_task_out_difference": "others' neurons",
    "excess": "excess of J [17]",
    "surrogate_gap": "H − J [16]",
    "gamma_spread": "spread of γ [21]",
    "lemma_share beta=0.667": "share [20]",
}
"""The columns of `Sweep.table` that people are shown, and their heads."""
MOST_CELLS = 30
"""The most cells that are named where some are not certified."""


@dataclass(frozen=True, eq=False)
class RegimeReport:
    """A sweep over the number of tasks, told to people who do not know the theory.

    Parameters
    ----------
    sweep : Sweep
        What `mtrelu.regime.sweep.run_sweep` returned.
    command : str
        The command that makes this report again.
    version : str
        The version of mtrelu.
    left_out : sequence of str
        The rows of a table that were left out, by name.
    """

    sweep: Sweep
    command: str
    version: str
    left_out: Sequence[str] = ()

    @cached_property
    def figure(self) -> bytes:
        """The picture as a PNG file."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingExtraError("plot", "matplotlib") from None
        return png(RegimeDisplay(self.sweep).plot(Figure()).figure_)

    def rows(self) -> tuple[list[str], list[list[str]], list[str]]:
        """Return the table for reading: head, rows by number of tasks, and the rates if any."""
        fixed = self.sweep.plan.weight_decay is None
        shown = [name for name in SHOWN if not (fixed and name == "alpha")]
        columns = self.sweep.table()
        rows = [
            [self._cell(name, columns[name][i], i) for name in shown]
            for i in range(len(self.sweep.plan.n_tasks))
        ]
        exponents = [self.sweep.rate(n).exponent if n in FALLING else np.nan for n in shown]
        rates = ["" if np.isnan(each) else f"T^{each:.2f}" for each in exponents]
        last = ["rate", *rates[1:]] if any(rates) else []
        return [SHOWN[name] for name in shown], rows, last

    def html(self) -> str:
        """Return the report as one HTML file that loads nothing from elsewhere."""
        title = f"The kernel regime: {self.sweep.plan.design.title}"
        return page(
            title,
            [
                f"<h1>{escape(title)}</h1>",
                paragraph(self.sweep.plan.design.description),
                self._cards(),
                *self._question(),
                *self._numbers(),
                *self._rates(),
                *self._proofs(),
                "<h2>Make this report again</h2>",
                f"<pre>{escape(self.command)}</pre>",
                paragraph(
                    f"mtrelu {self.version}. The theory: Nakhleh, Shenouda, Nowak, The Effects of "
                    "Multi-Task Learning on ReLU Neural Network Functions, arXiv:2410.21696, "
                    "section 4; numbers in brackets are its equations."
                ),
            ],
        )

    def _cell(self, name: str, value: float, i: int) -> str:
        if name == "certified":
            return f"{self.sweep.n_certified()[i]}/{self.sweep.plan.n_seeds}"
        if np.isnan(value):
            return "–"
        if name in ("n_tasks", "n_neurons"):
            return f"{value:g}"
        if np.isinf(value):
            return "∞"
        if name == "leave_task_out_difference":
            return f"{value:.1e}{self._mark(self.sweep.plan.n_tasks[i])}"
        return f"{value:.1e}" if name in FALLING else number(value)

    def _mark(self, n_tasks: int) -> str:
        """A question mark where the neurons of the other tasks say nothing."""
        return "?" if n_tasks in self.sweep.unresolved() else ""

    def _cards(self) -> str:
        most = self.sweep.plan.n_tasks[-1]
        own, others = (
            self.sweep.median(name)[-1]
            for name in ("output_difference", "leave_task_out_difference")
        )
        certified, cells = sum(self.sweep.n_certified()), len(self.sweep.measurements)
        return cards([
            ("distance from ridge regression", _percentage(own),
             f"of the largest output, over the network's own neurons, with {most} tasks"),
            ("distance from a kernel method", _percentage(others) + self._mark(most),
             f"the same, over neurons learned without the task, with {most} tasks"
             + ("; not resolved, see below" if self._mark(most) else "")),
            ("falls like", self.sweep.rate("output_difference").in_words(interval=False),
             "the first of these, as the number of tasks T grows"),
            ("certified", f"{certified} of {cells}",
             f"cells whose networks are proved optimal to {CERTIFIED_TOL:g}"),
        ])  # fmt: skip

    def _question(self) -> Iterable[str]:
        plan = self.sweep.plan
        yield "<h2>The question</h2>"
        yield paragraph(
            "A network of ReLU neurons that learns one task chooses neurons for that task. When it "
            "learns many tasks at once they share the neurons, and no single task matters for "
            "them. The paper proves that each task is then fitted nearly as by a kernel method: "
            "ridge regression over neurons that are given. How many tasks does that take?"
        )
        yield paragraph(
            f"For each number of tasks T the best network was computed for {plan.n_seeds} "
            f"{'seed' if plan.n_seeds == 1 else 'seeds, that is random draws'}; one number of "
            "tasks with one seed is a cell. In each the first task, the measured one, was fitted "
            "again by ridge regression: over the neurons of that network, and over the neurons of "
            "a network that learned all the other tasks and never saw the measured one."
        )
        yield paragraph(
            f"The penalty is α = {plan.alpha:g} for every number of tasks; the theorem is about "
            "this case."
            if plan.weight_decay is None
            else f"The penalty grows with the number of tasks, α = λNT/2 with λ = "
            f"{plan.weight_decay:g}, as it does when the mean squared error is trained with weight "
            "decay λ. The theorem holds α fixed. Beyond some number of tasks such a penalty leaves "
            "no neurons at all."
        )
        if self.left_out:
            yield paragraph(
                f"{len(self.left_out)} rows with unknown values were left out, as asked by "
                "--drop-missing."
            )
        yield image(
            self.figure,
            "Lines: medians over the seeds; pale bands: from the least to the largest. Dotted: the "
            "fitted power laws, with exponents and their 95 % intervals in the legends. Dashed "
            "red: T^(−1/4), the rate that the theorem promises for the objectives; it is an upper "
            "bound up to a constant factor, so that only its slope means something, and it starts "
            "at the highest median of the first T > 1. Red crosses: cells where optimality is not "
            "proved; they count for no median.",
        )

    def _numbers(self) -> Iterable[str]:
        yield "<h2>The numbers</h2>"
        head, rows, rates = self.rows()
        cells = [[escape(cell) for cell in row] for row in [*rows, *([rates] if rates else [])]]
        yield f'<div style="overflow-x:auto">{table(head, cells)}</div>'
        yield paragraph(
            f"Medians over the certified cells{', and in the last row rates' if rates else ''}; "
            "every cell is in measurements.json. For one task there are no others to compare with."
        )
        yield table(
            ["quantity", "what it says"],
            [
                ["proved", "in how many cells the networks are certified to be optimal"],
                ["neurons", "how many neurons the network of all T tasks has"],
                ["ridge [18]", "the largest difference between the task's output and its "
                 "ridge fit over the same neurons, relative to the largest output; seen at points "
                 "between the data: " + _points(self.sweep)],
                ["others' neurons", "the same for the ridge fit over the neurons of the other "
                 "tasks, the kernel method proper; with a question mark where two solutions of one "
                 "problem differ as much"],
                ["excess of J [17]", "J(v′) − J(v*): by how much the ridge fit v′ misses the "
                 "optimum of the task's true objective J, whose penalty is no square; J is half "
                 "the sum of squared errors plus α times the sum of the norms of the neurons' "
                 "output weights"],
                ["H − J [16]", "the largest error of the quadratic penalty for all weights up to "
                 "T^(1/16) times the optimal ones; infinite if the task has a neuron of its own"],
                ["spread of γ [21]", "γ_ks/γ_k − 1: how far the ridge weights of two tasks can "
                 "differ, the largest over neurons and tasks"],
                ["share [20]", "for how many neurons and tasks the bound of Lemma 4.2 holds, here "
                 "with β = 2/3; at least 1 − T^(−β) is promised"],
                ["ℓ1 [19]", "only in the picture: the fit over the same neurons that is right for "
                 "one task (as good as the network, but not always the same), and wrong for many"],
                ["solved twice", "only in the picture: two networks of all tasks, found from "
                 "different starts; if they differ, the optimum is not unique, or too flat for "
                 "float64"],
                ["v′ near v*", "only in the picture: for how many neurons the weight in the ridge "
                 "fit is at most T^(1/16) times the optimal one, as [16] asks"],
                ["used by one task alone", "only in the picture: neurons without a weight in any "
                 "other task, so that their γ_ks is infinite; the theorem excludes them"],
                ["distance from own kernel ridge", "only in the picture: how far all outputs are "
                 "from kernel ridge regression with the network's own kernel; zero for a network "
                 "that is optimal exactly, so that it tells how exactly the solver hit it"],
            ],
        )  # fmt: skip

    def _rates(self) -> Iterable[str]:
        yield "<h2>How fast?</h2>"
        rows = []
        for name, title in FALLING.items():
            rate = self.sweep.rate(name)
            if np.isnan(rate.exponent):
                rows.append([escape(title), "fewer than three usable medians", "", "", ""])
                continue
            sure = "–" if np.isnan(rate.low) else f"{rate.low:.2f} … {rate.high:.2f}"
            over = f"{rate.n_tasks[0]} … {rate.n_tasks[-1]}"
            rows.append([escape(title), f"{rate.exponent:.2f}", sure, over, f"{rate.misfit:.1f}"])
        head = ["quantity", "exponent", "95 % interval", "over T", "off by a factor of up to"]
        yield table(head, rows)
        yield paragraph(
            "Exponents are slopes of the medians on logarithmic axes, for T > 1. Intervals say how "
            f"sure they are given these seeds (bootstrap; none for fewer than {FEWEST_SEEDS} "
            "seeds); the last column says how far the medians are from the power law: if far, the "
            "exponent is but a mean slope. Theorem 4.1 promises T^(-1/4) or faster for [16] and "
            "[17]."
        )
        dropped = self.sweep.unresolved()
        if dropped:
            yield paragraph(
                "Neurons of the other tasks: not used for the rate are T = "
                f"{', '.join(map(str, dropped))}, where two solutions of one and the same problem, "
                f"from different starts, differ by 1/{RESOLVED:g} of the measured value or more, "
                "or the second was not certified. There the optimum is not unique, or too flat for "
                "float64."
            )

    def _proofs(self) -> Iterable[str]:
        cells = self.sweep.uncertified()
        yield "<h2>What was proved</h2>"
        yield paragraph(
            f"Of {len(self.sweep.measurements)} cells {sum(self.sweep.n_certified())} are "
            f"certified: no network, of any width, is better than those used by more than a "
            f"relative {CERTIFIED_TOL:g} of the objective. The gaps that were reached are in the "
            "last panel of the picture."
        )
        if not cells:
            return
        yield paragraph("Not certified, and left out of medians and rates:")
        yield table(
            ["T", "seed", "all tasks", "gap", "the other tasks", "gap"],
            [
                [f"{cell.n_tasks}", f"{cell.seed}", cell.status, f"{cell.relative_gap:.1e}",
                 cell.leave_task_out_status or "–", f"{cell.leave_task_out_gap:.1e}"]
                for cell in cells[:MOST_CELLS]
            ],
        )  # fmt: skip
        yield shortened(min(len(cells), MOST_CELLS), len(cells), "first cells")


def _percentage(share: float) -> str:
    if np.isnan(share):
        return "–"
    return f"{100 * share:.2g} %" if share >= 1e-4 else f"{share:.1e}"


def _points(sweep: Sweep) -> str:
    """Where functions are compared, in words."""
    n_inputs = sweep.plan.design.draw(1, 0)[0].shape[1]
    return {
        1: "401 over the range of the inputs",
        2: "a grid of 41 × 41 over the range of the inputs",
    }.get(n_inputs, "the data and 2,000 random points of their convex hull")
