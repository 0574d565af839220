"""`mtrelu regime`: how many tasks turn a network into a kernel method."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtrelu.cli._errors import root_of_interrupt
from mtrelu.cli._files import new_folder
from mtrelu.cli._options import (
    STANDARD,
    DropMissing,
    Force,
    Inputs,
    Json,
    Quiet,
    Tasks,
    complete,
)
from mtrelu.cli._output import Output
from mtrelu.cli._tables import again, choose, short_name

if TYPE_CHECKING:
    from mtrelu.regime.designs import Design
    from mtrelu.regime.sweep import Plan, Sweep
    from mtrelu.report.regime import RegimeReport

CELLS = "measurements.json"
WRITTEN = {"report.html", "regime.png", CELLS, "table.csv"}
"""Every name that `regime` may write: a folder with other files in it is never replaced."""


def regime(
    data: Annotated[
        str,
        typer.Argument(
            help="A design of the paper (two-squares, student-teacher), noise (gaussian-1d, "
            "gaussian-2d, gaussian-3d, gaussian-5d), or a table as for fit (- for standard "
            "input), whose own tasks are then drawn in random order."
        ),
    ],
    x: Inputs = None,
    tasks: Tasks = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            help="The penalty, the same for every number of tasks. By default the design's, for a "
            "table 0.01 for each row.",
            show_default=False,
        ),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            metavar="LAMBDA",
            help="In place of --alpha: a penalty that grows with the number of tasks T as it does "
            "for the mean squared error, LAMBDA·N·T/2.",
            show_default=False,
        ),
    ] = None,
    n_tasks: Annotated[
        str | None,
        typer.Option(
            metavar="1,2,5,…", help="The numbers of tasks, separated by commas.", show_default=False
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many random draws for each of them.")] = 5,
    skip: Annotated[
        str,
        typer.Option(
            help="The unpenalised part: affine or constant.",
            autocompletion=complete("affine", "constant"),
        ),
    ] = "affine",
    jobs: Annotated[
        int | None,
        typer.Option(help="How many processes work at a time; by default one for each core."),
    ] = None,
    drop_missing: DropMissing = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to write, mtrelu-regime-DATA if not given."),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how a network turns into a kernel method as the number of tasks grows.

    Writes a folder: report, picture, table, and every measured number. A run that was interrupted
    goes on where it stopped when the same command is given again.
    """
    import joblib

    import mtrelu
    from mtrelu.regime.sweep import Plan, run_sweep
    from mtrelu.report.regime import RegimeReport
    from mtrelu.tables import write_table

    output = Output("regime", json, quiet)
    design, left_out = _design(data, x, tasks, drop_missing)
    plan = Plan.make(
        design, n_tasks=_numbers(n_tasks), n_seeds=seeds, alpha=alpha, weight_decay=weight_decay,
        skip=skip,
    )  # fmt: skip
    target = out if out is not None else Path(f"mtrelu-regime-{short_name(data)}")
    # Beside the folder, for that one appears only when all is done.
    kept = target.absolute().with_name(f"{target.absolute().name}.unfinished.jsonl")
    with new_folder(target, force, WRITTEN, CELLS) as folder:
        try:
            with output.progress("measuring") as progress:
                sweep = run_sweep(
                    plan, n_jobs=jobs if jobs is not None else joblib.cpu_count(),
                    checkpoint=kept, progress=progress,
                )  # fmt: skip
        except (KeyboardInterrupt, SystemError) as error:
            interrupt = root_of_interrupt(error)
            if interrupt is None or not kept.exists():
                raise
            raise type(interrupt)(
                f"the cells that were finished are in {kept}, and the same command goes on from "
                "there."
            ) from None
        command = _command(data, x, tasks, plan, alpha, drop_missing)
        report = RegimeReport(sweep, command, mtrelu.__version__, left_out)
        with output.progress("drawing the picture"):
            (folder / "regime.png").write_bytes(report.figure)
        (folder / "report.html").write_text(report.html(), encoding="utf-8")
        record = _record(sweep, command)
        (folder / CELLS).write_text(
            dumps({"mtrelu": mtrelu.__version__} | record, indent=1, allow_nan=False),
            encoding="utf-8",
        )
        write_table(folder / "table.csv", sweep.table())
    kept.unlink(missing_ok=True)
    command_line = record.pop("command")
    output.document(out=str(target), command_line=command_line, **record)
    if output.for_people:
        _print(output, report, target)


