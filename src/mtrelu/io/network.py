"""Save a network with its metadata in one file, and load it back or say why not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mtrelu.io.container import NETWORK_ARRAYS, Container, read_container, write_container
from mtrelu.network import ReLUNetwork


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

    See Also
    --------
    save_model : The same for a fitted estimator.

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
    arrays = {name: getattr(network, name) for name in NETWORK_ARRAYS}
    write_container(path, Container("network", arrays, dict(metadata or {})))


def load_network(path: str | os.PathLike[str]) -> tuple[ReLUNetwork, dict[str, Any]]:
    """Read a network and its metadata from a file that `save_network` wrote.

    Parameters
    ----------
    path : path-like
        The file, of this or any older version of mtrelu.

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
    >>> from mtrelu.validation import InvalidInputError
    >>> try:
    ...     load_network("no-such-file.safetensors")
    ... except InvalidInputError as error:
    ...     print(error)
    path is 'no-such-file.safetensors', which cannot be read (No such file or directory); pass a \
file that save_network wrote.
    """
    content = read_container(path, "network")
    return ReLUNetwork(**content.arrays), content.metadata
