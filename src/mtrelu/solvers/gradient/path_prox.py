"""Proximal gradient in path form, so that neurons become exactly zero.

For ‖w_k‖ = 1 the objective [12] is the loss plus α Σ_k ‖v_k‖, whose proximal step is the group
soft threshold; that is the idea of PathProx (Yang et al., 2022, arXiv:2210.03069). The neurons are
brought to ‖w_k‖ = 1 by dividing w_k and b_k and multiplying v_k, so that the function stays what it
was. Two blocks take turns, and neither ever raises the objective:

- output weights: the convex problem for fixed neurons, by accelerated proximal gradient; the skip
  connection, which is not penalised, is eliminated by least squares;
- input weights and biases: a subgradient step of the balanced network (‖w_k‖ = ‖v_k‖), under which
  a neuron turns by an amount that does not depend on its size. It stops at the first data point
  that its hyperplane meets, and where the objective has a kink in it, it goes along the kink.

Each network finds its own step sizes: one that fails is halved, one that succeeds grows.
"""

from __future__ import annotations

import torch

from mtrelu.solvers.gradient.batch import Batch, or_one
from mtrelu.solvers.gradient.kinks import least_norm_shares
from mtrelu.solvers.gradient.optimiser import Optimiser

GROW_OUTPUT, GROW_HIDDEN = 1.02, 1.2
DECREASE = 1e-4
SWEEPS = 20


