"""Read the parameters of [1] from models that other libraries trained."""

from __future__ import annotations

import copy
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.validation import FloatArray, InvalidInputError

if TYPE_CHECKING:
    import torch


def as_network(model: Any, *, n_inputs: int | None = None) -> ReLUNetwork:
    """Return the network of one hidden ReLU layer that a model is.

    Parameters
    ----------
    model : object
        One of

        - a `ReLUNetwork`, returned as it is, or a fitted estimator of mtrelu: a regressor, a
          classifier (the network of its logits) or `mtrelu.NeuronFeatures` (the network that its
          neurons are from);
        - a PyTorch module whose only parts with parameters are two linear layers, hidden and
          output, or three with a linear skip connection from the inputs to the outputs, in whatever
          containers and under whatever names. Biases are optional, as are parts that do nothing
          in evaluation mode. The module may be of any floating type on any device. A float64 copy
          of it is evaluated at random points, and it is refused unless the network has the same
          outputs;
        - a fitted ``sklearn.neural_network.MLPRegressor`` with one hidden layer and ReLU.
    n_inputs : int, optional
        How many inputs the model has to have.

    Returns
    -------
    ReLUNetwork
        The same function in float64, neurons in the same order. A network without skip connection
        has A = 0.

    Raises
    ------
    InvalidInputError
        Anything else, with what was found; parameters that are NaN or infinite.

    Examples
    --------
    >>> from mtrelu import ReLURegressor
    >>> model = ReLURegressor(alpha=0.1).fit([[0.0], [1.0], [2.0]], [0.0, 0.0, 1.0])
    >>> as_network(model, n_inputs=1).n_tasks
    1
    """
    network = _convert(model)
    if n_inputs is not None and network.n_inputs != n_inputs:
        raise InvalidInputError(
            f"model has {network.n_inputs} inputs, but the data have {n_inputs}; pass the data it "
            "was trained on."
        )
    return network


def _convert(model: Any) -> ReLUNetwork:
    if isinstance(model, ReLUNetwork):
        return model
    # A torch module cannot be at hand unless torch was imported; likewise for scikit-learn.
    torch_modules = sys.modules.get("torch.nn")
    if torch_modules is not None and isinstance(model, torch_modules.Module):
        return _from_torch(model)
    perceptrons = sys.modules.get("sklearn.neural_network")
    if perceptrons is not None and isinstance(model, perceptrons.MLPRegressor):
        return _from_perceptron(model)
    estimators = sys.modules.get("mtrelu.estimators.base")
    if estimators is not None and isinstance(model, estimators.NetworkEstimator):
        if not hasattr(model, "network_"):
            raise InvalidInputError(
                f"model is a {type(model).__name__} that is not fitted; call fit first."
            )
        fitted: ReLUNetwork = model.network_
        return fitted
    raise InvalidInputError(
        f"model is of type {type(model).__module__}.{type(model).__qualname__}, which is not known "
        "to be a network with one hidden ReLU layer; pass a ReLUNetwork(w, b, v, A, c), a fitted "
        "estimator of mtrelu, a torch module made of Linear, ReLU, Linear, or a fitted "
        "scikit-learn MLPRegressor."
    )


def _from_perceptron(model: Any) -> ReLUNetwork:
    """Convert scikit-learn's ``MLPRegressor``."""
    if not hasattr(model, "coefs_"):
        raise InvalidInputError("model is an MLPRegressor that is not fitted; call fit first.")
    if len(model.coefs_) != 2:
        raise InvalidInputError(
            f"model is an MLPRegressor with {len(model.coefs_) - 1} hidden layers, but a network "
            "here has one; pass hidden_layer_sizes=(K,) to MLPRegressor."
        )
    if model.activation != "relu":
        raise InvalidInputError(
            f"model is an MLPRegressor with activation={model.activation!r}, but a network here "
            'has ReLUs; pass activation="relu" to MLPRegressor.'
        )
    if model.out_activation_ != "identity":
        raise InvalidInputError(
            f"model is an MLPRegressor with outputs through {model.out_activation_!r}, but a "
            "network here has linear outputs; fit MLPRegressor with its squared error."
        )
    (w, v), (b, c) = model.coefs_, model.intercepts_
    named = {"coefs_[0]": w, "intercepts_[0]": b, "coefs_[1]": v, "intercepts_[1]": c}
    w, b, v, c = (_finite(values, name) for name, values in named.items())
    return ReLUNetwork(w.T, b, v, np.zeros((c.size, w.shape[0])), c)


