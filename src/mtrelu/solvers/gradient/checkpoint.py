"""An unfinished training on disk: tensors in safetensors, the rest in its JSON header."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

import mtrelu
from mtrelu.problem import Problem
from mtrelu.solvers.gradient.batch import Batch
from mtrelu.solvers.gradient.record import Record
from mtrelu.solvers.gradient.settings import Settings
from mtrelu.validation import InvalidInputError

_HEADER = "mtrelu training"


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

    def store(self, record: Record, state: dict[str, torch.Tensor]) -> None:
        """Replace what the file holds, all of it or nothing."""
        tensors = {f"record {name}": tensor for name, tensor in record.tensors().items()}
        tensors |= {f"state {name}": tensor.cpu() for name, tensor in state.items()}
        header = {"key": self.key, "step": record.step, "seconds": record.seconds}
        content = save(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            metadata={_HEADER: json.dumps(header)},
        )
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            try:
                with open(beside, "xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(beside, self.path)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise InvalidInputError(
                f"checkpoint is {str(self.path)!r}, which cannot be written ({error.strerror}); "
                "pass a file in a folder that exists and that you may write to."
            ) from error

    def load(self) -> tuple[Record, dict[str, torch.Tensor]] | None:
        """Return the stored record and the state of the optimiser; None where there is no file.

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
        except (SafetensorError, KeyError, OSError, json.JSONDecodeError):
            raise InvalidInputError(
                f"checkpoint is {str(self.path)!r}, which is not the checkpoint of a training, or "
                "is damaged; delete it to start afresh, or pass another path."
            ) from None
        if header["key"] != self.key:
            raise InvalidInputError(
                f"checkpoint is {str(self.path)!r}, which belongs to a training of other data, "
                "with other settings, or by another version of mtrelu or PyTorch; repeat that "
                "call to go on with it, delete the file, or pass another path."
            )
        record = {name[7:]: each for name, each in stored.items() if name.startswith("record ")}
        state = {name[6:]: each for name, each in stored.items() if name.startswith("state ")}
        return Record.of_tensors(header["step"], header["seconds"], record), state


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
    arrays = (problem.X, problem.Y, problem.sample_weight, *(p.numpy() for p in start.parts))
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()
