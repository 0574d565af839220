"""`mtrelu reproduce`: the paper's figures and claims, made again and judged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtrelu.cli._errors import root_of_interrupt
from mtrelu.cli._options import Json, Quiet
from mtrelu.cli._output import Output

if TYPE_CHECKING:
    from mtrelu.paper.figure import Figure


def reproduce(
    figures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIGURE]...",
            help="Which figures, for example fig1 theorem41; all if none is given. A name that "
            "does not exist lists those that do.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="The folder to write, or to go on with."),
    ] = Path("mtrelu-paper"),
    seeds: Annotated[int, typer.Option(help="How many random draws of what is random.")] = 5,
    full: Annotated[
        bool, typer.Option("--full/--quick", help="For the record, or for a look.")
    ] = False,
    device: Annotated[
        str, typer.Option(help="Where networks are trained: cpu, cuda or cuda:1.")
    ] = "cpu",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make the paper's figures again, and judge its claims one by one.

    Writes a folder: for each figure its picture and every number, and a report with a verdict on
    each claim. A figure that is done is not made again: after an interruption, give the same
    command.
    """
    output = Output("reproduce", json, quiet)
    from mtrelu.paper.run import REPORT
    from mtrelu.paper.run import reproduce as make

    try:
        records = make(
            figures or [], out, n_seeds=seeds, full=full, device=device,
            watch=lambda figure: output.progress(_short(figure)),
        )  # fmt: skip
    except (KeyboardInterrupt, SystemError) as error:
        interrupt = root_of_interrupt(error)
        if interrupt is None:
            raise
        raise type(interrupt)(
            f"the figures that are done are in {out}, and the same command goes on from there."
        ) from None
    output.document(
        out=str(out),
        figures=[{"name": record["figure"], "claims": record["claims"]} for record in records],
    )
    if output.for_people:
        _print(output, records, out / REPORT)


def _short(figure: Figure) -> str:
    return f"{figure.name:<10}"


def _print(output: Output, records: list[dict[str, Any]], report: Path) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, padding=(0, 1))
    for name in ("figure", "claim", "verdict", "measured", "tolerated"):
        table.add_column(name, justify="right" if name == "measured" else "left")
    styles = {"holds": "green", "does not hold": "bold red", "cannot be decided here": "yellow"}
    for record in records:
        for claim in record["claims"]:
            definition, measured = claim["claim"], claim["measured"]
            table.add_row(
                record["figure"], definition["name"],
                Text(claim["verdict"], style=styles[claim["verdict"]]),
                "–" if measured is None else f"{float(measured):.3g}",
                f"{definition['sense']} {definition['tolerance']:.3g}",
            )  # fmt: skip
        table.add_section()
    output.show(table, Text(f"report: {report}"))
