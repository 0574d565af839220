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
    "curves.png",
    "tasks.png",
    "knots.png",
    "alpha.png",
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
    typer.Argument(help="A CSV, TSV or Parquet file, or a shipped data set: el-nino, macrodata."),
]
Model = Annotated[
    Path, typer.Argument(help=f"A folder that `mtrelu fit` wrote, or the {MODEL} in it.")
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
    x: Annotated[
        str | None, typer.Option("--x", metavar="COLUMN", help="The input column.")
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C", help="The task columns, separated by commas.  [default: all others]"
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
        bool,
        typer.Option(
            "--standardize", help="Let tasks in different units count alike: divide each by its sd."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to write.  [default: mtrelu-DATA]"),
    ] = None,
    force: Force = False,
) -> None:
    """Fit all tasks together and write a folder: report, figures, predictions, model."""
    import numpy as np

    import mtrelu
    from mtrelu.api import solve
    from mtrelu.io import save_network
    from mtrelu.losses import make_loss
    from mtrelu.report import Report
    from mtrelu.selection import select_alpha
    from mtrelu.tables import write_csv

    chosen_loss = make_loss(loss)
    used_alpha = _alpha(alpha)
    target = out if out is not None else Path(f"mtrelu-{Path(data).stem}")
    table = _choose(data, x, tasks)
    scale = np.ones(len(table.tasks))
    if standardize:
        if chosen_loss.name == "logistic":
            raise mtrelu.InvalidInputError(
                "--standardize changes the labels, but the logistic loss needs them between 0 and "
                "1. Use one or the other."
            )
        spread = table.Y.std(axis=0)
        scale = np.where(spread > 0, spread, 1.0)
    Y = table.Y / scale

    with _new_folder(target, force) as folder:
        selection: Selection | None = None
        if used_alpha is None:
            with _progress("choosing alpha") as progress:
                selection = select_alpha(table.x, Y, loss=chosen_loss, progress=progress)
            used_alpha = selection.alpha
        solution = solve(table.x, Y, used_alpha, loss=chosen_loss)

        report = Report(
            solution=solution,
            tasks=table.tasks,
            input_name=table.input_name,
            title=table.title,
            description=table.description,
            scale=scale,
            selection=selection,
            command=_command(data, x, tasks, alpha, loss, standardize),
            version=mtrelu.__version__,
        )
        with _progress("drawing the pictures"):
            for name, png in report.figures.items():
                (folder / f"{name}.png").write_bytes(png)
        (folder / "report.html").write_text(report.html(), encoding="utf-8")

        low, high = report.optimal_set.range(table.x[:, None])
        middle = solution.network(table.x[:, None])
        columns = {table.input_name: table.x}
        for t, name in enumerate(table.tasks):
            columns[name] = middle[:, t] * scale[t]
            columns[f"{name} low"] = low[:, t] * scale[t]
            columns[f"{name} high"] = high[:, t] * scale[t]
        if len(columns) != 1 + 3 * len(table.tasks):
            raise mtrelu.InvalidInputError(
                'the predictions of a task NAME are written as "NAME", "NAME low" and "NAME high", '
                "but another column has one of these names already. Rename it."
            )
        write_csv(folder / "predictions.csv", columns)
        save_network(
            folder / MODEL,
            _rescaled(solution.network, scale),
            {
                "mtrelu": mtrelu.__version__,
                "data": data,
                "input": table.input_name,
                "tasks": list(table.tasks),
                "scale": scale.tolist(),
                "alpha": solution.problem.alpha,
                "loss": chosen_loss.config(),
                "certificate": solution.certificate.to_dict(),
            },
        )
    _summary(
        {
            "tasks, points": f"{len(table.tasks)}, {len(table.x)}",
            "alpha": f"{used_alpha:.4g}"
            + (" (chosen by cross-validation)" if selection is not None else ""),
            "knots": str(len(solution.network.knots())),
            "optimal?": f"{solution.status.value}, relative gap "
            f"{solution.certificate.relative_gap:.1e}",
            "the only optimum?": report.optimal_set.verdict.value,
            "two optima differ": report.spread,
            "median RMSE": f"{np.median(report.rmse):.4g}",
            "report": str(target / "report.html"),
        }
    )


@app.command()
@_tidy
def predict(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The CSV file to write.")],
    x: Annotated[
        str | None,
        typer.Option("--x", metavar="COLUMN", help="The input column.  [default: as fitted]"),
    ] = None,
    force: Force = False,
) -> None:
    """Evaluate a saved model at the inputs of a table and write a CSV file."""
    from mtrelu.tables import write_csv
    from mtrelu.validation import InvalidInputError

    network, metadata = _load_model(model)
    inputs = _open(data)[0].numbers(x if x is not None else metadata["input"])
    if out.is_dir() or (out.exists() and not force):
        raise InvalidInputError(
            f"--out {out} exists already. Give another name"
            + (", or --force to replace the file." if out.is_file() else ".")
        )
    predictions = network(inputs[:, None])
    columns = {metadata["input"]: inputs}
    columns |= {name: predictions[:, t] for t, name in enumerate(metadata["tasks"])}
    beside = out.with_name(f".{out.name}.part-{os.getpid()}")
    try:
        write_csv(beside, columns)
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)
    typer.echo(f"{len(inputs)} rows written to {out}")


