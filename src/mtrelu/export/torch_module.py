"""The module that `to_torch` returns; it needs PyTorch to be imported."""

from __future__ import annotations

import torch

from mtrelu.network import ReLUNetwork
from mtrelu.validation import FloatArray


class ShallowReLU(torch.nn.Module):
    """One hidden ReLU layer and a linear skip connection, v (w·x + b)₊ + A x + c [1].

    Parameters
    ----------
    network : ReLUNetwork
        The parameters; they are copied.

    Attributes
    ----------
    hidden, output, skip : torch.nn.Linear
        (w, b), v and (A, c), in float64.
    """

    def __init__(self, network: ReLUNetwork) -> None:
        super().__init__()
        # In this order: `as_network` tries the layers as hidden, output and skip in turn, and where
        # several orders are the same function the first one is what was meant.
        self.hidden = _linear(network.w, network.b)
        self.output = _linear(network.v.T, None)
        self.skip = _linear(network.A, network.c)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluate the network at (…, d); returns (…, T)."""
        values: torch.Tensor = self.output(torch.relu(self.hidden(x))) + self.skip(x)
        return values


def _linear(weight: FloatArray, bias: FloatArray | None) -> torch.nn.Linear:
    """Return a layer with these weights (outputs, inputs) and biases (outputs,)."""
    # On the device "meta" nothing is initialised: neither random numbers nor warnings.
    layer = torch.nn.Linear(1, 1, bias=bias is not None, device="meta")
    layer.out_features, layer.in_features = weight.shape
    layer.weight = torch.nn.Parameter(torch.tensor(weight))
    if bias is not None:
        layer.bias = torch.nn.Parameter(torch.tensor(bias))
    return layer
