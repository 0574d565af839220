"""Leave-task-out against the ridge of the other tasks' neurons, written out in linear algebra."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

import mtrelu
from mtrelu.network import ReLUNetwork
from mtrelu.regime import LeaveTaskOut, leave_task_out
from mtrelu.validation import InvalidInputError

AXIS = np.linspace(-1, 1, 41)
GRID = np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2)


def two_squares(n_tasks, seed):
    square = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    others = np.random.default_rng(seed).integers(0, 2, (8, n_tasks - 1))
    return np.vstack([square, 0.5 * square]), np.column_stack([np.repeat([0.0, 1.0], 4), others])


def features(network, X):
    """Unit-norm features and strengths, from the parameters as they are."""
    size = np.linalg.norm(network.w, axis=1)
    return np.maximum(X @ network.w.T + network.b, 0.0) / size, size * np.linalg.norm(
        network.v, axis=1
    )


def ridge_by_its_equations(network, X, y, alpha, points, weights=None):
    """f = Σ_j κ(., x_j) c_j + affine with (K + α/W) c + B θ = y, Bᵀ c = 0, for κ = Σ n φ φ."""
    (Phi, n), B = features(network, X), np.column_stack([np.ones(len(X)), X])
    noise = np.diag(alpha / (np.ones(len(X)) if weights is None else weights))
    system = np.block([[(Phi * n) @ Phi.T + noise, B], [B.T, np.zeros((B.shape[1],) * 2)]])
    solved = np.linalg.solve(system, np.append(y, np.zeros(B.shape[1])))
    c, theta = solved[: len(y)], solved[len(y) :]
    return (features(network, points)[0] * n) @ (Phi.T @ c) + theta[0] + points @ theta[1:]


def relative_sup(f, g):
    return np.abs(f - g).max() / np.abs(f).max()


@pytest.mark.parametrize(
    "n_tasks, smallest, largest",
    [(2, 1e-2, 1.0), (11, 1e-3, 0.2), (101, 1e-6, 1e-3), (1001, 1e-8, 1e-5)],
)
def test_two_squares(n_tasks, smallest, largest):
    """Figures 5(d) and 5(e): the difference falls much faster than the theorem says."""
    X, Y = two_squares(n_tasks, 0)
    result = leave_task_out(X, Y, 1e-3)
    assert result.solution.status.name == result.others.status.name == "CERTIFIED"
    both = mtrelu.solve(X, Y, 1e-3, tol=1e-10).network(GRID)[:, 0]
    others = mtrelu.solve(X, Y[:, 1:], 1e-3, tol=1e-10).network
    ridge = ridge_by_its_equations(others, X, Y[:, 0], 1e-3, GRID)
    np.testing.assert_allclose(result.network(GRID)[:, 0], ridge, atol=1e-9)
    assert result.difference(GRID) == pytest.approx(relative_sup(both, ridge), rel=1e-3)
    assert smallest < result.difference(GRID) < largest


def test_gammas_to_the_first_power():
    """With the strengths squared, as Q is printed in [23], the fit of the task is another one."""
    X, Y = two_squares(11, 1)
    result = leave_task_out(X, Y, 0.4)
    net = result.others.network.unit_norm()
    squared = ReLUNetwork(
        net.w, net.b, net.v * np.linalg.norm(net.v, axis=1, keepdims=True), net.A, net.c
    )
    right = ridge_by_its_equations(net, X, Y[:, 0], 0.4, GRID)
    wrong = ridge_by_its_equations(squared, X, Y[:, 0], 0.4, GRID)
    assert relative_sup(right, result.network(GRID)[:, 0]) < 1e-9
    assert relative_sup(right, wrong) > 0.01


@pytest.mark.parametrize("loss", ["huber", "logistic", "quantile"])
@pytest.mark.parametrize("d", [1, 2])
def test_other_losses_and_weights(loss, d):
    rng = np.random.default_rng(d)
    X = rng.standard_normal((12, d))
    Y = np.sin(2 * X @ rng.standard_normal((d, 4))) + 0.3 * rng.standard_normal((12, 4))
    if loss == "logistic":
        Y = np.where(Y > 0, 0.9, 0.1)
    weights = rng.uniform(0.5, 2.0, 12)
    result = leave_task_out(
        X, Y, 0.05, 2, loss=loss, sample_weight=weights, tol=1e-7, time_limit=20
    )
    assert result.others.problem.n_tasks == 3
    np.testing.assert_array_equal(result.others.problem.Y, Y[:, [0, 1, 3]])
    (Phi, n), y = features(result.others.network, X), Y[:, 2]

    def objective(v, affine, z):
        r = y - z
        terms = {
            "huber": lambda: cp.huber(r, 1.35) / 2,
            "logistic": lambda: cp.logistic(z) - cp.multiply(y, z),
            "quantile": lambda: cp.maximum(0.5 * r, -0.5 * r),
        }[loss]()
        return weights @ terms + 0.025 * cp.sum(cp.multiply(1 / n, cp.square(v)))

    v, a, c = cp.Variable(len(n)), cp.Variable(d), cp.Variable()
    problem = cp.Problem(cp.Minimize(objective(v, a, Phi @ v + X @ a + c)))
    problem.solve(solver=cp.CLARABEL)
    found = result.network
    value = objective(found.v[:, 0], None, cp.Constant(found(X)[:, 0])).value
    assert value == pytest.approx(problem.value, rel=1e-6)
    np.testing.assert_allclose(found.v[:, 0], v.value, atol=1e-3)


def test_every_task_can_be_left_out_and_their_order_does_not_matter():
    X, Y = two_squares(5, 3)
    order = [3, 0, 4, 2, 1]
    solution = mtrelu.solve(X, Y, 0.01, tol=1e-10)
    for task in range(5):
        result = leave_task_out(X, Y, 0.01, task, solution=solution)
        assert result.solution is solution and result.task == task
        shuffled = leave_task_out(X, Y[:, order], 0.01, order.index(task))
        np.testing.assert_allclose(shuffled.network(GRID), result.network(GRID), atol=1e-5)
        assert shuffled.difference(GRID) == pytest.approx(result.difference(GRID), rel=1e-3)


def test_interpolation():
    """In one dimension α = 0 connects the dots: with every neuron at hand, so does the ridge."""
    X = np.array([0.0, 1.0, 2.5, 3.0, 4.0])
    Y = np.random.default_rng(0).standard_normal((5, 4))
    result = leave_task_out(X, Y, 0.0, 1)
    points = np.linspace(0, 4, 33)
    np.testing.assert_allclose(
        result.network(points)[:, 0], np.interp(points, X, Y[:, 1]), atol=1e-10
    )
    assert result.difference(points) < 1e-12


def test_interpolation_needs_enough_neurons():
    Y = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    with pytest.raises(InvalidInputError, match="cannot take"):
        leave_task_out(range(4), Y, 0.0)


def test_options_reach_the_solver():
    X, Y = two_squares(3, 0)
    result = leave_task_out(X, Y, 0.1, skip="constant", tol=1e-3, random_state=4)
    assert isinstance(result, LeaveTaskOut)
    assert result.solution.problem.skip == result.others.problem.skip == "constant"
    assert result.solution.certificate.tol == result.others.certificate.tol == 1e-3
    assert not result.network.A.any() and result.kernel.skip == "constant"
    assert repr(result) == "LeaveTaskOut(task=0, n_tasks=3)"


def test_one_task_is_refused():
    with pytest.raises(InvalidInputError, match="Y has one task"):
        leave_task_out([0, 1, 2], [0, 1, 0], 0.1)


@pytest.mark.parametrize("task", [-1, 3, 0.0, True, None])
def test_tasks_that_do_not_exist_are_refused(task):
    X, Y = two_squares(3, 0)
    with pytest.raises(InvalidInputError, match=r"task is .*from 0 to 2"):
        leave_task_out(X, Y, 0.1, task)


def test_a_solution_of_another_problem_is_refused():
    X, Y = two_squares(3, 0)
    weights = np.linspace(1, 2, 8)
    for other in (
        mtrelu.solve(X, Y, 0.2),
        mtrelu.solve(X, Y[:, ::-1], 0.1),
        mtrelu.solve(X, Y, 0.1, loss="huber"),
        mtrelu.solve(X, Y, 0.1, skip="constant"),
        mtrelu.solve(X, Y, 0.1, sample_weight=weights),
    ):
        with pytest.raises(InvalidInputError, match="another problem"):
            leave_task_out(X, Y, 0.1, solution=other)
    same = mtrelu.solve(X, Y, 0.1, sample_weight=weights)
    assert leave_task_out(X, Y, 0.1, sample_weight=weights, solution=same).solution is same
