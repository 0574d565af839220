"""What the commands take alike, and how they end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NOT_CERTIFIED = 1
BAD_INPUT = 2
INTERRUPTED = 130
NOBODY_READS = 141
TERMINATED = 143
"""As the shell reports a command that Ctrl-C, a closed pipe, or SIGTERM has ended."""

MODEL = "model.safetensors"
STANDARD = "-"
"""In place of a file's name: standard input or output."""

TABLE_HELP = (
    "A CSV, TSV, Parquet or NPZ file, a shipped data set (el-nino, macrodata, cars), or - to read "
    "CSV from standard input."
)

Data = Annotated[str, typer.Argument(help=TABLE_HELP)]
Model = Annotated[
    Path,
    typer.Argument(
        help=f"A folder that `mtrelu fit` wrote, or the {MODEL} in it, or a file that "
        "`mtrelu.save_model` wrote."
    ),
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
MissingLabels = Annotated[
    bool,
    typer.Option(
        "--missing-labels",
        help="Keep the rows where labels are unknown: each task counts on its own rows. With "
        "--drop-missing only the rows where an input is unknown are left out.",
    ),
]
Decimal = Annotated[
    str,
    typer.Option(
        metavar=".|,",
        help="What stands before the decimals of numbers in text files: a point or a comma.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace what an earlier run wrote.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object for machines, and nothing else.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but errors, and no progress.")
]


def complete(*words: str) -> object:
    """Let the shell complete an option with these words."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]
