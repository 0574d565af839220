"""The table that a command works on: a file, standard input, or a shipped data set."""

from __future__ import annotations

import csv
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mtrelu.cli._options import STANDARD
from mtrelu.cli._output import listed

if TYPE_CHECKING:
    from mtrelu.datasets import Dataset
    from mtrelu.tables import Choice, Table


def open_table(data: str, drop_missing: bool, decimal: str = ".") -> tuple[Table, Dataset | None]:
    """The table of a file, of standard input or of a shipped data set."""
    from mtrelu.datasets import DATASETS, INCOMPLETE
    from mtrelu.tables import Table, parse_csv, read_table
    from mtrelu.validation import InvalidInputError

    if decimal not in (".", ","):
        raise InvalidInputError(f"--decimal is {decimal!r}. Give a point or a comma.")
    if data == STANDARD or data not in DATASETS:
        read = (
            parse_csv(sys.stdin.buffer.read(), "standard input")
            if data == STANDARD
            else read_table(data)
        )
        return replace(read, decimal=decimal), None
    try:
        shipped = DATASETS[data](**({"drop_missing": drop_missing} if data in INCOMPLETE else {}))
    except InvalidInputError as error:
        raise InvalidInputError(f"{error} Here that is the option --drop-missing.") from None
    columns = dict(zip(shipped.input_names, shipped.X.T, strict=True))
    columns |= dict(zip(shipped.tasks, shipped.Y.T, strict=True))
    return Table(data, columns), shipped


def choose(
    data: str,
    x: list[str] | None,
    tasks: str | None,
    *,
    drop_missing: bool,
    missing_labels: bool = False,
    decimal: str = ".",
) -> tuple[Dataset, Choice]:
    """The inputs and the tasks to fit, and what was chosen from the table for that."""
    from mtrelu.datasets import Dataset
    from mtrelu.validation import InvalidInputError

    table, shipped = open_table(data, drop_missing, decimal)
    if not x and shipped is None:
        raise InvalidInputError(
            f"--x is missing: say which column of {table.name} is the input. Its columns are "
            f"{table.named_columns()}."
        )
    inputs = list(x or (shipped.input_names if shipped else ()))
    wanted = None if tasks is None else _names(tasks)
    choice = table.choose(inputs, wanted, drop_missing=drop_missing, missing_labels=missing_labels)
    source = "standard input" if data == STANDARD else f"the file {data}"
    return Dataset(
        X=choice.X,
        Y=choice.Y,
        tasks=tuple(choice.tasks),
        input_names=tuple(inputs),
        title=shipped.title
        if shipped
        else f"{listed(choice.tasks)} over {listed(inputs, 'inputs')}",
        description=shipped.description if shipped else f"The data are from {source}.",
    ), choice


def short_name(data: str) -> str:
    """What to call what was made of some data, in the names of files."""
    return "stdin" if data == STANDARD else Path(data).stem


def again(words: list[str], data: str) -> str:
    """A command line to give again; where data came in by a pipe, with a place for their name."""
    piped = " < DATA  # the table that came from standard input" if data == STANDARD else ""
    return shlex.join(words) + piped


def in_words(left_out: list[str], most: int = 20) -> str:
    """Which rows were left out; the first of them, where there are many."""
    more = f" and {len(left_out) - most} more" if len(left_out) > most else ""
    return f"left out, since a value is unknown: rows {', '.join(left_out[:most])}{more}"


def _names(text: str) -> list[str]:
    """The names in a list with commas; those that contain one stand in quotation marks."""
    from mtrelu.validation import InvalidInputError

    try:
        rows = list(csv.reader([text]))
    except csv.Error as error:
        raise InvalidInputError(
            f"--tasks is {text!r}, which is no list of names ({error}). Separate them by commas, "
            'and put a name that contains one in quotation marks: "A,B",C.'
        ) from None
    return [name.strip() for row in rows for name in row]
