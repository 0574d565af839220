"""Adam with coupled weight decay, as in Appendix B of the paper, and learning rates that settle."""

from __future__ import annotations

import torch
from torch.optim.adam import adam

from mtrelu.solvers.gradient.optimiser import Optimiser

HELD = 0.4
FALL = 1e-3
_LAYERS = ("hidden", "output", "skip")


class Adam(Optimiser):
    """`torch.optim.Adam` for each network: its steps are elementwise, so one call does for all."""

    def advance(self, first: int, count: int) -> None:
        """Take steps at the rates of the schedule."""
        state, batch = self.state, self.batch
        # Adam itself adds the decay of v, which saves a pass over the memory. That of w is in the
        # gradient, because w shares a tensor with b, which is not decayed.
        groups = ((("output",), self.objective.decay), (("hidden", "skip"), 0.0))
        taken = {n: torch.full((), float(first), device=batch.hidden.device) for n in _LAYERS}
        for step in range(first, first + count):
            gradient = self.objective.gradient(batch, output_decay=False)
            for names, decay in groups:
                adam(
                    [state[name] for name in names],
                    [getattr(gradient, name) for name in names],
                    [state[f"mean {name}"] for name in names],
                    [state[f"square {name}"] for name in names],
                    [],
                    [taken[name] for name in names],
                    foreach=False, fused=True, amsgrad=False, maximize=False, beta1=0.9,
                    beta2=0.999, eps=1e-8, weight_decay=decay, lr=self._rate(step),
                )  # fmt: skip

    def _rate(self, step: int) -> float:
        rate = self.settings.learning_rate
        assert rate is not None
        return rate * (
            1.0 if self.settings.schedule == "constant" else settling(step, self.settings.steps)
        )

    def _memory(self) -> dict[str, torch.Tensor]:
        kinds = ("mean", "square")
        return {
            f"{kind} {name}": torch.zeros_like(self.state[name])
            for kind in kinds
            for name in _LAYERS
        }


def settling(step: int, steps: int) -> float:
    """Return the learning rate of a step, from 0 to steps − 1, relative to the first.

    It is held for 40 % of the steps and then falls exponentially by 10³. At a constant rate the
    networks jump about the kinks of the objective and never settle.

    Examples
    --------
    >>> [round(settling(step, 100), 6) for step in (0, 40, 70, 99)]
    [1.0, 1.0, 0.031623, 0.001122]
    """
    held = HELD * steps
    return float(FALL ** (max(step - held, 0.0) / (steps - held)))
