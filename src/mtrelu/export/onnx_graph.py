"""The graph that `to_onnx` writes; it needs the package onnx to be imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from mtrelu import __version__
from mtrelu.network import ReLUNetwork
from mtrelu.validation import FloatArray, InvalidInputError

# Of 2020, and everything needed exists in it. Tried with onnxruntime 1.18 (of May 2024) to 1.32;
# older ones fuse Gemm and Relu and then lack the result in float64.
OPSET, IR_VERSION = 13, 7


class Graph:
    """What a model computes from its inputs X, step by step.

    Parameters
    ----------
    model : object
        Decides what the outputs are; see `mtrelu.export.onnx_file.to_onnx`.
    network : ReLUNetwork
        Its network.
    dtype : numpy.dtype
        Of everything.

    Attributes
    ----------
    outputs : dict of str to int
        The number of columns of each output.
    parameters : dict of str to ndarray
        w, b, v, A, c of [1], those that are needed.
    """

    def __init__(self, model: Any, network: ReLUNetwork, dtype: np.dtype) -> None:
        from mtrelu.estimators.classifier import ReLUClassifier
        from mtrelu.estimators.features import NeuronFeatures

        self.dtype = dtype
        self.n_inputs = network.n_inputs
        self.outputs: dict[str, int] = {}
        self.parameters: dict[str, np.ndarray] = {}
        self._nodes: list[Any] = []
        if isinstance(model, NeuronFeatures):
            self._add_neurons(network, "features")
            self.outputs["features"] = network.n_neurons
        elif isinstance(model, ReLUClassifier):
            self._add_network(network, "logits")
            self._add_probabilities(model._kind, len(model.classes_))
        else:
            self._add_network(network, "Y")

    @property
    def n_bytes(self) -> int:
        """The size of the parameters."""
        return sum(array.nbytes for array in self.parameters.values())

    def proto(self) -> Any:
        """Return it in ONNX's words."""
        element = helper.np_dtype_to_tensor_dtype(self.dtype)
        return helper.make_graph(
            self._nodes,
            "network",
            [helper.make_tensor_value_info("X", element, ["M", self.n_inputs])],
            [
                helper.make_tensor_value_info(name, element, ["M", columns])
                for name, columns in self.outputs.items()
            ],
            [numpy_helper.from_array(array, name) for name, array in self.parameters.items()],
        )

    def _add_network(self, network: ReLUNetwork, name: str) -> None:
        """Add f(x) = Σ_k v_k (w_k·x + b_k)₊ + A x + c [1]."""
        if self.dtype == np.float32:
            network = network.balanced()  # as far from the ends of its range as can be
        self.outputs[name] = network.n_tasks
        self._add_parameters(A=network.A, c=network.c)
        if network.n_neurons == 0:  # empty products are not the business of every runtime
            self._add("Gemm", ["X", "A", "c"], name, transB=1)
            return
        self._add_neurons(network, "neurons")
        self._add_parameters(v=network.v)
        self._add("Gemm", ["X", "A", "c"], "skip", transB=1)
        self._add("Gemm", ["neurons", "v", "skip"], name)

    def _add_neurons(self, network: ReLUNetwork, name: str) -> None:
        """Add (w_k·x + b_k)₊."""
        self._add_parameters(w=network.w, b=network.b)
        self._add("Gemm", ["X", "w", "b"], "preactivations", transB=1)
        self._add("Relu", ["preactivations"], name)

    def _add_probabilities(self, kind: str, n_classes: int) -> None:
        """Add what ``predict_proba`` makes of the logits."""
        self.outputs["probabilities"] = n_classes
        if kind == "multilabel":
            self._add("Sigmoid", ["logits"], "probabilities")
            return
        self._add("Neg", ["logits"], "against")
        if kind == "binary":
            self._add("Concat", ["against", "logits"], "both", axis=1)
            self._add("Sigmoid", ["both"], "probabilities")
            return
        # σ(z_t) / Σ_s σ(z_s) without underflow, by −log σ(z) = (−z)₊ + log(1 + e^−|z|), for which
        # onnxruntime has no operator in float64.
        self._add_parameters(one=np.ones(1))
        self._add("Relu", ["against"], "positive_part")
        self._add("Abs", ["logits"], "size")
        self._add("Neg", ["size"], "minus_size")
        self._add("Exp", ["minus_size"], "exponential")
        self._add("Add", ["exponential", "one"], "one_more")
        self._add("Log", ["one_more"], "logarithm")
        self._add("Add", ["positive_part", "logarithm"], "surprise")
        self._add("Neg", ["surprise"], "log_sigmoid")
        self._add("Softmax", ["log_sigmoid"], "probabilities", axis=1)

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def _add_parameters(self, **arrays: FloatArray) -> None:
        for name, array in arrays.items():
            with np.errstate(over="ignore"):
                rounded = array.astype(self.dtype, copy=False)
            if not np.isfinite(rounded).all():
                raise InvalidInputError(
                    f"model has entries of {name} up to {np.abs(array).max():.1e}, which "
                    f'{self.dtype} cannot hold; pass dtype="float64", or fit in other units.'
                )
            self.parameters[name] = rounded


def as_file(graph: Graph, metadata: Mapping[str, str]) -> bytes:
    """Return the content of an ONNX file."""
    proto = helper.make_model(
        graph.proto(),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mtrelu",
        producer_version=__version__,
    )
    helper.set_model_props(proto, dict(metadata))
    encoded: bytes = proto.SerializeToString()
    return encoded
