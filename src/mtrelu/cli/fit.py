"""`mtrelu fit`: a table in, a folder with a report out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtrelu.cli._files import new_folder
from mtrelu.cli._options import (
    MODEL,
    Data,
    DropMissing,
    Force,
    Inputs,
    Json,
    MissingLabels,
    Quiet,
    Tasks,
    complete,
)
from mtrelu.cli._output import Output, finite
from mtrelu.cli._tables import choose, short_name

if TYPE_CHECKING:
    import numpy as np

    from mtrelu.datasets import Dataset
    from mtrelu.report import Report
    from mtrelu.scaling import Scaling
    from mtrelu.selection import Selection

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


def fit(
    data: Data,
    x: Inputs = None,
    tasks: Tasks = None,
    alpha: Annotated[
        str,
        typer.Option(
            metavar="auto|NUMBER",
            help="The penalty; auto chooses it by cross-validation over held-out points, "
            "0 interpolates.",
        ),
    ] = "auto",
    loss: Annotated[
        str,
        typer.Option(
            help="squared, huber, logistic (labels 0 and 1) or quantile (the median).",
            autocompletion=complete("squared", "huber", "logistic", "quantile"),
        ),
    ] = "squared",
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
    missing_labels: MissingLabels = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to write, mtrelu-DATA if not given."),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit all tasks together and write a folder: report, figures, predictions, model."""
    import numpy as np

    import mtrelu
    from mtrelu.api import solve
    from mtrelu.io import save_network
    from mtrelu.losses import make_loss
    from mtrelu.report import CurveReport, SurfaceReport
    from mtrelu.selection import select_alpha
    from mtrelu.tables import write_table

    output = Output("fit", json, quiet)
    chosen_loss = make_loss(loss)
    used_alpha = _penalty(alpha)
    target = out if out is not None else Path(f"mtrelu-{short_name(data)}")
    table, left_out = choose(
        data, x, tasks, drop_missing=drop_missing, missing_labels=missing_labels
    )
    several = len(table.input_names) > 1
    scaling = _scaling(table, standardize, chosen_loss.name)
    X, Y = scaling.inputs(table.X), scaling.labels(table.Y)
    nan_policy = "omit" if missing_labels else "raise"

    with new_folder(target, force, WRITTEN, MODEL) as folder:
        selection: Selection | None = None
        if used_alpha is None:
            with output.progress("choosing alpha") as progress:
                selection = select_alpha(
                    X, Y, loss=chosen_loss, nan_policy=nan_policy, progress=progress
                )
            used_alpha = selection.alpha
        with output.progress("fitting"):
            solution = solve(X, Y, used_alpha, loss=chosen_loss, nan_policy=nan_policy)

        report = (SurfaceReport if several else CurveReport)(
            solution=solution,
            tasks=table.tasks,
            input_names=table.input_names,
            title=table.title,
            description=table.description,
            scaling=scaling,
            selection=selection,
            command=_command(
                data, x, tasks, alpha, loss, standardize, drop_missing, missing_labels
            ),
            version=mtrelu.__version__,
            left_out=left_out,
        )
        with output.progress("drawing the pictures"):
            for name, png in report.figures.items():
                (folder / f"{name}.png").write_bytes(png)
        (folder / "report.html").write_text(report.html(), encoding="utf-8")

        network = scaling.in_own_units(solution.network)
        write_table(folder / "predictions.csv", _predictions(table, network(table.X), report))
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
        files = sorted(file.name for file in folder.iterdir())
    unknown = int(np.isnan(table.Y).sum())
    output.document(
        out=str(target),
        files=files,
        inputs=list(table.input_names),
        tasks=list(table.tasks),
        n_samples=len(table.X),
        unknown_labels=unknown,
        rows_left_out=left_out,
        alpha=solution.problem.alpha,
        alpha_chosen=selection is not None,
        loss=chosen_loss.config(),
        n_neurons=network.n_neurons,
        knots=None if several else network.knots().tolist(),
        certificate=solution.certificate.to_dict(),
        verdict=report.optimal_set.verdict.value,
        reason=report.optimal_set.reason,
        rmse=dict(zip(table.tasks, map(finite, report.rmse), strict=True)),
    )
    rows = {"rows left out": ", ".join(left_out)} if left_out else {}
    rows |= {"unknown labels": f"{unknown} of {table.Y.size}"} if unknown else {}
    rows |= {
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
    output.summary(rows)


def _penalty(text: str) -> float | None:
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


def _scaling(table: Dataset, standardize: bool | None, loss: str) -> Scaling:
    """The units of the fit; by default as the data came with one input, else all on one scale."""
    import numpy as np

    from mtrelu.scaling import Scaling
    from mtrelu.validation import InvalidInputError, refuse_overflow

    several = len(table.input_names) > 1
    if standardize and loss == "logistic":
        raise InvalidInputError(
            "--standardize changes the labels, but the logistic loss needs them between 0 and 1. "
            "Use one or the other."
        )
    wanted = several if standardize is None else standardize
    for name, column in zip(
        (*table.input_names, *table.tasks), (*table.X.T, *table.Y.T), strict=True
    ):
        known = column[~np.isnan(column)]
        if known.size:
            refuse_overflow(known, f"column {name!r}")
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


def _command(
    data: str,
    x: list[str] | None,
    tasks: str | None,
    alpha: str,
    loss: str,
    standardize: bool | None,
    drop_missing: bool,
    missing_labels: bool,
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
    words += ["--missing-labels"] if missing_labels else []
    return shlex.join(words)
