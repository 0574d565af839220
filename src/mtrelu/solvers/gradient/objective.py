"""The training objective and its gradient, written out for many networks at once."""

from __future__ import annotations

import torch

from mtrelu.problem import Problem
from mtrelu.solvers.gradient.batch import Batch


class Objective:
    """What training descends: squared error with coupled weight decay on w and v [2].

    With R the residuals of a network, it is the scaled energy

        E = s (½ ‖R‖² + (α/2) Σ_k (‖v_k‖² + ‖w_k‖²)),

    where s = 2/(N T) makes the first term ``torch.nn.MSELoss()``, and s = 2 makes it that of
    ``reduction="sum"``. The gradient of the second is that of ``weight_decay = s α`` in an
    optimiser of PyTorch; biases and skip connection are not decayed.

    Parameters
    ----------
    problem : Problem
        Squared loss.
    reduction : {"mean", "sum"}
        The scale s.
    like : torch.Tensor
        Whose type and device to compute with.

    Attributes
    ----------
    inputs : torch.Tensor of shape (N, d + 1)
        Rows (x_i, 1) √weight_i.
    labels : torch.Tensor of shape (N, T)
        Labels, times √weight.
    decay : float
        Weight decay, s α.
    free : torch.Tensor of shape (d + 1, 1) or None
        1 for what the skip connection has, 0 for what it lacks; None if it has all.
    """

    def __init__(self, problem: Problem, reduction: str, like: torch.Tensor) -> None:
        root = torch.tensor(problem.sample_weight).sqrt()[:, None]
        X, Y = torch.tensor(problem.X), torch.tensor(problem.Y)
        self.alpha = problem.alpha
        self.scale = 2.0 / problem.Y.size if reduction == "mean" else 2.0
        self.decay = self.scale * self.alpha
        self.inputs = (torch.cat((X, torch.ones_like(X[:, :1])), 1) * root).to(like)
        self.labels = (Y * root).to(like)
        self._columns = self.inputs.T.contiguous()
        free = torch.zeros(problem.n_inputs + 1, 1)
        free[:-1] = problem.skip == "affine"
        free[-1] = problem.skip != "none"
        self.free = None if bool(free.all()) else free.to(like)
        self._buffers: dict[str, torch.Tensor] = {}

    def gradient(self, batch: Batch, output_decay: bool = True) -> Batch:
        """Return the gradient of E, which the next call overwrites.

        The derivative of a ReLU at 0 is 0, as in PyTorch. Without ``output_decay`` the decay of v
        is left to the optimiser.
        """
        H, R = self._residuals(batch)
        return self._gradient(batch, H, R, output_decay)

    def value_and_gradient(self, batch: Batch) -> tuple[torch.Tensor, Batch]:
        """Return E (S,) and its gradient; see `gradient`."""
        H, R = self._residuals(batch)
        decay = batch.output.square().sum((1, 2)) + batch.hidden[:, :-1].square().sum((1, 2))
        value = 0.5 * self.scale * (R.square().sum((1, 2)) + self.alpha * decay)
        return value, self._gradient(batch, H, R, True)

    def _residuals(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs of the neurons (S, N, K) and F − Y (S, N, T), until the next call."""
        n_networks, _, width = batch.hidden.shape
        n_samples, n_tasks = self.labels.shape
        H = self._buffer("H", (n_networks, n_samples, width))
        R = self._buffer("R", (n_networks, n_samples, n_tasks))
        inputs = self.inputs.expand(n_networks, -1, -1)
        torch.bmm(inputs, batch.hidden, out=H).relu_()
        torch.bmm(inputs, batch.skip, out=R)
        R.sub_(self.labels).baddbmm_(H, batch.output.transpose(1, 2))
        return H, R

    def _gradient(
        self, batch: Batch, H: torch.Tensor, R: torch.Tensor, output_decay: bool
    ) -> Batch:
        R.mul_(self.scale)
        found = Batch(*(self._buffer(f"d{i}", part.shape) for i, part in enumerate(batch.parts)))
        torch.bmm(R.transpose(1, 2), H, out=found.output)
        G, on = self._buffer("G", H.shape), self._buffer("on", H.shape)
        torch.bmm(R, batch.output, out=G)
        G.mul_(torch.sign(H, out=on))
        columns = self._columns.expand(batch.n_networks, -1, -1)
        torch.bmm(columns, G, out=found.hidden)
        torch.bmm(columns, R, out=found.skip)
        if self.free is not None:
            found.skip.mul_(self.free)
        found.hidden[:, :-1].add_(batch.hidden[:, :-1], alpha=self.decay)
        if output_decay:
            found.output.add_(batch.output, alpha=self.decay)
        return found

    def _buffer(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """Memory that is kept between calls: to allocate it anew takes longer than to fill it."""
        found = self._buffers.get(name)
        if found is None or found.shape != shape:
            found = self._buffers[name] = self.inputs.new_empty(shape)
        return found
