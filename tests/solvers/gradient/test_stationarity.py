import dataclasses

import numpy as np
import pytest
import torch

import mtrelu
from mtrelu.problem import Problem
from mtrelu.solvers.gradient import train
from mtrelu.solvers.gradient.batch import Batch
from mtrelu.solvers.gradient.kinks import least_norm_shares
from mtrelu.solvers.gradient.stationarity import Judge

CPU = torch.device("cpu")


def squares(n_tasks):
    X = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)])
    Y = np.random.default_rng(0).integers(0, 2, (8, n_tasks)).astype(float)
    return np.vstack((X, 0.5 * X)), Y


def line():
    rng = np.random.default_rng(1)
    return np.sort(rng.uniform(-1, 3, 9))[:, None], rng.standard_normal((9, 2))


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("data", [line, lambda: squares(1), lambda: squares(6)])
def test_certified_optima_are_stationary_and_their_neighbours_are_not(data, skip):
    X, Y = data()
    weight = np.random.default_rng(4).uniform(0.5, 2.0, X.shape[0])
    solution = mtrelu.solve(X, Y, 0.05, skip=skip, tol=1e-12, sample_weight=weight)
    judge = Judge(solution.problem, CPU)
    objective, stationarity = judge(Batch.of([solution.network]))
    assert float(objective[0]) == pytest.approx(solution.certificate.primal, rel=1e-9)
    assert float(stationarity[0]) < 2e-4  # the networks are known to about the root of the gap
    network = solution.network.unit_norm()
    moved = {
        "output weights": {"v": 1.01 * network.v},
        "constant": {"c": network.c + 0.01},
        "biases": {"b": network.b + 0.01},
    }
    if X.shape[1] > 1:
        turn = np.array([[np.cos(0.01), np.sin(0.01)], [-np.sin(0.01), np.cos(0.01)]])
        moved["input weights"] = {"w": network.w @ turn}
    for what, change in moved.items():
        parts = {name: getattr(network, name) for name in "wbvAc"} | change
        _, worse = judge(Batch.of([mtrelu.ReLUNetwork(**parts)]))
        assert float(worse[0]) > 1e-3, what


def judged(problem, *networks):
    objectives, stationarities = Judge(problem, CPU)(Batch.of(networks))
    return objectives.numpy(), stationarities.numpy()


def test_smooth_points_have_the_gradient_of_autograd():
    """Away from kinks: each violation is a norm of the gradient of the path form."""
    X, Y = squares(3)
    problem = Problem.make(X, Y, 0.3)
    for seed in range(5):
        network = _with_the_best_skip(problem, Batch.drawn(problem, [seed], 5).network(0))
        objectives, parts = Judge(problem, CPU).conditions(Batch.of([network]))
        assert float(objectives[0]) == pytest.approx(problem.objective(network), rel=1e-12)
        expected = _by_autograd(problem, network)
        np.testing.assert_allclose(parts[0, [0, 1, 3, 4]], expected, rtol=1e-9)
        assert parts[0, 2] < 1e-12 < min(expected)
        _, stationarity = judged(problem, network)
        assert stationarity[0] == pytest.approx(max(expected))


def _with_the_best_skip(problem, network):
    rest = problem.Y - np.maximum(problem.X @ network.w.T + network.b, 0) @ network.v
    columns = np.column_stack((problem.X, np.ones(len(rest))))
    fit = np.linalg.lstsq(columns, rest, rcond=None)[0]
    return dataclasses.replace(network, A=fit[:-1].T, c=fit[-1])


