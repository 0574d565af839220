"""How far trained networks are from the stationarity conditions of [12].

With P = Y − F, unit ‖w_k‖, v̂_k = v_k/‖v_k‖ and a_ik = 1[w_k·x_i + b_k > 0], a network is stationary
when

    Σ_i p_i (w_k·x_i + b_k)₊ = α v̂_k               in the output weights,
    Σ_i a_ik (p_i·v̂_k) (x_i, 1) = α (w_k, 0)       in the input weights and biases,
    Σ_i p_i = 0,   Σ_i p_i x_iᵀ = 0                in the skip connection.

The optimal hyperplanes run through data points, where a_ik jumps and the objective has a kink. So
at points within `KINK` of a hyperplane, in units of the radius of the data, a_ik may take any value
from 0 to 1: up to this distance, the condition is that 0 is in the subdifferential of Clarke (and
Goldstein). The violations are relative and weighted by what the neurons cost, as those in
`mtrelu.verify`, which this shares no code with.
"""

from __future__ import annotations

import torch

from mtrelu.problem import Problem
from mtrelu.solvers.gradient.batch import Batch
from mtrelu.solvers.gradient.kinks import least_norm_shares

KINK = 1e-4
BLOCK_ENTRIES = 1 << 18  # 2 MB an array, to stay in the cache


class Judge:
    """Objective [12] and stationarity of many networks, in float64.

    Parameters
    ----------
    problem : Problem
        Squared loss, ``alpha > 0``.
    device : torch.device
        Where to compute.
    """

    def __init__(self, problem: Problem, device: torch.device) -> None:
        self._weights = torch.from_numpy(problem.sample_weight).to(device)
        self._X = torch.from_numpy(problem.X).to(device)
        self._Y = torch.from_numpy(problem.Y).T.to(device)
        self._alpha = problem.alpha
        self._skip = problem.skip
        self._centre = self._X.mean(0)
        centred = self._X - self._centre
        self._radius = float(centred.square().sum(1).mean().sqrt()) or 1.0
        ones = torch.ones_like(centred[:, :1])
        self._centred = torch.cat((centred, ones), 1)

    def __call__(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return objectives (S,) and stationarities (S,); not finite for what has diverged."""
        entries = batch.hidden.shape[1] * max(self._Y.shape)
        blocks = torch.arange(batch.n_networks).split(max(1, BLOCK_ENTRIES // entries))
        judged = [self._judge(batch.rows(rows).to(dtype=torch.float64)) for rows in blocks]
        objectives, stationarities = zip(*judged, strict=True)
        return torch.cat(objectives), torch.cat(stationarities)

    def _judge(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        w, b, v = batch.hidden[..., :-1], batch.hidden[..., -1], batch.output
        w_size, v_size = w.norm(dim=2), v.norm(dim=2)
        cost = w_size * v_size
        unit_w = w / _or_one(w_size)[..., None]
        unit_v = v / _or_one(v_size)[..., None]
        offset = (b + w @ self._centre) / _or_one(w_size)
        hyperplanes = torch.cat((unit_w, offset[..., None]), 2)
        Z = hyperplanes @ self._centred.T
        outputs = (v * w_size[..., None]).transpose(1, 2) @ Z.relu()
        # Neurons with w = 0 are constants; what they do is not lost.
        constant = ((w_size == 0) * b.relu())[:, None, :] @ v
        A, c = batch.skip[..., :-1], batch.skip[..., -1:]
        residual = self._Y - (outputs + constant.transpose(1, 2) + A @ self._X.T + c)
        P = residual * self._weights
        objective = 0.5 * (P * residual).sum((1, 2)) + self._alpha * cost.sum(1)

        forces = Z.relu() @ P.transpose(1, 2) / self._alpha
        from_output = (unit_v - forces).norm(dim=2)
        from_hidden = self._in_hidden_layer(unit_w, Z, unit_v @ P)
        total = _or_one(cost.sum(1))
        parts = [(cost * each).sum(1) / total for each in (from_output, from_hidden)]
        sizes = P.norm(dim=1)
        if self._skip != "none":
            parts.append(P.sum(2).norm(dim=1) / _or_one(sizes.sum(1)))
        if self._skip == "affine":
            centred = self._centred[:, :-1]
            tilt = (P @ centred).norm(dim=(1, 2))
            parts.append(tilt / _or_one(sizes @ centred.norm(dim=1)))
        return objective, torch.stack(parts).amax(0)

    def _in_hidden_layer(
        self, unit_w: torch.Tensor, Z: torch.Tensor, U: torch.Tensor
    ) -> torch.Tensor:
        """Violation of the second condition, (S, K); U = p_i·v̂_k of shape (S, K, N).

        The derivative in the bias, whose unit is another one, counts at the radius of the data.
        """
        points = self._centred.clone()
        points[:, -1] = self._radius
        near = Z.abs() <= KINK * self._radius
        fixed = ((Z > 0) & ~near) * U @ points / self._alpha
        fixed[..., :-1] -= unit_w
        violation = fixed.norm(dim=2)
        kinked = near.any(2)
        if bool(kinked.any()):
            columns = (near * U)[kinked] / self._alpha
            shares = least_norm_shares(fixed[kinked], columns, points)
            violation[kinked] = (fixed[kinked] + (shares * columns) @ points).norm(dim=1)
        return violation


def _or_one(size: torch.Tensor) -> torch.Tensor:
    """Sizes to divide by: 1 instead of 0."""
    return torch.where(size == 0, torch.ones_like(size), size)
