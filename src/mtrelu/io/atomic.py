"""Write a file completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtrelu.validation import InvalidInputError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the name of an empty file beside `path` that takes its place when the block ends well.

    Parameters
    ----------
    path : path-like
        The file to write. One that exists is replaced only once the new one is on the disk.

    Yields
    ------
    Path
        What to write to. It is removed if the block raises anything, ``KeyboardInterrupt``
        included.

    Raises
    ------
    InvalidInputError
        The path cannot be written, or is something else than a file: a folder, a device.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(folder + "/table.csv") as beside:
    ...         _ = beside.write_text("x,y")
    ...     sorted(file.name for file in Path(folder).iterdir())
    ['table.csv']
    """
    target = Path(path)
    if target.exists() and not target.is_file():
        # A device or a pipe would be replaced by a file; a folder cannot be.
        raise InvalidInputError(
            f"path is {str(target)!r}, which exists and is no file; pass the name of a file."
        )
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        try:
            with open(beside, "xb"):
                pass
            yield beside
            with open(beside, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInputError(
            f"path is {str(target)!r}, which cannot be written ({error.strerror or error}); "
            "pass a file in a folder that exists and that you may write to."
        ) from error
