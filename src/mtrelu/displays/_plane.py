"""What pictures over two inputs share: units and grids."""

from __future__ import annotations

import numpy as np

from mtrelu.api import Solution
from mtrelu.displays._fitted import refuse_unless_plane
from mtrelu.scaling import Scaling
from mtrelu.validation import InvalidInputError

MARGIN = 0.04
"""How far a picture reaches beyond the data, as a share of their extent."""


def scaling_of(solution: Solution, task: int, scaling: Scaling | None) -> Scaling:
    """Return the scaling to draw with; refuse what has no picture over two inputs."""
    problem = solution.problem
    refuse_unless_plane(problem.n_inputs)
    refuse_unless_task(task, problem.n_tasks)
    if scaling is None:
        return Scaling(np.zeros(2), np.ones(2), np.ones(problem.n_tasks))
    return scaling


def plane_grid(X: np.ndarray, n_grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Return evenly spaced points along each input, a little beyond the data."""
    low, high = X.min(axis=0), X.max(axis=0)
    margin = MARGIN * np.where(high > low, high - low, np.maximum(np.abs(low), 1.0))
    first, second = np.linspace(low - margin, high + margin, n_grid).T
    return np.ascontiguousarray(first), np.ascontiguousarray(second)


def grid_points(grid: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return all points of a grid, shape (H·G, 2), the first input running fastest."""
    return np.column_stack([axis.ravel() for axis in np.meshgrid(*grid)])


def refuse_unless_task(task: int, n_tasks: int) -> None:
    """Raise an error for a task that there is not."""
    if not 0 <= task < n_tasks:
        raise InvalidInputError(
            f"task is {task}, but there are {n_tasks} tasks; pass 0 to {n_tasks - 1}."
        )
