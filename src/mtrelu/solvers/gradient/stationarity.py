"""How far trained networks are from stationary.

The objective is that of [12] in path form, F = ½ ‖R‖² + α Σ_k ‖v_k‖‖w_k‖, which is the training
objective [2] once each neuron is rescaled to ‖w_k‖ = ‖v_k‖: how the scale of a neuron is divided
between its two layers, which changes neither the function nor F, is not held against it. Let P be
labels minus outputs with the best skip connection, ŵ_k and v̂_k the unit vectors,
f_k = Σ_i p_i (ŵ_k·x_i + b̂_k)₊ the force on a neuron's output weights and
g_k = Σ_i a_ik (p_i·v̂_k) (x_i, 1) that on its hyperplane, with a_ik = 1[w_k·x_i + b_k > 0]. A
network is stationary when

    f_k = α v̂_k          in the output weights,
    g_k = α (ŵ_k, 0)     in the input weights and biases,

for all neurons with ‖v_k‖‖w_k‖ > 0, and the skip connection is the best. Of neurons that cost
nothing only ‖f_k‖ <= α is asked if v_k = 0, and of those with w_k = 0, which are constants, that
the part of g_k in the weights is at most α and that in the bias 0. A neuron with w_k = v_k = 0 is a
saddle point of [2], stationary whatever the force on it is; and one on the way there, with both
layers small, is as nearly stationary as it is small. A force above α may then still be a direction
in which [12] descends; only :func:`mtrelu.certify` excludes that.

The number reported is the largest of five, all without unit. F stands for no less than the relative
rounding of the parameters times ½ ‖Y‖², for where labels are fitted exactly:

- Σ_k α ‖v_k‖‖w_k‖ · violation_k / F, once for each of the two conditions: the relative change of F,
  to first order, as the parameters change by as much as they are;
- the square root of the share of F that the best skip connection would take away;
- what matters for neurons of little cost, max_k ‖w_k‖ (‖f_k‖/α − 1)₊ / max_k ‖w_k‖, and max_k of
  α ‖v_k‖‖(w_k, b_k)‖ · excess_k / F with the excess of g_k over what is asked if w_k = 0. Without
  a skip connection, where constants are neurons too, the first is divided by max_k ‖(w_k, b_k)‖.

Biases are those at the centre of the data, and count in units of the radius of the data.

The optimal hyperplanes run through data points, where a_ik jumps and the objective has a kink. So
at a point that is closer to a hyperplane than `KINK` times the distance to the nearest other point,
or than rounding tells apart, a_ik may take any value from 0 to 1: up to this distance, the
condition is that 0 is in the subdifferential of Clarke (and Goldstein). Nothing is shared with
`mtrelu.verify`.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

from mtrelu.problem import Problem
from mtrelu.solvers.gradient.batch import Batch, or_one
from mtrelu.solvers.gradient.kinks import least_norm_shares
from mtrelu.validation import FloatArray

KINK = 1e-3
BLOCK_ENTRIES = 1 << 18  # 2 MB an array, to stay in the cache
SWEEPS = 500


class Judge:
    """Objective [12] and stationarity of many networks, in float64.

    Parameters
    ----------
    problem : Problem
        Squared loss, ``alpha > 0``.
    device : torch.device
        Where to compute.
    accuracy : float
        How precisely the least violation at kinks is found.
    """

    def __init__(self, problem: Problem, device: torch.device, accuracy: float = 1e-3) -> None:
        X, weights = torch.tensor(problem.X), torch.tensor(problem.sample_weight)
        self._alpha = problem.alpha
        self._skip_has_constant = problem.skip != "none"
        self._accuracy = accuracy
        root = weights.sqrt()[:, None]
        ones = torch.ones_like(X[:, :1])
        centred = torch.cat((X - X.mean(0), ones), 1)
        used = {"affine": centred, "constant": ones, "none": centred[:, :0]}
        self._radius = float(centred[:, :-1].square().sum(1).mean().sqrt()) or 1.0
        self._labels = 0.5 * float((root * torch.tensor(problem.Y)).square().sum())
        self._centre, self._centred = X.mean(0).to(device), centred.to(device)
        self._inputs = torch.cat((X, ones), 1).to(device)
        self._Y, self._root = torch.tensor(problem.Y).to(device), root.to(device)
        self._skip_fits = _orthonormal(used[problem.skip] * root).to(device)
        self._nearest = torch.from_numpy(_to_the_nearest(problem.X))[:, None].to(device)
        self._sizes = X.norm(dim=1, keepdim=True).to(device)

    def __call__(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return objectives (S,) and stationarities (S,); infinite for what is no number."""
        objectives, parts = self.conditions(batch)
        stationarities = parts.amax(1)
        finite = torch.isfinite(objectives) & torch.isfinite(stationarities)
        for part in batch.parts:
            finite = finite & torch.isfinite(part.flatten(1).sum(1, dtype=torch.float64))
        infinite = torch.full_like(objectives, torch.inf)
        return (
            torch.where(finite, objectives, infinite),
            torch.where(finite, stationarities, infinite),
        )

    def conditions(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return objectives (S,) and the five numbers of which the largest counts (S, 5)."""
        entries = batch.hidden.shape[2] * max(self._Y.shape)
        blocks = torch.arange(batch.n_networks).split(max(1, BLOCK_ENTRIES // entries))
        eps = torch.finfo(batch.hidden.dtype).eps
        judged = [self._judge(batch.rows(rows).to(dtype=torch.float64), eps) for rows in blocks]
        objectives, parts = zip(*judged, strict=True)
        return torch.cat(objectives), torch.cat(parts)

    def _judge(self, batch: Batch, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
        """For parameters with a relative rounding of ``eps``."""
        hidden, v = batch.hidden, batch.output
        w, at_centre = hidden[:, :-1], hidden[:, -1] + self._centre @ hidden[:, :-1]
        w_size, v_size = _norms(w), _norms(v)
        cost = w_size * v_size
        unit_w, unit_v = w / or_one(w_size)[:, None], v / or_one(v_size)[:, None]
        hyperplanes = torch.cat((unit_w, (at_centre / or_one(w_size))[:, None]), 1)
        Z = self._centred @ hyperplanes  # (S, N, K); of neurons with w = 0: the constant b
        H = Z.relu()
        outputs = (H * or_one(w_size)[:, None]) @ v.transpose(1, 2) + self._inputs @ batch.skip
        residual = (self._Y - outputs) * self._root
        loss = 0.5 * residual.square().sum((1, 2))
        objective = loss + self._alpha * cost.sum(1)
        scale = objective.clamp_min(max(eps * self._labels, torch.finfo(torch.float64).tiny))

        by_skip = self._skip_fits.T @ residual
        P = (residual - self._skip_fits @ by_skip) * self._root / self._alpha
        forces = P.transpose(1, 2) @ H
        near = Z.abs() <= (KINK * self._nearest).maximum(4.0 * eps * self._sizes)
        violation, excess = self._in_hidden_layer(unit_w, Z, P @ unit_v, near)
        push = or_one(w_size) * _norms(forces) - w_size
        sizes = (w_size.square() + (at_centre / self._radius).square()).sqrt()
        largest = (w_size if self._skip_has_constant else sizes).amax(1)
        parts = [
            self._alpha * (cost * _norms(unit_v - forces)).sum(1) / scale,
            self._alpha * (cost * violation).sum(1) / scale,
            (0.5 * by_skip.square().sum((1, 2)) / scale).sqrt(),
            push.amax(1).clamp_min(0.0) / or_one(largest),
            self._alpha * (v_size * sizes * excess).amax(1) / scale,
        ]
        return objective, torch.stack(parts, 1)

    def _in_hidden_layer(
        self, unit_w: torch.Tensor, Z: torch.Tensor, U: torch.Tensor, near: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Violation of the second condition and what is above α in it, (S, K); U = p_i·v̂_k / α.

        The derivative in the bias, whose unit is another one, counts at the radius of the data.
        """
        points = self._centred.clone()
        points[:, -1] = self._radius
        rest = points.T @ (((Z > 0) & ~near) * U)  # (S, d + 1, K)
        rest[:, :-1] -= unit_w
        kinked = near.any(1)
        if bool(kinked.any()):
            columns = (near * U).transpose(1, 2)[kinked]
            rows = rest.transpose(1, 2)
            shares = least_norm_shares(
                rows[kinked], columns, points, sweeps=SWEEPS, accuracy=self._accuracy
            )
            rows[kinked] += (shares * columns) @ points
        pull = (rest[:, :-1] + unit_w).norm(dim=1)
        excess = ((pull - 1.0).clamp_min(0.0).square() + rest[:, -1].square()).sqrt()
        return rest.norm(dim=1), excess


def _norms(columns: torch.Tensor) -> torch.Tensor:
    """Norms of columns (S, m, K); three times as fast as those of PyTorch, which go across rows."""
    return columns.square().sum(1).sqrt()


def _orthonormal(columns: torch.Tensor) -> torch.Tensor:
    """Return an orthonormal basis of what the columns span."""
    U, sizes, _ = torch.linalg.svd(columns, full_matrices=False)
    rounding = max(columns.shape) * torch.finfo(columns.dtype).eps
    return U[:, sizes > rounding * sizes.max()] if sizes.numel() else U


def _to_the_nearest(X: FloatArray) -> FloatArray:
    """Return the distance of each point to the nearest other one, (N,).

    Examples
    --------
    >>> _to_the_nearest(np.array([[0.0], [1.0], [1.0], [5.0]]))
    array([1., 1., 1., 4.])
    """
    distinct, which = np.unique(X, axis=0, return_inverse=True)
    if len(distinct) == 1:
        return np.ones(len(X))
    distances: FloatArray = cKDTree(distinct).query(distinct, k=2)[0][:, 1]
    return distances[which.ravel()]
