"""A network of any number of inputs at the data, with bounds on the rounding of every prediction.

The inputs are taken relative to the centre of the data, and the biases moved there in doubled
precision, so that an offset of the inputs costs no digits that the parameters have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.oracles.base import Hull
from mtrelu.problem import Problem
from mtrelu.validation import FloatArray
from mtrelu.verify._common import BLOCK_ENTRIES, EPS

_SPLITTER = 134217729.0  # 2^27 + 1 cuts a float64 into two halves whose products are exact


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A network at the data, in float64.

    Attributes
    ----------
    predictions : ndarray of shape (N, T)
        f(x_i).
    hidden : ndarray of shape (N, T)
        What the neurons contribute to them, Σ_k v_k (w_k·x_i + b_k)₊.
    residuals : ndarray of shape (N, T)
        y_i − f(x_i).
    error, hidden_error : ndarray of shape (N,)
        Bounds on the Euclidean size over tasks of the errors of each row of ``predictions`` and
        ``residuals``, and of ``hidden``.
    cost, cost_error : float
        The path norm Σ_k ‖v_k‖‖w_k‖, and a bound on its error.
    """

    predictions: FloatArray
    hidden: FloatArray
    residuals: FloatArray
    error: FloatArray
    hidden_error: FloatArray
    cost: float
    cost_error: float

    @classmethod
    def of(cls, problem: Problem, network: ReLUNetwork, hull: Hull) -> Evaluation:
        """Evaluate a network at the inputs of a problem, whose hull is given."""
        from mtrelu._line_exact import row_norms
        from mtrelu.doubled import total

        n, d, k = problem.n_samples, network.n_inputs, network.n_neurons
        D = problem.X - hull.centre
        b = _offset_by(network.w, hull.centre, network.b)
        c = _offset_by(network.A, hull.centre, network.c)
        hidden = np.empty((n, network.n_tasks))
        step = max(1, BLOCK_ENTRIES // max(1, k))
        for start in range(0, n, step):
            rows = slice(start, start + step)
            hidden[rows] = np.maximum(D[rows] @ network.w.T + b, 0.0) @ network.v
        skip = D @ network.A.T + c
        residuals = (problem.Y - skip) - hidden

        # A sum of n products is off by at most n eps times the sum of their sizes, in any order.
        w_size, v_size, A_size = row_norms(network.w), row_norms(network.v), row_norms(network.A)
        distance, offset = row_norms(D), float(np.linalg.norm(hull.centre))
        b_size = np.abs(b) + d * EPS * (w_size * offset + np.abs(network.b))
        c_size = np.abs(c) + d * EPS * (A_size * offset + np.abs(network.c))
        hidden_error = (
            (k + d + 8) * EPS * (distance * float(w_size @ v_size) + float(b_size @ v_size))
        )
        error = hidden_error + EPS * (
            (d + 8) * (distance * float(np.linalg.norm(A_size)) + float(np.linalg.norm(c_size)))
            + row_norms(residuals)
            + row_norms(hidden)
        )
        cost = float(total(v_size * w_size))
        return cls(
            predictions=skip + hidden,
            hidden=hidden,
            residuals=residuals,
            error=error,
            hidden_error=hidden_error,
            cost=cost,
            cost_error=(network.n_tasks + d + 8) * EPS * cost,
        )


def _offset_by(rows: FloatArray, centre: FloatArray, constants: FloatArray) -> FloatArray:
    """Return rows @ centre + constants, summed in doubled precision."""
    high, low = constants, np.zeros(constants.shape)
    for column, factor in zip(rows.T, centre, strict=True):
        product = column * factor
        column_high, factor_high = _upper_half(column), _upper_half(factor)
        column_low, factor_low = column - column_high, factor - factor_high
        error = (
            ((column_high * factor_high - product) + column_high * factor_low)
            + column_low * factor_high
        ) + column_low * factor_low
        total = high + product
        part = total - high
        low = low + error + ((high - (total - part)) + (product - part))
        high = total
    return np.asarray(high + low)


def _upper_half(values: FloatArray) -> FloatArray:
    scaled = _SPLITTER * values
    return scaled - (scaled - values)
