"""`mtrelu predict`: a saved model and a table in, a table out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mtrelu.cli._files import new_file
from mtrelu.cli._model import load_model
from mtrelu.cli._options import (
    STANDARD,
    Data,
    Decimal,
    DropMissing,
    Force,
    Inputs,
    Json,
    Model,
    Quiet,
)
from mtrelu.cli._output import Output, standard_output
from mtrelu.cli._tables import in_words, open_table


def predict(
    model: Model,
    data: Data,
    out: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="The file to write: CSV, TSV, Parquet or NPZ by the ending of its name, or - to "
            "write CSV to standard output, with nothing else on it.",
        ),
    ],
    x: Inputs = None,
    drop_missing: DropMissing = False,
    decimal: Decimal = ".",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate a saved model at the inputs of a table and write a table: inputs, predictions.

    The input columns are those of the fit if --x is not given. Of a fit with the logistic loss the
    column of a task NAME is the probability of class 1, and NAME_log_odds are its log-odds.
    """
    from mtrelu.tables import refuse_ending, write_csv, write_table
    from mtrelu.validation import InvalidInputError

    output = Output("predict", json, quiet)
    if out == STANDARD and json:
        raise InvalidInputError(
            "--json and --out - both want standard output; give the name of a file to --out, or "
            "leave --json out."
        )
    if out != STANDARD:
        target = new_file(Path(out), force)
        refuse_ending(out)
    saved = load_model(model)
    if x and len(x) != len(saved.inputs):
        raise InvalidInputError(
            f"--x names {len(x)} columns, but the model has {len(saved.inputs)} inputs: "
            f"{', '.join(saved.inputs)}. Name one column for each, in this order."
        )
    table = open_table(data, drop_missing, decimal)[0]
    X, left_out = table.inputs(x or saved.inputs, drop_missing=drop_missing)
    columns = dict(zip(saved.inputs, X.T, strict=True)) | saved.predictions(X)
    if out == STANDARD:
        with standard_output() as file:
            write_csv(file, columns)
        if left_out and not quiet:
            typer.echo(f"mtrelu: {in_words(left_out)}", err=True)
        return
    write_table(target, columns)
    output.document(out=out, rows=len(X), columns=list(columns), rows_left_out=left_out)
    output.lines(f"{len(X)} rows written to {out}", *([in_words(left_out)] if left_out else []))
