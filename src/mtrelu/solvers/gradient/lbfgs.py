"""L-BFGS on the objective with weight decay, each network with its own line search.

The search brackets a step that satisfies the weak conditions of Wolfe by bisection. That needs no
smoothness, and after it s·y > 0, so that the method also works at kinks (Lewis and Overton, 2013).
"""

from __future__ import annotations

import torch

from mtrelu.solvers.gradient.batch import Batch
from mtrelu.solvers.gradient.optimiser import Optimiser

PAIRS = 20
SEARCH = 40
DECREASE, CURVATURE = 1e-4, 0.9


class LBFGS(Optimiser):
    """Limited-memory BFGS; networks whose gradient itself leads nowhere are stalled."""

    def advance(self, first: int, count: int) -> None:
        """Take steps; stalled networks stay."""
        for step in range(first, first + count):
            if bool(self.state["stalled"].all()):
                break
            self._step(step)

    @property
    def stalled(self) -> torch.Tensor:
        """Those for which not even a step along the gradient decreases the objective."""
        return self.state["stalled"]

    def _memory(self) -> dict[str, torch.Tensor]:
        x = _flat(self.batch)
        value, gradient = self._evaluate(x, self.batch)
        n_networks = x.shape[0]
        return {
            "value": value,
            "gradient": gradient,
            "moves": x.new_zeros((n_networks, PAIRS, x.shape[1])),
            "turns": x.new_zeros((n_networks, PAIRS, x.shape[1])),
            "curvature": x.new_zeros((n_networks, PAIRS)),  # 1 / (s·y); 0 where there is no pair
            "scale": 1.0 / gradient.norm(dim=1).clamp_min(torch.finfo(x.dtype).tiny),
            "stalled": torch.zeros(n_networks, dtype=torch.bool, device=x.device),
        }

    def _step(self, step: int) -> None:
        state = self.state
        x, value, gradient = _flat(self.batch), state["value"], state["gradient"]
        direction = self._direction(step)
        slope = _dot(direction, gradient)
        uphill = ~(slope < 0)  # rounding, or no number at all
        if bool(uphill.any()):
            state["curvature"][uphill] = 0.0
            direction[uphill] = -gradient[uphill] * state["scale"][uphill, None]
            slope = _dot(direction, gradient)
        new_x, new_value, new_gradient = self._search(x, value, gradient, direction, slope)
        move, turn = new_x - x, new_gradient - gradient
        product = _dot(move, turn)
        useful = product > 1e-10 * turn.square().sum(1) * state["scale"]
        slot = step % PAIRS
        state["moves"][:, slot], state["turns"][:, slot] = move, turn
        state["curvature"][:, slot] = torch.where(useful, 1.0 / product, 0.0)
        scale = product / turn.square().sum(1)
        state["scale"] = torch.where(useful, scale, state["scale"])
        # A search that fails with memory is tried again without; one that fails without is the end.
        moved = move.abs().amax(1) > 0
        remembered = (state["curvature"] != 0).any(1)
        state["stalled"] = state["stalled"] | (~moved & ~remembered)
        state["curvature"][~moved] = 0.0
        state["value"], state["gradient"] = new_value, new_gradient
        state["hidden"], state["output"], state["skip"] = _unflat(new_x, self.batch).parts

    def _direction(self, step: int) -> torch.Tensor:
        """Minus the inverse Hessian times the gradient, by the two loops over the pairs."""
        state = self.state
        moves, turns, curvature = state["moves"], state["turns"], state["curvature"]
        direction = -state["gradient"]
        slots = [(step - 1 - age) % PAIRS for age in range(min(step, PAIRS))]
        shares = {}
        for slot in slots:
            shares[slot] = curvature[:, slot] * _dot(moves[:, slot], direction)
            direction -= shares[slot][:, None] * turns[:, slot]
        direction *= state["scale"][:, None]
        for slot in reversed(slots):
            share = shares[slot] - curvature[:, slot] * _dot(turns[:, slot], direction)
            direction += share[:, None] * moves[:, slot]
        return direction

    def _search(
        self,
        x: torch.Tensor,
        value: torch.Tensor,
        gradient: torch.Tensor,
        direction: torch.Tensor,
        slope: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the points found, with values and gradients; those of failed searches stay."""
        found_x, found_value, found_gradient = x.clone(), value.clone(), gradient.clone()
        low, high = torch.zeros_like(value), torch.full_like(value, torch.inf)
        length = torch.ones_like(value)
        rows = torch.nonzero(~self.state["stalled"])[:, 0]
        for _ in range(SEARCH):
            trial = x[rows] + length[rows, None] * direction[rows]
            new_value, new_gradient = self._evaluate(trial, self.batch)
            bound = value[rows] + DECREASE * length[rows] * slope[rows]
            lower = (new_value <= bound) & (new_value < value[rows])
            flat = _dot(new_gradient, direction[rows]) >= CURVATURE * slope[rows]
            # The last point that is low enough is kept in case none is flat enough too.
            good = rows[lower]
            found_x[good], found_value[good] = trial[lower], new_value[lower]
            found_gradient[good] = new_gradient[lower]
            low[good] = length[good]
            high[rows[~lower]] = length[rows[~lower]]
            rows = rows[~(lower & flat)]
            if not rows.numel():
                break
            middle = 0.5 * (low[rows] + high[rows])
            length[rows] = torch.where(high[rows] < torch.inf, middle, 2.0 * length[rows])
        return found_x, found_value, found_gradient

    def _evaluate(self, x: torch.Tensor, like: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        value, gradient = self.objective.value_and_gradient(_unflat(x, like))
        return value, _flat(gradient)


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum(1)


def _flat(batch: Batch) -> torch.Tensor:
    """All parameters of a network in a row."""
    return torch.cat([part.reshape(part.shape[0], -1) for part in batch.parts], 1)


def _unflat(x: torch.Tensor, like: Batch) -> Batch:
    sizes = [part[0].numel() for part in like.parts]
    parts = zip(x.split(sizes, 1), like.parts, strict=True)
    return Batch(*(row.reshape(x.shape[0], *part.shape[1:]) for row, part in parts))
