"""An unfinished training on disk: tensors in safetensors, the rest in its JSON header."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

import mtrelu
from mtrelu.io.atomic import replacing
from mtrelu.problem import Problem
from mtrelu.solvers.gradient.batch import Batch
from mtrelu.solvers.gradient.record import Record
from mtrelu.solvers.gradient.settings import Settings
from mtrelu.validation import InvalidInputError

_HEADER = "mtrelu training"
_ELSEWHERE = "pass a file in a folder that exists and that you may write to"


class Checkpoint:
    """A file that holds the last stored state of one training, and is replaced as a whole.

    Parameters
    ----------
    path : path-like
        The file; made by the first `store`.
    key : str
        What the training depends on; see `key_of`.
    """

    def __init__(self, path: str | os.PathLike[str], key: str) -> None:
        self.path = Path(path)
        self.key = key
        folder = self.path.parent
        if self.path.is_dir() or not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise self._error("cannot be written", _ELSEWHERE)

    def store(self, record: Record, state: dict[str, torch.Tensor]) -> None:
        """Replace what the file holds, all of it or nothing."""
        tensors = {f"record {name}": tensor for name, tensor in record.tensors().items()}
        tensors |= {f"state {name}": tensor.cpu() for name, tensor in state.items()}
        header = {"key": self.key, "step": record.step, "seconds": record.seconds}
        content = save(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            metadata={_HEADER: json.dumps(header)},
        )
        with replacing(self.path) as beside:
            beside.write_bytes(content)

    def load(
        self, start: Record, state: dict[str, torch.Tensor], n_steps: int
    ) -> tuple[Record, dict[str, torch.Tensor]] | None:
        """Return the stored record and the state of the optimiser; None where there is no file.

        Parameters
        ----------
        start : Record
            Before the first step.
        state : dict of torch.Tensor
            Of the optimiser, likewise.
        n_steps : int
            After which training ends.

        Raises
        ------
        InvalidInputError
            The file is of another training, or not of one.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(str(self.path), framework="pt") as file:
                header = json.loads((file.metadata() or {})[_HEADER])
                stored = {name: file.get_tensor(name) for name in file.keys()}
            key, step, seconds = header["key"], header["step"], header["seconds"]
        except (SafetensorError, KeyError, TypeError, OSError, json.JSONDecodeError):
            raise self.damaged() from None
        if key != self.key:
            raise self._error(
                "belongs to a training of other data, with other settings, or by another version "
                "of mtrelu or PyTorch",
                "repeat that call to go on with it, delete the file, or pass another path",
            )
        record = {f"record {name}": each for name, each in start.tensors().items()}
        like = record | {f"state {name}": each for name, each in state.items()}
        if not (_alike(stored, like) and _is_time(step, seconds, n_steps)):
            raise self.damaged()
        found = Record.of_tensors(step, seconds, {name[7:]: stored[name] for name in record})
        own_state = {name: stored[f"state {name}"] for name in state}
        if not _consistent(found, own_state):
            raise self.damaged()
        return found, own_state

    def damaged(self) -> InvalidInputError:
        """Return the error for a file that cannot be what `store` wrote."""
        return self._error(
            "is not the checkpoint of a training, or is damaged",
            "delete it to start afresh, or pass another path",
        )

    def _error(self, why: str, what_to_try: str) -> InvalidInputError:
        return InvalidInputError(f"checkpoint is {str(self.path)!r}, which {why}; {what_to_try}.")


def _alike(stored: dict[str, torch.Tensor], like: dict[str, torch.Tensor]) -> bool:
    """Whether names, types and shapes agree, up to the number of rows."""
    return stored.keys() == like.keys() and all(
        (stored[name].dtype, stored[name].dim(), stored[name].shape[1:])
        == (each.dtype, each.dim(), each.shape[1:])
        for name, each in like.items()
    )


def _is_time(step: object, seconds: object, n_steps: int) -> bool:
    if not isinstance(step, int) or not isinstance(seconds, float):
        return False
    return 0 < step <= n_steps and 0 <= seconds < math.inf


def _consistent(record: Record, state: dict[str, torch.Tensor]) -> bool:
    """Whether the numbers of rows fit together."""
    n, rows = record.objectives.numel(), record.rows.tolist()
    judged = record.judged_at.tolist()
    per_seed = [*record.final.parts, record.stationarity, record.steps, record.converged]
    return (
        rows == sorted(set(rows) & set(range(n)))
        and all(each.shape[0] == n for each in (*per_seed, record.stalled, record.diverged))
        and all(each.shape[0] == len(rows) for each in state.values())
        and judged[-1:] == [record.step]
        and record.past_objectives.shape[1] == record.past_stationarity.shape[1] == n
        and len(judged) == record.past_objectives.shape[0] == record.past_stationarity.shape[0]
    )


def key_of(problem: Problem, settings: Settings, start: Batch) -> str:
    """Return a hash of all that a training depends on but the machine."""
    digest = hashlib.sha256(
        json.dumps(
            [
                mtrelu.__version__,
                torch.__version__,
                problem.alpha,
                problem.skip,
                problem.X.shape,
                problem.Y.shape,
                settings.to_dict(),
            ]
        ).encode()
    )
    arrays = (problem.X, problem.Y, problem.sample_weight, *(part.numpy() for part in start.parts))
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()
