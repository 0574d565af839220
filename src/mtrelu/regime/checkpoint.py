"""Cells of a sweep on disk, one JSON line each, so that an interrupted sweep can go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtrelu.validation import InvalidInputError

__all__ = ["Checkpoint"]

HEADER = "mtrelu regime sweep"


class Checkpoint:
    """A file to which finished cells are appended; its first line says of which sweep they are.

    Parameters
    ----------
    path : Path
        The file; made by the first `append`.
    key : str
        What the cells depend on, for example a hash of data and settings.

    Attributes
    ----------
    cells : list of dict
        What was in the file when it was opened, in its order. Lines that are no JSON objects are
        left out: a crash in the middle of a write leaves half a line.

    Raises
    ------
    InvalidInputError
        The file belongs to a sweep with another key, or is something else altogether.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "cells.jsonl"
    ...     Checkpoint(path, "one key").append({"cell": 1})
    ...     Checkpoint(path, "one key").cells
    [{'cell': 1}]
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key
        content = path.read_bytes() if path.exists() else b""
        # What follows the last newline was never finished.
        self._complete: int | None = content.rfind(b"\n") + 1
        lines = [_parsed(line) for line in content[: self._complete].split(b"\n")[:-1]]
        if lines or not self._header.startswith(content):
            self._refuse_other(lines[0] if lines else None)
        self.cells = [line for line in lines[1:] if line is not None]

    def append(self, cell: Mapping[str, Any]) -> None:
        """Write a cell to the file, to stay there if the process ends.

        Parameters
        ----------
        cell : mapping
            What JSON can hold; no infinite numbers or NaN.
        """
        text = (json.dumps(cell, allow_nan=False) + "\n").encode()
        if self._complete is not None:
            with self.path.open("ab") as file:
                file.truncate(self._complete)
            text = text if self._complete else self._header + text
            self._complete = None
        with self.path.open("ab") as file:
            file.write(text)

    @property
    def _header(self) -> bytes:
        return (json.dumps({HEADER: self.key}) + "\n").encode()

    def _refuse_other(self, header: dict[str, Any] | None) -> None:
        if header is None or HEADER not in header:
            raise InvalidInputError(
                f"{self.path} is not a file of unfinished cells that mtrelu wrote, but it has the "
                "name for it. Move it away, or give another --out."
            )
        if header[HEADER] != self.key:
            raise InvalidInputError(
                f"{self.path} holds the unfinished cells of another run: other data, other options "
                "or another version of mtrelu. Finish that run with its own command, or delete the "
                "file, or give another --out."
            )


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line; None where there is none."""
    try:
        value = json.loads(line)
    except ValueError:  # no JSON, or no text
        return None
    return value if isinstance(value, dict) else None
