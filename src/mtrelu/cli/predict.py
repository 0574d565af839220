"""`mtrelu predict`: a saved model and a table in, a CSV file out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mtrelu.cli._shared import (
    Data,
    DropMissing,
    Force,
    Inputs,
    Model,
    load_model,
    open_table,
    tell_left_out,
)


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

    network, metadata = load_model(model)
    if x and len(x) != network.n_inputs:
        raise InvalidInputError(
            f"--x names {len(x)} columns, but the model has {network.n_inputs} inputs: "
            f"{', '.join(metadata['inputs'])}. Name one column for each, in this order."
        )
    table = open_table(data, drop_missing)[0]
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
    tell_left_out(left_out)
