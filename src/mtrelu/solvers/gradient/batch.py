"""The parameters of many networks [1] side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem


@dataclass
class Batch:
    """S networks of K neurons, d inputs and T tasks; the first axis counts networks.

    Neurons come last, so that products and elementwise steps run along long rows of memory.

    Attributes
    ----------
    hidden : torch.Tensor of shape (S, d + 1, K)
        Columns (w_k, b_k).
    output : torch.Tensor of shape (S, T, K)
        Columns v_k.
    skip : torch.Tensor of shape (S, d + 1, T)
        Columns (A_t, c_t).
    """

    hidden: torch.Tensor
    output: torch.Tensor
    skip: torch.Tensor

    @classmethod
    def drawn(cls, problem: Problem, seeds: Sequence[int], width: int) -> Batch:
        """Return networks as ``torch.nn.Linear`` starts them: uniform within 1/√(inputs).

        Each has its own generator, so that it does not matter which others are in the batch.
        """
        networks = []
        for seed in seeds:
            rng = np.random.default_rng(seed)
            d, n_tasks = problem.n_inputs, problem.n_tasks
            first, second = d**-0.5, width**-0.5
            w = rng.uniform(-first, first, (width, d))
            b = rng.uniform(-first, first, width)
            v = rng.uniform(-second, second, (width, n_tasks))
            A = rng.uniform(-first, first, (n_tasks, d)) * (problem.skip == "affine")
            c = rng.uniform(-second, second, n_tasks) * (problem.skip != "none")
            networks.append(ReLUNetwork(w, b, v, A, c))
        return cls.of(networks)

    @classmethod
    def of(cls, networks: Sequence[ReLUNetwork]) -> Batch:
        """Return networks of one width side by side, in float64 on the CPU."""
        parts = [
            (
                np.column_stack((network.w, network.b)).T,
                network.v.T,
                np.column_stack((network.A, network.c)).T,
            )
            for network in networks
        ]
        stacked = (np.ascontiguousarray(np.stack(part)) for part in zip(*parts, strict=True))
        return cls(*map(torch.from_numpy, stacked))

    def to(self, **where: object) -> Batch:
        """Return the batch with another type or on another device."""
        return Batch(*(part.to(**where) for part in self.parts))

    @property
    def parts(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Hidden layer, output layer, skip connection."""
        return self.hidden, self.output, self.skip

    @property
    def n_networks(self) -> int:
        """The number of networks, S."""
        return int(self.hidden.shape[0])

    def rows(self, rows: torch.Tensor) -> Batch:
        """Return some of the networks."""
        return Batch(*(part[rows] for part in self.parts))

    def network(self, row: int) -> ReLUNetwork:
        """Return one of the networks, all of its neurons in order."""
        hidden, output, skip = (part[row].double().cpu().numpy().T for part in self.parts)
        return ReLUNetwork(hidden[:, :-1], hidden[:, -1], output, skip[:, :-1], skip[:, -1])

    def unit_norm(self) -> Batch:
        """Return the same functions with ‖w_k‖ = 1, up to neurons with w_k = 0, which stay."""
        size = or_one(self.hidden[:, :-1].norm(dim=1, keepdim=True))
        return Batch(self.hidden / size, self.output * size, self.skip)

    def balanced(self) -> Batch:
        """Return the same functions with ‖w_k‖ = ‖v_k‖, biases rescaled with the weights.

        Neurons with w_k = 0 or v_k = 0 stay as they are: the first can be constants.
        """
        w_size = self.hidden[:, :-1].norm(dim=1, keepdim=True)
        v_size = self.output.norm(dim=1, keepdim=True)
        active = (w_size > 0) & (v_size > 0)
        size = torch.where(active, w_size / or_one(v_size), torch.ones_like(w_size)).sqrt()
        return Batch(self.hidden / size, self.output * size, self.skip)


def or_one(size: torch.Tensor) -> torch.Tensor:
    """Return sizes to divide by: 1 instead of 0.

    Examples
    --------
    >>> or_one(torch.tensor([0.0, 2.0]))
    tensor([1., 2.])
    """
    return torch.where(size == 0, torch.ones_like(size), size)
