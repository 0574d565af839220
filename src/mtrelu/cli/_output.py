"""What the commands print: a table for people, JSON for machines, or nothing; and progress."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

STANDARD_OUTPUT = "standard output"


@dataclass(frozen=True)
class Output:
    """How a command answers.

    Attributes
    ----------
    command : str
        Its name.
    json : bool
        One JSON object and nothing else.
    quiet : bool
        No progress, and no answer but that object.
    """

    command: str
    json: bool
    quiet: bool

    @property
    def for_people(self) -> bool:
        """Whether anybody reads what is printed."""
        return not (self.json or self.quiet)

    def document(self, **entries: Any) -> None:
        """Print the JSON object, if it was asked for."""
        if not self.json:
            return
        import mtrelu

        whole = {"mtrelu": mtrelu.__version__, "command": self.command} | entries
        with standard_output() as file:
            file.write(json.dumps(whole, indent=1, allow_nan=False) + "\n")

    def lines(self, *texts: str) -> None:
        """Print lines for people."""
        if self.for_people:
            with standard_output() as file:
                file.writelines(f"{text}\n" for text in texts)

    def show(self, *parts: RenderableType) -> None:
        """Print tables and texts of rich for people."""
        if not self.for_people:
            return
        from rich.console import Console

        # By way of a text, so that only `standard_output` meets what can go wrong.
        console = Console()
        with console.capture() as printed:
            for part in parts:
                console.print(part)
        with standard_output() as file:
            file.write(printed.get())

    def summary(self, rows: Mapping[str, str]) -> None:
        """Print names and values for people."""
        if not self.for_people:
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE, show_header=False)
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, value in rows.items():
            table.add_row(name, Text(value))
        self.show(table)

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int, int], None] | None]:
        """Show a progress bar on a terminal, nothing elsewhere."""
        if self.quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def standard_output() -> Iterator[io.TextIOWrapper]:
    """Standard output as UTF-8 text; an error says that it is this which cannot be written."""
    file = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=True)
    try:
        try:
            yield file
        finally:
            file.detach()  # flushes
    except OSError as error:
        raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from None


def listed(names: Sequence[str], what: str = "tasks", most: int = 3) -> str:
    """A, B and C; only their number where there are more."""
    if len(names) > most:
        return f"{len(names)} {what}"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def finite(value: float) -> float | None:
    """A number for JSON, which knows no NaN and no infinity."""
    import math

    return float(value) if math.isfinite(value) else None
