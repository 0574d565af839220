"""Tasks whose labels do not determine all slopes of the skip connection. Private."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtrelu.oracles.base import Hull
from mtrelu.problem import Problem
from mtrelu.validation import FloatArray


@dataclass(frozen=True, eq=False)
class FlatTasks:
    """Tasks whose used labels have inputs that span fewer directions than all inputs do.

    Attributes
    ----------
    tasks, rows : ndarray of int
        Which tasks, and the samples that they use.
    hull : Hull
        Coordinates of these samples.
    """

    tasks: NDArray[np.intp]
    rows: NDArray[np.intp]
    hull: Hull

    @classmethod
    def of(cls, problem: Problem, n_dims: int) -> list[FlatTasks]:
        """Find those that span fewer than ``n_dims`` dimensions, for an affine skip connection."""
        if problem.shares_weights or problem.skip != "affine":
            return []
        found = [cls(tasks, rows, Hull.of(part.X)) for tasks, rows, part in problem.by_weights()]
        return [each for each in found if each.hull.axes.shape[1] < n_dims]

    def across(self) -> FloatArray:
        """How far these samples (rows,) are from the span of their coordinates."""
        return np.asarray(self.hull.scale * self.hull.left_over)
