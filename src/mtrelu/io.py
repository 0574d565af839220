"""Save a network with its metadata in one file, and load it back or say why not.

The file is a safetensors file: plain float64 arrays behind a JSON header, nothing that could
execute. The header holds one JSON string with the schema version, the caller's metadata and a
checksum of both, so that a damaged file is refused instead of predicting nonsense.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.validation import FloatArray, InvalidInputError

SCHEMA_VERSION = 1

_HEADER_KEY = "mtrelu"
_ARRAYS = ("w", "b", "v", "A", "c")


def save_network(
    path: str | os.PathLike[str],
    network: ReLUNetwork,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a network and its metadata to one file, all of it or nothing.

    Parameters
    ----------
    path : path-like
        Where to write; by convention with the ending ``.safetensors``. An existing file is
        replaced only once the new one is complete.
    network : ReLUNetwork
        The parameters of [1].
    metadata : mapping, optional
        Anything that JSON can store; NumPy numbers and arrays become numbers and lists.

    Raises
    ------
    InvalidInputError
        Metadata that JSON cannot store, or a path that cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> network = ReLUNetwork([[1.0]], [-1.0], [[2.0]], [[0.5]], [3.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_network(folder + "/model.safetensors", network, {"alpha": 0.1})
    ...     loaded, metadata = load_network(folder + "/model.safetensors")
    >>> loaded.same_function(network), metadata
    (True, {'alpha': 0.1})
    """
    from safetensors.numpy import save

    target = Path(path)
    arrays = {name: getattr(network, name) for name in _ARRAYS}
    try:
        stored = json.dumps(dict(metadata or {}), default=_plain, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"metadata cannot be stored as JSON ({error}); pass only text, finite numbers, "
            "lists and mappings."
        ) from None
    header = {
        "schema_version": SCHEMA_VERSION,
        "metadata": json.loads(stored),
        "sha256": _checksum(arrays, stored),
    }
    content = save(arrays, metadata={_HEADER_KEY: json.dumps(header, sort_keys=True)})
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        try:
            with open(beside, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInputError(
            f"path is {str(target)!r}, which cannot be written ({error.strerror}); "
            "pass a file in a folder that exists and that you may write to."
        ) from error


def load_network(path: str | os.PathLike[str]) -> tuple[ReLUNetwork, dict[str, Any]]:
    """Read a network and its metadata from a file that `save_network` wrote.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    network : ReLUNetwork
        Bit for bit the parameters that were saved.
    metadata : dict
        What was saved with it.

    Raises
    ------
    InvalidInputError
        A file that is missing, damaged, of another kind, or written by a newer version.

    Examples
    --------
    >>> try:
    ...     load_network("no-such-file.safetensors")
    ... except InvalidInputError as error:
    ...     print(error)
    path is 'no-such-file.safetensors', which cannot be read (No such file or directory); pass a \
file that save_network wrote.
    """
    from safetensors import SafetensorError, safe_open

    source = str(path)
    damaged = InvalidInputError(
        f"path is {source!r}, which is damaged or not a model of mtrelu; "
        "pass a file that save_network wrote, and copy it again if it was cut short."
    )
    try:
        with open(source, "rb"):
            pass
    except OSError as error:
        raise InvalidInputError(
            f"path is {source!r}, which cannot be read ({error.strerror}); "
            "pass a file that save_network wrote."
        ) from error
    try:
        with safe_open(source, framework="numpy") as file:
            header = json.loads((file.metadata() or {})[_HEADER_KEY])
            version = header["schema_version"]
            if isinstance(version, int) and version > SCHEMA_VERSION:
                raise InvalidInputError(
                    f"path is {source!r}, which a newer mtrelu wrote (schema version {version}, "
                    f"this one knows {SCHEMA_VERSION}); upgrade mtrelu to read it."
                )
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
            metadata = header["metadata"]
            intact = header["sha256"] == _checksum(arrays, json.dumps(metadata, sort_keys=True))
            complete = set(file.keys()) == set(_ARRAYS)
    except (SafetensorError, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError):
        raise damaged from None
    if not (intact and complete and isinstance(metadata, dict)):
        raise damaged
    return ReLUNetwork(**arrays), metadata


def _checksum(arrays: Mapping[str, FloatArray], metadata: str) -> str:
    """Return the SHA-256 of the arrays with their shapes and of the metadata."""
    digest = hashlib.sha256(metadata.encode())
    for name in _ARRAYS:
        digest.update(f"{name}{arrays[name].shape}{arrays[name].dtype}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """Turn NumPy numbers and arrays into what JSON can store."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a JSON type")
