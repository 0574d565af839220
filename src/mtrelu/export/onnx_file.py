"""A network as an ONNX file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from mtrelu.certificate import Certificate
from mtrelu.conversion import as_network
from mtrelu.export.names import names_of
from mtrelu.io.atomic import replacing
from mtrelu.validation import InvalidInputError, MissingExtraError

MOST_BYTES = 2**31 - 1
"""Protocol buffers, of which ONNX files are made, are no larger."""

_FRAME_BYTES = 10_000  # what the file needs beside numbers and metadata, generously


def to_onnx(
    model: Any,
    path: str | os.PathLike[str],
    *,
    dtype: str = "float64",
    inputs: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    certificate: Certificate | None = None,
) -> None:
    """Write a network as an ONNX file, all of it or nothing.

    Parameters
    ----------
    model : ReLUNetwork, estimator or other model
        Anything that `as_network` takes.
    path : path-like
        Where to write; by convention with the ending ``.onnx``. An existing file is replaced only
        once the new one is complete.
    dtype : {"float64", "float32"}
        Of the inputs, the parameters and the outputs. In float32 the neurons are balanced first,
        ‖w_k‖ = ‖v_k‖, and every output is off by some 1e-7 of the largest terms that it adds up:
        bring inputs that are large against their spread, such as years, nearer to zero before
        fitting.
    inputs, tasks : sequence of str, optional
        Names of the d inputs and T tasks. By default those that a fitted estimator knows, else x0,
        x1, … and y0, y1, …
    certificate : Certificate, optional
        What is proved of the network. A fitted estimator brings its own.

    Raises
    ------
    InvalidInputError
        Not a network with one hidden ReLU layer, names that do not fit, parameters beyond the range
        of float32, more than the 2 GB that an ONNX file can hold, or a path that cannot be written.
    MissingExtraError
        The package onnx is not installed.

    Notes
    -----
    The graph has one input ``X`` of shape (M, d) for any M, also 0, and these outputs, whose second
    dimension is there for models with 1-D labels too:

    - ``Y`` (M, T) of networks and regressors, the predictions;
    - ``logits`` (M, T) and ``probabilities`` of a `ReLUClassifier`, the latter with one column a
      class or label, as ``predict_proba`` returns them;
    - ``features`` (M, K) of `NeuronFeatures`.

    The columns are named in the metadata of the file: ``inputs`` and ``outputs`` (the columns of
    ``Y``, ``logits`` or ``features``) are JSON lists of names, as is ``classes``, the columns of
    ``probabilities``. Where there is a certificate of the network, ``conclusion`` is the value of
    its `Status`, ``certificate`` is ``Certificate.to_dict()`` as JSON, and
    ``certificate_in_words`` says the same for people. Operators are those of ONNX's opset 13, which
    onnxruntime runs in float64 from version 1.18 on.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, onnxruntime, mtrelu
    >>> model = mtrelu.ReLURegressor(alpha=0.1).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_onnx(model, folder + "/model.onnx")
    ...     session = onnxruntime.InferenceSession(folder + "/model.onnx")
    >>> (predictions,) = session.run(["Y"], {"X": np.array([[0.5], [1.5]])})
    >>> predictions.shape, session.get_modelmeta().custom_metadata_map["conclusion"]
    ((2, 1), 'certified')
    """
    try:
        from mtrelu.export.onnx_graph import Graph, as_file
    except ImportError:
        raise MissingExtraError("onnx", "onnx") from None
    if dtype not in ("float64", "float32"):
        raise InvalidInputError(
            f'dtype is {dtype!r}, but the parameters are floating numbers; pass "float64" or '
            '"float32".'
        )
    from mtrelu.estimators.base import CertifiedEstimator

    network = as_network(model)
    input_names, task_names = names_of(model, network, inputs, tasks)
    graph = Graph(model, network, np.dtype(dtype))
    metadata: dict[str, Any] = {"inputs": input_names, "outputs": task_names}
    if "features" in graph.outputs:
        metadata["outputs"] = model.get_feature_names_out().tolist()
    if "probabilities" in graph.outputs:
        metadata["classes"] = model.classes_.tolist()
    entries = {name: json.dumps(value) for name, value in metadata.items()}
    if certificate is None and isinstance(model, CertifiedEstimator):
        certificate = model.certificate_
    if certificate is not None:
        entries |= _conclusion(certificate, dtype)

    size = graph.n_bytes + sum(len(text.encode()) for text in entries.values()) + _FRAME_BYTES
    if size > MOST_BYTES:
        raise InvalidInputError(
            f"model takes {size / 1e9:.1f} GB in {dtype}, but an ONNX file holds 2 GB; save it by "
            "save_model or save_network"
            + (', or pass dtype="float32", which takes half.' if dtype == "float64" else ".")
        )
    encoded = as_file(graph, entries)
    with replacing(path) as beside:
        beside.write_bytes(encoded)


def _conclusion(certificate: Certificate, dtype: str) -> dict[str, str]:
    """Return what is proved, as metadata."""
    conclusion, words = certificate.status.value, certificate.in_words()
    if dtype == "float32":
        conclusion += ", before the parameters were rounded to float32"
        words += " That is for parameters in float64; those of this file are rounded to float32."
    return {
        "conclusion": conclusion,
        "certificate": json.dumps(certificate.to_dict()),
        "certificate_in_words": words,
    }
