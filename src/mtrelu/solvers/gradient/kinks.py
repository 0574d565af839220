"""Subgradients where hyperplanes run through data points, as optimal ones do."""

from __future__ import annotations

import torch


def least_norm_shares(
    fixed: torch.Tensor,
    columns: torch.Tensor,
    points: torch.Tensor,
    across: torch.Tensor | None = None,
    sweeps: int = 60,
) -> torch.Tensor:
    """Minimise ‖fixed + Σ_i s_i columns_i points_i‖ over shares 0 <= s <= 1, by FISTA.

    That finds the shortest element of the subdifferential of Clarke: s_i is the derivative of the
    ReLU of a neuron at a point i on its hyperplane.

    Parameters
    ----------
    fixed : torch.Tensor of shape (M, d + 1)
        What the other points contribute, one row a neuron.
    columns : torch.Tensor of shape (M, N)
        Factors of the points; 0 for those that are not on the hyperplane.
    points : torch.Tensor of shape (N, d + 1)
        The points, 1 appended.
    across : torch.Tensor of shape (M, d), optional
        Unit vectors. Only what is orthogonal to them, in the first d coordinates, is measured.
    sweeps : int
        Iterations.

    Returns
    -------
    torch.Tensor of shape (M, N)
        Any feasible shares bound the least norm from above.

    Examples
    --------
    A kink at x = 1 with slopes of opposite signs on its two sides:

    >>> one = torch.ones(1, 1)
    >>> least_norm_shares(-one, 4 * one, one)
    tensor([[0.2500]])
    """
    bound = (columns.square() @ points.square()).sum(1, keepdim=True)
    step = 1.0 / torch.where(bound > 0, bound, torch.ones_like(bound))
    shares = torch.full_like(columns, 0.5)
    ahead, momentum = shares, 1.0
    for _ in range(sweeps):
        rest = fixed + (ahead * columns) @ points
        if across is not None:
            rest[:, :-1] -= (rest[:, :-1] * across).sum(1, keepdim=True) * across
        moved = (ahead - step * (columns * (rest @ points.T))).clamp(0.0, 1.0)
        following = 0.5 * (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5)
        ahead = moved + (momentum - 1.0) / following * (moved - shares)
        shares, momentum = moved, following
    return shares
