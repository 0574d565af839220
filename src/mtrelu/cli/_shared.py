"""What the commands share: arguments, errors, tables, folders, progress."""

from __future__ import annotations

import csv
import functools
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mtrelu.datasets import Dataset
    from mtrelu.network import ReLUNetwork
    from mtrelu.tables import Table

BAD_INPUT = 2
NOT_CERTIFIED = 1
INTERRUPTED = 130

MODEL = "model.safetensors"

Data = Annotated[
    str,
    typer.Argument(
        help="A CSV, TSV or Parquet file, or a shipped data set: el-nino, macrodata, cars."
    ),
]
Model = Annotated[
    Path, typer.Argument(help=f"A folder that `mtrelu fit` wrote, or the {MODEL} in it.")
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--x",
        "--input",
        metavar="COLUMN",
        help="The input column; give the option again for every further one.",
        show_default=False,
    ),
]
Tasks = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,C", help="The task columns, separated by commas; all others if not given."
    ),
]
DropMissing = Annotated[
    bool,
    typer.Option("--drop-missing", help="Leave out the rows with unknown values, and name them."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace what an earlier run wrote.")]


def tidy(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what can go wrong into one line on stderr and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        from mtrelu.validation import InvalidInputError, MissingExtraError

        try:
            command(*args, **kwargs)
        except (InvalidInputError, MissingExtraError) as error:
            message = " ".join(str(error).split())
        except OSError as error:
            name = f"{error.filename}: " if error.filename else ""
            message = f"{name}{error.strerror or error}; nothing was written."
        except (KeyboardInterrupt, SystemError) as error:
            interrupt = root_of_interrupt(error)
            if interrupt is None:
                raise
            kept = str(interrupt) or "nothing was written."
            typer.echo(f"mtrelu: interrupted; {kept}", err=True)
            raise typer.Exit(INTERRUPTED) from None
        else:
            return
        typer.echo(f"mtrelu: {message}", err=True)
        raise typer.Exit(BAD_INPUT)

    return run


def root_of_interrupt(error: BaseException) -> KeyboardInterrupt | None:
    """Ctrl-C, which in the middle of compiled code comes out as SystemErrors that it caused."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error if isinstance(error, KeyboardInterrupt) else None


def open_table(data: str, drop_missing: bool) -> tuple[Table, Dataset | None]:
    """The table of a file or of a shipped data set."""
    from mtrelu.datasets import DATASETS, INCOMPLETE
    from mtrelu.tables import Table, read_table
    from mtrelu.validation import InvalidInputError

    if data not in DATASETS:
        return read_table(data), None
    try:
        shipped = DATASETS[data](**({"drop_missing": drop_missing} if data in INCOMPLETE else {}))
    except InvalidInputError as error:
        raise InvalidInputError(f"{error} Here that is the option --drop-missing.") from None
    columns = dict(zip(shipped.input_names, shipped.X.T, strict=True))
    columns |= dict(zip(shipped.tasks, shipped.Y.T, strict=True))
    return Table(data, columns), shipped


def choose(
    data: str, x: list[str] | None, tasks: str | None, drop_missing: bool
) -> tuple[Dataset, list[str]]:
    """The inputs and the tasks to fit, and the rows that were left out."""
    from mtrelu.datasets import Dataset
    from mtrelu.validation import InvalidInputError

    table, shipped = open_table(data, drop_missing)
    if not x and shipped is None:
        raise InvalidInputError(
            f"--x is missing: say which column of {table.name} is the input. Its columns are "
            f"{', '.join(list(table.columns)[:12])}."
        )
    inputs = list(x or (shipped.input_names if shipped else ()))
    wanted = None if tasks is None else [name.strip() for name in next(csv.reader([tasks]))]
    choice = table.choose(inputs, wanted, drop_missing=drop_missing)
    return Dataset(
        X=choice.X,
        Y=choice.Y,
        tasks=tuple(choice.tasks),
        input_names=tuple(inputs),
        title=shipped.title
        if shipped
        else f"{listed(choice.tasks)} over {listed(inputs, 'inputs')}",
        description=shipped.description if shipped else f"The data are from the file {data}.",
    ), choice.left_out


def tell_left_out(rows: list[str]) -> None:
    if rows:
        typer.echo(f"left out, since a value is unknown: rows {', '.join(rows)}")


def load_model(path: Path) -> tuple[ReLUNetwork, dict[str, Any]]:
    from mtrelu.io import load_network
    from mtrelu.validation import InvalidInputError

    path = path / MODEL if path.is_dir() else path
    if not path.exists():
        raise InvalidInputError(f"{path} does not exist. Give a folder that `mtrelu fit` wrote.")
    network, metadata = load_network(path)
    missing = {"inputs", "tasks", "scaling", "alpha", "loss"} - metadata.keys()
    if missing:
        raise InvalidInputError(
            f"{path} holds a network, but not what it was fitted to "
            f"({', '.join(sorted(missing))}). Give a model that `mtrelu fit` wrote."
        )
    return network, metadata


@contextmanager
def new_folder(target: Path, force: bool, written: Set[str], always: str) -> Iterator[Path]:
    """A folder beside `target` that takes its place when the block ends well, else vanishes.

    An existing folder is replaced only if it holds nothing but files of the names `written`,
    among them the one that the command `always` writes.
    """
    from mtrelu.validation import InvalidInputError

    if target.exists() or target.is_symlink():
        there = {entry.name for entry in target.iterdir()} if target.is_dir() else {target.name}
        ours = there <= written and always in there
        if there and not ours:
            raise InvalidInputError(
                f"--out {target} holds things that mtrelu did not write; they are never replaced. "
                "Give the name of a folder that does not exist yet."
            )
        if there and not force:
            raise InvalidInputError(
                f"--out {target} holds what an earlier run wrote. Give --force to replace it, or "
                "another name."
            )
    if not target.absolute().parent.is_dir():
        raise InvalidInputError(
            f"--out {target} cannot be made: {target.absolute().parent} is not a folder. "
            "Make it first, or give another name."
        )
    beside = target.absolute().with_name(f".{target.absolute().name}.part-{os.getpid()}")
    before = target.absolute().with_name(f".{target.absolute().name}.old-{os.getpid()}")
    beside.mkdir()
    try:
        yield beside
        if target.exists():
            target.rename(before)
        beside.rename(target)
    finally:
        if before.exists() and not target.exists():
            before.rename(target)
        shutil.rmtree(before, ignore_errors=True)
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def summary(rows: dict[str, str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
    Console().print(table)


def listed(names: list[str], what: str = "tasks", most: int = 3) -> str:
    """A, B and C; only their number where there are more."""
    if len(names) > most:
        return f"{len(names)} {what}"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