class PathProx(Optimiser):
    """Proximal gradient with exact balancing and backtracking.

    Its state has neurons before coordinates: hidden (S, K, d + 1), output (S, K, T).
    """

    def advance(self, first: int, count: int) -> None:
        """Take steps, each in both blocks."""
        for _ in range(count):
            self._move_output()
            self._move_hidden()

    @property
    def batch(self) -> Batch:
        """The networks, balanced, with the best skip connection."""
        hidden, v = self.state["hidden"], self.state["output"]
        rest = self.objective.labels.T - v.transpose(1, 2) @ _outputs(hidden, self._columns)
        return Batch(_swapped(hidden), _swapped(v), _swapped(rest @ self._fit)).balanced()

    def _memory(self) -> dict[str, torch.Tensor]:
        inputs = self.objective.inputs
        self._columns = inputs.T.contiguous()
        # What rounding leaves of w·x + b on a hyperplane, in units of the largest (x, 1).
        eps = torch.finfo(inputs.dtype).eps
        self._on_hyperplane = 64 * eps * float(inputs.norm(dim=1).max())
        used = inputs if self.objective.free is None else inputs * self.objective.free.T
        inverse = torch.linalg.pinv(used.double())  # (d + 1, N)
        self._fit = inverse.T.to(inputs)  # labels (T, N) to skip connection (T, d + 1)
        identity = torch.eye(inputs.shape[0], dtype=torch.float64, device=inputs.device)
        self._off_skip = (identity - used.double() @ inverse).to(inputs)
        self._labels = self.objective.labels.T @ self._off_skip
        start = Batch(*(self.state[name] for name in ("hidden", "output", "skip"))).unit_norm()
        hidden, v = _swapped(start.hidden), _swapped(start.output)
        if self.objective.free is None or bool(self.objective.free[-1] > 0):
            # Neurons with w = 0 are constants, which the skip connection fits.
            v = v * self._cost(hidden)[..., None]
        H = _outputs(hidden, self._columns) @ self._off_skip
        one = H.new_ones(H.shape[0])
        return {
            "hidden": hidden,
            "output": v,
            "before": v.clone(),
            "momentum": one.clone(),
            "value": self._value(hidden, self._residual(H, v), v),
            "output step": 1.0 / H.square().sum((1, 2)).clamp_min(torch.finfo(H.dtype).tiny),
            "hidden step": 0.1 * one,
        }

    def _move_output(self) -> None:
        state = self.state
        v, value, step = state["output"], state["value"], state["output step"][:, None, None]
        H = _outputs(state["hidden"], self._columns) @ self._off_skip
        following = 0.5 * (1.0 + (1.0 + 4.0 * state["momentum"].square()).sqrt())
        ahead = v + ((state["momentum"] - 1.0) / following)[:, None, None] * (v - state["before"])
        gradient = H @ self._residual(H, ahead).transpose(1, 2)
        threshold = self.objective.alpha * self._cost(state["hidden"])[..., None]
        found = soft_threshold(ahead - step * gradient, step * threshold)
        new_value = self._value(state["hidden"], self._residual(H, found), found)
        change = found - ahead
        curved = (change.transpose(1, 2) @ H).square().sum((1, 2))
        short = curved * state["output step"] <= change.square().sum((1, 2))
        good = short & (new_value <= value)
        keep = good[:, None, None]
        state["before"] = v
        state["output"] = torch.where(keep, found, v)
        state["value"] = torch.where(good, new_value, value)
        # Without momentum a step that is short enough cannot fail.
        state["momentum"] = torch.where(good, following, torch.ones_like(following))
        factor = torch.where(short, GROW_OUTPUT, 0.5)
        state["output step"] = state["output step"] * factor

    def _move_hidden(self) -> None:
        state = self.state
        hidden, v, value = state["hidden"], state["output"], state["value"]
        Z = hidden @ self._columns
        P = self._residual(Z.relu() @ self._off_skip, v) @ self._off_skip
        size = v.norm(dim=2, keepdim=True)
        unit_v = v / or_one(size)
        near = Z.abs() <= self._on_hyperplane
        gradient = self._hidden_gradient(hidden, Z, unit_v @ P, near)
        gradient = gradient * self._cost(hidden)[..., None]  # constants have no direction to turn
        # Within its cell a neuron moves smoothly; one that would leave it stops at the boundary,
        # where the next step decides between both sides and the boundary itself.
        length = state["hidden step"][:, None, None]
        change = -length * gradient
        turn = change @ self._columns
        share = torch.where((Z * (Z + turn) < 0) & ~near, -Z / turn, torch.ones_like(Z)).amin(2)
        share = share[..., None]
        moved = hidden + share * change
        moved = moved / or_one(moved[..., :-1].norm(dim=2, keepdim=True))
        H = _outputs(moved, self._columns) @ self._off_skip
        new_value = self._value(moved, self._residual(H, v), v)
        promised = (size * share * gradient.square()).sum((1, 2)) * state["hidden step"]
        good = new_value <= value - DECREASE * promised
        state["hidden"] = torch.where(good[:, None, None], moved, hidden)
        state["value"] = torch.where(good, new_value, value)
        state["hidden step"] = state["hidden step"] * torch.where(good, GROW_HIDDEN, 0.5)

    def _hidden_gradient(
        self, hidden: torch.Tensor, Z: torch.Tensor, U: torch.Tensor, near: torch.Tensor
    ) -> torch.Tensor:
        """The shortest subgradient of the loss, per unit of ‖v_k‖, across w_k; (S, K, d + 1).

        ‖w_k‖ stays 1, so only the part across w_k counts; that along it is for the output weights.
        """
        inputs, w = self.objective.inputs, hidden[..., :-1]
        gradient = ((Z > 0) & ~near) * U @ inputs
        columns = near * U
        kinked = (columns != 0).any(2)
        if bool(kinked.any()):
            columns, fixed = columns[kinked], gradient[kinked]
            fixed[:, :-1] -= (fixed[:, :-1] * w[kinked]).sum(1, keepdim=True) * w[kinked]
            shares = least_norm_shares(fixed, columns, inputs, across=w[kinked], sweeps=SWEEPS)
            gradient[kinked] += (shares * columns) @ inputs
        gradient[..., :-1] -= (gradient[..., :-1] * w).sum(2, keepdim=True) * w
        return gradient

    def _residual(self, H: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """F − Y off the skip connection, (S, T, N), for outputs H of neurons off it."""
        return v.transpose(1, 2) @ H - self._labels

    def _value(self, hidden: torch.Tensor, residual: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """The objective [12], (S,)."""
        cost = (self._cost(hidden) * v.norm(dim=2)).sum(1)
        return 0.5 * residual.square().sum((1, 2)) + self.objective.alpha * cost

    def _cost(self, hidden: torch.Tensor) -> torch.Tensor:
        """What neurons cost per unit of ‖v_k‖, (S, K): 1, and 0 for constants, with w_k = 0."""
        return (hidden[..., :-1].norm(dim=2) > 0).to(hidden)


def soft_threshold(v: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Return the proximal step of threshold · Σ_k ‖v_k‖: each norm falls by it, to no less than 0.

    Examples
    --------
    >>> soft_threshold(torch.tensor([[[3.0, 4.0], [0.3, 0.4]]]), torch.tensor(1.0))
    tensor([[[2.4000, 3.2000],
             [0.0000, 0.0000]]])
    """
    size = v.norm(dim=2, keepdim=True)
    kept = (size - threshold).clamp_min(0.0)
    return v * (kept / or_one(size))


def _outputs(hidden: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Outputs of the neurons at the data, (S, K, N)."""
    return (hidden @ columns).relu_()


def _swapped(part: torch.Tensor) -> torch.Tensor:
    """From neurons last to neurons first, and back."""
    return part.transpose(1, 2).contiguous()