def _by_autograd(problem, network):
    w, b, v = (torch.tensor(getattr(network, name), requires_grad=True) for name in "wbv")
    X = torch.tensor(problem.X)
    rest = torch.relu(X @ w.T + b) @ v + X @ torch.tensor(network.A.T) + torch.tensor(network.c)
    loss = 0.5 * ((rest - torch.tensor(problem.Y)) ** 2).sum()
    w_size, v_size = w.norm(dim=1), v.norm(dim=1)
    objective = loss + problem.alpha * (w_size * v_size).sum()
    objective.backward()
    radius = np.sqrt((problem.X**2).sum(1).mean())  # the squares are centred
    hidden = (w.grad.square().sum(1) + (radius * b.grad) ** 2).sqrt()
    force = (v.grad - problem.alpha * w_size[:, None] * v / v_size[:, None]).norm(dim=1)
    pull = (w.grad - problem.alpha * v_size[:, None] * w / w_size[:, None]).norm(dim=1)
    above = (pull - problem.alpha * v_size).clamp_min(0.0).square() + (radius * b.grad) ** 2
    sizes = (w_size.square() + (b / radius).square()).sqrt()
    push = (force - problem.alpha * w_size).clamp_min(0.0)
    parts = (
        (v_size * v.grad.norm(dim=1)).sum() / objective,
        (w_size * hidden).sum() / objective,
        push.max() / (problem.alpha * w_size.max()),
        (sizes * above.sqrt()).max() / objective,
    )
    return [float(part.detach()) for part in parts]


@pytest.mark.parametrize("skip", ["affine", "constant"])
def test_a_skip_connection_that_is_not_the_best_counts_by_what_the_best_would_save(skip):
    X, Y = line()
    weight = np.random.default_rng(4).uniform(0.5, 2.0, 9)
    solution = mtrelu.solve(X, Y, 0.05, skip=skip, tol=1e-12, sample_weight=weight)
    best, network = solution.certificate.primal, solution.network
    changes = [{"c": network.c + np.array([0.5, -0.2])}]
    if skip == "affine":  # a tilt that is orthogonal to constants
        tilt = np.array([[0.1], [0.3]])
        changes.append(
            {"A": network.A + tilt, "c": network.c - tilt[:, 0] * (weight @ X) / weight.sum()}
        )
    for change in changes:
        objectives, stationarities = judged(
            solution.problem, dataclasses.replace(network, **change)
        )
        saved = 1.0 - best / objectives[0]
        assert stationarities[0] == pytest.approx(saved**0.5, rel=1e-6)


ZIGZAG = np.arange(8.0)[:, None], np.array([0.0, 1, 0, 1, 0, 1, 0, 1])[:, None]


def test_neurons_without_output_weights_may_not_be_pushed_by_more_than_alpha():
    problem = Problem.make(*ZIGZAG, 0.01)
    A, c, _ = problem.affine_fit()
    w, b, v = np.ones((3, 1)), -np.array([1.5, 3.5, 5.5]), np.zeros((3, 1))
    network = mtrelu.ReLUNetwork(w, b, v, A, c)
    P = problem.Y - network(problem.X)
    force = np.abs(np.maximum(problem.X @ w.T + b, 0.0).T @ P).max()
    assert force > 10 * problem.alpha
    _, stationarity = judged(problem, network)
    assert stationarity[0] == pytest.approx(force / problem.alpha - 1, rel=1e-9)
    _, stationarity = judged(Problem.make(*ZIGZAG, 1.01 * force), network)
    assert stationarity[0] < 1e-12
    # Both layers 0: a saddle of [2]; nearly so if both are small.
    saddle = dataclasses.replace(network, w=0 * w, b=0 * b)
    assert judged(problem, saddle)[1][0] < 1e-12
    live = mtrelu.ReLUNetwork([[1.0]], [-3.3], [[0.5]], A, c)
    small = [
        mtrelu.ReLUNetwork(
            np.vstack((live.w, eps * w[:1])), np.append(live.b, eps * b[0]),
            np.vstack((live.v, [[eps]])), A, c,
        )
        for eps in (0.0, 1e-9, 1.0)
    ]  # fmt: skip
    _, (without, near, far) = judged(problem, *small)
    assert near == pytest.approx(without, rel=1e-6) and far > 1.1 * without