def _from_torch(module: torch.nn.Module) -> ReLUNetwork:
    """Convert a PyTorch module: read it by its shapes, then compare with what it computes."""
    import torch

    leaves = [part for part in module.modules() if next(part.children(), None) is None]
    found = ", ".join(type(part).__name__ for part in leaves)
    for part in leaves:
        of_torch = type(part).__module__ == "torch.nn.modules.activation"
        if of_torch and not isinstance(part, torch.nn.ReLU):
            raise InvalidInputError(
                f"model ({found}) has the activation {type(part).__name__}, but a network here has "
                "ReLUs; pass a module with torch.nn.ReLU."
            )
    linear = {
        name: part for name, part in module.named_modules() if isinstance(part, torch.nn.Linear)
    }
    if len(linear) not in (2, 3):
        raise InvalidInputError(
            f"model ({found}) has {len(linear)} Linear layer{'s' * (len(linear) != 1)}, but one "
            "hidden layer takes 2, or 3 with a linear skip connection; pass such a module."
        )
    inside = {id(values) for part in linear.values() for values in part.parameters()}
    others = [name for name, values in module.named_parameters() if id(values) not in inside]
    if others:
        raise InvalidInputError(
            f"model ({found}) has parameters outside its Linear layers ({', '.join(others)}), but "
            "one hidden ReLU layer has none; make them part of the Linear layers."
        )
    parts = {name: _linear_part(part, name) for name, part in linear.items()}
    readings = _readings(parts)
    if not readings:
        shapes = ", ".join(f"{w.shape[1]} → {w.shape[0]}" for w, _ in parts.values())
        raise InvalidInputError(
            f"model ({found}) has {len(linear)} Linear layers with {shapes} units, which do not "
            "fit together as hidden layer, output and skip connection; pass a module that computes "
            "v (w·x + b)₊ + A x + c."
        )
    for hidden, output, skip in readings:
        (w, b), (v, c) = parts[hidden], parts[output]
        A = np.zeros((c.size, w.shape[1]))
        if skip is not None:
            A, more = parts[skip]
            # A layer without bias leaves the other's as it is, −0 included.
            c = (
                c
                if linear[skip].bias is None
                else more
                if linear[output].bias is None
                else c + more
            )
        network = ReLUNetwork(w, b, v.T, A, c)
        if _computes(module, network):
            return network
    raise InvalidInputError(
        f"model ({found}) does not compute v (w·x + b)₊ + A x + c with the weights of its "
        f"{len(linear)} Linear layers: at random points its outputs differ, or it fails. It has "
        "another activation or order, or something in between; pass a module of one hidden ReLU "
        "layer, or mtrelu.ReLUNetwork(w, b, v, A, c)."
    )


def _linear_part(part: torch.nn.Linear, name: str) -> tuple[FloatArray, FloatArray]:
    """Weights (outputs, inputs) and biases (outputs,) of a linear layer."""
    import torch

    prefix = f"{name}." if name else ""
    weight, no_values = part.weight, torch.nn.parameter.is_lazy(part.weight) or part.weight.is_meta
    if no_values or not weight.is_floating_point():
        raise InvalidInputError(
            f"model has {prefix}weight without values or not of a real floating type; call a lazy "
            'module once, load a module on the device "meta", and pass real weights.'
        )
    w = _finite(weight.detach().cpu().double().numpy(), f"{prefix}weight")
    bias: torch.Tensor | None = part.bias
    if bias is None:
        return w, np.zeros(w.shape[0])
    return w, _finite(bias.detach().cpu().double().numpy(), f"{prefix}bias")


def _readings(
    parts: dict[str, tuple[FloatArray, FloatArray]],
) -> list[tuple[str, str, str | None]]:
    """Which layer can be hidden, output and skip by the shapes alone."""
    sizes = {name: (w.shape[1], w.shape[0]) for name, (w, _) in parts.items()}
    readings: list[tuple[str, str, str | None]] = []
    for hidden in sizes:
        for output in sizes:
            rest = [name for name in sizes if name not in (hidden, output)]
            ends = (sizes[hidden][0], sizes[output][1])
            if hidden == output or sizes[hidden][1] != sizes[output][0]:
                continue
            if not rest:
                readings.append((hidden, output, None))
            elif sizes[rest[0]] == ends:
                readings.append((hidden, output, rest[0]))
    return readings


def _computes(module: torch.nn.Module, network: ReLUNetwork) -> bool:
    """Whether a module has the outputs of a network, in float64 and evaluation mode."""
    import torch

    X = _probes(network)
    try:
        twin = copy.deepcopy(module).cpu().double().eval()
        with torch.no_grad():
            outputs = twin(torch.from_numpy(X))
    except Exception:  # whatever a module that wants other inputs raises
        return False
    if not isinstance(outputs, torch.Tensor) or outputs.numel() != len(X) * network.n_tasks:
        return False
    values = outputs.double().numpy().reshape(len(X), network.n_tasks)
    with np.errstate(over="ignore", invalid="ignore"):
        hidden = np.abs(X) @ np.abs(network.w).T + np.abs(network.b)
        size = hidden @ np.abs(network.v) + np.abs(X) @ np.abs(network.A).T + np.abs(network.c)
        rounding = 2 * np.finfo(np.float64).eps * (network.n_inputs + network.n_neurons + 8)
        return bool(np.all(np.abs(values - network(X)) <= rounding * size))


def _probes(network: ReLUNetwork) -> FloatArray:
    """Random points of several sizes, and points on both sides of hyperplanes, near and far.

    Of up to 128 neurons, wherever their hyperplanes are: so that every activation other than the
    ReLU shows, also one that differs only for large or only for small arguments.
    """
    rng = np.random.default_rng(0)
    norms = np.linalg.norm(network.w, axis=1)
    neurons = rng.permutation(np.flatnonzero(norms > 0))[:128]
    heights = np.array([-1e3, -1.0, -1e-2, 1e-2, 1.0, 1e3])
    X = rng.standard_normal((64 + neurons.size * heights.size, network.n_inputs))
    X[:64] *= 10.0 ** rng.uniform(-3, 3, size=(64, 1))
    w, norm = network.w[neurons], norms[neurons, np.newaxis]
    around = X[64:].reshape(neurons.size, heights.size, network.n_inputs)
    wanted = heights - np.einsum("khd,kd->kh", around, w) - network.b[neurons, np.newaxis]
    around += (wanted / norm)[:, :, np.newaxis] * (w / norm)[:, np.newaxis]
    return X


def _finite(values: Any, name: str) -> FloatArray:
    """Float64 parameters, or an error that says which are not finite."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InvalidInputError(
            f"model has entries of {name} that are NaN or infinite, so it is not a function; check "
            "how it was trained."
        )
    return array
