"""What a solver reports while it works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """What a callback sees after each round of a solver.

    Attributes
    ----------
    iteration : int
        Rounds so far, from 1.
    objective : float
        Objective of the current network.
    relative_gap : float
        The solver's own estimate of (objective - dual bound) / objective.
    n_neurons : int
        Candidate neurons in the working set.
    """

    iteration: int
    objective: float
    relative_gap: float
    n_neurons: int
