"""Make figures: measure, judge, draw, and write each as soon as it is done."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mtrelu
from mtrelu.io.atomic import replacing
from mtrelu.paper.figure import NAMES, Data, Figure, Progress, figure, plain
from mtrelu.paper.report import html
from mtrelu.report.page import png
from mtrelu.validation import InvalidInputError, MissingExtraError

__all__ = ["REPORT", "RUN", "reproduce"]

RUN = "run.json"
"""The file that says of which run a folder is."""
REPORT = "report.html"

Record = dict[str, Any]
Watch = Callable[[Figure], AbstractContextManager[Progress | None]]


def reproduce(
    names: Sequence[str],
    out: Path,
    *,
    n_seeds: int = 5,
    full: bool = False,
    device: str = "cpu",
    watch: Watch | None = None,
) -> list[Record]:
    """Make figures in a folder, and the report of all that are in it.

    For each figure NAME.png and then NAME.json are written when it is done, and the report anew, so
    that a run that was interrupted goes on after the last of them. Claims are judged by their
    present definitions each time, from what is stored.

    Parameters
    ----------
    names : sequence of str
        Which figures, see `mtrelu.paper.figure.NAMES`; all if empty.
    out : Path
        The folder. It may exist if it is empty or of a run with the same version, scale, seeds and
        device.
    n_seeds : int
        How many random draws, at least 1.
    full : bool
        The full scale in place of the quick one.
    device : str
        Where networks are trained: ``"cpu"``, ``"cuda"`` or ``"cuda:1"`` …
    watch : callable, optional
        ``watch(figure)`` returns a context manager around the work on a figure, whose value is
        called with how much is done and how much there is, or is None.

    Returns
    -------
    list of dict
        What is in the JSON files of the figures asked for.

    Raises
    ------
    InvalidInputError
        Unknown figures, no seeds, a GPU that is not there, or a folder with something else in it.
    MissingExtraError
        matplotlib is not installed; or PyTorch, and a figure asked for trains networks.
    """
    figures = [figure(name) for name in names or NAMES]
    if n_seeds < 1:
        raise InvalidInputError(
            f"seeds is {n_seeds}, but at least one random draw is needed; give 1 or more."
        )
    run = {
        "mtrelu": mtrelu.__version__,
        "scale": "full" if full else "quick",
        "seeds": n_seeds,
        "device": device,
    }
    _refuse_other(out, run)
    keys = {each.name: _key(each, run) for each in map(figure, NAMES)}
    waiting = [each for each in figures if _stored(out, each, keys[each.name]) is None]
    _refuse_missing(waiting, device)
    out.mkdir(exist_ok=True)
    _write(out / RUN, json.dumps(run, indent=1).encode())
    for each in waiting:
        with watch(each) if watch is not None else nullcontext() as progress:
            _make(each, run, out, progress or _silent)
        _report(out, run, keys)
    done = _report(out, run, keys)
    asked = {each.name for each in figures}
    return [record for record in done if record["figure"] in asked]


def _report(out: Path, run: Record, keys: Record) -> list[Record]:
    """Judge all that is done, write the report, and return the records."""
    done = []
    for name, key in keys.items():
        record = _read(out / f"{name}.json")
        if record is None or record.get("key") != key:
            continue
        each = figure(name)
        claims = [finding.to_dict() for finding in each.findings(record["data"])]
        if record["claims"] != claims:
            record["claims"] = claims
            _write_record(out, record)
        if not (out / f"{name}.png").exists():
            _write(out / f"{name}.png", png(each.draw(record["data"])))
        done.append(record)
    _write(out / REPORT, html(out, run, done).encode())
    return done


def _make(each: Figure, run: Record, out: Path, progress: Progress) -> None:
    kept = out / f"{each.name}.unfinished.jsonl"
    settings = each.settings(run["scale"] == "full", run["device"])
    resumed = kept.exists()
    started, begin = datetime.now(UTC), time.perf_counter()
    data: Data = plain(each.measure(settings, run["seeds"], progress, kept))
    seconds = time.perf_counter() - begin
    record = {
        "figure": each.name,
        "title": each.title,
        "description": each.description,
        "caption": each.caption,
        "key": _key(each, run),
        "mtrelu": mtrelu.__version__,
        "settings": plain(settings),
        "seeds": run["seeds"],
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "resumed": resumed,
        "machine": machine(each.trains),
        "claims": [finding.to_dict() for finding in each.findings(data)],
        "data": data,
    }
    _write(out / f"{each.name}.png", png(each.draw(data)))
    # Last, because a figure with this file counts as done.
    _write_record(out, record)
    kept.unlink(missing_ok=True)


def machine(trained: bool) -> dict[str, Any]:
    """Say what the numbers were computed on: system, processor, cores, and versions."""
    import numpy
    import scipy

    found = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }  # fmt: skip
    if trained:
        import torch

        found |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
    return found


def _processor() -> str:
    """The processor's name, where the system tells one."""
    known = Path("/proc/cpuinfo")
    if known.exists():
        for line in known.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _key(each: Figure, run: Record) -> str:
    """What the numbers of a figure depend on."""
    settings = each.settings(run["scale"] == "full", run["device"])
    parts = [each.name, plain(settings), run["seeds"], run["mtrelu"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _stored(out: Path, each: Figure, key: str) -> Record | None:
    """The record of a figure that is done; None if it is not, or if its file is damaged."""
    record = _read(out / f"{each.name}.json")
    if record is not None and record.get("key") != key:
        raise InvalidInputError(
            f"{out} holds {each.name} with other settings than now; it is never replaced. Give "
            "another --out, or delete it."
        )
    return record


def _read(path: Path) -> Record | None:
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):  # not there, or half a file
        return None
    return record if isinstance(record, dict) else None


def _write_record(out: Path, record: Record) -> None:
    content = json.dumps(record, indent=1, allow_nan=False).encode()
    _write(out / f"{record['figure']}.json", content)


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as beside:
        beside.write_bytes(content)


def _refuse_other(out: Path, run: Record) -> None:
    """Raise an error for a folder that cannot be made or holds something else."""
    if not out.absolute().parent.is_dir():
        raise InvalidInputError(
            f"--out {out} cannot be made: {out.absolute().parent} is not a folder. Make it first, "
            "or give another name."
        )
    if not out.exists():
        return
    before = _read(out / RUN) if out.is_dir() else None
    if before is None:
        # A run that was killed while it wrote its first file leaves the beginning of it.
        if out.is_dir() and all(entry.name.startswith(f".{RUN}") for entry in out.iterdir()):
            return
        raise InvalidInputError(
            f"--out {out} holds things that are no run of mtrelu reproduce; they are never "
            "replaced. Give the name of a folder that does not exist yet."
        )
    if before != run:
        other = ", ".join(f"{name} {before.get(name)}" for name in run)
        raise InvalidInputError(
            f"--out {out} holds another run ({other}); now it would be "
            f"{', '.join(f'{name} {value}' for name, value in run.items())}. Repeat that run's own "
            "options to go on with it, or give another --out."
        )


def _refuse_missing(waiting: Sequence[Figure], device: str) -> None:
    """Raise an error for what is not here, before hours of work."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError("reproduce", "matplotlib")
    if any(each.trains for each in waiting):
        if find_spec("torch") is None:
            raise MissingExtraError("reproduce", "torch")
        from mtrelu.solvers.gradient.training import as_device

        as_device(device)


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""
