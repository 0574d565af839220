"""Which neurons are worth adding: one face for exact and heuristic oracles in a solver."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from mtrelu.oracles import OracleResult
from mtrelu.oracles.ascent import AscentOracle
from mtrelu.oracles.base import Oracle
from mtrelu.oracles.choice import exact_oracle
from mtrelu.oracles.plane import PlaneOracle
from mtrelu.validation import FloatArray

_THOROUGHNESS = 4  # times as many starts for the search that ends a fit


class Pricing:
    """Oracles for one set of inputs, the cheap one for every round, the exact one for the last.

    Parameters
    ----------
    X : ndarray of shape (N, d)
        Inputs.
    skip : {"affine", "constant"}
        The skip connection.
    seed : int
        Of the heuristic search.
    """

    def __init__(self, X: FloatArray, skip: str, seed: int) -> None:
        self._X, self._skip, self._seed = X, skip, seed
        self._confirmations = 0
        self._ascent = AscentOracle(X, skip, random_state=seed)
        self.hull = self._ascent.hull

    @cached_property
    def exact(self) -> Oracle | None:
        """The exact oracle, if one is affordable; made when it is first asked for."""
        return exact_oracle(self._X, self._skip)

    def peaks(
        self, P: FloatArray, target: float, w: FloatArray, b: FloatArray, *, thorough: bool = False
    ) -> OracleResult:
        """Neurons above ``target``: in a plane all local maximisers, else a selection.

        The neurons ``(w, b)`` in use are starting points of the search. In a plane ``thorough``
        adds those that are local maximisers only as long as they keep to their data point.
        """
        if self.hull.Z.shape[1] <= 2 and isinstance(self.exact, PlaneOracle):
            search = self.exact.search if thorough else self.exact.peaks
            return search(P, target=target)
        found = self._ascent.search(P, target=target)
        climbed = self._ascent.climb(P, w, b)
        above = climbed.g > target
        g = np.concatenate([found.g, climbed.g[above]])
        order = np.argsort(-g, kind="stable")
        return OracleResult(
            max(found.value, climbed.value),
            "estimate",
            np.vstack([found.w, climbed.w[above]])[order],
            np.concatenate([found.b, climbed.b[above]])[order],
            g[order],
        )

    def confirm(self, P: FloatArray, target: float, estimate: float) -> OracleResult:
        """Search harder than `peaks` did, which found no more than ``estimate``.

        That is the exact oracle if one is affordable, else the heuristic one from more starts,
        each time from others.
        """
        if self.exact is not None:
            return self.exact.search(P, target=target)
        self._confirmations += 1
        seed = self._seed + self._confirmations
        n_starts = _THOROUGHNESS * self._ascent.n_starts
        again = AscentOracle(self._X, self._skip, n_starts=n_starts, random_state=seed)
        found = again.search(P, target=target)
        return replace(found, value=max(found.value, estimate))
