"""The command line: files in, a folder with a report out; everything else is done elsewhere."""

from __future__ import annotations

import csv
import functools
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

try:
    import typer
except ImportError:
    raise SystemExit(
        'The mtrelu command needs typer, which is not installed: pip install "mtrelu[cli]"'
    ) from None

# Everything that takes time to import is imported by the command that needs it.
if TYPE_CHECKING:
    import numpy as np

    from mtrelu.datasets import Dataset
    from mtrelu.network import ReLUNetwork
    from mtrelu.report import Report
    from mtrelu.scaling import Scaling
    from mtrelu.selection import Selection
    from mtrelu.tables import Table

__all__ = ["app", "main"]

BAD_INPUT = 2
NOT_CERTIFIED = 1
INTERRUPTED = 130

MODEL = "model.safetensors"
WRITTEN = {
    "report.html",
    "predictions.csv",
    MODEL,
    "alpha.png",
    "contours.png",
    "curves.png",
    "dual.png",
    "fit.png",
    "knots.png",
    "tasks.png",
    "width.png",
}
"""Every name that `fit` may write: a folder with other files in it is never replaced."""

app = typer.Typer(
    help="Multi-task ReLU networks, fitted to certified global optimality.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

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
DropMissing = Annotated[
    bool,
    typer.Option("--drop-missing", help="Leave out the rows with unknown values, and name them."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace what an earlier run wrote.")]


def main() -> None:
    """Run the command line."""
    app(prog_name="mtrelu")


def _tidy(command: Callable[..., None]) -> Callable[..., None]:
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
            # Ctrl-C in the middle of compiled code comes out as SystemErrors that it caused.
            root: BaseException = error
            while root.__cause__ is not None:
                root = root.__cause__
            if not isinstance(root, KeyboardInterrupt):
                raise
            typer.echo("mtrelu: interrupted; nothing was written.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        else:
            return
        typer.echo(f"mtrelu: {message}", err=True)
        raise typer.Exit(BAD_INPUT)

    return run


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        import mtrelu

        typer.echo(f"mtrelu {mtrelu.__version__}")
        raise typer.Exit


@app.command()
@_tidy
def fit(
    data: Data,
    x: Inputs = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="The task columns, separated by commas; all others if not given."
        ),
    ] = None,
    alpha: Annotated[
        str,
        typer.Option(
            metavar="auto|NUMBER",
            help="The penalty; auto chooses it by cross-validation over held-out points, "
            "0 interpolates.",
        ),
    ] = "auto",
    loss: Annotated[str, typer.Option(help="squared, huber, logistic or quantile.")] = "squared",
    standardize: Annotated[
        bool | None,
        typer.Option(
            "--standardize/--no-standardize",
            help="Let tasks, and inputs where there are several, count alike in spite of their "
            "units: divide each by its sd. By default with several inputs only.",
            show_default=False,
        ),
    ] = None,
    drop_missing: DropMissing = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to write, mtrelu-DATA if not given."),
    ] = None,
    force: Force = False,
) -> None:
    """Fit all tasks together and write a folder: report, figures, predictions, model."""
    import numpy as np

    import mtrelu
    from mtrelu.api import solve
    from mtrelu.io import save_network
    from mtrelu.losses import make_loss
    from mtrelu.report import CurveReport, SurfaceReport
    from mtrelu.selection import select_alpha
    from mtrelu.tables import write_csv

    chosen_loss = make_loss(loss)
    used_alpha = _alpha(alpha)
    target = out if out is not None else Path(f"mtrelu-{Path(data).stem}")
    table, left_out = _choose(data, x, tasks, drop_missing)
    several = len(table.input_names) > 1
    scaling = _scaling(table, standardize, chosen_loss.name)
    X, Y = scaling.inputs(table.X), scaling.labels(table.Y)

    with _new_folder(target, force) as folder:
        selection: Selection | None = None
        if used_alpha is None:
            with _progress("choosing alpha") as progress:
                selection = select_alpha(X, Y, loss=chosen_loss, progress=progress)
            used_alpha = selection.alpha
        with _progress("fitting"):
            solution = solve(X, Y, used_alpha, loss=chosen_loss)

        report = (SurfaceReport if several else CurveReport)(
            solution=solution,
            tasks=table.tasks,
            input_names=table.input_names,
            title=table.title,
            description=table.description,
            scaling=scaling,
            selection=selection,
            command=_command(data, x, tasks, alpha, loss, standardize, drop_missing),
            version=mtrelu.__version__,
            left_out=left_out,
        )
        with _progress("drawing the pictures"):
            for name, png in report.figures.items():
                (folder / f"{name}.png").write_bytes(png)
        (folder / "report.html").write_text(report.html(), encoding="utf-8")

        network = scaling.in_own_units(solution.network)
        write_csv(folder / "predictions.csv", _predictions(table, network(table.X), report))
        save_network(
            folder / MODEL,
            network,
            {
                "mtrelu": mtrelu.__version__,
                "data": data,
                "inputs": list(table.input_names),
                "tasks": list(table.tasks),
                "scaling": scaling.to_dict(),
                "alpha": solution.problem.alpha,
                "loss": chosen_loss.config(),
                "certificate": solution.certificate.to_dict(),
            },
        )
    rows = {
        "tasks, points": f"{len(table.tasks)}, {len(table.X)}",
        "alpha": f"{used_alpha:.4g}"
        + (" (chosen by cross-validation)" if selection is not None else ""),
        report.size[0]: str(report.size[1]),
        "optimal?": f"{solution.status.value}, relative gap "
        f"{solution.certificate.relative_gap:.1e}",
        "the only optimum?": report.optimal_set.verdict.value,
        "two optima differ": report.spread,
        **(
            {"median R²": f"{np.nanmedian(report.r2):.4g}"}
            if scaling.scales_tasks
            else {"median RMSE": f"{np.median(report.rmse):.4g}"}
        ),
        "report": str(target / "report.html"),
    }
    if left_out:
        rows = {"rows left out": ", ".join(left_out)} | rows
    _summary(rows)


@app.command()
@_tidy
def predict(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The CSV file to write.")],
    x: Inputs = None,
    drop_missing: DropMissing = False,
    force: Force = False,
) -> None:
    """Evaluate a saved model at the inputs of a table and write a CSV file.

    The input columns are those of the fit if --x is not given.
    """
    from mtrelu.tables import write_csv
    from mtrelu.validation import InvalidInputError

    network, metadata = _load_model(model)
    if x and len(x) != network.n_inputs:
        raise InvalidInputError(
            f"--x names {len(x)} columns, but the model has {network.n_inputs} inputs: "
            f"{', '.join(metadata['inputs'])}. Name one column for each, in this order."
        )
    table = _open(data, drop_missing)[0]
    inputs, left_out = table.inputs(x or metadata["inputs"], drop_missing=drop_missing)
    if out.is_dir() or (out.exists() and not force):
        raise InvalidInputError(
            f"--out {out} exists already. Give another name"
            + (", or --force to replace the file." if out.is_file() else ".")
        )
    columns = dict(zip(metadata["inputs"], inputs.T, strict=True))
    columns |= dict(zip(metadata["tasks"], network(inputs).T, strict=True))
    beside = out.with_name(f".{out.name}.part-{os.getpid()}")
    try:
        write_csv(beside, columns)
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)
    typer.echo(f"{len(inputs)} rows written to {out}")
    _tell_left_out(left_out)


