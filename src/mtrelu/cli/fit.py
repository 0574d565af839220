"""`mtrelu fit`: a table in, a folder with a report out."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtrelu.cli._classes import refuse_separable
from mtrelu.cli._files import new_folder
from mtrelu.cli._model import named_outputs
from mtrelu.cli._options import (
    MODEL,
    Data,
    Decimal,
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
from mtrelu.cli._tables import again, choose, short_name

if TYPE_CHECKING:
    import numpy as np

    from mtrelu.datasets import Dataset
    from mtrelu.report import Report
    from mtrelu.scaling import Scaling
    from mtrelu.selection import Selection
    from mtrelu.tables import Choice

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
    skip: Annotated[
        str | None,
        typer.Option(
            metavar="affine|constant",
            help="What costs nothing: a straight line (plane, …) in each task, or a constant only. "
            "By default affine; constant with the logistic loss, for which an affine one would "
            "leave classes that a straight cut tells apart without a best fit.",
            autocompletion=complete("affine", "constant"),
            show_default=False,
        ),
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            metavar="one_percent|one_se|min",
            help="Which alpha auto takes: the largest whose loss on held-out points is within 1 % "
            "of the least, or within one standard error of it, or the one with the least. "
            "mtrelu.ReLURegressorCV takes one_se, and other folds.",
            autocompletion=complete("one_percent", "one_se", "min"),
        ),
    ] = "one_percent",
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
    decimal: Decimal = ".",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to write, mtrelu-DATA if not given."),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit all tasks together and write a folder: report, figures, predictions, model.

    predictions.csv has for each task its prediction NAME and, with one input, the range over all
    optimal networks, "NAME low" and "NAME high", empty where the range is not proved. With the
    logistic loss these are probabilities of class 1, and NAME_log_odds their log-odds, as the
    model has them.
    """
    import numpy as np

    import mtrelu
    from mtrelu.api import solve
    from mtrelu.io import save_network
    from mtrelu.losses import make_loss
    from mtrelu.report import CurveReport, SurfaceReport
    from mtrelu.selection import select_alpha
    from mtrelu.tables import write_table
    from mtrelu.validation import InvalidInputError

    output = Output("fit", json, quiet)
    chosen_loss = make_loss(loss)
    used_alpha = _penalty(alpha)
    free = _skip(skip, chosen_loss.name)
    _refuse_rule(rule)
    target = out if out is not None else Path(f"mtrelu-{short_name(data)}")
    table, choice = choose(
        data, x, tasks, drop_missing=drop_missing, missing_labels=missing_labels, decimal=decimal
    )
    left_out = choice.left_out
    several = len(table.input_names) > 1
    scaling = _scaling(table, standardize, chosen_loss.name)
    X, Y = scaling.inputs(table.X), scaling.labels(table.Y)
    nan_policy = "omit" if missing_labels else "raise"
    if chosen_loss.name == "logistic":
        refuse_separable(X, Y, list(table.tasks), free)

    with new_folder(target, force, WRITTEN, MODEL) as folder:
        selection: Selection | None = None
        if used_alpha is None:
            with output.progress("choosing alpha") as progress:
                selection = select_alpha(
                    X, Y, loss=chosen_loss, skip=free, nan_policy=nan_policy, rule=rule,
                    progress=progress,
                )  # fmt: skip
            used_alpha = selection.alpha
        with output.progress("fitting"):
            try:
                solution = solve(
                    X, Y, used_alpha, loss=chosen_loss, skip=free, nan_policy=nan_policy
                )
            except InvalidInputError:
                if used_alpha == 0.0:
                    _refuse_contradictions(choice)
                raise

        report = (SurfaceReport if several else CurveReport)(
            solution=solution,
            tasks=table.tasks,
            input_names=table.input_names,
            title=table.title,
            description=table.description,
            scaling=scaling,
            selection=selection,
            command=_command(
                data,
                x,
                tasks,
                alpha,
                loss,
                skip,
                rule,
                standardize,
                _reading(drop_missing, missing_labels, decimal),
            ),
            version=mtrelu.__version__,
            left_out=left_out,
            n_unlabelled=int(np.isnan(Y).all(axis=1).sum()),
            rule=rule,
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
                "skip": free,
                "reading": _reading(drop_missing, missing_labels, decimal),
                "certificate": solution.certificate.to_dict(),
            },
        )
        files = sorted(file.name for file in folder.iterdir())
    scores = (
        {"log_loss": report.log_loss, "accuracy": report.accuracy}
        if report.tells_classes
        else {"rmse": report.rmse}
    )
    output.document(
        out=str(target),
        files=files,
        inputs=list(table.input_names),
        tasks=list(table.tasks),
        n_samples=report.n_samples,
        unknown_labels=report.n_unknown,
        rows_without_label=report.n_unlabelled,
        rows_left_out=left_out,
        alpha=solution.problem.alpha,
        alpha_chosen=selection is not None,
        loss=chosen_loss.config(),
        skip=free,
        n_neurons=network.n_neurons,
        knots=None if several else network.knots().tolist(),
        certificate=solution.certificate.to_dict(),
        verdict=report.optimal_set.verdict.value,
        reason=report.optimal_set.reason,
        **{
            name: dict(zip(table.tasks, map(finite, score), strict=True))
            for name, score in scores.items()
        },
    )
    rows = {"rows left out": ", ".join(left_out)} if left_out else {}
    if report.n_unknown:
        empty = f"; rows without any: {report.n_unlabelled}" if report.n_unlabelled else ""
        rows["unknown labels"] = f"{report.n_unknown} of {report.n_labels}{empty}"
    measure, value, _ = report.quality
    undecided = report.optimal_set.verdict == "undecided"
    rows |= {
        "tasks, points": f"{len(table.tasks)}, {report.n_samples}",
        "alpha": f"{used_alpha:.4g}"
        + (" (chosen by cross-validation)" if selection is not None else ""),
        report.size[0]: str(report.size[1]),
        "optimal?": solution.certificate.in_short(),
        "the only optimum?": report.optimal_set.verdict.value,
        **({} if undecided else {"two optima differ": report.spread}),
        f"median {measure}": value,
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


def _skip(skip: str | None, loss: str) -> str:
    """What costs nothing; by default as `solve` and `ReLUClassifier` have it."""
    from mtrelu.validation import InvalidInputError

    if skip is None:
        return "constant" if loss == "logistic" else "affine"
    if skip not in ("affine", "constant"):
        raise InvalidInputError(f"--skip is {skip!r}. Give affine or constant.")
    return skip


def _refuse_rule(rule: str) -> None:
    from mtrelu.selection import RULES
    from mtrelu.validation import InvalidInputError

    if rule not in RULES:
        raise InvalidInputError(f"--rule is {rule!r}. Give one of {', '.join(RULES)}.")


def _refuse_contradictions(choice: Choice) -> None:
    """Raise an error that names data rows with equal inputs and different labels."""
    import numpy as np

    from mtrelu.validation import InvalidInputError

    order = np.lexsort(choice.X.T)
    X, Y, rows = choice.X[order], choice.Y[order], choice.rows[order]
    alike = (X[1:] == X[:-1]).all(axis=1)
    clashes = np.flatnonzero(alike & (Y[1:] != Y[:-1]).any(axis=1))
    if clashes.size:
        named = [f"{min(pair)} and {max(pair)}" for pair in pairwise(rows)]
        shown = ", ".join(named[k] for k in clashes[:3]) + (", …" if clashes.size > 3 else "")
        raise InvalidInputError(
            f"data rows {shown} have equal inputs but different labels, so that nothing passes "
            "through all labels, as --alpha 0 asks. Give a number above 0, or average these rows."
        )


def _scaling(table: Dataset, standardize: bool | None, loss: str) -> Scaling:
    """The units of the fit; by default as the data came with one input, else all on one scale."""
    import numpy as np

    from mtrelu.scaling import Scaling
    from mtrelu.validation import InvalidInputError, refuse_unsquarable

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
            refuse_unsquarable(known, f"column {name!r}")
    return Scaling.of(
        table.X, table.Y, inputs=several and wanted, tasks=wanted and loss != "logistic"
    )


def _predictions(table: Dataset, predictions: np.ndarray, report: Report) -> dict[str, np.ndarray]:
    """The columns of predictions.csv: inputs, predictions, and with one input their ranges."""
    import numpy as np
    from scipy.special import expit

    from mtrelu.validation import InvalidInputError

    columns = dict(zip(table.input_names, table.X.T, strict=True))
    if len(table.input_names) > 1:
        # At the data all optimal networks agree, so that there is no range to tell.
        return columns | named_outputs(predictions, table.tasks, columns, report.tells_classes)
    ends = report.optimal_set.range(table.X)
    proved = report.optimal_set.verdict != "undecided"
    low, high = (
        (expit(end) if report.tells_classes else end * report.scaling.task_spread)
        if proved
        else np.full(end.shape, np.nan)
        for end in ends
    )
    outputs = named_outputs(predictions, table.tasks, columns, report.tells_classes)
    for t, name in enumerate(table.tasks):
        columns[name] = outputs.pop(name)
        columns[f"{name} low"] = low[:, t]
        columns[f"{name} high"] = high[:, t]
    if len(columns) != 1 + 3 * len(table.tasks) or columns.keys() & outputs.keys():
        raise InvalidInputError(
            'the predictions of a task NAME are written as "NAME", "NAME low" and "NAME high", '
            "but another column has one of these names already. Rename it."
        )
    return columns | outputs


def _command(
    data: str,
    x: list[str] | None,
    tasks: str | None,
    alpha: str,
    loss: str,
    skip: str | None,
    rule: str,
    standardize: bool | None,
    reading: list[str],
) -> str:
    """The command line that makes the same fit."""
    words = ["mtrelu", "fit", data]
    for column in x or ():
        words += ["--x", column]
    words += ["--tasks", tasks] if tasks is not None else []
    words += ["--alpha", alpha] if alpha != "auto" else []
    words += ["--loss", loss] if loss != "squared" else []
    words += ["--skip", skip] if skip is not None else []
    words += ["--rule", rule] if rule != "one_percent" else []
    if standardize is not None:
        words += ["--standardize" if standardize else "--no-standardize"]
    return again(words + reading, data)


def _reading(drop_missing: bool, missing_labels: bool, decimal: str) -> list[str]:
    """The options that say how the table was read, for whoever reads it again."""
    words = ["--drop-missing"] if drop_missing else []
    words += ["--missing-labels"] if missing_labels else []
    return words + (["--decimal", decimal] if decimal != "." else [])
