import numpy as np
import pytest
import torch

import mtrelu
from mtrelu.problem import Problem
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


def test_smooth_points_have_the_gradient_of_autograd():
    """Away from kinks: each violation is a norm of the gradient of the path form."""
    X, Y = squares(3)
    problem = Problem.make(X, Y, 0.3)
    batch = Batch.drawn(problem, [0], 5)
    network = batch.network(0)
    w, b, v, A, c = (torch.tensor(getattr(network, name), requires_grad=True) for name in "wbvAc")
    residual = torch.relu(torch.from_numpy(X) @ w.T + b) @ v + torch.from_numpy(X) @ A.T + c
    residual = residual - torch.from_numpy(Y)
    cost = w.norm(dim=1) * v.norm(dim=1)
    (0.5 * (residual**2).sum() + 0.3 * cost.sum()).backward()
    total = cost.sum()
    w_size, v_size = w.norm(dim=1), v.norm(dim=1)
    radius = np.sqrt((X**2).sum(1).mean())  # the squares are centred
    hidden = (w.grad.square().sum(1) + (radius * b.grad) ** 2).sqrt() / (0.3 * v_size)
    output = v.grad.norm(dim=1) / (0.3 * w_size)
    sizes = residual.norm(dim=1)
    expected = max(
        (cost * hidden).sum() / total,
        (cost * output).sum() / total,
        c.grad.norm() / sizes.sum(),
        A.grad.norm() / (sizes @ torch.from_numpy(np.linalg.norm(X, axis=1))),
    )
    _, stationarity = Judge(problem, CPU)(batch)
    assert float(stationarity[0]) == pytest.approx(expected.item(), rel=1e-9)


def test_it_does_not_depend_on_scale_or_origin():
    X, Y = line()
    problem = Problem.make(X, Y, 0.3)
    batch = Batch.drawn(problem, [0, 1], 8)
    expected = Judge(problem, CPU)(batch)[1]
    balanced = Judge(problem, CPU)(batch.balanced())[1]
    torch.testing.assert_close(balanced, expected, rtol=1e-9, atol=0)
    hidden, skip = batch.hidden.clone(), batch.skip.clone()
    hidden[..., -1] -= 7 * hidden[..., 0]
    skip[..., -1] -= 7 * skip[..., 0]
    shifted = Judge(Problem.make(X + 7, Y, 0.3), CPU)(Batch(hidden, batch.output, skip))[1]
    torch.testing.assert_close(shifted, expected, rtol=1e-6, atol=0)
    scaled = Batch(batch.hidden * torch.tensor([0.1, 1.0]), batch.output, batch.skip)
    scaled.skip = batch.skip * torch.tensor([0.1, 1.0])
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