@app.command()
@_tidy
def certify(model: Model, data: Data, drop_missing: DropMissing = False) -> None:
    """Check a saved model against a table; exit code 0 only if its optimality is proved."""
    from mtrelu.api import certify as certify_network
    from mtrelu.losses import make_loss
    from mtrelu.scaling import Scaling
    from mtrelu.status import Status

    network, metadata = _load_model(model)
    table = _open(data, drop_missing)[0]
    choice = table.choose(metadata["inputs"], metadata["tasks"], drop_missing=drop_missing)
    scaling = Scaling.from_dict(metadata["scaling"])
    certificate = certify_network(
        scaling.as_fitted(network),
        scaling.inputs(choice.X),
        scaling.labels(choice.Y),
        metadata["alpha"],
        loss=make_loss(metadata["loss"]),
    )
    typer.echo(certificate.in_words())
    _tell_left_out(choice.left_out)
    if certificate.status is not Status.CERTIFIED:
        raise typer.Exit(NOT_CERTIFIED)


def _alpha(text: str) -> float | None:
    """The penalty that was asked for; None for auto."""
    from mtrelu.validation import InvalidInputError, as_alpha

    if text == "auto":
        return None
    try:
        return as_alpha(float(text))
    except ValueError as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(
            f"--alpha is {text!r}, which is no number. Give a number ≥ 0, or auto."
        ) from None


