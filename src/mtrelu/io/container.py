"""The file that networks and models travel in: named arrays, what they are, and a checksum.

A safetensors file: plain arrays behind a JSON header, nothing that could execute. The header holds
one JSON string with the schema version, the kind of content, its description (metadata) and the
SHA-256 of all of it, so that a damaged file is refused instead of predicting nonsense.

=======  ==========================================================================================
version  content
=======  ==========================================================================================
1        the arrays w, b, v, A, c of a network and metadata; no kind
2        any arrays, a kind ("network" or "model") and metadata
=======  ==========================================================================================

A change that older readers would misread takes a new number here and a branch in `read_container`;
`tests/io/data` keeps a file of every version, which must load forever.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from mtrelu.io.atomic import replacing
from mtrelu.validation import InvalidInputError

SCHEMA_VERSION = 2

NETWORK_ARRAYS = ("w", "b", "v", "A", "c")

_HEADER_KEY = "mtrelu"


@dataclass(frozen=True)
class Container:
    """What a file holds.

    Attributes
    ----------
    kind : str
        ``"network"`` or ``"model"``.
    arrays : dict of str to ndarray
        Numbers and booleans of any shape.
    metadata : dict
        What JSON can store.
    """

    kind: str
    arrays: dict[str, np.ndarray]
    metadata: dict[str, Any]


def write_container(path: str | os.PathLike[str], content: Container) -> None:
    """Write a file, all of it or nothing.

    Raises
    ------
    InvalidInputError
        Metadata that JSON cannot store, more than 100 MB of it, or a path that cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save

    try:
        plain = json.loads(json.dumps(content.metadata, default=_plain, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"metadata cannot be stored as JSON ({error}); pass only text, finite numbers, "
            "lists and mappings."
        ) from None
    header = {
        "schema_version": SCHEMA_VERSION,
        "kind": content.kind,
        "metadata": plain,
        "sha256": _checksum_of_version(SCHEMA_VERSION, replace(content, metadata=plain)),
    }
    try:
        encoded = save(
            {name: np.ascontiguousarray(array) for name, array in content.arrays.items()},
            metadata={_HEADER_KEY: _canonical(header)},
        )
    except SafetensorError as error:
        size = len(_canonical(plain)) / 1e6
        raise InvalidInputError(
            f"metadata is {size:.0f} MB of JSON, which the file cannot hold ({error}); "
            "shorten the names of inputs and tasks or what else is long in it."
        ) from None
    with replacing(path) as beside:
        beside.write_bytes(encoded)


def read_container(path: str | os.PathLike[str], expected: str) -> Container:
    """Read a file that `write_container` of this or an older version wrote.

    Parameters
    ----------
    path : path-like
        The file.
    expected : {"network", "model"}
        What it should hold.

    Raises
    ------
    InvalidInputError
        A file that is missing, damaged, of another kind, or written by a newer version.
    """
    with _opened(path, f"save_{expected}") as (file, header):
        content = Container(
            _kind(header), {name: file.get_tensor(name) for name in file.keys()}, header["metadata"]
        )
        if header["sha256"] != _checksum_of_version(header["schema_version"], content):
            raise ValueError
        if content.kind != expected:
            raise InvalidInputError(
                f"path is {str(path)!r}, which holds a {content.kind}, not a {expected}; "
                f"read it by load_{content.kind}."
            )
    return content


def kind_of(path: str | os.PathLike[str]) -> str:
    """Return what a file holds, "network" or "model", by its header alone.

    Raises
    ------
    InvalidInputError
        As `read_container`, but for damage that only the checksum shows.
    """
    with _opened(path, "save_network or save_model") as (_, header):
        return _kind(header)


@contextmanager
def _opened(path: str | os.PathLike[str], writer: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open a file and its header; whatever turns out to be malformed inside is damage."""
    from safetensors import SafetensorError, safe_open

    source = str(path)
    try:
        with open(source, "rb"):
            pass
    except OSError as error:
        raise InvalidInputError(
            f"path is {source!r}, which cannot be read ({error.strerror}); "
            f"pass a file that {writer} wrote."
        ) from error
    try:
        with safe_open(source, framework="numpy") as file:
            header = json.loads((file.metadata() or {})[_HEADER_KEY], parse_constant=_refuse)
            version = header["schema_version"]
            if type(version) is int and version > SCHEMA_VERSION:
                raise InvalidInputError(
                    f"path is {source!r}, which a newer mtrelu wrote (schema version {version}, "
                    f"this one knows {SCHEMA_VERSION}); upgrade mtrelu to read it."
                )
            yield file, header
    except InvalidInputError:
        raise
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        raise InvalidInputError(
            f"path is {source!r}, which is damaged or not a model of mtrelu; "
            f"pass a file that {writer} wrote, and copy it again if it was cut short."
        ) from None


def _kind(header: Mapping[str, Any]) -> str:
    if type(header["schema_version"]) is not int or not isinstance(header["metadata"], dict):
        raise TypeError
    kind = "network" if header["schema_version"] == 1 else header["kind"]
    if kind not in ("network", "model"):
        raise ValueError
    return str(kind)


def _checksum_of_version(version: int, content: Container) -> str:
    """Return the checksum that a header of this version states."""
    text = _canonical(content.metadata)
    match version:
        case 1:
            return _checksum(NETWORK_ARRAYS, content.arrays, text)
        case 2:
            return _checksum(sorted(content.arrays), content.arrays, content.kind + text)
    raise ValueError


def _checksum(names: Iterable[str], arrays: Mapping[str, np.ndarray], text: str) -> str:
    """Return the SHA-256 of a text and of arrays with their names, shapes and types."""
    digest = hashlib.sha256(text.encode())
    for name in names:
        array = arrays[name]
        digest.update(f"{name}{array.shape}{array.dtype.name}".encode())
        # As they lie in the file, so that machines of either byte order agree.
        digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, allow_nan=False, sort_keys=True)


def _plain(value: Any) -> Any:
    """Turn NumPy numbers and arrays into what JSON can store."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a JSON type")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
