"""A fit told to people who do not know the theory: pictures, words and tables in one HTML file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from mtrelu.api import Solution
from mtrelu.displays import PANELS, CurvesDisplay, SelectionDisplay, SlopeChangesDisplay
from mtrelu.optimal_set import OptimalSet
from mtrelu.selection import Selection
from mtrelu.validation import MissingExtraError

__all__ = ["Report"]

MOST_TASKS = 100
MOST_KNOTS = 30
"""Longer tables show this many rows and say so."""
UNEVEN = 10.0
"""Tasks whose spreads differ by more than this factor are worth a word about units."""


@dataclass(frozen=True, eq=False)
class Report:
    """Everything there is to say about one fit of one input.

    Parameters
    ----------
    solution : Solution
        What `mtrelu.solve` returned for the tasks divided by `scale`.
    tasks : sequence of str
        The name of each task.
    input_name : str
        The name of the input.
    title : str
        The heading.
    description : str
        Where the data come from.
    scale : ndarray of shape (T,)
        What each task was divided by before the fit; ones if nothing.
    selection : Selection or None
        How alpha was chosen; None if it was given.
    command : str
        The command that makes this report again.
    version : str
        The version of mtrelu.

    Examples
    --------
    >>> import mtrelu, numpy as np
    >>> from mtrelu.report import Report
    >>> solution = mtrelu.solve([0, 1, 2, 3], [0, 0, 1, 3], alpha=0.1)
    >>> report = Report(solution, ["sales"], "week", "Sales", "Made up.", np.ones(1), None, "", "")
    >>> report.rmse.shape
    (1,)
    >>> report.html().startswith("<!doctype html>")
    True
    """

    solution: Solution
    tasks: Sequence[str]
    input_name: str
    title: str
    description: str
    scale: np.ndarray
    selection: Selection | None
    command: str
    version: str

    @cached_property
    def curves(self) -> CurvesDisplay:
        """Data, curves and ranges in the tasks' own units."""
        return CurvesDisplay.from_solution(
            self.solution,
            tasks=self.tasks,
            input_name=self.input_name,
            scale=self.scale,
            optimal_set=self.optimal_set,
        )

    @cached_property
    def optimal_set(self) -> OptimalSet:
        """All networks that are as good, found once."""
        return self.solution.optimal_set()

    @cached_property
    def residuals(self) -> np.ndarray:
        """Label minus prediction in the tasks' own units, shape (N, T)."""
        problem = self.solution.problem
        return np.asarray((problem.Y - self.solution.network(problem.X)) * self.scale)

    @cached_property
    def rmse(self) -> np.ndarray:
        """Root mean squared residual of each task, shape (T,)."""
        return np.asarray(np.sqrt(np.mean(self.residuals**2, axis=0)))

    @cached_property
    def r2(self) -> np.ndarray:
        """Share of each task's variance that the curve explains; NaN for a constant task."""
        Y = self.curves.Y
        total = np.sum((Y - Y.mean(axis=0)) ** 2, axis=0)
        share = np.divide(
            np.sum(self.residuals**2, axis=0), total, out=np.full(len(total), np.nan),
            where=total > 0,
        )  # fmt: skip
        return np.asarray(1.0 - share)

    @cached_property
    def widest(self) -> tuple[float, float, str]:
        """The largest difference of two optimal networks: how much, at which input, which task."""
        width = self.curves.high - self.curves.low
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
        return f"by up to {_number(width)} ({task} at {self.input_name} = {place:.6g})"

    @cached_property
    def figures(self) -> dict[str, bytes]:
        """The pictures as PNG files, by name."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingExtraError("plot", "matplotlib") from None
        drawn = {"curves": self.curves.plot(Figure()).figure_}
        if len(self.tasks) > PANELS:
            drawn["tasks"] = self.curves.plot(Figure(), select=self._examples()).figure_
        display = SlopeChangesDisplay.from_network(
            self.solution.network, tasks=self.tasks, input_name=self.input_name
        )
        drawn["knots"] = display.plot(Figure()).figure_
        if self.selection is not None:
            drawn["alpha"] = SelectionDisplay(self.selection).plot(Figure()).figure_
        return {name: _png(figure) for name, figure in drawn.items()}

    def html(self) -> str:
        """The report as one HTML file that loads nothing from elsewhere."""
        parts = [
            f"<h1>{escape(self.title)}</h1>",
            _p(self.description),
            self._cards(),
            *self._what_was_fitted(),
            *self._certificate(),
            *self._verdict(),
            *self._knots(),
            *self._alpha(),
            *self._tasks(),
            *self._again(),
        ]
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            + "\n".join(parts)
            + "\n</body>\n</html>\n"
        )

    def _examples(self) -> list[int]:
        """A panel's worth of tasks, from the worst fitted to the best, evenly by rank."""
        ranked = self._worst_first
        return [int(ranked[i]) for i in np.linspace(0, len(ranked) - 1, PANELS).round().astype(int)]

    @cached_property
    def _worst_first(self) -> np.ndarray:
        """Tasks by falling error, in the units in which they were fitted."""
        return np.argsort(-self.rmse / self.scale, kind="stable")

    @property
    def _standardized(self) -> bool:
        return bool(np.any(self.scale != 1.0))

    def _cards(self) -> str:
        certificate = self.solution.certificate
        over_tasks = "median over the tasks of the " if len(self.tasks) > 1 else ""
        error = (
            ("typical R²", f"{np.nanmedian(self.r2):.3f}",
             f"{over_tasks}share of the variation explained")
            if self._standardized
            else ("typical error", _number(float(np.median(self.rmse))),
                  f"{over_tasks}root mean squared error")
        )  # fmt: skip
        facts = [
            ("knots", f"{len(self.curves.knots)}", "places where the slope changes"),
            ("optimality", str(self.solution.status.value),
             f"relative gap {certificate.relative_gap:.1e}"),
            ("the only optimum?", str(self.optimal_set.verdict.value),
             f"two optimal networks differ: {self.spread}"),
            error,
        ]  # fmt: skip
        return '<div class="cards">' + "".join(
            f"<div><small>{escape(label)}</small><b>{escape(value)}</b><span>{escape(note)}</span>"
            "</div>"
            for label, value, note in facts
        ) + "</div>"  # fmt: skip

    def _what_was_fitted(self) -> Iterable[str]:
        N, T = self.solution.problem.Y.shape
        several = T > 1
        yield "<h2>What was fitted</h2>"
        yield _p(
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
        yield _p(
            "The curves pass through every label and, among all curves that do, bend least in "
            "total (alpha = 0)."
            if alpha == 0
            else "The fit weighs two wishes against each other: to pass close to the data (the "
            f"{self.solution.problem.loss.name} loss), and to bend little. The weight of the "
            f"second wish is called alpha; here alpha = {_number(alpha)}."
        )
        if self._standardized:
            yield _p(
                "Before the fit every task was divided by its standard deviation, so that tasks in "
                "different units count alike. Curves and errors below are in the tasks' own units "
                "again; alpha, the bends and the certificate are in standard deviations."
            )
        else:
            spread = self.curves.Y.std(axis=0)
            spread = spread[spread > 0]
            if spread.size and spread.max() > UNEVEN * spread.min():
                yield _p(
                    "The tasks are of very different size: the most variable one spreads "
                    f"{_number(float(spread.max() / spread.min()))} times as far as the least "
                    "variable. The fit follows the large ones. If they are in different units, fit "
                    "with --standardize."
                )
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

    def _knots(self) -> Iterable[str]:
        changes = np.abs(self.solution.network.slope_changes())
        yield "<h2>The knots</h2>"
        if len(changes) == 0:
            yield _p("There are none: every curve is a straight line.")
            return
        shares = changes.sum(axis=1) / changes.sum()
        order = np.sort(np.argsort(-shares, kind="stable")[:MOST_KNOTS])
        rows = []
        for k in order:
            most = int(np.argmax(changes[k]))
            share = f"{100 * shares[k]:.0f} %" if shares[k] >= 0.005 else "below 1 %"
            row = [f"{self.curves.knots[k]:.6g}", _bar(shares[k] / shares.max(), share)]
            if len(self.tasks) > 1:
                bend = _number(float(changes[k, most]))
                row.append(f"{escape(self.tasks[most])} ({bend})")
            rows.append(row)
        head = [self.input_name, "share of all bending"]
        if len(self.tasks) > 1:
            head.append("bends most (slope change)")
        yield _table(head, rows)
        yield _shortened(len(rows), len(changes), "largest knots")
        yield self._figure(
            "knots",
            "Slope change of each task (row) at each knot (column): red bends up, blue bends down.",
        )

    def _tasks(self) -> Iterable[str]:
        yield "<h2>How well each task is fitted</h2>"
        yield _p(
            "RMSE is the typical distance between a label and its curve, in the task's own unit. "
            "R² is the share of the task's variation that the curve explains: 1 is all of it. "
            "These describe the data that were fitted; how well unseen points are predicted is "
            "told above if alpha was chosen from the data."
        )
        relative = self.rmse / self.scale
        largest = float(relative.max()) or 1.0
        rows = []
        for t in self._worst_first[:MOST_TASKS]:
            i = int(np.argmax(np.abs(self.residuals[:, t])))
            miss = f"{self.residuals[i, t]:+.3g} at {self.curves.x[i]:.6g}"
            r2 = "–" if np.isnan(self.r2[t]) else f"{self.r2[t]:.4f}"
            bar = _bar(relative[t] / largest, _number(float(self.rmse[t])))
            rows.append([escape(self.tasks[t]), bar, r2, miss])
        yield _table(["task", "RMSE", "R²", f"largest miss, at {self.input_name}"], rows)
        yield _shortened(len(rows), len(self.tasks), "worst fitted tasks")

    def _certificate(self) -> Iterable[str]:
        certificate = self.solution.certificate
        yield "<h2>Is this the best possible fit?</h2>"
        yield _p(certificate.in_words())
        yield _table(
            ["", ""],
            [
                ["objective of this network", f"{certificate.primal:.12g}"],
                ["no network can be below", f"{certificate.dual:.12g}"],
                ["difference (duality gap)", f"{certificate.gap:.2e}"],
                ["relative gap, and what was asked",
                 f"{certificate.relative_gap:.2e}, {certificate.tol:.0e}"],
                [
                    "search for a better neuron",
                    "exact: every possible neuron was considered"
                    if certificate.oracle == "exact"
                    else escape(certificate.oracle),
                ],
            ],
        )  # fmt: skip

    def _verdict(self) -> Iterable[str]:
        optimal_set = self.optimal_set
        verdict = optimal_set.verdict.value
        yield "<h2>Is it the only best fit?</h2>"
        meaning = {
            "unique": "Yes. Every network that reaches the optimum, of any width and however it "
            "was trained, gives these very curves.",
            "not unique": "No. Other networks are exactly as good and give other curves between "
            "some data points. Training again could end at any of them.",
        }.get(
            verdict,
            "That cannot be decided at the precision of these numbers: some slope changes are too "
            "close to aligned, or too close to zero.",
        )
        yield _p(meaning)
        yield _p(f"Reason: {optimal_set.reason}")
        columns = "The columns low and high of predictions.csv give the range for every data point."
        if verdict == "undecided":
            columns = (
                "The columns low and high of predictions.csv cover what is certain, not what is "
                "open."
            )
        yield _p(f"Two optimal networks differ: {self.spread}. {columns}")
        intervals = list(optimal_set.intervals)
        if intervals:
            shown = "; ".join(f"{lo:.6g} to {hi:.6g}" for lo, hi in intervals[:10])
            more = f" and {len(intervals) - 10} more" if len(intervals) > 10 else ""
            where = "They differ" if verdict == "not unique" else "Open is whether they differ"
            yield _p(f"{where} for {self.input_name} in: {shown}{more}.")
        yield _p(f"Tolerance of this verdict: {optimal_set.tolerance:.1e}.")

    def _alpha(self) -> Iterable[str]:
        yield "<h2>How alpha was chosen</h2>"
        choice = self.selection
        if choice is None:
            yield _p("It was given, not chosen from the data.")
            return
        folds = choice.scores.shape[1]
        yield _p(
            f"By cross-validation: the points between the two ends were divided into {folds} "
            f"parts; each part was held out in turn, and the other points predicted it, for "
            f"{len(choice.alphas)} values of alpha. Of all values whose mean loss on held-out "
            f"labels is within 1 % of the least, the largest was taken: "
            f"alpha = {_number(choice.alpha)}."
        )
        if choice.least_at_edge:
            yield _p(
                "The loss still falls, if only a little, down to the smallest alpha tried: there "
                "is no noise in these data that a penalty would remove, and curves through every "
                "point (--alpha 0) would predict about as well."
            )
        yield self._figure("alpha", "Loss on held-out labels for each alpha; lower is better.")

    def _again(self) -> Iterable[str]:
        yield "<h2>Make this report again</h2>"
        yield f"<pre>{escape(self.command)}</pre>"
        yield _p(
            f"mtrelu {self.version}. The theory: Nakhleh, Shenouda, Nowak, The Effects of "
            "Multi-Task Learning on ReLU Neural Network Functions, arXiv:2410.21696."
        )

    def _figure(self, name: str, caption: str) -> str:
        data = base64.b64encode(self.figures[name]).decode("ascii")
        return (
            f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _p(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _number(value: float) -> str:
    return f"{value:.3g}"


def _bar(share: float, text: str) -> str:
    """A number over a bar of that length."""
    return f'<span class="bar" style="--share:{100 * share:.1f}%">{escape(text)}</span>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already; the head is text."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    thead = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return f"<table>{thead}<tbody>{body}</tbody></table>"


def _shortened(shown: int, there_are: int, what: str) -> str:
    return "" if shown == there_are else _p(f"Shown are the {shown} {what} of {there_are}.")


STYLE = """\
body{font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
color:#1f2933;background:#fff;max-width:52rem;margin:2.5rem auto;padding:0 1.25rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .6rem}
h2{font-size:1.25rem;margin:2.4rem 0 .5rem;padding-top:.8rem;border-top:1px solid #e4e7eb}
p{margin:.5rem 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.8rem;
margin:1.4rem 0}
.cards div{background:#f5f7fa;border-radius:.5rem;padding:.8rem 1rem;display:flex;
flex-direction:column}
.cards small{color:#52606d}
.cards b{font-size:1.35rem;color:#1d5fa6}
.cards span{font-size:.8rem;color:#52606d}
figure{margin:1.2rem 0;break-inside:avoid}
img{max-width:100%;height:auto}
figcaption{font-size:.85rem;color:#52606d}
table{border-collapse:collapse;margin:.8rem 0;font-size:.9rem;font-variant-numeric:tabular-nums}
th{text-align:left;color:#52606d;font-weight:600}
th,td{padding:.22rem 1.4rem .22rem 0;border-bottom:1px solid #eef0f3}
tr{break-inside:avoid}
.bar{display:block;min-width:9rem;padding:0 .35rem;
background:linear-gradient(#d3e3f5,#d3e3f5) no-repeat 0/var(--share) 100%;print-color-adjust:exact}
pre{background:#f5f7fa;padding:.8rem 1rem;border-radius:.5rem;white-space:pre-wrap;
overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none;font-size:11pt}h2{break-after:avoid}}
"""