@pytest.mark.parametrize("w", [0.0, 1e-9])
def test_constants_that_are_neurons_are_judged_without_a_skip_connection(w):
    """Their gradient does not vanish with their cost."""
    x, y = ZIGZAG
    problem = Problem.make(x, y, 0.01, skip="none")
    parts = np.full((1, 1), w), np.ones(1), np.zeros((1, 1)), np.zeros(1)
    wrong, right = (
        mtrelu.ReLUNetwork(parts[0], parts[1], [[value]], *parts[2:]) for value in (3.0, 0.5)
    )
    objectives, (far, near) = judged(problem, wrong, right)
    # Beside Σ(y − c)² = 0 in the constant, the slope: Σ p x = 2 > α.
    gradient = 3.0 * np.sum(y - 3.0)
    assert objectives[0] == pytest.approx(0.5 * np.sum((y - 3.0) ** 2), rel=1e-6)
    assert far > abs(gradient) / objectives[0]
    bias_only = Problem.make(x, y, 3.0, skip="none")  # α above the slope
    assert judged(bias_only, right)[1][0] < 1e-6 < judged(bias_only, wrong)[1][0]
    assert near > 0.1


def test_constants_beside_a_constant_skip_connection_are_judged_by_their_slope():
    x = np.arange(8.0)[:, None]
    network = mtrelu.ReLUNetwork([[0.0]], [1.0], [[5.0]], [[0.0]], [5.5])
    slope = np.sum((3 * x - 10.5) * x)
    for alpha, moving in ((0.5 * slope, True), (1.01 * slope, False)):
        problem = Problem.make(x, 3 * x, alpha, skip="constant")
        assert (judged(problem, network)[1][0] > 1e-2) == moving


@pytest.mark.parametrize(
    ("X", "Y", "alpha"),
    [
        (*ZIGZAG, 2.0),
        (ZIGZAG[0], np.ones((8, 1)), 0.1),
        ([[1.0, 2.0]], [[3.0, 4.0]], 0.1),
        (np.random.default_rng(0).standard_normal((4, 9)), np.eye(4), 0.1),
    ],
    ids=["a large penalty", "constant labels", "one point", "more inputs than points"],
)
@pytest.mark.parametrize("method", ["adam", "lbfgs", "proximal"])
def test_networks_come_to_rest_where_no_neuron_is_worth_its_cost(X, Y, alpha, method):
    training = train(X, Y, alpha, seeds=2, width=6, method=method)
    assert training.status == ["converged"] * 2


def test_a_neuron_near_a_point_of_a_cluster_is_no_kink_because_another_point_is_far():
    cluster = np.linspace(0.0, 1.0, 21)
    knots = 0.33  # 0.02 from the nearest point
    for far in (30.0, 3e5):
        x = np.append(cluster, far)[:, None]
        y = np.append(np.maximum(0.0, 1 - 4 * np.abs(cluster - 0.5)), 0.0)[:, None]
        problem = Problem.make(x, y, 0.01)
        hinge, columns = np.maximum(x - knots, 0.0), np.column_stack((x, np.ones(22)))
        fit = np.linalg.lstsq(np.column_stack((hinge, columns)), y, rcond=None)[0].ravel()
        network = mtrelu.ReLUNetwork([[1.0]], [-knots], [[fit[0]]], [[fit[1]]], [fit[2]])
        P = y - network(x)
        radius = x.std()
        slope = np.hypot(*(np.sum(P * (x > knots) * part) for part in (x - x.mean(), radius)))
        (objective,), (stationarity,) = judged(problem, network)
        by_bias = radius * abs(np.sum(P * (x > knots))) * abs(fit[0]) / objective
        assert slope > 0 and stationarity > 0.9 * by_bias
    # Within a thousandth of the distance to the nearest point it is one.
    x, y = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [0.0]])
    solution = mtrelu.solve(x, y, 0.01, tol=1e-13)
    network = solution.network.unit_norm()
    for distance, still in ((5e-4, True), (5e-3, False), (5e-2, False)):
        moved = dataclasses.replace(network, b=network.b - distance * network.w[:, 0])
        _, (stationarity,) = judged(solution.problem, moved)
        assert (stationarity < 0.1) == still


