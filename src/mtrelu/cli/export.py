"""`mtrelu export`: a saved model as a file for other tools."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mtrelu.cli._files import new_file
from mtrelu.cli._model import SavedModel, load_model
from mtrelu.cli._options import STANDARD, Force, Json, Model, Quiet
from mtrelu.cli._output import Output, standard_output


class Kind(StrEnum):
    """What a model can be exported to."""

    ONNX = "onnx"
    TORCH = "torch"
    CSV = "csv"
    NPZ = "npz"


ENDINGS = {
    Kind.ONNX: (".onnx",),
    Kind.TORCH: (".safetensors",),
    Kind.CSV: (".csv", ".txt", ".tsv", ".tab", ".parquet", ".pq"),
    Kind.NPZ: (".npz",),
}
"""What the file's name may end in; the first if it is not given."""


def export(
    model: Model,
    to: Annotated[
        Kind,
        typer.Option(
            help="onnx: a graph X → Y. torch: the weights of hidden, output and skip, three "
            "torch.nn.Linear layers, as safetensors. csv: knots and slope changes, or neurons, one "
            "column a task (TSV and Parquet by the ending of --out). npz: the arrays w, b, v, A, c "
            "of f(x) = Σ v (w·x + b)₊ + A x + c, and the names inputs and tasks."
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The file to write, by default named after the model; for csv also - for standard "
            "output.",
        ),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a saved model as a file for other tools: ONNX, PyTorch, tables, NumPy arrays."""
    from mtrelu.export import coefficient_table
    from mtrelu.tables import write_csv
    from mtrelu.validation import InvalidInputError

    output = Output("export", json, quiet)
    saved = load_model(model)
    if out == STANDARD:
        if to is not Kind.CSV or json:
            raise InvalidInputError(
                "--out - writes CSV to standard output, which goes with --to csv and without "
                "--json. Give the name of a file."
            )
        table = coefficient_table(saved.network, inputs=saved.inputs, tasks=saved.tasks)
        with standard_output() as stream:
            write_csv(stream, table)
        return
    file = f"{saved.name}{ENDINGS[to][0]}" if out is None else out
    if Path(file).suffix.lower() not in ENDINGS[to]:
        raise InvalidInputError(
            f"--out {file} does not end in {' or '.join(ENDINGS[to])}, as a file of --to {to} "
            "should. Rename it, or give another --to."
        )
    _write(saved, to, new_file(Path(file), force))
    output.document(model=str(saved.path), to=str(to), out=file)
    output.lines(f"{saved.path} written to {file}")


def _write(saved: SavedModel, to: Kind, target: Path) -> None:
    from mtrelu.export import coefficient_table, to_onnx
    from mtrelu.tables import write_table

    network = saved.network
    if to is Kind.TORCH:
        _write_torch(saved, target)
    elif to is Kind.CSV:
        write_table(target, coefficient_table(network, inputs=saved.inputs, tasks=saved.tasks))
    elif to is Kind.NPZ:
        arrays = {name: getattr(network, name) for name in ("w", "b", "v", "A", "c")}
        write_table(target, arrays | {"inputs": saved.inputs, "tasks": saved.tasks})
    elif saved.estimator is not None:
        to_onnx(saved.estimator, target)
    else:
        # A certificate for scaled data is none of this network and the data as they came.
        scaled = saved.scaling.scales_inputs or saved.scaling.scales_tasks
        to_onnx(
            network, target, inputs=saved.inputs, tasks=saved.tasks,
            certificate=None if scaled else saved.certificate,
        )  # fmt: skip


def _write_torch(saved: SavedModel, target: Path) -> None:
    """Write the parameters of the module as safetensors: PyTorch's own files are pickles."""
    from mtrelu.export import to_torch
    from mtrelu.io.atomic import replacing

    module = to_torch(saved.network)
    from safetensors.torch import save

    with replacing(target) as beside:
        beside.write_bytes(save({k: v.contiguous() for k, v in module.state_dict().items()}))
