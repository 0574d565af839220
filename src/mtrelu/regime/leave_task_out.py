"""Leave-task-out: neurons learned from all other tasks, the task itself by kernel ridge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrelu.api import Solution, solve
from mtrelu.kernels.neuron import NeuronKernel
from mtrelu.losses import Loss, make_loss
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.regime.quantities import relative_difference
from mtrelu.validation import FloatArray, InvalidInputError


@dataclass(frozen=True, eq=False)
class LeaveTaskOut:
    """A task fitted over neurons that never saw it, and the network that was trained with it.

    Made by `leave_task_out`.

    Attributes
    ----------
    task : int
        The task that was left out.
    solution : Solution
        The fit of all tasks, Figure 5(d), with its certificate.
    others : Solution
        The fit of all tasks but this one, with its certificate.
    kernel : NeuronKernel
        The kernel [24] of the others' neurons.
    network : ReLUNetwork
        Kernel ridge regression [27] of the task with that kernel, Figure 5(e): one output over the
        others' neurons.
    """

    task: int
    solution: Solution
    others: Solution
    kernel: NeuronKernel
    network: ReLUNetwork

    def __repr__(self) -> str:
        """Return the sizes."""
        return f"LeaveTaskOut(task={self.task}, n_tasks={self.solution.problem.n_tasks})"

    def difference(self, points: Any) -> float:
        """Return how far the kernel fit is from the network trained with the task.

        Parameters
        ----------
        points : array_like of shape (M, d), or (M,) for d = 1
            Where to compare.

        Returns
        -------
        float
            Largest difference of the two outputs divided by the largest absolute output of the
            network trained with the task.
        """
        trained = self.solution.network(points)[:, self.task]
        return relative_difference(trained, self.network(points)[:, 0])


def leave_task_out(
    X: Any,
    Y: Any,
    alpha: float,
    task: int = 0,
    *,
    loss: str | Mapping[str, Any] | Loss = "squared",
    skip: str = "affine",
    sample_weight: Any = None,
    tol: float = 1e-10,
    time_limit: float | None = None,
    random_state: Any = None,
    solution: Solution | None = None,
) -> LeaveTaskOut:
    """Learn neurons from all tasks but one, and fit that one by ridge with their kernel.

    With many tasks the result is close to the network trained on all of them (Figures 5 and 7).

    Parameters
    ----------
    X : array_like of shape (N, d) or (N,)
        Inputs.
    Y : array_like of shape (N, T)
        Labels, one column a task; at least two.
    alpha : float
        Penalty of both networks and of the ridge, (α/2)‖f‖² in the norm that belongs to the
        kernel; 0 interpolates.
    task : int
        Which task to leave out, counted from 0.
    loss, skip, sample_weight
        As in `mtrelu.solve`.
    tol : float
        Relative duality gap of the two networks. The distance of a network from the optimal one
        goes like the root of its gap, so this one is smaller than that of `mtrelu.solve`.
    time_limit : float, optional
        Seconds for each of the two networks.
    random_state : int, Generator or None
        As in `mtrelu.solve`.
    solution : Solution, optional
        The fit of all tasks, where it is at hand because several tasks are left out in turn. It
        has to be for the same problem.

    Returns
    -------
    LeaveTaskOut

    Raises
    ------
    InvalidInputError
        As `mtrelu.solve`; one task only; no such task; a solution of another problem; ``alpha = 0``
        and labels that the neurons of the other tasks cannot take.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> few, many = (
    ...     leave_task_out(range(5), rng.standard_normal((5, n)), alpha=0.01) for n in (3, 300)
    ... )
    >>> few.difference([0.5, 1.5, 2.5]) > 100 * many.difference([0.5, 1.5, 2.5])
    True
    """
    the_loss = make_loss(loss)
    problem = Problem.make(X, Y, alpha, loss=the_loss, skip=skip, sample_weight=sample_weight)
    problem.refuse_unshared_weights("leaving a task out")
    n_tasks = problem.n_tasks
    if n_tasks == 1:
        raise InvalidInputError(
            "Y has one task, and without it there is nothing to learn neurons from; pass labels "
            "of at least two tasks."
        )
    whole = isinstance(task, int | np.integer) and not isinstance(task, bool)
    if not (whole and 0 <= task < n_tasks):
        raise InvalidInputError(
            f"task is {task!r}, but there are {n_tasks} tasks; pass a whole number from 0 to "
            f"{n_tasks - 1}."
        )
    if solution is not None and not _same(problem, solution.problem):
        raise InvalidInputError(
            "solution is for another problem than X, Y, alpha, loss, skip and sample_weight; pass "
            "mtrelu.solve of these, or leave it out."
        )

    def fit(labels: FloatArray) -> Solution:
        return solve(
            problem.X, labels, problem.alpha, loss=the_loss, skip=skip, tol=tol,
            sample_weight=problem.sample_weight, time_limit=time_limit, random_state=random_state,
        )  # fmt: skip

    if solution is None:
        solution = fit(problem.Y)
    others = fit(np.delete(problem.Y, task, axis=1))
    kernel = NeuronKernel(others.network, skip=skip)
    network = kernel.fit(
        problem.X, problem.Y[:, task], problem.alpha, loss=the_loss,
        sample_weight=problem.sample_weight,
    )  # fmt: skip
    return LeaveTaskOut(int(task), solution, others, kernel, network)


def _same(first: Problem, second: Problem) -> bool:
    """Tell whether two problems are equal to the last digit."""
    arrays = all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("X", "Y", "sample_weight")
    )
    return arrays and (first.alpha, first.loss, first.skip) == (
        second.alpha,
        second.loss,
        second.skip,
    )