def _open(data: str, drop_missing: bool) -> tuple[Table, Dataset | None]:
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


def _choose(
    data: str, x: list[str] | None, tasks: str | None, drop_missing: bool
) -> tuple[Dataset, list[str]]:
    """The inputs and the tasks to fit, and the rows that were left out."""
    from mtrelu.datasets import Dataset
    from mtrelu.validation import InvalidInputError

    table, shipped = _open(data, drop_missing)
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
        title=shipped.title if shipped else f"{_and(choice.tasks)} over {_and(inputs, 'inputs')}",
        description=shipped.description if shipped else f"The data are from the file {data}.",
    ), choice.left_out


def _scaling(table: Dataset, standardize: bool | None, loss: str) -> Scaling:
    """The units of the fit; by default as the data came with one input, else all on one scale."""
    from mtrelu.scaling import Scaling
    from mtrelu.validation import InvalidInputError

    several = len(table.input_names) > 1
    if standardize and loss == "logistic":
        raise InvalidInputError(
            "--standardize changes the labels, but the logistic loss needs them between 0 and 1. "
            "Use one or the other."
        )
    wanted = several if standardize is None else standardize
    return Scaling.of(
        table.X, table.Y, inputs=several and wanted, tasks=wanted and loss != "logistic"
    )


def _predictions(table: Dataset, predictions: np.ndarray, report: Report) -> dict[str, np.ndarray]:
    """The columns of predictions.csv: inputs, predictions, and with one input their ranges."""
    from mtrelu.validation import InvalidInputError

    columns = dict(zip(table.input_names, table.X.T, strict=True))
    if len(table.input_names) > 1:
        # At the data all optimal networks agree, so that there is no range to tell.
        return columns | dict(zip(table.tasks, predictions.T, strict=True))
    low, high = (end * report.scaling.task_spread for end in report.optimal_set.range(table.X))
    for t, name in enumerate(table.tasks):
        columns[name] = predictions[:, t]
        columns[f"{name} low"] = low[:, t]
        columns[f"{name} high"] = high[:, t]
    if len(columns) != 1 + 3 * len(table.tasks):
        raise InvalidInputError(
            'the predictions of a task NAME are written as "NAME", "NAME low" and "NAME high", '
            "but another column has one of these names already. Rename it."
        )
    return columns


def _tell_left_out(rows: list[str]) -> None:
    if rows:
        typer.echo(f"left out, since a value is unknown: rows {', '.join(rows)}")


def _load_model(path: Path) -> tuple[ReLUNetwork, dict[str, Any]]:
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
def _new_folder(target: Path, force: bool) -> Iterator[Path]:
    """A folder beside `target` that takes its place when the block ends well, else vanishes."""
    from mtrelu.validation import InvalidInputError

    if target.exists() or target.is_symlink():
        there = {entry.name for entry in target.iterdir()} if target.is_dir() else {target.name}
        ours = there <= WRITTEN and MODEL in there
        if there and not ours:
            raise InvalidInputError(
                f"--out {target} holds things that mtrelu did not write; they are never replaced. "
                "Give the name of a folder that does not exist yet."
            )
        if there and not force:
            raise InvalidInputError(
                f"--out {target} holds an earlier fit. Give --force to replace it, or another name."
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
def _progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
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


def _summary(rows: dict[str, str]) -> None:
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


def _command(
    data: str,
    x: list[str] | None,
    tasks: str | None,
    alpha: str,
    loss: str,
    standardize: bool | None,
    drop_missing: bool,
) -> str:
    """The command line that makes the same fit."""
    words = ["mtrelu", "fit", data]
    for column in x or ():
        words += ["--x", column]
    words += ["--tasks", tasks] if tasks is not None else []
    words += ["--alpha", alpha] if alpha != "auto" else []
    words += ["--loss", loss] if loss != "squared" else []
    if standardize is not None:
        words += ["--standardize" if standardize else "--no-standardize"]
    words += ["--drop-missing"] if drop_missing else []
    return shlex.join(words)


def _and(names: list[str], what: str = "tasks", most: int = 3) -> str:
    """A, B and C; only their number where there are more."""
    if len(names) > most:
        return f"{len(names)} {what}"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
