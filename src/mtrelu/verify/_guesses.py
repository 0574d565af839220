"""Guesses of an optimal dual variable for a network of several inputs.

Nothing here decides whether a certificate is right, only how tight it is.
"""

from __future__ import annotations

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.oracles.base import Hull
from mtrelu.problem import Problem
from mtrelu.validation import FloatArray

_ROUNDS = 8  # in degenerate cases, after which the guess is taken as it is


def stationarity_conditions(
    problem: Problem, network: ReLUNetwork, hull: Hull, small: float
) -> tuple[FloatArray, FloatArray]:
    """Return Φ (N, M) and U (M, T), such that a network is stationary when Φᵀ P = max(α, 1 if 0) U.

    The columns of Φ are the active neurons with unit ‖w‖, the constant and, for an affine skip
    connection, the coordinates of the inputs; U has v_k/‖v_k‖ for a neuron, else 0.

    Parameters
    ----------
    small : float
        Neurons that move the predictions by less are left out.
    """
    w_size = np.linalg.norm(network.w, axis=1)
    v_size = np.linalg.norm(network.v, axis=1)
    active = w_size * v_size * hull.scale > small
    w = network.w[active] / w_size[active, np.newaxis]
    offsets = network.w[active] @ hull.centre + network.b[active]
    hidden = np.maximum((problem.X - hull.centre) @ w.T + offsets / w_size[active], 0.0)
    skip = np.column_stack(
        [np.ones(problem.n_samples), hull.Z[:, : None if problem.skip == "affine" else 0]]
    )
    directions = network.v[active] / v_size[active, np.newaxis]
    return np.hstack([hidden, skip]), np.vstack(
        [directions, np.zeros((skip.shape[1], network.n_tasks))]
    )


def least_norm(features: FloatArray, targets: FloatArray) -> FloatArray:
    """Return the P of least norm for which ‖Φᵀ P − U‖ is least."""
    size = np.linalg.norm(features, axis=0)
    size[size == 0.0] = 1.0
    solution = np.linalg.lstsq((features / size).T, targets / size[:, np.newaxis], rcond=None)[0]
    return np.asarray(solution)


def stationary_at_kinks(
    problem: Problem,
    own: FloatArray,
    sizes: FloatArray,
    small: float,
    features: FloatArray,
    targets: FloatArray,
) -> FloatArray | None:
    """Choose the entries of P where the loss has a kink, so that the network is stationary.

    Parameters
    ----------
    own : ndarray of shape (N, T)
        The dual variable of the network, up to the choice at kinks.
    sizes : ndarray of shape (N, T)
        Absolute residuals.
    small : float
        Residuals up to this are on the kink.
    features, targets : ndarray
        From `stationarity_conditions`, targets times α.

    Returns
    -------
    ndarray of shape (N, T), or None
        None where there is nothing to choose.
    """
    free = (sizes <= small) & problem.used
    if not bool(np.any(free)):
        return None
    lo, hi = problem.dual_bounds()
    P = np.where(free, 0.0, own)
    for t in np.flatnonzero(free.any(axis=0)):
        chosen = np.flatnonzero(free[:, t])
        for _ in range(_ROUNDS):
            P[chosen, t] = 0.0
            rest = targets[:, t] - features.T @ P[:, t]
            P[chosen, t] = least_norm(features[chosen], rest[:, np.newaxis])[:, 0]
            outside = (P[chosen, t] < lo[chosen, t]) | (P[chosen, t] > hi[chosen, t])
            P[chosen, t] = np.clip(P[chosen, t], lo[chosen, t], hi[chosen, t])
            if not bool(np.any(outside)) or bool(np.all(outside)):
                break
            chosen = chosen[~outside]
    return P