@app.command()
@_tidy
def certify(model: Model, data: Data) -> None:
    """Check a saved model against a table; exit code 0 only if its optimality is proved."""
    import numpy as np

    from mtrelu.api import certify as certify_network
    from mtrelu.losses import make_loss
    from mtrelu.status import Status

    network, metadata = _load_model(model)
    inputs, Y, _ = _open(data)[0].choose(metadata["input"], metadata["tasks"])
    scale = np.array(metadata["scale"])
    certificate = certify_network(
        _rescaled(network, 1.0 / scale),
        inputs,
        Y / scale,
        metadata["alpha"],
        loss=make_loss(metadata["loss"]),
    )
    typer.echo(certificate.in_words())
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


def _open(data: str) -> tuple[Table, Dataset | None]:
    """The table of a file or of a shipped data set."""
    from mtrelu.datasets import DATASETS
    from mtrelu.tables import Table, read_table

    if data not in DATASETS:
        return read_table(data), None
    shipped = DATASETS[data]()
    columns = dict(zip(shipped.tasks, shipped.Y.T, strict=True))
    return Table(data, {shipped.input_name: shipped.x} | columns), shipped


def _choose(data: str, x: str | None, tasks: str | None) -> Dataset:
    """The input and the tasks to fit."""
    from mtrelu.datasets import Dataset
    from mtrelu.validation import InvalidInputError

    table, shipped = _open(data)
    if x is not None:
        input_name = x
    elif shipped is not None:
        input_name = shipped.input_name
    else:
        raise InvalidInputError(
            f"--x is missing: say which column of {table.name} is the input. Its columns are "
            f"{', '.join(list(table.columns)[:12])}."
        )
    wanted = None if tasks is None else [name.strip() for name in next(csv.reader([tasks]))]
    inputs, Y, names = table.choose(input_name, wanted)
    return Dataset(
        x=inputs,
        Y=Y,
        tasks=tuple(names),
        input_name=input_name,
        title=shipped.title if shipped else f"{_and(names)} over {input_name}",
        description=shipped.description if shipped else f"The data are from the file {data}.",
    )


def _load_model(path: Path) -> tuple[ReLUNetwork, dict[str, Any]]:
    from mtrelu.io import load_network
    from mtrelu.validation import InvalidInputError

    path = path / MODEL if path.is_dir() else path
    if not path.exists():
        raise InvalidInputError(f"{path} does not exist. Give a folder that `mtrelu fit` wrote.")
    network, metadata = load_network(path)
    missing = {"input", "tasks", "scale", "alpha", "loss"} - metadata.keys()
    if missing:
        raise InvalidInputError(
            f"{path} holds a network, but not what it was fitted to "
            f"({', '.join(sorted(missing))}). Give a model that `mtrelu fit` wrote."
        )
    return network, metadata


def _rescaled(network: ReLUNetwork, scale: np.ndarray) -> ReLUNetwork:
    """The network with task t multiplied by ``scale[t]``."""
    from mtrelu.network import ReLUNetwork

    return ReLUNetwork(
        w=network.w,
        b=network.b,
        v=network.v * scale,
        A=network.A * scale[:, None],
        c=network.c * scale,
    )


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
    data: str, x: str | None, tasks: str | None, alpha: str, loss: str, standardize: bool
) -> str:
    """The command line that makes the same fit."""
    words = ["mtrelu", "fit", data]
    words += ["--x", x] if x is not None else []
    words += ["--tasks", tasks] if tasks is not None else []
    words += ["--alpha", alpha] if alpha != "auto" else []
    words += ["--loss", loss] if loss != "squared" else []
    words += ["--standardize"] if standardize else []
    return shlex.join(words)


def _and(names: list[str], most: int = 3) -> str:
    """A, B and C; only their number where there are more."""
    if len(names) > most:
        return f"{len(names)} tasks"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
