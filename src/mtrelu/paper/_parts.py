"""A figure that takes long is made in parts, each of which is kept when it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import mtrelu
from mtrelu.paper.figure import Data, Progress, Settings, plain
from mtrelu.regime.checkpoint import Checkpoint

__all__ = ["Part", "in_parts"]

Part = Callable[[Progress], Data]


def in_parts(
    parts: Mapping[str, Part], settings: Settings, n_seeds: int, progress: Progress, kept: Path
) -> dict[str, Data]:
    """Make the parts of a figure, or take from the file those that an earlier run finished.

    Parameters
    ----------
    parts : mapping of str to callable
        Each returns its data, and may report how much of it is done to the `Progress` it is given.
    settings, n_seeds, progress, kept
        As for `Figure.measure`.

    Returns
    -------
    dict
        The data of each part, as JSON has them.

    Raises
    ------
    InvalidInputError
        The file is of another run.
    """
    key = json.dumps([plain(settings), n_seeds, mtrelu.__version__, list(parts)])
    store = Checkpoint(kept, hashlib.sha256(key.encode()).hexdigest()[:16])
    done: dict[str, Data] = {cell["part"]: cell["data"] for cell in store.cells}
    for i, (name, make) in enumerate(parts.items()):

        def within(now: int, n: int, before: int = 100 * i) -> None:
            progress(before + 100 * now // n, 100 * len(parts))

        if name not in done:
            done[name] = plain(make(within))
            store.append({"part": name, "data": done[name]})
        within(1, 1)
    return {name: done[name] for name in parts}
