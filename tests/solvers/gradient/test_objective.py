import numpy as np
import pytest
import torch

from mtrelu.problem import Problem, alpha_from_weight_decay
from mtrelu.solvers.gradient.batch import Batch
from mtrelu.solvers.gradient.objective import Objective
from mtrelu.solvers.gradient.stationarity import Judge

SKIPS = ("affine", "constant", "none")


def example(skip, d=2, T=3, N=7, seeds=(0, 1, 5), width=6, weights=True):
    rng = np.random.default_rng(3)
    weight = rng.uniform(0.5, 2.0, N) if weights else None
    X, Y = rng.standard_normal((N, d)), rng.standard_normal((N, T))
    problem = Problem.make(X, Y, 0.3, skip=skip, sample_weight=weight)
    return problem, Batch.drawn(problem, seeds, width)


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_value_and_gradient_against_autograd(skip, reduction):
    problem, batch = example(skip)
    value, gradient = Objective(problem, reduction, batch.hidden).value_and_gradient(batch)
    X, Y = torch.from_numpy(problem.X), torch.from_numpy(problem.Y)
    weight = torch.from_numpy(problem.sample_weight)[:, None]
    decay = problem.alpha * (2 / Y.numel() if reduction == "mean" else 2)
    for s in range(3):
        network = batch.network(s)
        w, b, v, A, c = (
            torch.tensor(getattr(network, name), requires_grad=True) for name in "wbvAc"
        )
        squares = weight * (torch.relu(X @ w.T + b) @ v + X @ A.T + c - Y) ** 2
        loss = squares.mean() if reduction == "mean" else squares.sum()
        expected = loss + 0.5 * decay * ((w**2).sum() + (v**2).sum())
        expected.backward()
        torch.testing.assert_close(value[s], expected.detach(), rtol=1e-12, atol=0)
        close = {"rtol": 1e-11, "atol": 1e-13}
        torch.testing.assert_close(gradient.hidden[s, :-1].T, w.grad, **close)
        torch.testing.assert_close(gradient.hidden[s, -1], b.grad, **close)
        torch.testing.assert_close(gradient.output[s].T, v.grad, **close)
        dA = A.grad if skip == "affine" else torch.zeros_like(A)
        dc = c.grad if skip != "none" else torch.zeros_like(c)
        torch.testing.assert_close(gradient.skip[s, :-1].T, dA, **close)
        torch.testing.assert_close(gradient.skip[s, -1], dc, **close)


def test_a_network_at_a_kink_has_the_derivative_of_pytorch():
    problem = Problem.make([0.0, 1.0, 2.0], [1.0, 0.0, 2.0], 1e-9)
    batch = Batch(
        torch.tensor([[[1.0], [-1.0]]]), torch.ones(1, 1, 1), torch.zeros(1, 2, 1)
    )  # (x - 1)₊
    gradient = Objective(problem, "sum", batch.hidden).gradient(batch)
    residual = 1.0 - 2.0  # the only point that is on
    torch.testing.assert_close(gradient.hidden, 2 * residual * torch.tensor([[[2.0], [1.0]]]))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_its_scale_turns_alpha_into_the_weight_decay_of_pytorch(reduction):
    problem, batch = example("affine")
    objective = Objective(problem, reduction, batch.hidden)
    assert alpha_from_weight_decay(objective.decay, 7, 3, reduction) == pytest.approx(problem.alpha)


def test_balanced_networks_have_the_energy_of_the_path_form():
    problem, batch = example("affine")
    objective = Objective(problem, "sum", batch.hidden)
    for s in range(3):
        expected = 2 * problem.objective(batch.network(s))
        value, _ = objective.value_and_gradient(batch)
        assert float(value[s]) > expected * (1 + 1e-6)
        value, _ = objective.value_and_gradient(batch.balanced())
        assert float(value[s]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("form", ["balanced", "unit_norm"])
def test_rescaling_keeps_the_function(form):
    _, batch = example("affine")
    batch.output[0, :, 2] = 0.0  # contributes nothing
    batch.hidden[0, :-1, 3] = 0.0  # a constant
    batch.hidden[0, -1, 3] = 2.0
    batch.output[1] *= 100.0
    scaled = getattr(batch, form)()
    X = np.random.default_rng(0).standard_normal((50, 2)) * 10
    for s in range(3):
        before, after = batch.network(s), scaled.network(s)
        np.testing.assert_allclose(after(X), before(X), rtol=1e-12, atol=1e-12)
        kept = np.isin(np.arange(6), (2, 3)) & (s == 0)
        w, v = np.linalg.norm(after.w, axis=1), np.linalg.norm(after.v, axis=1)
        expected = v if form == "balanced" else np.ones(6)
        np.testing.assert_allclose(w[~kept], expected[~kept], rtol=1e-12)
        if form == "balanced":  # what costs nothing has no scale to balance
            np.testing.assert_array_equal(after.w[kept], before.w[kept])
            np.testing.assert_array_equal(after.v[kept], before.v[kept])
        else:
            np.testing.assert_array_equal(after.w[3] if s == 0 else 0.0, 0.0)


def test_a_seed_starts_the_same_whatever_the_others_are():
    problem, batch = example("affine")
    alone = Batch.drawn(problem, [5], 6)
    for mine, theirs in zip(alone.parts, batch.parts, strict=True):
        assert torch.equal(mine[0], theirs[2])


def test_networks_start_as_linear_layers_of_pytorch():
    # Kolmogorov–Smirnov would accept what has the right range and the right second moment here.
    problem, _ = example("affine")
    batch = Batch.drawn(problem, range(40), 500)
    layers = torch.nn.Linear(2, 20_000), torch.nn.Linear(500, 40)
    for ours, theirs in (
        (batch.hidden[:, :-1], layers[0].weight),
        (batch.hidden[:, -1], layers[0].bias),
        (batch.output, layers[1].weight),
    ):
        assert float(ours.abs().max()) == pytest.approx(
            float(theirs.detach().abs().max()), rel=0.01
        )
        assert float(ours.std()) == pytest.approx(float(theirs.detach().std()), rel=0.02)


def test_read_only_data_are_taken_without_a_warning():
    X, Y = np.arange(4.0)[:, None], np.ones((4, 1))
    for array in (X, Y):
        array.setflags(write=False)
    problem = Problem.make(X, Y, 0.1)
    batch = Batch.drawn(problem, [0], 3)
    Objective(problem, "mean", batch.hidden).gradient(batch)
    Judge(problem, torch.device("cpu"))(batch)
