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

__all__ = ["Table", "read_table", "write_csv"]

PARQUET = {".parquet", ".pq"}
TEXT = {".csv": None, ".txt": None, ".tsv": "\t", ".tab": "\t"}
"""What separates the columns, by the file's ending; None: seen from its first line."""


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
            values = np.asarray(cells.cast("double").to_numpy(), dtype=np.float64)
        except ValueError:
            raise InvalidInputError(
                f"column {column!r} of {self.name} holds whole numbers beyond 2**53, which float64 "
                "cannot tell apart. Subtract an offset first."
            ) from None
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            rows = _few([int(i) + 1 for i in bad])
            raise InvalidInputError(
                f"column {column!r} of {self.name} has {bad.size} empty or non-finite cells, in "
                f"data rows {rows}. Unknown values are not dropped or guessed: fill them in, "
                "remove these rows, or leave the column out."
            )
        return values

    def choose(
        self, x: str, tasks: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """The input and the tasks.

        Parameters
        ----------
        x : str
            Name of the input column.
        tasks : sequence of str or None
            Names of the task columns; None: all other columns, which must be numeric.

        Returns
        -------
        x : ndarray of shape (N,), float64
            The input.
        Y : ndarray of shape (N, T), float64
            One column per task.
        tasks : list of str
            Their names.

        Raises
        ------
        InvalidInputError
            If a column is missing, not numeric, incomplete, or named twice.
        """
        inputs = self.numbers(x)
        chosen = [name for name in self.columns if name != x] if tasks is None else list(tasks)
        if not chosen:
            raise InvalidInputError(
                f"{self.name} has no column besides {x!r}: there is nothing to fit. "
                "Give a file with at least one task column."
            )
        twice = [name for name, count in Counter(chosen).items() if count > 1]
        if twice or x in chosen:
            name = twice[0] if twice else x
            why = "twice" if twice else "as the input too"
            raise InvalidInputError(f"task {name!r} is named {why}; name each column once.")
        return inputs, np.column_stack([self.numbers(name) for name in chosen]), chosen


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
