"""The command line: files in, files and a report out; everything else is done elsewhere."""

from __future__ import annotations

from typing import Annotated

try:
    import typer
except ImportError:
    raise SystemExit(
        'The mtrelu command needs typer, which is not installed: pip install "mtrelu[cli]"'
    ) from None

# Everything that takes time to import is imported by the command that needs it.
from mtrelu.cli._compiled import keep_compiled_code
from mtrelu.cli._errors import tidy
from mtrelu.cli._help import EPILOGS
from mtrelu.cli.certify import certify
from mtrelu.cli.export import export
from mtrelu.cli.fit import fit
from mtrelu.cli.inspect import inspect
from mtrelu.cli.predict import predict
from mtrelu.cli.regime import regime
from mtrelu.cli.reproduce import reproduce

__all__ = ["app", "main"]

app = typer.Typer(
    help="Multi-task ReLU networks, fitted to certified global optimality.",
    epilog=EPILOGS["mtrelu"],
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        import mtrelu

        typer.echo(f"mtrelu {mtrelu.__version__}")
        raise typer.Exit


for command in (fit, predict, certify, inspect, export, regime, reproduce):
    app.command(epilog=EPILOGS[command.__name__])(tidy(command))


def main() -> None:
    """Run the command line."""
    keep_compiled_code()
    app(prog_name="mtrelu")
