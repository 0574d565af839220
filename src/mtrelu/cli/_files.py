"""What the commands write is there as a whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_folder(out: Path, force: bool, written: Set[str], always: str) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends well, else vanishes.

    An existing folder is replaced only if it holds nothing but files of the names `written`,
    among them the one that the command `always` writes.
    """
    from mtrelu.validation import InvalidInputError

    target = Path(os.path.realpath(out))
    if target.exists():
        there = {entry.name for entry in target.iterdir()} if target.is_dir() else {target.name}
        ours = there <= written and always in there
        if there and not ours:
            raise InvalidInputError(
                f"--out {out} holds things that mtrelu did not write; they are never replaced. "
                "Give the name of a folder that does not exist yet."
            )
        if there and not force:
            raise InvalidInputError(
                f"--out {out} holds what an earlier run wrote. Give --force to replace it, or "
                "another name."
            )
    _refuse_without_parent(out, target)
    beside = target.with_name(f".{target.name}.part-{os.getpid()}")
    before = target.with_name(f".{target.name}.old-{os.getpid()}")
    try:
        beside.mkdir()
        yield beside
        if target.exists():
            target.rename(before)
        beside.rename(target)
    except OSError as error:
        if error.filename is not None:  # in the words of whoever chose the name
            error.filename = str(error.filename).replace(str(beside), str(out))
        raise
    except InvalidInputError as error:
        raise InvalidInputError(str(error).replace(str(beside), str(out))) from None
    finally:
        if before.exists() and not target.exists():
            before.rename(target)
        shutil.rmtree(before, ignore_errors=True)
        shutil.rmtree(beside, ignore_errors=True)


def new_file(out: Path, force: bool) -> Path:
    """The file that `out` names, if it may be written: nothing is replaced without `force`."""
    from mtrelu.validation import InvalidInputError

    target = Path(os.path.realpath(out))
    if target.exists() and not target.is_file():
        raise InvalidInputError(
            f"--out {out} is no file, and is never replaced. Give the name of a file."
        )
    if target.exists() and not force:
        raise InvalidInputError(
            f"--out {out} exists already. Give another name, or --force to replace the file."
        )
    _refuse_without_parent(out, target)
    return target


def _refuse_without_parent(out: Path, target: Path) -> None:
    from mtrelu.validation import InvalidInputError

    if not target.parent.is_dir():
        raise InvalidInputError(
            f"--out {out} cannot be made: {target.parent} is not a folder. Make it first, or give "
            "another name."
        )
