"""Save a fitted estimator in one file without pickle, and load it back or say why not."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import numpy as np

from mtrelu.io.container import Container, read_container, write_container
from mtrelu.network import ReLUNetwork
from mtrelu.validation import InvalidInputError

# Nothing but these is ever imported or built on behalf of a file.
_ESTIMATORS = {
    "LearnedKernelRidge": "mtrelu.estimators.learned_kernel",
    "NeuronFeatures": "mtrelu.estimators.features",
    "ReLUClassifier": "mtrelu.estimators.classifier",
    "ReLURegressor": "mtrelu.estimators.regressor",
    "ReLURegressorCV": "mtrelu.estimators.cv",
}


def save_model(path: str | os.PathLike[str], model: Any, *, with_data: bool = False) -> None:
    """Write a fitted estimator to one file, all of it or nothing.

    Parameters
    ----------
    path : path-like
        Where to write; by convention with the ending ``.safetensors``. An existing file is
        replaced only once the new one is complete.
    model : estimator
        A fitted `ReLURegressor`, `ReLURegressorCV`, `ReLUClassifier`, `NeuronFeatures` or
        `LearnedKernelRidge`. Stored are its parameters and its fitted attributes: network,
        certificate, names of inputs and tasks, classes, … A kernel is stored as the `NeuronKernel`
        that it is, without what it was learned from.
    with_data : bool, default=False
        Store the training data too, which ``optimal_range`` needs. Without it a file tells of the
        data no more than the fitted attributes do.

    Raises
    ------
    InvalidInputError
        A model that is not fitted or not one of these, a parameter that a file cannot hold, such
        as a random generator, or a path that cannot be written.

    See Also
    --------
    save_network : The network alone, with metadata of your choice.

    Notes
    -----
    The file is plain arrays (safetensors) and JSON. Loading one builds an estimator of the list
    above from numbers, text and arrays and runs no code of the file, so that files of strangers
    are safe to load, unlike pickles. Models inside a ``Pipeline`` are saved one by one.

    Examples
    --------
    >>> import tempfile
    >>> from mtrelu import ReLURegressor
    >>> model = ReLURegressor(alpha=0.1).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(folder + "/model.safetensors", model)
    ...     loaded = load_model(folder + "/model.safetensors")
    >>> loaded, loaded.certificate_.status.name, (loaded.predict([[0.5]]) == model.predict([[0.5]]))
    (ReLURegressor(alpha=0.1), 'CERTIFIED', array([ True]))
    """
    from mtrelu import __version__
    from mtrelu.api import Solution
    from mtrelu.io.values import pack

    name = type(model).__name__
    if type(model).__module__ != _ESTIMATORS.get(name):
        raise InvalidInputError(
            f"model is of type {type(model).__module__}.{type(model).__qualname__}, which a file "
            f"cannot hold; pass a fitted {' or '.join(_ESTIMATORS)}. The network of other models "
            "is saved by save_network(path, as_network(model))."
        )
    attributes = {key: vars(model)[key] for key in model._stored if key in vars(model)}
    if "network_" not in attributes:
        raise InvalidInputError(f"model is a {name} that is not fitted; call fit first.")
    if not with_data:
        attributes = {
            key: value for key, value in attributes.items() if not isinstance(value, Solution)
        }
    arrays: dict[str, np.ndarray] = {}
    parts = {"parameters": model.get_params(deep=False), "attributes": attributes}
    packed = {
        part: {key: pack(value, key, arrays) for key, value in values.items()}
        for part, values in parts.items()
    }
    metadata = {"estimator": name, "mtrelu": __version__, **packed}
    write_container(path, Container("model", arrays, metadata))


def load_model(path: str | os.PathLike[str]) -> Any:
    """Read a fitted estimator from a file that `save_model` wrote.

    Parameters
    ----------
    path : path-like
        The file, of this or any older version of mtrelu.

    Returns
    -------
    estimator
        Of the class that was saved, with its parameters and fitted attributes: it predicts bit for
        bit what was predicted before. ``optimal_range`` works if the data were stored with it, and
        else says that they are missing.

    Raises
    ------
    InvalidInputError
        A file that is missing, damaged, of another kind, or written by a newer version.

    Examples
    --------
    >>> from mtrelu.validation import InvalidInputError
    >>> try:
    ...     load_model("no-such-file.safetensors")
    ... except InvalidInputError as error:
    ...     print(error)
    path is 'no-such-file.safetensors', which cannot be read (No such file or directory); pass a \
file that save_model wrote.
    """
    from mtrelu import __version__
    from mtrelu.io.values import unpack

    content = read_container(path, "model")
    try:
        estimator, version = content.metadata["estimator"], content.metadata["mtrelu"]
        parameters, attributes = (
            {name: unpack(value, content.arrays) for name, value in content.metadata[part].items()}
            for part in ("parameters", "attributes")
        )
        if not isinstance(attributes["network_"], ReLUNetwork):
            raise TypeError("network_ is no network")
        unknown = {str(estimator)} - _ESTIMATORS.keys()
        if not unknown:
            model_class = getattr(import_module(_ESTIMATORS[estimator]), estimator)
            unknown = parameters.keys() - set(model_class._get_param_names())
            unknown |= attributes.keys() - set(model_class._stored)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"path is {str(path)!r}, whose checksum is right, but which does not describe a model "
            f"({type(error).__name__}: {error}); ask whoever made it, or fit the model again."
        ) from None
    if unknown:
        raise InvalidInputError(
            f"path is {str(path)!r}, which mtrelu {version} wrote and this version, {__version__}, "
            f"does not fully know ({', '.join(sorted(unknown))}); upgrade mtrelu to read it."
        )
    model = model_class(**parameters)
    for name, value in attributes.items():
        setattr(model, name, value)
    return model
