"""A network as a PyTorch module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mtrelu.conversion import as_network
from mtrelu.validation import MissingExtraError

if TYPE_CHECKING:
    from mtrelu.export.torch_module import ShallowReLU


def to_torch(model: Any) -> ShallowReLU:
    """Return a network as a PyTorch module in float64, to train on or to build into another one.

    Parameters
    ----------
    model : ReLUNetwork, estimator or other model
        Anything that `as_network` takes; of a classifier the network of its logits.

    Returns
    -------
    torch.nn.Module
        With the linear layers ``hidden`` (w, b), ``output`` (v) and ``skip`` (A, c) of [1], all to
        be trained. It maps (…, d) to (…, T), also for models whose labels were 1-D. `as_network`
        reads the same parameters from it, bit for bit.

    Raises
    ------
    InvalidInputError
        Not a network with one hidden ReLU layer.
    MissingExtraError
        PyTorch is not installed.

    Examples
    --------
    >>> import torch, mtrelu
    >>> network = mtrelu.solve([0, 1, 2, 3, 4], [0, 1, 2, 1, 0], alpha=0.1).network
    >>> module = to_torch(network)
    >>> module
    ShallowReLU(
      (hidden): Linear(in_features=1, out_features=1, bias=True)
      (output): Linear(in_features=1, out_features=1, bias=False)
      (skip): Linear(in_features=1, out_features=1, bias=True)
    )
    >>> inputs = torch.tensor([[0.5], [3.0]], dtype=torch.float64)
    >>> bool((module(inputs).detach().numpy() - network(inputs)).max() < 1e-12)
    True
    """
    try:
        from mtrelu.export.torch_module import ShallowReLU
    except ImportError:
        raise MissingExtraError("torch", "torch") from None
    return ShallowReLU(as_network(model))
