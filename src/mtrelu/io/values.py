"""What a stored estimator consists of: a closed list of types, each as plain JSON and arrays.

Numbers, text, booleans and None stand for themselves and lists for lists. Everything else is a
mapping whose ``"type"`` is one of the words below, so that reading a file builds objects of these
types and can do nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mtrelu.api import Solution
from mtrelu.certificate import Certificate
from mtrelu.kernels.neuron import NeuronKernel
from mtrelu.losses import Loss, make_loss
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError, as_skip

_NUMBERS = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
_NUMBERS |= {"bool", "float16", "float32", "float64"}


def pack(value: Any, where: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return what JSON stores of a value; its arrays go into `arrays`.

    Parameters
    ----------
    value : object
        None, a boolean, number or text; a list, tuple or mapping of values; an array of numbers,
        booleans or text; a network, kernel, loss, certificate, status, problem or solution.
    where : str
        What to call the value, in the names of arrays and in messages.
    arrays : dict
        Filled in: the arrays by name.

    Raises
    ------
    InvalidInputError
        A value of another type.

    Examples
    --------
    >>> arrays = {}
    >>> pack((float("nan"), np.array([1.0, 2.0])), "x", arrays), list(arrays)
    ({'type': 'tuple', 'items': [{'type': 'float', 'value': 'nan'}, {'type': 'array', \
'name': 'x.1'}]}, ['x.1'])
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"type": "float", "value": repr(value)}
    if isinstance(value, list | tuple):
        items = [pack(item, f"{where}.{i}", arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"type": "tuple", "items": items}
    if isinstance(value, Mapping):
        pairs = [list(pair) for pair in value.items()]
        return {"type": "dict", "items": pack(pairs, where, arrays)}
    if isinstance(value, np.ndarray) and value.dtype.name in _NUMBERS:
        arrays[where] = value
        return {"type": "array", "name": where}
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        values = [pack(item, where, arrays) for item in value.ravel().tolist()]
        kind = "object" if value.dtype.kind == "O" else "str"
        return {"type": "words", "dtype": kind, "shape": list(value.shape), "values": values}
    if (parts := _parts(value)) is not None:
        kind, members = parts
        packed = {name: pack(part, f"{where}.{name}", arrays) for name, part in members.items()}
        return {"type": kind, "parts": packed}
    raise InvalidInputError(
        f"{where} is of type {type(value).__module__}.{type(value).__qualname__}, which a file "
        "cannot hold: it holds numbers, text, arrays of these, losses, networks and NeuronKernels, "
        "never code. Replace it; set_params does so without undoing the fit."
    )


def unpack(packed: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return the value that `pack` packed.

    Raises
    ------
    KeyError, TypeError, ValueError
        Something that `pack` did not return.

    Examples
    --------
    >>> unpack({"type": "tuple", "items": [1, {"type": "float", "value": "inf"}]}, {})
    (1, inf)
    """
    if isinstance(packed, list):
        return [unpack(item, arrays) for item in packed]
    if not isinstance(packed, dict):
        return packed
    match packed["type"]:
        case "float":
            return float(packed["value"])
        case "tuple":
            return tuple(unpack(packed["items"], arrays))
        case "dict":
            return dict(unpack(packed["items"], arrays))
        case "array":
            return arrays[packed["name"]]
        case "words":
            words = np.empty(len(packed["values"]), dtype=object)
            words[:] = unpack(packed["values"], arrays)
            words = words.reshape(packed["shape"])
            return words.astype(str) if packed["dtype"] == "str" else words
        case kind:
            parts = {name: unpack(part, arrays) for name, part in packed["parts"].items()}
            return _BUILD[kind](**parts)


def _parts(value: Any) -> tuple[str, dict[str, Any]] | None:
    """Return the kind of an object and what it is built from; None for an unknown one."""
    match value:
        case ReLUNetwork():
            return "network", _members(value, "w", "b", "v", "A", "c")
        case NeuronKernel():  # of any kind: beside the kernel these are what a fit needs
            return "kernel", _members(value, "network", "skip")
        case Loss() if _is_known(value):
            return "loss", value.config()
        case Certificate():
            return "certificate", value.to_dict()
        case Status():
            return "status", _members(value, "value")
        case Problem():
            return "problem", _members(value, "X", "Y", "alpha", "loss", "skip", "sample_weight")
        case Solution():
            return "solution", _members(
                value, "problem", "network", "certificate", "n_iter", "dual"
            )
    return None


def _members(value: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _is_known(loss: Loss) -> bool:
    """Whether a loss is one of mtrelu's, which its name and parameters rebuild."""
    return type(loss).__module__ == Loss.__module__


def _kernel(network: ReLUNetwork, skip: str) -> NeuronKernel:
    # Its neurons have unit norm already: dividing by it once more would change the last digits.
    kernel = NeuronKernel.__new__(NeuronKernel)
    kernel.network, kernel.skip, kernel.strengths = network, as_skip(skip), network._strengths()
    return kernel


_BUILD: dict[str, Callable[..., Any]] = {
    "network": ReLUNetwork,
    "kernel": _kernel,
    "loss": lambda **config: make_loss(config),
    "certificate": lambda **plain: Certificate.from_dict(plain),
    "status": lambda value: {status.value: status for status in Status}[value],
    "problem": Problem.make,
    "solution": Solution,
}
