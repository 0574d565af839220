"""Which oracle answers for given inputs: exact where it is affordable, else a bound."""

from __future__ import annotations

import numpy as np

from mtrelu.oracles.arrangement import ArrangementOracle, n_incidences
from mtrelu.oracles.base import Hull, Oracle
from mtrelu.oracles.branch_and_bound import BranchAndBoundOracle
from mtrelu.oracles.plane import PlaneOracle
from mtrelu.validation import FloatArray

_MOST_SAMPLES_IN_PLANE = 4000
_MOST_INCIDENCES = 1e7


def exact_oracle(X: FloatArray, skip: str) -> Oracle | None:
    """Return an exact oracle, if one is affordable.

    Parameters
    ----------
    X : ndarray of shape (N, d)
        Inputs; their affine hull has dimension q.
    skip : {"affine", "constant"}
        See `Oracle`.

    Returns
    -------
    Oracle or None
        `PlaneOracle` for q ≤ 2 and N ≤ 4000, a search of which costs O(N² (log N + T)): some ten
        seconds at most. `ArrangementOracle` for N 2^(q−1) C(N−1, q−1) ≤ 10⁷, which takes 2 to 5 s
        and at most 0.3 GiB to build and some seconds a search: N ≤ 171 for q = 3, 53 for q = 4,
        29 for q = 5, 20 for q = 6, 17 for q = 7, 15 for q = 8. Else None.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((20, 5))
    >>> type(exact_oracle(X, "affine")).__name__, type(exact_oracle(X[:, :2], "affine")).__name__
    ('ArrangementOracle', 'PlaneOracle')
    >>> exact_oracle(np.random.default_rng(0).standard_normal((100, 8)), "affine") is None
    True
    """
    q = Hull.of(X).Z.shape[1]
    if q <= 2:
        return PlaneOracle(X, skip) if X.shape[0] <= _MOST_SAMPLES_IN_PLANE else None
    n_samples = np.unique(X, axis=0).shape[0]
    if n_incidences(n_samples, q) <= _MOST_INCIDENCES:
        return ArrangementOracle(X, skip)
    return None


def certifying_oracle(X: FloatArray, skip: str, time_limit: float = 10.0) -> Oracle:
    """Return an oracle whose value is a proof: exact if affordable, else branch and bound.

    Parameters
    ----------
    X : ndarray of shape (N, d)
        Inputs.
    skip : {"affine", "constant"}
        See `Oracle`.
    time_limit : float
        Seconds for each search of a branch and bound; exact oracles take the time they need.

    Returns
    -------
    Oracle
        `exact_oracle`, or a `BranchAndBoundOracle`.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((100, 8))
    >>> type(certifying_oracle(X, "affine", 1.0)).__name__
    'BranchAndBoundOracle'
    """
    return exact_oracle(X, skip) or BranchAndBoundOracle(X, skip, time_limit=time_limit)
