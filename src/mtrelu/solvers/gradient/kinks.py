"""Subgradients where hyperplanes run through data points, as optimal ones do."""

from __future__ import annotations

import torch

from mtrelu.solvers.gradient.batch import or_one

CHECK_EVERY = 10


def least_norm_shares(
    fixed: torch.Tensor,
    columns: torch.Tensor,
    points: torch.Tensor,
    across: torch.Tensor | None = None,
    sweeps: int = 20,
    accuracy: float = 0.0,
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
        Iterations at most.
    accuracy : float
        A row is done once its norm is provably within this of the least; 0 takes all iterations.

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
    found = torch.full_like(columns, 0.5)
    bound = (columns.square() @ points.square()).sum(1, keepdim=True)
    step = 1.0 / or_one(bound)
    rows = torch.arange(columns.shape[0], device=columns.device)
    shares, ahead, momentum = found, found, 1.0

    def rest_of(shares: torch.Tensor) -> torch.Tensor:
        rest = fixed + (shares * columns) @ points
        if across is not None:
            rest[:, :-1] -= (rest[:, :-1] * across).sum(1, keepdim=True) * across
        return rest

    for sweep in range(1, sweeps + 1):
        moved = (ahead - step * (columns * (rest_of(ahead) @ points.T))).clamp(0.0, 1.0)
        following = 0.5 * (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5)
        ahead = moved + (momentum - 1.0) / following * (moved - shares)
        shares, momentum = moved, following
        found[rows] = shares
        if accuracy and sweep % CHECK_EVERY == 0:
            going = ~_settled(rest_of(shares), shares, columns, points, accuracy)
            rows, fixed, columns, step = rows[going], fixed[going], columns[going], step[going]
            shares, ahead = shares[going], ahead[going]
            across = None if across is None else across[going]
            if not rows.numel():
                break
    return found


def _settled(
    rest: torch.Tensor,
    shares: torch.Tensor,
    columns: torch.Tensor,
    points: torch.Tensor,
    accuracy: float,
) -> torch.Tensor:
    """Which norms are within ``accuracy`` of the least.

    By convexity ½ norm² − ½ least² is at most the linear decrease that feasible shares allow, and
    norm − least <= (norm² − least²) / norm.
    """
    slope = columns * (rest @ points.T)
    decrease = (slope.clamp_min(0.0) * shares - slope.clamp_max(0.0) * (1.0 - shares)).sum(1)
    norm = rest.norm(dim=1)
    return (norm <= accuracy) | (2.0 * decrease <= accuracy * norm)
