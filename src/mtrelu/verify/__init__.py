"""How far from optimal is a network? A duality gap, computed from data and parameters alone.

Nothing here is shared with the solvers. Any dual variable P that satisfies the constraints of
mathematics.md, section 2, bounds the optimum from below. `verify` takes P from the network itself,
projects it onto the constraints of the skip connection, shrinks it until the largest value of the
dual function is alpha, and reports the difference between objective and bound.

The difference is not taken between two large numbers. With predictions Z and residuals R = Y − Z,

    gap = Σ_i w_i [ℓ(y_i, z_i) + ℓ*(y_i, −p_i/w_i) + ⟨p_i, z_i⟩/w_i]  +  (α Σ_k ‖v_k‖‖w_k‖ − ⟨P, Z⟩)

has two non-negative parts, and for a loss of the residual alone the first needs only R. With one
input and an affine skip connection all runs in linear time and doubled precision (`line`);
otherwise an oracle for the inputs says how large the dual function is, and rounding is bounded and
added to the gap (`space`).
"""

from __future__ import annotations

import math
from numbers import Real

import numpy as np

from mtrelu.certificate import Certificate
from mtrelu.network import ReLUNetwork
from mtrelu.oracles.base import Oracle
from mtrelu.problem import Problem
from mtrelu.validation import FloatArray, InvalidInputError, refuse_time_limit

__all__ = ["Certificate", "refuse_uncertifiable", "verify"]


