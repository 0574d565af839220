"""Everything that Section 4 speaks about, for one task of one set of data."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mtrelu.api import Solution, solve
from mtrelu.certificate import Certificate
from mtrelu.kernels.neuron import NeuronKernel
from mtrelu.network import ReLUNetwork
from mtrelu.regime.designs import sup_points
from mtrelu.regime.leave_task_out import leave_task_out
from mtrelu.regime.quantities import KernelRegime, relative_difference
from mtrelu.status import Status
from mtrelu.validation import FloatArray, InvalidInputError

__all__ = ["BETAS", "Measurement", "measure"]

BETAS = (0.25, 0.5, 2 / 3, 0.9)
"""The powers β for which Lemma 4.2 is checked; the proof of Theorem 4.1 takes 2/3."""

SOLVER_TOL = 1e-12
CERTIFIED_TOL = 1e-6
"""The relative gap that the solver is asked for, and the one at which a cell counts as certified.

Distances between networks go like the root of the gap, so that the first is far below the second.
"""

NAN = float("nan")


@dataclass(frozen=True)
class Measurement:
    """What was measured in one cell, that is for one number of tasks and one seed.

    With one task only the quantities that compare it with others are NaN.

    Attributes
    ----------
    n_tasks, seed : int
        The cell.
    alpha : float
        Penalty.
    status : str
        What was proved about the network of all tasks, to a relative gap of 1e-6; see
        `mtrelu.status.Status`.
    relative_gap : float
        The relative duality gap that was reached.
    n_neurons, n_private : int
        Active neurons, and those that one task alone uses.
    output_difference : float
        Supremum (over `sup_points`) of the difference between the measured task's output and its
        ridge fit over the same neurons [18], relative to the largest output.
    l1_difference : float
        The same for the fit with the ℓ1 penalty [19].
    leave_task_out_difference : float
        The same for the ridge fit over the neurons of a network that never saw the task.
    leave_task_out_status, leave_task_out_gap : str, float
        What was proved about that network; an empty string for one task.
    restart_difference : float
        The same between two networks of all tasks, the second found from another start (the neurons
        of the network that never saw the task), both certified. Far above rounding the optimum is
        not unique, or so flat that float64 cannot tell; then `leave_task_out_difference` says
        nothing below it. Zero for one input with an affine skip connection, where the solver needs
        no start.
    excess : float
        J(v') − J(v*) of [17], v' the ridge fit.
    surrogate_gap : float
        The largest H − J in the neighbourhood of [16]; infinite with a neuron that only the
        measured task uses.
    neighbourhood_share : float
        Share of the neurons at which the ridge fit is in that neighbourhood.
    lemma_shares : tuple of float
        For each β of `BETAS` the share of neurons and tasks that satisfy [20].
    gamma_spread : float
        The largest γ_ks/γ_k − 1 over neurons and tasks [21]; infinite with a private neuron.
    kernel_deviation : float
        How far the outputs are from kernel ridge regression with the network's own kernel; zero at
        an exact optimum, so that it tells how exactly the solver hit it.
    seconds : float
        Time to solve and measure.
    """

    n_tasks: int
    seed: int
    alpha: float
    status: str
    relative_gap: float
    n_neurons: int
    n_private: int
    l1_difference: float
    kernel_deviation: float
    output_difference: float = NAN
    leave_task_out_difference: float = NAN
    leave_task_out_status: str = ""
    leave_task_out_gap: float = NAN
    restart_difference: float = NAN
    excess: float = NAN
    surrogate_gap: float = NAN
    neighbourhood_share: float = NAN
    lemma_shares: tuple[float, ...] = (NAN,) * len(BETAS)
    gamma_spread: float = NAN
    seconds: float = NAN

    @property
    def certified(self) -> bool:
        """Whether every network behind the numbers is proved optimal."""
        return self.proves("output_difference") and self.proves("leave_task_out_difference")

    def proves(self, name: str) -> bool:
        """Return whether the networks behind one of the numbers are proved optimal."""
        behind = [self.status]
        if name.startswith("leave_task_out") and self.n_tasks > 1:
            behind.append(self.leave_task_out_status)
        return all(status == Status.CERTIFIED.value for status in behind)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: NaN becomes None, infinity the string "inf"."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Measurement:
        """Rebuild what `to_dict` returned.

        Raises
        ------
        InvalidInputError
            Something else.

        Examples
        --------
        >>> cell = Measurement(1, 0, 0.1, "certified", 1e-13, 2, 2, 0.0, 1e-9)
        >>> Measurement.from_dict(cell.to_dict()).certified
        True
        """
        try:
            values = {}
            for field in fields(cls):
                value = plain[field.name]
                if field.type == "int":
                    value = int(value)
                elif field.type == "float":
                    value = _number(value)
                elif field.type == "str":
                    value = str(value)
                else:
                    value = tuple(_number(each) for each in value)
                values[field.name] = value
        except (KeyError, TypeError, ValueError):
            raise InvalidInputError(
                "plain is not a stored measurement; pass what Measurement.to_dict returned."
            ) from None
        return cls(**values)


def measure(X: FloatArray, Y: FloatArray, alpha: float, skip: str, seed: int) -> Measurement:
    """Fit all tasks, and compare the first with the others.

    Parameters
    ----------
    X : ndarray of shape (N, d)
        Inputs.
    Y : ndarray of shape (N, T)
        Labels; the first column is the task that is measured.
    alpha : float
        Penalty, > 0.
    skip : {"affine", "constant", "none"}
        The part of the network that is not penalised.
    seed : int
        Which draw the data are, for the record.

    Returns
    -------
    Measurement
        Always the same for the same data, up to ``seconds``.

    Examples
    --------
    >>> X, Y = np.arange(5.0)[:, np.newaxis], np.random.default_rng(0).standard_normal((5, 9))
    >>> cell = measure(X, Y, 0.01, "affine", seed=0)
    >>> cell.n_neurons, cell.status, cell.output_difference < 0.01
    (3, 'certified', True)
    """
    begin = time.perf_counter()
    # The order of sums must not depend on how many threads the process may have.
    with threadpool_limits(1, user_api="blas"):
        solution = solve(X, Y, alpha, skip=skip, tol=SOLVER_TOL)
        measured = _alone(solution, seed)
        if Y.shape[1] > 1:
            measured = _among_others(measured, solution)
    return replace(measured, seconds=time.perf_counter() - begin)


def _alone(solution: Solution, seed: int) -> Measurement:
    """What is defined for any number of tasks."""
    problem = solution.problem
    regime = KernelRegime.of_solution(solution)
    certificate = solution.certificate
    kernel = NeuronKernel(regime.network, skip=problem.skip)
    return Measurement(
        n_tasks=problem.n_tasks,
        seed=seed,
        alpha=problem.alpha,
        status=_status(certificate),
        relative_gap=certificate.relative_gap,
        n_neurons=regime.network.n_neurons,
        n_private=int(np.count_nonzero(regime.private_neurons())),
        l1_difference=regime.output_difference(0, sup_points(problem.X), regime.l1(0)),
        kernel_deviation=kernel.deviation(problem.X, problem.Y, problem.alpha),
    )


def _among_others(measured: Measurement, solution: Solution) -> Measurement:
    """Add what compares the first task with others."""
    problem = solution.problem
    points = sup_points(problem.X)
    regime = KernelRegime.of_solution(solution)
    ridge = regime.ridge(0)
    without = leave_task_out(
        problem.X, problem.Y, problem.alpha, skip=problem.skip, tol=SOLVER_TOL, solution=solution
    )
    strengths, others = regime.strengths[:, np.newaxis], regime.strengths_without
    # γ_ks/γ_k − 1 = ‖v_k‖/n_ks − 1, with v_ks² = ‖v_k‖² − n_ks² in place of the difference.
    below = others * (strengths + others)
    spread = np.divide(
        regime.network.v**2, below, out=np.full_like(below, np.inf), where=below > 0.0
    )
    return replace(
        measured,
        output_difference=regime.output_difference(0, points, ridge),
        leave_task_out_difference=without.difference(points),
        leave_task_out_status=_status(without.others.certificate),
        leave_task_out_gap=without.others.certificate.relative_gap,
        restart_difference=_restart_difference(solution, without.others.network, points),
        excess=regime.excess(0, ridge),
        surrogate_gap=regime.surrogate_gap(0),
        neighbourhood_share=regime.neighbourhood_share(0, ridge),
        lemma_shares=tuple(regime.lemma_share(beta) for beta in BETAS),
        gamma_spread=float(np.max(spread, initial=0.0)),
    )


def _restart_difference(solution: Solution, others: ReLUNetwork, points: FloatArray) -> float:
    """How far another optimal network is that was found from the neurons of the other tasks."""
    problem = solution.problem
    start = ReLUNetwork(
        others.w, others.b, *(
            np.insert(array, 0, 0.0, axis=axis)
            for array, axis in ((others.v, 1), (others.A, 0), (others.c, 0))
        ),
    )  # fmt: skip
    again = solve(
        problem.X, problem.Y, problem.alpha, skip=problem.skip, tol=SOLVER_TOL, warm_start=start
    )
    if _status(again.certificate) != Status.CERTIFIED.value:
        return NAN
    return relative_difference(solution.network(points)[:, 0], again.network(points)[:, 0])


def _status(certificate: Certificate) -> str:
    """What was proved to a relative gap of 1e-6, whatever the solver was asked for."""
    gap, status = certificate.relative_gap, certificate.status
    if certificate.oracle != "estimate" and gap <= CERTIFIED_TOL:
        status = Status.CERTIFIED
    elif status is Status.NOT_OPTIMAL and gap <= 1e3 * CERTIFIED_TOL:
        status = Status.ALMOST
    return str(status.value)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _number(value: Any) -> float:
    return NAN if value is None else float(value)
