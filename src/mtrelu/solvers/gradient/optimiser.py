"""What the methods of training have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from mtrelu.solvers.gradient.batch import Batch
from mtrelu.solvers.gradient.objective import Objective
from mtrelu.solvers.gradient.settings import Settings


class Optimiser(ABC):
    """A method that moves many networks at once, each as if it were alone.

    Parameters
    ----------
    objective : Objective
        What to descend.
    settings : Settings
        How.
    batch : Batch
        Where to start; not changed.

    Attributes
    ----------
    state : dict of torch.Tensor
        All there is to remember between steps, one row a network in every tensor: so that a network
        can leave, and a stored state goes on as if nothing had happened.
    """

    def __init__(self, objective: Objective, settings: Settings, batch: Batch) -> None:
        self.objective = objective
        self.settings = settings
        hidden, output, skip = (part.clone() for part in batch.parts)
        self.state = {"hidden": hidden, "output": output, "skip": skip}
        self.state |= self._memory()

    @property
    def batch(self) -> Batch:
        """The networks as they are."""
        return Batch(*(self.state[name] for name in ("hidden", "output", "skip")))

    @property
    def stalled(self) -> torch.Tensor:
        """Which networks cannot be moved any further, (S,) bool."""
        return torch.zeros(self.batch.n_networks, dtype=torch.bool)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with some of the networks only."""
        self.state = {name: tensor[rows] for name, tensor in self.state.items()}

    @abstractmethod
    def advance(self, first: int, count: int) -> None:
        """Take ``count`` steps, the first of which is number ``first``, from 0."""

    @abstractmethod
    def _memory(self) -> dict[str, torch.Tensor]:
        """What the method remembers besides the networks, at the start."""