def test_numbers_that_are_not_finite_are_infinitely_far():
    problem = Problem.make(*ZIGZAG, 0.1)
    batch = Batch.drawn(problem, [0, 1, 2, 3], 5)
    batch.hidden[0, 0, 0] = torch.nan
    batch.hidden[1, 1, 0], batch.output[1, :, 0] = -torch.inf, 0.0  # not seen in the function
    batch.output[2] *= 1e200
    objectives, stationarities = Judge(problem, CPU)(batch)
    assert torch.isinf(objectives).tolist() == [True, True, True, False]
    assert torch.isinf(stationarities).tolist() == [True, True, True, False]


def test_it_does_not_depend_on_scale_or_origin():
    X, Y = line()
    problem = Problem.make(X, Y, 0.3)
    batch = Batch.drawn(problem, [0, 1], 8)
    expected = Judge(problem, CPU)(batch)[1]
    balanced = Judge(problem, CPU)(batch.balanced())[1]
    torch.testing.assert_close(balanced, expected, rtol=1e-9, atol=0)
    hidden, skip = batch.hidden.clone(), batch.skip.clone()
    hidden[:, -1] -= 7 * hidden[:, 0]
    skip[:, -1] -= 7 * skip[:, 0]
    shifted = Judge(Problem.make(X + 7, Y, 0.3), CPU)(Batch(hidden, batch.output, skip))[1]
    torch.testing.assert_close(shifted, expected, rtol=1e-6, atol=0)
    factor = torch.tensor([0.1, 1.0])[:, None]
    scaled = Batch(batch.hidden * factor, batch.output, batch.skip * factor)
    result = Judge(Problem.make(10 * X, Y, 3.0), CPU)(scaled)[1]
    # α times ten, since the path norm falls by ten
    torch.testing.assert_close(result, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("across", [False, True])
def test_least_norm_against_a_grid(across):
    rng = np.random.default_rng(2)
    fixed, points = rng.standard_normal((30, 3)), rng.standard_normal((5, 3))
    columns = np.zeros((30, 5))
    columns[:, 1:3] = rng.standard_normal((30, 2))
    unit = np.tile([0.6, 0.8], (30, 1))
    shares = least_norm_shares(
        *(torch.from_numpy(each) for each in (fixed, columns, points)),
        across=torch.from_numpy(unit) if across else None,
        sweeps=400,
    ).numpy()
    assert shares.min() >= 0 and shares.max() <= 1

    def norms(s):
        rest = fixed + np.einsum("mn,mn,nd->md", s, columns, points)
        if across:
            rest[:, :2] -= np.sum(rest[:, :2] * unit, axis=1, keepdims=True) * unit
        return np.linalg.norm(rest, axis=1)

    grid = np.linspace(0, 1, 41)
    least = np.min([norms(np.tile([0, p, q, 0, 0], (30, 1))) for p in grid for q in grid], axis=0)
    assert np.all(norms(shares) <= least + 1e-6)
    assert np.all(norms(shares) >= least - 0.1)


@pytest.mark.parametrize("accuracy", [1e-1, 1e-4])
def test_the_least_norm_is_found_to_the_accuracy_asked_for(accuracy):
    from scipy.optimize import lsq_linear

    rng = np.random.default_rng(3)
    fixed, points = rng.standard_normal((40, 4)), rng.standard_normal((12, 4))
    columns = rng.standard_normal((40, 12)) * 10.0 ** rng.uniform(-3, 3, (40, 1))
    tensors = [torch.from_numpy(each) for each in (fixed, columns, points)]
    shares = least_norm_shares(*tensors, sweeps=20_000, accuracy=accuracy).numpy()
    for k in range(40):
        A = (columns[k][:, None] * points).T
        least = np.linalg.norm(A @ lsq_linear(A, -fixed[k], (0, 1), tol=1e-14).x + fixed[k])
        assert np.linalg.norm(A @ shares[k] + fixed[k]) <= least + accuracy
    one_by_one = [
        least_norm_shares(
            tensors[0][k : k + 1],
            tensors[1][k : k + 1],
            tensors[2],
            sweeps=20_000,
            accuracy=accuracy,
        )
        for k in range(40)
    ]
    np.testing.assert_allclose(shares, torch.cat(one_by_one), rtol=1e-6, atol=1e-9)