def _design(
    data: str, x: list[str] | None, tasks: str | None, drop_missing: bool
) -> tuple[Design, list[str]]:
    """The design that was named, or that of a table, and the rows that were left out."""
    from mtrelu.regime.designs import DESIGNS, table_design
    from mtrelu.scaling import Scaling
    from mtrelu.validation import InvalidInputError

    if data in DESIGNS:
        if x or tasks is not None or drop_missing:
            raise InvalidInputError(
                f"--x, --tasks and --drop-missing choose from a table, but {data} is a design with "
                "data of its own. Leave them out."
            )
        return DESIGNS[data], []
    if data != STANDARD and "." not in data and not Path(data).exists():
        from mtrelu.datasets import DATASETS

        if data not in DATASETS:
            raise InvalidInputError(
                f"{data} is no design ({', '.join(DESIGNS)}), no shipped data set "
                f"({', '.join(DATASETS)}) and no file. Check its spelling."
            )
    table, choice = choose(data, x, tasks, drop_missing=drop_missing)
    scaling = Scaling.of(table.X, table.Y, inputs=table.X.shape[1] > 1, tasks=True)
    scaled = "Every task was divided by its standard deviation" + (
        ", and the inputs were centred and divided by theirs." if table.X.shape[1] > 1 else "."
    )
    return table_design(
        data,
        scaling.inputs(table.X),
        scaling.labels(table.Y),
        title=table.title,
        description=f"{table.description} {scaled}",
    ), choice.left_out


def _numbers(text: str | None) -> list[int] | None:
    """The numbers of tasks that were asked for."""
    from mtrelu.validation import InvalidInputError

    if text is None:
        return None
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise InvalidInputError(
            f"--n-tasks is {text!r}, which are no whole numbers separated by commas. Give, for "
            "example, --n-tasks 1,2,5,11."
        ) from None


def _record(sweep: Sweep, command: str) -> dict[str, Any]:
    """Every number, for strict JSON: what is not defined is null, what is infinite "inf"."""
    from mtrelu.regime.measurement import BETAS
    from mtrelu.regime.sweep import FALLING

    plan = sweep.plan
    return {
        "command": command,
        "design": plan.design.name,
        "description": plan.design.description,
        "skip": plan.skip,
        "weight_decay": plan.weight_decay,
        "lemma_betas": BETAS,
        "rates": {name: sweep.rate(name).to_dict() for name in FALLING},
        "cells": [cell.to_dict() for cell in sweep.measurements],
    }


def _print(output: Output, report: RegimeReport, target: Path) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    head, rows, rates = report.rows()
    plan = report.sweep.plan
    penalty = f"α = {plan.alpha:g}" if plan.weight_decay is None else "α grows with T"
    table = Table(
        box=box.SIMPLE,
        padding=0,
        title=f"{plan.design.title}, {penalty}, medians",
        title_justify="left",
    )
    for name in head:
        table.add_column(Text(name), justify="right")
    for row in rows:
        table.add_row(*map(Text, row))
    if rates:
        table.add_section()
        table.add_row(*map(Text, rates))
    parts: list[Table | Text] = [table]
    if report.sweep.unresolved():
        parts.append(Text("?: two solutions of one problem differ as much; see the report."))
    missing = len(report.sweep.uncertified())
    if missing:
        parts.append(
            Text(f"{missing} cells are not certified and count for no median; see the report.")
        )
    if report.left_out:
        parts.append(Text(f"left out, since a value is unknown: {len(report.left_out)} rows"))
    output.show(*parts, Text(f"report: {target / 'report.html'}"))


def _command(
    data: str,
    x: list[str] | None,
    tasks: str | None,
    plan: Plan,
    alpha: float | None,
    drop_missing: bool,
) -> str:
    """The command line that measures the same."""
    words = ["mtrelu", "regime", data]
    for column in x or ():
        words += ["--x", column]
    words += ["--tasks", tasks] if tasks is not None else []
    words += ["--alpha", f"{alpha!r}"] if alpha is not None else []
    words += ["--weight-decay", f"{plan.weight_decay!r}"] if plan.weight_decay is not None else []
    words += ["--n-tasks", ",".join(map(str, plan.n_tasks)), "--seeds", str(plan.n_seeds)]
    words += ["--skip", plan.skip] if plan.skip != "affine" else []
    words += ["--drop-missing"] if drop_missing else []
    return again(words, data)
