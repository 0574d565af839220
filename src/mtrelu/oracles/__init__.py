"""Oracles say which neuron violates the dual constraint most.

The dual function of P (N, T) is ``g(w, b) = ||sum_i p_i (w.x_i + b)_+||_2``. A network is proved
optimal when its maximum over unit ``w`` and all ``b`` is at most ``alpha``. Each module of this
folder maximises it for one kind of input and answers with an `OracleResult`.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["OracleResult"]


@dataclass(frozen=True, eq=False)
class OracleResult:
    """Maximum of the dual function and the neurons where it is attained.

    Attributes
    ----------
    value : float
        The largest value; for ``"exact"`` and ``"bound"`` never below the true maximum.
    exactness : str
        ``"exact"``: the maximum up to rounding; ``"bound"``: an upper bound of it; ``"estimate"``:
        the best that a heuristic search found, which proves nothing.
    w : ndarray of shape (M, d)
        Unit weights of the local maximisers, largest value first.
    b : ndarray of shape (M,)
        Their biases.
    g : ndarray of shape (M,)
        Values of the dual function there, descending.
    """

    value: float
    exactness: str
    w: np.ndarray
    b: np.ndarray
    g: np.ndarray
