"""Columns by name, chosen and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrelu.tables._cells import cast, few, first_text, is_inexact, is_text, parsed, short
from mtrelu.validation import InvalidInputError


@dataclass(frozen=True, eq=False)
class Choice:
    """The inputs and the tasks that were chosen from a table.

    Attributes
    ----------
    X : ndarray of shape (N, d), float64
        One column per input.
    Y : ndarray of shape (N, T), float64
        One column per task; NaN where a label is unknown, if that was allowed.
    tasks : list of str
        The names of the tasks.
    left_out : list of str
        The rows that were left out since a value is unknown, by number and name.
    rows : ndarray of shape (N,), int
        Which data rows of the file these are, from 1.
    """

    X: np.ndarray
    Y: np.ndarray
    tasks: list[str]
    left_out: list[str]
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of a file, chosen and checked by name.

    Attributes
    ----------
    name : str
        The file, for messages.
    columns : dict of str to pyarrow.ChunkedArray or ndarray
        The columns as they stand in the file: those of a text file are text, not yet numbers.
    decimal : {".", ","}, default="."
        What stands before the decimals of numbers in columns of text.
    """

    name: str
    columns: dict[str, Any]
    decimal: str = "."

    def named_columns(self) -> str:
        """The names of its columns, in words; the first of them where there are many.

        Examples
        --------
        >>> Table("a.csv", {"x": np.zeros(2), "y": np.zeros(2)}).named_columns()
        'x, y'
        """
        if len(self.columns) == 1:
            return (
                f"{few(self.columns)} (a single one: commas, semicolons or tabs separate columns)"
            )
        return few(self.columns)

    def numbers(self, column: str) -> np.ndarray:
        """One column as numbers.

        Parameters
        ----------
        column : str
            Its name.

        Returns
        -------
        ndarray of shape (N,), float64
            The values, all finite.

        Raises
        ------
        InvalidInputError
            If there is no such column, or it holds text, dates, empty cells, NaN or infinities.
        """
        return self._known(column, "")

    def inputs(
        self, names: Sequence[str], *, drop_missing: bool = False
    ) -> tuple[np.ndarray, list[str]]:
        """The inputs alone.

        Parameters
        ----------
        names : sequence of str
            Names of the columns.
        drop_missing : bool, default=False
            Leave out the rows where one of them is unknown.

        Returns
        -------
        X : ndarray of shape (N, d), float64
            One column per name.
        left_out : list of str
            The rows that were left out, by number and name.

        Raises
        ------
        InvalidInputError
            If a column is missing, not numeric, incomplete, or named twice, or if no row is left.
        """
        _refuse_twice(names, "input")
        X = self._matrix(names, may_be_unknown=drop_missing)
        known, left_out = self._complete(np.isnan(X).any(axis=1))
        return X[known], left_out

    def choose(
        self,
        inputs: Sequence[str],
        tasks: Sequence[str] | None,
        *,
        drop_missing: bool = False,
        missing_labels: bool = False,
    ) -> Choice:
        """The inputs and the tasks.

        Parameters
        ----------
        inputs : sequence of str
            Names of the input columns.
        tasks : sequence of str or None
            Names of the task columns; None: all other columns, which must be numeric.
        drop_missing : bool, default=False
            Leave out the rows where an input or a task is unknown: an empty cell or NaN.
        missing_labels : bool, default=False
            Keep the rows where a task is unknown, its label NaN; with ``drop_missing`` only the
            rows where an input is unknown are left out.

        Returns
        -------
        Choice
            Inputs, tasks, and which rows were left out.

        Raises
        ------
        InvalidInputError
            If a column is missing, not numeric, incomplete, or named twice, or if no row is left.
        """
        _refuse_twice(inputs, "input")
        X = self._matrix(inputs, may_be_unknown=drop_missing)
        chosen = self._others(inputs) if tasks is None else list(tasks)
        if not chosen:
            raise InvalidInputError(
                f"{self.name} has no column besides {few(map(repr, inputs))}: there is nothing to "
                "fit. Give a file with at least one task column."
                if tasks is None
                else "--tasks names no column. Name at least one, or leave the option out to take "
                "all columns that are no input."
            )
        _refuse_twice(chosen, "task")
        both = [name for name in chosen if name in inputs]
        if both:
            raise InvalidInputError(
                f"task {both[0]!r} is named as the input too; name each column once."
            )
        Y = self._matrix(
            chosen,
            may_be_unknown=drop_missing or missing_labels,
            advice=" If only labels are unknown, --missing-labels fits each task to the rows that "
            "have one.",
        )
        empty = np.flatnonzero(np.isnan(Y).all(axis=0))
        if empty.size:
            raise InvalidInputError(
                f"column {short(chosen[empty[0]])} of {self.name} has no known label at all, so "
                "that there is nothing to fit. Leave it out by naming the others with --tasks."
            )
        unknown = np.isnan(X).any(axis=1)
        if not missing_labels:
            unknown |= np.isnan(Y).any(axis=1)
        known, left_out = self._complete(unknown)
        return Choice(X[known], Y[known], chosen, left_out, np.flatnonzero(known) + 1)

    def _others(self, inputs: Sequence[str]) -> list[str]:
        """All columns that are no input, each with a name of its own."""
        others = [name for name in self.columns if name not in set(inputs)]
        nameless = [name for name in others if not name or name.startswith("__index_level_")]
        if nameless:
            place = list(self.columns).index(nameless[0]) + 1
            raise InvalidInputError(
                f"column {place} of {self.name} has no name, perhaps the index of a data frame, "
                "and would be fitted as a task. Name the tasks with --tasks, or name the column."
            )
        return others

    def _matrix(
        self, names: Sequence[str], *, may_be_unknown: bool, advice: str = ""
    ) -> np.ndarray:
        """Columns as numbers, (N, number of names), NaN where a value may be unknown and is."""
        return np.column_stack(
            [self._values(name) if may_be_unknown else self._known(name, advice) for name in names]
        )

    def _known(self, column: str, advice: str) -> np.ndarray:
        """One column as numbers, or an error that names the rows where a value is unknown."""
        values = self._values(column)
        unknown = np.flatnonzero(np.isnan(values))
        if unknown.size:
            raise InvalidInputError(
                f"column {short(column)} of {self.name} has {unknown.size} empty or non-finite "
                f"cells, in data rows {few(self._names_of(unknown[:9]), unknown.size)}. Unknown "
                "values are not dropped or guessed: fill them in, remove these rows (or leave them "
                f"out with --drop-missing), or leave the column out.{advice}"
            )
        return values

    def _complete(self, unknown: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Which rows (N,) are kept, and the names of those that are not."""
        if unknown.all():
            raise InvalidInputError(
                f"every row of {self.name} has an unknown value in one of the chosen columns; "
                "nothing is left to fit. Leave the incomplete columns out."
            )
        return ~unknown, self._names_of(np.flatnonzero(unknown))

    def _values(self, column: str) -> np.ndarray:
        """One column as numbers, NaN where a value is unknown."""
        if column not in self.columns:
            raise InvalidInputError(
                f"column {short(column)} is not in {self.name}. Its columns are "
                f"{self.named_columns()}."
            )
        cells = self.columns[column]
        if isinstance(cells, np.ndarray):  # of a shipped data set
            return cells
        values = parsed(cells, self.decimal) if is_text(cells.type) else cast(cells)
        if values is None:
            raise InvalidInputError(
                f"column {short(column)} of {self.name} does not hold numbers: "
                f"{first_text(cells, self.decimal)}. Turn it into numbers, or leave the column out "
                "by naming the others with --tasks."
            )
        if is_inexact(cells, values):
            raise InvalidInputError(
                f"column {short(column)} of {self.name} holds whole numbers beyond 2**53, which "
                "float64 cannot tell apart. Subtract an offset first."
            )
        infinite = np.flatnonzero(np.isinf(values))
        if infinite.size:
            raise InvalidInputError(
                f"column {short(column)} of {self.name} has {infinite.size} infinite cells, "
                f"in data rows {few(self._names_of(infinite[:9]), infinite.size)}; so is a number "
                "beyond 1.8e308. Remove these rows, or leave the column out."
            )
        return values

    def _names_of(self, rows: np.ndarray) -> list[str]:
        """Row numbers from 1, each with its cell of the first column of words, if there is one."""
        for cells in self.columns.values() if rows.size else ():
            if isinstance(cells, np.ndarray) or not is_text(cells.type):
                continue
            if parsed(cells.slice(0, 100), self.decimal) is None:
                words = (cells[int(i)].as_py() for i in rows)
                return [
                    f"{i + 1} ({word[:40]})" if word else str(i + 1)
                    for i, word in zip(rows, words, strict=True)
                ]
        return [str(i + 1) for i in rows]


def _refuse_twice(names: Sequence[str], what: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise InvalidInputError(f"{what} {name!r} is named twice; name each column once.")
