"""Gradient training of many networks at once, in PyTorch: `train`.

Nothing here is globally optimal by construction. Training descends to a stationary point of [2],
and what that is worth is for :func:`mtrelu.certify` to say.
"""

from mtrelu.solvers.gradient.result import Training
from mtrelu.solvers.gradient.training import train

__all__ = ["Training", "train"]