def verify(
    problem: Problem,
    network: ReLUNetwork,
    *,
    dual: FloatArray | None = None,
    tol: float = 1e-6,
    limit_reached: bool = False,
    time_limit: float = 10.0,
    oracle: Oracle | None = None,
) -> Certificate:
    """Bound how much better than ``network`` any network can be.

    For ``alpha = 0`` no network with float64 parameters passes through labels exactly, so there
    the network must pass through them up to the rounding of parameters. With one input and an
    affine skip connection the optimum is known in closed form, the path norm Σ_i ‖δ_i‖₂ of the
    connect-the-dots spline, and the rule is a matter of the data: within
    ``16 eps (max|y| + max|x| (|s_1| + (Σ_i δ_i²)^½))`` in each task, s and δ being slopes and slope
    changes of the data. Otherwise the network may miss a task's labels by
    ``16 eps (max|y| + Σ_k |v_k| (‖w_k‖ max‖x‖ + |b_k|) + ‖A‖ max‖x‖ + |c|)``. Both are capped at a
    thousandth of the range of the labels. A network that misses by more, or that undercuts the
    optimum by more than ``tol`` (which only a network that misses can), is `Status.INFEASIBLE`,
    and its gap infinite.

    For labels that are affine in x up to rounding (constant, for a constant skip connection), the
    objective itself is rounding, and no relative gap means anything: where it is at most the loss
    (for ``alpha = 0`` the path norm) of errors of ``16 eps (max|y| + max|x| |slope|)``, the status
    is `Status.CERTIFIED` on that ground; for ``alpha = 0`` only if the path norm times the width of
    the inputs is also at most ``tol`` times the labels.

    Inputs that are flat in some direction up to rounding count as flat there: what an affine map
    with slopes as large as 1/eps could make of that rounding is not bounded.

    Parameters
    ----------
    problem : Problem
        ``skip="affine"`` or ``"constant"``.
    network : ReLUNetwork
        Any network, however it was made.
    dual : ndarray of shape (N, T), optional
        A guess of an optimal dual variable, rows in the order of ``problem``. It is projected and
        scaled as the network's own is, so it can tighten the bound but never make it wrong.
    tol : float
        Relative gap at which the network counts as certified, > 0.
    limit_reached : bool
        Whether the network comes from a solver that stopped early.
    time_limit : float
        Seconds for each branch and bound, where no exact search for the worst neuron is
        affordable; >= 0.
    oracle : Oracle, optional
        What was built for exactly ``problem.X`` and ``problem.skip``, so that it need not be built
        again. Not used with one input and an affine skip connection.

    Returns
    -------
    Certificate

    Raises
    ------
    InvalidInputError
        No skip connection; a network that does not fit the data; a ``dual`` of another shape or
        not finite; an ``oracle`` for other inputs; ``tol`` that is not positive; ``time_limit``
        that is negative.

    Examples
    --------
    >>> problem = Problem.make([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], alpha=0.1)
    >>> zero = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], [0.0])
    >>> certificate = verify(problem, zero)
    >>> certificate.status.name, certificate.primal, round(certificate.dual, 12)
    ('NOT_OPTIMAL', 0.5, 0.17)

    Two inputs: the product of their signs at four corners, and the neuron it takes.

    >>> corners = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]
    >>> problem = Problem.make(corners, [1.0, 0.0, 0.0, 1.0], alpha=0.0)
    >>> ridge = ReLUNetwork([[1.0, 1.0]], [0.0], [[1.0]], [[-0.5, -0.5]], [0.0])
    >>> certificate = verify(problem, ridge)
    >>> certificate.status.name, certificate.oracle, round(certificate.primal, 6)
    ('CERTIFIED', 'exact', 1.414214)
    """
    refuse_uncertifiable(problem, tol)
    _refuse_misfits(problem, network, dual)
    refuse_time_limit(time_limit)
    if oracle is not None:
        _refuse_foreign_oracle(problem, oracle)
    hint = None if dual is None else np.asarray(dual, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is never certified
        if problem.n_inputs == 1 and problem.skip == "affine":
            from mtrelu.verify.line import verify_line

            return verify_line(problem, network, hint, tol, limit_reached)
        from mtrelu.verify.space import verify_space

        if oracle is None:
            from mtrelu.oracles.choice import certifying_oracle

            oracle = certifying_oracle(problem.X, problem.skip, float(time_limit))
        return verify_space(problem, network, hint, tol, limit_reached, oracle)


def refuse_uncertifiable(problem: Problem, tol: object) -> None:
    """Raise `InvalidInputError` for a problem or a tolerance no certificate can be given for.

    Examples
    --------
    >>> refuse_uncertifiable(Problem.make([0.0, 1.0], [0.0, 1.0], alpha=1.0), tol=1e-6)
    """
    if problem.skip == "none":
        raise InvalidInputError(
            'skip is "none", but without a skip connection the minimum is in general not '
            "attained: constants cost nothing only in the limit of infinite biases. "
            'Pass skip="affine" or "constant" for a certificate.'
        )
    if not (isinstance(tol, Real) and math.isfinite(tol) and float(tol) > 0):
        raise InvalidInputError(
            f"tol is {tol!r}, but a relative gap is compared with it; "
            "pass a number > 0 such as 1e-6."
        )


def _refuse_misfits(problem: Problem, network: ReLUNetwork, dual: FloatArray | None) -> None:
    if not isinstance(network, ReLUNetwork):
        raise InvalidInputError(
            f"network is a {type(network).__name__}, but only the weights of a ReLUNetwork can be "
            "judged; pass ReLUNetwork(w, b, v, A, c)."
        )
    problem.check_network(network)
    if dual is not None and (
        np.shape(dual) != problem.Y.shape
        or np.asarray(dual).dtype.kind not in "fiu"
        or not bool(np.all(np.isfinite(dual)))
    ):
        raise InvalidInputError(
            f"dual has shape {np.shape(dual)} or entries that are not finite numbers, but a "
            f"guess of the dual variable needs shape {problem.Y.shape} and finite entries; leave "
            "it out if in doubt."
        )


def _refuse_foreign_oracle(problem: Problem, oracle: object) -> None:
    reason = ""
    if not isinstance(oracle, Oracle):
        reason = f"is a {type(oracle).__name__}"
    elif oracle.skip != problem.skip:
        reason = f'is for skip="{oracle.skip}"'
    else:
        hull = oracle.hull
        shape = (hull.Z.shape[0], hull.axes.shape[0])
        if shape != problem.X.shape:
            reason = f"is for inputs of shape {shape}"
        else:
            inputs = hull.centre + hull.scale * (hull.Z @ hull.axes.T)
            rounding = 4 * float(np.finfo(np.float64).eps) * np.abs(problem.X).max()
            misses = np.linalg.norm(inputs - problem.X, axis=1)
            if not bool(np.all(misses <= 2 * hull.scale * hull.left_over + rounding)):
                reason = "is for other inputs"
    if reason:
        raise InvalidInputError(
            f"oracle {reason}, but a certificate needs one for exactly these inputs of shape "
            f'{problem.X.shape} and skip="{problem.skip}"; leave it out, or build it from '
            "problem.X and problem.skip."
        )
