"""Tables of numbers from CSV, TSV and Parquet files; nothing is ever dropped silently."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtrelu.validation import InvalidInputError, MissingExtraError

__all__ = ["Choice", "Table", "read_table", "write_csv"]

PARQUET = {".parquet", ".pq"}
TEXT = {".csv": None, ".txt": None, ".tsv": "\t", ".tab": "\t"}
"""What separates the columns, by the file's ending; None: seen from its first line."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The inputs and the tasks that were chosen from a table.

    Attributes
    ----------
    X : ndarray of shape (N, d), float64
        One column per input.
    Y : ndarray of shape (N, T), float64
        One column per task.
    tasks : list of str
        The names of the tasks.
    left_out : list of str
        The rows that were left out since a value is unknown, by number and name.
    """

    X: np.ndarray
    Y: np.ndarray
    tasks: list[str]
    left_out: list[str]


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of a file, chosen and checked by name.

    Attributes
    ----------
    name : str
        The file, for messages.
    columns : dict of str to pyarrow.ChunkedArray or ndarray
        The columns as they stand in the file.
    """

    name: str
    columns: dict[str, Any]

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
        values = self._values(column)
        unknown = np.flatnonzero(np.isnan(values))
        if unknown.size:
            raise InvalidInputError(
                f"column {column!r} of {self.name} has {unknown.size} empty or non-finite cells, "
                f"in data rows {_few(self._names_of(unknown))}. Unknown values are not dropped or "
                "guessed: fill them in, remove these rows (or leave them out with --drop-missing), "
                "or leave the column out."
            )
        return values

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
        X = np.column_stack([self._wanted(name, drop_missing) for name in names])
        known, left_out = self._known(X)
        return X[known], left_out

    def choose(
        self, inputs: Sequence[str], tasks: Sequence[str] | None, *, drop_missing: bool = False
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
        X = np.column_stack([self._wanted(name, drop_missing) for name in inputs])
        chosen = [name for name in self.columns if name not in inputs]
        if tasks is not None:
            chosen = list(tasks)
        if not chosen:
            raise InvalidInputError(
                f"{self.name} has no column besides {_few(map(repr, inputs))}: there is nothing to "
                "fit. Give a file with at least one task column."
            )
        _refuse_twice(chosen, "task")
        both = [name for name in chosen if name in inputs]
        if both:
            raise InvalidInputError(
                f"task {both[0]!r} is named as the input too; name each column once."
            )
        Y = np.column_stack([self._wanted(name, drop_missing) for name in chosen])
        known, left_out = self._known(np.hstack([X, Y]))
        return Choice(X[known], Y[known], chosen, left_out)

    def _wanted(self, column: str, drop_missing: bool) -> np.ndarray:
        return self._values(column) if drop_missing else self.numbers(column)

    def _known(self, values: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Which rows (N,) have no NaN, and the names of those that have."""
        unknown = np.isnan(values).any(axis=1)
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
                f"column {column!r} is not in {self.name}. Its columns are {_few(self.columns)}."
            )
        cells = self.columns[column]
        if isinstance(cells, np.ndarray):  # of a shipped data set
            return cells
        if not _is_numeric(cells.type):
            raise InvalidInputError(
                f"column {column!r} of {self.name} does not hold numbers: it is of type "
                f"{cells.type}, for example {_first_text(cells)}. Turn it into numbers, or leave "
                "the column out by naming the others with --tasks."
            )
        try:
            values = np.array(cells.cast("double").to_numpy(), dtype=np.float64)
        except ValueError:
            raise InvalidInputError(
                f"column {column!r} of {self.name} holds whole numbers beyond 2**53, which float64 "
                "cannot tell apart. Subtract an offset first."
            ) from None
        infinite = np.flatnonzero(np.isinf(values))
        if infinite.size:
            raise InvalidInputError(
                f"column {column!r} of {self.name} has {infinite.size} infinite cells, in data "
                f"rows {_few(self._names_of(infinite))}. Remove these rows, or leave the column "
                "out."
            )
        return values

    def _names_of(self, rows: np.ndarray) -> list[str]:
        """Row numbers from 1, each with its cell of the first column of text, if there is one."""
        import pyarrow.types as types

        for cells in self.columns.values() if rows.size else ():
            if isinstance(cells, np.ndarray):
                continue
            if types.is_string(cells.type) or types.is_large_string(cells.type):
                return [f"{i + 1} ({cells[int(i)].as_py()})" for i in rows]
        return [str(i + 1) for i in rows]


def read_table(path: str | Path) -> Table:
    """Read a table with a header line.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` or ``.txt`` file (separated by commas, semicolons or tabs, whichever its first
        line has most of), ``.tsv`` or ``.tab``, ``.parquet`` or ``.pq``.

    Returns
    -------
    Table
        Its columns, not yet checked for numbers.

    Raises
    ------
    InvalidInputError
        If the file is missing, unreadable, empty, of an unknown kind, or names a column twice.
    MissingExtraError
        If pyarrow is not installed.
    """
    path = Path(path)
    try:
        import pyarrow
    except ImportError:
        raise MissingExtraError("cli", "pyarrow") from None
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder; give a CSV, TSV or Parquet file.")
    kind = path.suffix.lower()
    if kind not in PARQUET and kind not in TEXT:
        raise InvalidInputError(
            f"{path} is no kind of table that can be read: its name ends in {kind or 'nothing'!r}. "
            "Give a .csv, .tsv or .parquet file."
        )
    try:
        table = _read_parquet(path) if kind in PARQUET else _read_text(path, TEXT[kind])
    except FileNotFoundError:
        raise InvalidInputError(f"{path} does not exist. Check the path.") from None
    except (OSError, UnicodeDecodeError, pyarrow.ArrowException) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInputError(f"{path} cannot be read as a table: {reason}") from None
    names = [str(name) for name in table.column_names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidInputError(
            f"{path} has more than one column called {twice[0]!r}; rename them, so that each name "
            "means one column."
        )
    if table.num_rows == 0:
        raise InvalidInputError(f"{path} holds no rows below its header; there is nothing to fit.")
    return Table(path.name, dict(zip(names, table.columns, strict=True)))


def write_csv(path: str | Path, columns: dict[str, np.ndarray]) -> None:
    """Write columns of numbers so that reading them gives the same numbers.

    Parameters
    ----------
    path : str or Path
        Where to; an existing file is replaced.
    columns : dict of str to ndarray of shape (M,)
        Names and values.
    """
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))


def _read_parquet(path: Path) -> Any:
    import pyarrow.parquet

    with path.open("rb") as file:
        return pyarrow.parquet.read_table(file)


def _read_text(path: Path, delimiter: str | None) -> Any:
    import pyarrow.csv

    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    if not header.strip():
        raise InvalidInputError(
            f"{path} is empty; a table starts with a line of column names and goes on with rows."
        )
    if delimiter is None:
        delimiter = max(",;\t", key=header.count)
    return pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
        convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True),
    )


def _refuse_twice(names: Sequence[str], what: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise InvalidInputError(f"{what} {name!r} is named twice; name each column once.")


def _is_numeric(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_null(kind)  # a column of empty cells; its rows are then named
    )


def _first_text(cells: Any) -> str:
    """The first cell that is no number, with its row."""
    for row, cell in enumerate(cells.to_pylist(), start=1):
        try:
            float(cell)
        except (TypeError, ValueError):
            if cell is not None:
                return f"{str(cell)!r} in data row {row}"
    return repr(str(cells[0].as_py()))


def _few(names: Any, most: int = 8) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
