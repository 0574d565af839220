"""What every report tells: how good the fit is, what was proved, how alpha was chosen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
from scipy.special import expit

from mtrelu.api import Solution
from mtrelu.displays import PANELS, SelectionDisplay
from mtrelu.report.page import bar, cards, image, number, page, paragraph, png, shortened, table
from mtrelu.scaling import Scaling
from mtrelu.selection import Selection
from mtrelu.validation import MissingExtraError

MOST_TASKS = 100
MOST_NEURONS = 30
"""Longer tables show this many rows and say so."""
UNEVEN = 10.0
"""Tasks whose spreads differ by more than this factor are worth a word about units."""
ORACLES = {
    "exact": "exact: every possible neuron was considered",
    "bound": "a bound: no neuron, considered or not, can exceed it",
    "estimate": "a search that did not look everywhere",
}
"""How the dual function was maximised, in words."""
CHOSEN = {
    "one_percent": "Of all values whose mean loss on held-out labels is within 1 % of the least, "
    "the largest was taken",
    "one_se": "Of all values whose mean loss on held-out labels is within one standard error of "
    "the least, the largest was taken (--rule one_se)",
    "min": "The one with the least mean loss on held-out labels was taken (--rule min)",
}
"""How alpha was chosen, by rule."""
MOST_NAMED = 20
"""The most rows that are named where rows were left out."""


@dataclass(frozen=True, eq=False)
class Report(ABC):
    """Everything there is to say about one fit, told to people who do not know the theory.

    Parameters
    ----------
    solution : Solution
        What `mtrelu.solve` returned for the scaled data.
    tasks : sequence of str
        The name of each task.
    input_names : sequence of str
        The name of each input.
    title : str
        The heading.
    description : str
        Where the data come from.
    scaling : Scaling
        The units of the fit.
    selection : Selection or None
        How alpha was chosen; None if it was given.
    command : str
        The command that makes this report again.
    version : str
        The version of mtrelu.
    left_out : sequence of str
        The rows with unknown values that were left out, by name.
    n_unlabelled : int
        Further rows in which no task has a label; no fit sees them.
    rule : str
        By which of `mtrelu.selection.RULES` alpha was chosen.
    """

    solution: Solution
    tasks: Sequence[str]
    input_names: Sequence[str]
    title: str
    description: str
    scaling: Scaling
    selection: Selection | None
    command: str
    version: str
    left_out: Sequence[str] = ()
    n_unlabelled: int = 0
    rule: str = "one_percent"

    @cached_property
    def optimal_set(self) -> Any:
        """All networks that are as good, found once."""
        return self.solution.optimal_set()

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels in the tasks' own units, shape (N, T), NaN where one is unknown."""
        problem = self.solution.problem
        return np.where(problem.used, problem.Y, np.nan) * self.scaling.task_spread

    @cached_property
    def residuals(self) -> np.ndarray:
        """Label minus prediction in the tasks' own units, shape (N, T), NaN where unknown.

        With the logistic loss the predictions are probabilities.
        """
        problem = self.solution.problem
        outputs = self.solution.network(problem.X)
        predictions = expit(outputs) if self.tells_classes else outputs
        residuals = problem.Y - predictions
        return np.where(problem.used, residuals, np.nan) * self.scaling.task_spread

    @property
    def tells_classes(self) -> bool:
        """Whether the labels are classes, 0 and 1, and the outputs log-odds."""
        return self.solution.problem.loss.name == "logistic"

    @property
    def n_samples(self) -> int:
        """The rows of the table that were not left out, those without any label included."""
        return len(self.solution.problem.Y) + self.n_unlabelled

    @property
    def n_unknown(self) -> int:
        """How many labels of these rows are unknown."""
        unknown = int(np.isnan(self.labels).sum())
        return unknown + self.n_unlabelled * len(self.tasks)

    @property
    def n_labels(self) -> int:
        """How many labels these rows have place for."""
        return self.n_samples * len(self.tasks)

    @cached_property
    def rmse(self) -> np.ndarray:
        """Root mean squared residual of each task, shape (T,)."""
        return np.asarray(np.sqrt(np.nanmean(self.residuals**2, axis=0)))

    @cached_property
    def r2(self) -> np.ndarray:
        """Share of each task's variance that the fit explains; NaN for a constant task."""
        total = np.nansum((self.labels - np.nanmean(self.labels, axis=0)) ** 2, axis=0)
        share = np.divide(
            np.nansum(self.residuals**2, axis=0), total, out=np.full(len(total), np.nan),
            where=total > 0,
        )  # fmt: skip
        return np.asarray(1.0 - share)

    @cached_property
    def log_loss(self) -> np.ndarray:
        """Mean logistic loss per label of each task, shape (T,): 0.693 is that of a coin."""
        problem = self.solution.problem
        losses = problem.loss.value(problem.Y, self.solution.network(problem.X))
        return np.asarray(np.nanmean(np.where(problem.used, losses, np.nan), axis=0))

    @cached_property
    def accuracy(self) -> np.ndarray:
        """Share of the labels of each task whose class is the likelier one, shape (T,)."""
        problem = self.solution.problem
        right = (problem.Y > 0.5) == (self.solution.network(problem.X) > 0.0)
        return np.asarray(np.nanmean(np.where(problem.used, right, np.nan), axis=0))

    @property
    def quality(self) -> tuple[str, str, str]:
        """How well the tasks are fitted in the median, in one number: its name, it, a note."""
        over_tasks = "median over the tasks of the " if len(self.tasks) > 1 else ""
        if self.tells_classes:
            note = f"{over_tasks}share of the labels that the fit finds likelier than not"
            return "accuracy", f"{np.median(self.accuracy):.3f}", note
        if self.scaling.scales_tasks:
            note = f"{over_tasks}share of the variation explained"
            return "R²", f"{np.nanmedian(self.r2):.4g}", note
        return "RMSE", f"{np.median(self.rmse):.4g}", f"{over_tasks}root mean squared error"

    @cached_property
    def figures(self) -> Mapping[str, bytes]:
        """The pictures as PNG files, by name."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingExtraError("plot", "matplotlib") from None
        drawn = self._drawn(Figure)
        if self.selection is not None:
            drawn["alpha"] = SelectionDisplay(self.selection).plot(Figure()).figure_
        return {name: png(figure) for name, figure in drawn.items()}

    def html(self) -> str:
        """The report as one HTML file that loads nothing from elsewhere."""
        parts = [
            f"<h1>{escape(self.title)}</h1>",
            paragraph(self.description),
            self._cards(),
            *self._what_was_fitted(),
            *self._certificate(),
            *self._verdict(),
            *self._neurons(),
            *self._alpha(),
            *self._tasks(),
            *self._again(),
        ]
        return page(self.title, parts)

    @property
    @abstractmethod
    def spread(self) -> str:
        """How far apart two optimal networks can be, in words."""

    @property
    @abstractmethod
    def size(self) -> tuple[str, int, str]:
        """What the network consists of: a name, how many, a note."""

    @abstractmethod
    def _drawn(self, figure: Any) -> dict[str, Any]:
        """Figures by name; `figure` makes an empty one."""

    @abstractmethod
    def _what_was_fitted(self) -> Iterable[str]: ...

    @abstractmethod
    def _verdict(self) -> Iterable[str]: ...

    @abstractmethod
    def _neurons(self) -> Iterable[str]: ...

    @abstractmethod
    def _place(self, i: int) -> str:
        """Where sample i lies."""

    def _examples(self) -> list[int]:
        """A panel's worth of tasks, from the worst fitted to the best, evenly by rank."""
        ranked = self._worst_first
        return [int(ranked[i]) for i in np.linspace(0, len(ranked) - 1, PANELS).round().astype(int)]

    @cached_property
    def _worst_first(self) -> np.ndarray:
        """Tasks by falling error, in the units in which they were fitted."""
        return np.argsort(-self._errors, kind="stable")

    @property
    def _errors(self) -> np.ndarray:
        return self.log_loss if self.tells_classes else self.rmse / self.scaling.task_spread

    def _cards(self) -> str:
        status, gap = self.solution.certificate.in_short().split(", ", 1)
        name, count, note = self.size
        measure, value, meaning = self.quality
        return cards([
            (name, f"{count}", note),
            ("optimality", status, gap),
            ("the only optimum?", str(self.optimal_set.verdict.value),
             f"two optimal networks differ: {self.spread}"),
            (f"typical {measure}", value, meaning),
        ])  # fmt: skip

    def _kind_of_fit(self) -> str:
        """What the outputs are, and what costs nothing, where that is not what it mostly is."""
        words = ""
        if self.tells_classes:
            words += paragraph(
                "The labels are classes, 0 and 1, and what bends is the log-odds of class 1. "
                "Pictures and errors show its probability instead: log-odds of 0 are a "
                "probability of one half."
            )
        if self.solution.problem.skip == "constant":
            words += paragraph(
                "A constant costs nothing, but every slope does (--skip constant): without neurons "
                "the fit is flat."
            )
        return words

    def _left_out(self) -> str:
        """Which rows and labels were left out, and that this was asked for."""
        labels = (
            ""
            if not self.n_unknown
            else paragraph(
                f"{self.n_unknown} of {self.n_labels} labels are unknown: each task was fitted to "
                "the rows that have one, as asked by --missing-labels."
                + (
                    f" Rows in which no task has a label: {self.n_unlabelled}."
                    if self.n_unlabelled
                    else ""
                )
            )
        )
        count = len(self.left_out)
        if not count:
            return labels
        named = ", ".join(self.left_out[:MOST_NAMED])
        more = f" and {count - MOST_NAMED} more" if count > MOST_NAMED else ""
        return labels + paragraph(
            f"{count} row{'s' if count > 1 else ''} with unknown values left out, as asked by "
            f"--drop-missing: {named}{more}."
        )

    def _uneven(self) -> str:
        """A word about units where the tasks were fitted as they are but are not alike."""
        if self.tells_classes:
            return ""
        spread = np.nanstd(self.labels, axis=0)
        spread = spread[spread > 0]
        if self.scaling.scales_tasks or not spread.size or spread.max() <= UNEVEN * spread.min():
            return ""
        return paragraph(
            "The tasks are of very different size: the most variable one spreads "
            f"{number(float(spread.max() / spread.min()))} times as far as the least variable. The "
            "fit follows the large ones. If they are in different units, fit with --standardize."
        )

    def _tasks(self) -> Iterable[str]:
        yield "<h2>How well each task is fitted</h2>"
        if self.tells_classes:
            yield from self._classes()
            return
        yield paragraph(
            "RMSE is the typical distance between a label and its prediction, in the task's own "
            "unit. R² is the share of the task's variation that the fit explains: 1 is all of it. "
            "These describe the data that were fitted; how well unseen points are predicted is "
            "told above if alpha was chosen from the data."
        )
        r2 = ["–" if np.isnan(share) else f"{share:.4f}" for share in self.r2]
        yield from self._table_of_tasks(("RMSE", self.rmse), ("R²", r2))

    def _classes(self) -> Iterable[str]:
        yield paragraph(
            "Log-loss is the mean of −log p, where p is the probability that the fit gives to the "
            "class of a label: 0 is best, and 0.693 is that of tossing a coin. Accuracy is the "
            "share of the labels whose class is the likelier one. These describe the data that "
            "were fitted; how well unseen points are predicted is told above if alpha was chosen "
            "from the data. A miss is label minus probability."
        )
        accuracy = [f"{share:.4f}" for share in self.accuracy]
        yield from self._table_of_tasks(("log-loss", self.log_loss), ("accuracy", accuracy))

    def _table_of_tasks(
        self, error: tuple[str, np.ndarray], share: tuple[str, Sequence[str]]
    ) -> Iterable[str]:
        """A row for each task, the worst fitted first."""
        largest = float(self._errors.max()) or 1.0
        rows = []
        for t in self._worst_first[:MOST_TASKS]:
            i = int(np.nanargmax(np.abs(self.residuals[:, t])))
            miss = f"{self.residuals[i, t]:+.3g} at {self._place(i)}"
            drawn = bar(self._errors[t] / largest, number(float(error[1][t])))
            rows.append([escape(self.tasks[t]), drawn, share[1][t], miss])
        where = f"largest miss, at {', '.join(self.input_names)}"
        yield table(["task", error[0], share[0], where], rows)
        yield shortened(len(rows), len(self.tasks), "worst fitted tasks")

    def _certificate(self) -> Iterable[str]:
        certificate = self.solution.certificate
        estimate = certificate.estimated_relative_gap
        yield "<h2>Is this the best possible fit?</h2>"
        yield paragraph(certificate.in_words())
        yield table(
            ["", ""],
            [
                ["objective of this network", f"{certificate.primal:.12g}"],
                [
                    "no network can be below (no proof)"
                    if certificate.oracle == "estimate"
                    else "no network can be below",
                    f"{certificate.dual:.12g}",
                ],
                ["difference (duality gap)", f"{certificate.gap:.2e}"],
                ["relative gap, and what was asked",
                 f"{certificate.relative_gap:.2e}, {certificate.tol:.0e}"],
                *([["relative gap if the worst neuron seen is the worst there is (no proof)",
                    f"{estimate:.2e}"]] if estimate is not None else []),
                ["search for a better neuron", ORACLES[certificate.oracle]],
            ],
        )  # fmt: skip

    def _alpha(self) -> Iterable[str]:
        yield "<h2>How alpha was chosen</h2>"
        choice = self.selection
        if choice is None:
            yield paragraph("It was given, not chosen from the data.")
            return
        folds = choice.scores.shape[1]
        one_input = len(self.input_names) == 1
        points = "the points between the two ends" if one_input else "the points"
        yield paragraph(
            f"By cross-validation: {points} were divided into {folds} "
            f"parts; each part was held out in turn, and the other points predicted it, for "
            f"{len(choice.alphas)} values of alpha. {CHOSEN[self.rule]}: "
            f"alpha = {number(choice.alpha)}."
            + ("" if one_input else " Smaller values were not tried once the loss had risen.")
        )
        if choice.least_at_edge:
            yield paragraph(
                "The loss still falls, if only a little, down to the smallest alpha tried: there "
                "is no noise in these data that a penalty would remove, and "
                f"{'curves' if one_input else 'surfaces'} through every point (--alpha 0) would "
                "predict about as well."
            )
        yield self._figure("alpha", "Loss on held-out labels for each alpha; lower is better.")

    def _again(self) -> Iterable[str]:
        yield "<h2>Make this report again</h2>"
        yield f"<pre>{escape(self.command)}</pre>"
        yield paragraph(
            f"mtrelu {self.version}. The theory: Nakhleh, Shenouda, Nowak, The Effects of "
            "Multi-Task Learning on ReLU Neural Network Functions, arXiv:2410.21696."
        )

    def _figure(self, name: str, caption: str) -> str:
        return image(self.figures[name], caption)
