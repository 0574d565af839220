import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import mtrelu
from mtrelu.problem import Problem
from mtrelu.solvers.gradient import train
from mtrelu.solvers.gradient.adam import settling
from mtrelu.solvers.gradient.batch import Batch
from mtrelu.solvers.gradient.lbfgs import LBFGS
from mtrelu.solvers.gradient.objective import Objective
from mtrelu.solvers.gradient.path_prox import PathProx, soft_threshold
from mtrelu.solvers.gradient.settings import as_settings

SKIPS = ("affine", "constant", "none")


def data(N=12, d=2, T=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, d)), rng.standard_normal((N, T))


class Shallow(nn.Module):
    def __init__(self, network):
        super().__init__()
        d, width, n_tasks = network.n_inputs, network.n_neurons, network.n_tasks
        self.hidden, self.output = nn.Linear(d, width), nn.Linear(width, n_tasks, bias=False)
        self.skip = nn.Linear(d, n_tasks)
        with torch.no_grad():
            self.hidden.weight.copy_(torch.from_numpy(network.w))
            self.hidden.bias.copy_(torch.from_numpy(network.b))
            self.output.weight.copy_(torch.from_numpy(network.v.T))
            self.skip.weight.copy_(torch.from_numpy(network.A))
            self.skip.bias.copy_(torch.from_numpy(network.c))

    def forward(self, x):
        return self.output(torch.relu(self.hidden(x))) + self.skip(x)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("schedule", ["settle", "constant"])
def test_adam_takes_the_steps_of_a_plain_pytorch_loop(reduction, schedule):
    """Weight decay as users write it: an argument of Adam, for a group without biases and skip."""
    X, Y = data()
    decay, steps = 0.02, 200
    alpha = mtrelu.alpha_from_weight_decay(decay, *Y.shape, reduction)
    problem = Problem.make(X, Y, alpha)
    start = [Batch.drawn(problem, [seed], 10).network(0) for seed in (3, 4)]
    training = train(
        X, Y, alpha, seeds=[3, 4], start=start, steps=steps, learning_rate=0.01,
        reduction=reduction, schedule=schedule, dtype="float64", tol=1e-12,
    )  # fmt: skip
    assert training.weight_decay == pytest.approx(decay)
    for initial, trained in zip(start, training.networks, strict=True):
        module = Shallow(initial).double()
        decayed = [module.hidden.weight, module.output.weight]
        free = [module.hidden.bias, *module.skip.parameters()]
        groups = [{"params": decayed, "weight_decay": decay}, {"params": free}]
        optimiser = torch.optim.Adam(groups, lr=0.01)
        loss = nn.MSELoss(reduction=reduction)
        for step in range(steps):
            fall = 1.0
            if schedule == "settle" and step > 80:
                fall = 10.0 ** (-3 * (step - 80) / 120)
            for group in optimiser.param_groups:
                group["lr"] = 0.01 * fall
            optimiser.zero_grad()
            loss(module(torch.from_numpy(X)), torch.from_numpy(Y)).backward()
            optimiser.step()
        expected = mtrelu.as_network(module)
        for name in "wbvAc":
            # Adam divides gradients by their size, so it amplifies what rounding makes of zeros.
            moved = np.abs(getattr(expected, name) - getattr(initial, name)).max()
            difference = np.abs(getattr(trained, name) - getattr(expected, name)).max()
            assert difference < 1e-3 * moved


def test_the_schedule_holds_and_then_falls_by_a_thousand():
    rates = [settling(step, 1000) for step in range(1001)]
    assert rates[:401] == [1.0] * 401
    np.testing.assert_allclose(np.diff(np.log10(rates[400:])), -3 / 600, rtol=1e-9)
    assert rates[1000] == pytest.approx(1e-3)


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("method", ["adam", "lbfgs", "proximal"])
def test_a_batch_of_seeds_equals_single_runs(method, skip):
    X, Y = data()
    # Kinks and line searches amplify the last digit, so the runs are short.
    options = {
        "method": method, "skip": skip, "width": 15, "dtype": "float64", "steps": 20, "tol": 1e-12,
    }  # fmt: skip
    together = train(X, Y, 0.1, seeds=[7, 2, 11], **options)
    for position, seed in enumerate((7, 2, 11)):
        alone = train(X, Y, 0.1, seeds=[seed], **options)
        assert alone.objectives[0] == pytest.approx(together.objectives[position], rel=1e-9)
        for name in "wbvAc":
            np.testing.assert_allclose(
                getattr(alone.networks[0], name),
                getattr(together.networks[position], name),
                rtol=1e-6,
                atol=1e-8,
            )
    for network in together.networks:
        assert skip == "affine" or not network.A.any()
        assert skip != "none" or not network.c.any()
    assert len(set(together.objectives)) == 3


@pytest.mark.parametrize("method", ["lbfgs", "proximal"])
@pytest.mark.parametrize("skip", SKIPS)
def test_line_searches_never_raise_the_objective(method, skip):
    X, Y = data(T=2)
    training = train(
        X, Y, 0.2, seeds=4, method=method, skip=skip, width=30, steps=50, dtype="float64",
        tol=1e-12,
    )  # fmt: skip
    objectives = training.history.objectives
    assert training.history.steps.tolist() == list(range(1, 51))
    if method == "proximal":  # L-BFGS descends with weight decay, which the path form only bounds
        assert np.all(np.diff(objectives, axis=0) <= 1e-12 * objectives[:-1])
    assert np.all(objectives[-1] < 0.9 * objectives[0])


def test_lbfgs_ends_as_low_as_that_of_scipy():
    from scipy.optimize import minimize

    X, Y = data(N=10, T=1)
    problem = Problem.make(X, Y, 0.5)
    start = [Batch.drawn(problem, [seed], 12).network(0) for seed in range(4)]
    ours = train(
        X, Y, 0.5, seeds=4, start=start, method="lbfgs", steps=1000, dtype="float64", tol=1e-6
    )

    def energy(flat):
        parts = torch.from_numpy(flat.copy()).requires_grad_()
        w, b, v, A, c = parts.split([24, 12, 12, 2, 1])
        H = torch.relu(torch.from_numpy(X) @ w.reshape(12, 2).T + b)
        rest = H @ v + torch.from_numpy(X) @ A + c - torch.from_numpy(Y[:, 0])
        value = 0.5 * (rest**2).sum() + 0.25 * ((w**2).sum() + (v**2).sum())
        value.backward()
        return value.item(), parts.grad.numpy()

    theirs = [
        minimize(
            energy,
            np.concatenate([getattr(network, name).ravel() for name in "wbvAc"]),
            jac=True, method="L-BFGS-B", options={"maxiter": 1000, "ftol": 1e-14},
        ).fun
        for network in start
    ]  # fmt: skip
    # SciPy's search gives up at kinks; ours does not.
    assert np.median(ours.objectives) <= np.median(theirs) * (1 + 1e-6)
    assert ours.objectives.min() <= min(theirs) * (1 + 1e-6)


def prox(skip="affine", T=2, width=25, dtype=torch.float64):
    X, Y = data(T=T)
    problem = Problem.make(X, Y, 0.4, skip=skip)
    settings = as_settings(
        problem, seeds=3, width=width, method="proximal", steps=None, learning_rate=None,
        schedule="settle", reduction="sum", stop="stationarity", tol=1e-9, dtype="float64",
        device="cpu",
    )  # fmt: skip
    batch = Batch.drawn(problem, range(3), width).to(dtype=dtype)
    return problem, PathProx(Objective(problem, "sum", batch.hidden), settings, batch)


@pytest.mark.parametrize("skip", SKIPS)
def test_the_value_it_keeps_is_the_objective_of_its_balanced_networks(skip):
    problem, method = prox(skip)
    for step in range(30):
        batch = method.batch
        w, v = batch.hidden[:, :-1].norm(dim=1), batch.output.norm(dim=1)
        torch.testing.assert_close(w[v > 0], v[v > 0], rtol=1e-12, atol=0)
        for s in range(3):
            network = batch.network(s)
            assert problem.objective(network) == pytest.approx(
                float(method.state["value"][s]), rel=1e-11
            )
            # With the best skip connection nothing is left that it could fit.
            rest = problem.Y - network(problem.X)
            if skip != "none":
                assert np.abs(rest.sum(axis=0)).max() < 1e-11
            if skip == "affine":
                assert np.abs(problem.X.T @ rest).max() < 1e-11
        method.advance(step, 1)


def test_a_step_in_the_output_weights_is_the_proximal_step():
    """Against the definition: the minimiser of α‖v‖ + ‖v − target‖²/(2·step), by a grid search."""
    target, threshold = torch.tensor([[[3.0, -4.0], [0.1, 0.2]]]), torch.tensor(0.7)
    found = soft_threshold(target, threshold)
    rng = np.random.default_rng(0)
    for k in range(2):
        v, t = found[0, k].numpy(), target[0, k].numpy()

        def cost(v, t=t):
            return 0.7 * np.linalg.norm(v, axis=-1) + 0.5 * np.sum((v - t) ** 2, axis=-1)

        around = v + rng.standard_normal((20_000, 2)) * 10.0 ** rng.uniform(-4, 0, (20_000, 1))
        assert np.all(cost(around) >= cost(v) - 1e-6)
    assert not found[0, 1].any()


def test_neurons_become_exactly_zero_and_those_left_meet_the_dual_conditions():
    X, Y = data(T=2)
    training = train(
        X, Y, 0.4, seeds=3, method="proximal", width=40, dtype="float64", steps=4000, tol=1e-7
    )
    for network in training.networks:
        size = np.linalg.norm(network.v, axis=1)
        assert 0 < np.count_nonzero(size) < 30
        kept = network.pruned().unit_norm()
        P = Y - network(X)
        forces = np.maximum(X @ kept.w.T + kept.b, 0.0).T @ P
        np.testing.assert_allclose(np.linalg.norm(forces, axis=1), 0.4, rtol=1e-4)


def test_neurons_without_input_weights_do_no_harm():
    X, Y = data(T=1)
    network = Batch.drawn(Problem.make(X, Y, 0.1), [0], 6).network(0)
    w, v = network.w.copy(), network.v.copy()
    w[:2], v[1:3] = 0.0, 0.0
    start = [mtrelu.ReLUNetwork(w, network.b, v, network.A, network.c)]
    for method in ("adam", "lbfgs", "proximal"):
        training = train(X, Y, 0.1, seeds=1, start=start, method=method, steps=100)
        assert np.isfinite(training.objectives[0]) and not training.diverged[0]


@pytest.mark.parametrize("skip", SKIPS)
def test_proximal_gradient_keeps_the_function_of_constants_that_are_neurons(skip):
    """Neurons with w = 0 and b > 0: no cost, and the skip connection takes them over if it can."""
    X, Y = data(T=2)
    problem = Problem.make(X, Y, 0.1, skip=skip)
    network = Batch.drawn(problem, [0], 6).network(0)
    w, b = network.w.copy(), network.b.copy()
    w[:2], b[:2] = 0.0, (1.0, -1.0)
    start = dataclasses.replace(network, w=w, b=b, v=3.0 * network.v)
    options = {"seeds": 1, "start": start, "method": "proximal", "dtype": "float64", "skip": skip}
    training = train(X, Y, 0.1, steps=50, tol=1e-12, **options)
    objectives = training.history.objectives[:, 0]
    assert objectives[0] <= problem.objective(start) * (1 + 1e-12)
    assert np.all(np.diff(objectives) <= 1e-12 * objectives[:-1])
    settings = as_settings(
        problem, seeds=1, width=6, method="proximal", steps=None, learning_rate=None,
        schedule="settle", reduction="sum", stop="stationarity", tol=1e-9, dtype="float64",
        device="cpu",
    )  # fmt: skip
    batch = Batch.of([start])
    method = PathProx(Objective(problem, "sum", batch.hidden), settings, batch)
    kept = method.batch.network(0)
    assert problem.objective(kept) == pytest.approx(float(method.state["value"][0]), rel=1e-12)
    if skip == "none":
        np.testing.assert_allclose(kept(X), start(X), rtol=1e-12)
        assert (
            np.abs(training.networks[0].w[0]).max() == 0 < np.abs(training.networks[0].v[0]).max()
        )
    else:  # the same up to what the best skip connection changes
        columns = np.column_stack((X, np.ones(12)) if skip == "affine" else (np.ones(12),))
        change = kept(X) - start(X)
        fit = columns @ np.linalg.lstsq(columns, change, rcond=None)[0]
        np.testing.assert_allclose(change, fit, atol=1e-12)
        assert not kept.v[:2].any() and kept.v[2:].any()


def test_momentum_speeds_the_output_weights_up():
    """FISTA against its steps without momentum, for hidden neurons that do not move."""
    methods = [prox(T=2)[1] for _ in range(3)]
    fast, plain, best = methods
    for _ in range(40):
        fast._move_output()
        plain.state["momentum"] = torch.ones(3, dtype=torch.float64)
        plain._move_output()
    for _ in range(5000):
        best._move_output()
    errors = [each.state["value"] - best.state["value"] for each in (fast, plain)]
    assert bool((errors[0] < 0.5 * errors[1]).all())


def test_an_output_step_longer_than_the_curvature_allows_is_not_taken():
    """Between one and two over the largest curvature the objective falls all the same."""
    _, method = prox(T=2)
    state = method.state
    for name in ("hidden", "output"):
        state[name] = state[name][:, :1].expand_as(state[name]).clone()
    state["output"] *= 100.0
    state["before"] = state["output"]
    H = (state["hidden"] @ method._columns).relu() @ method._off_skip
    state["value"] = method._value(
        state["hidden"], method._residual(H, state["output"]), state["output"]
    )
    curvature = H.square().sum((1, 2))  # of equal neurons that move together
    state["output step"] = 1.5 / curvature
    before = state["output"]
    method._move_output()
    assert torch.equal(state["output"], before)
    torch.testing.assert_close(state["output step"], 0.75 / curvature)
    method._move_output()
    assert bool((state["output"] != before).any())


def lbfgs(value_and_gradient, x):
    """L-BFGS on a function of the output weights of one neuron, (S, T)."""

    class Function:
        def value_and_gradient(self, batch):
            value, gradient = value_and_gradient(batch.output[:, :, 0])
            zero = torch.zeros_like
            return value, Batch(zero(batch.hidden), gradient[:, :, None], zero(batch.skip))

    n = x.shape[0]
    batch = Batch(torch.zeros(n, 1, 1).double(), x[:, :, None], torch.zeros(n, 1, 1).double())
    return LBFGS(Function(), None, batch)


def rosenbrock(x):
    a, b = x[:, 0], x[:, 1]
    value = (1 - a) ** 2 + 100 * (b - a**2) ** 2
    gradient = torch.stack((-2 * (1 - a) - 400 * a * (b - a**2), 200 * (b - a**2)), 1)
    return value, gradient


def test_lbfgs_steps_satisfy_the_weak_conditions_of_wolfe():
    method = lbfgs(rosenbrock, torch.tensor([[-1.2, 1.0], [2.0, -3.0], [0.0, 5.0]]).double())
    for step in range(60):
        x = method.state["output"][:, :, 0].clone()
        value, gradient = rosenbrock(x)
        method.advance(step, 1)
        new_x = method.state["output"][:, :, 0]
        new_value, new_gradient = rosenbrock(new_x)
        move = new_x - x
        slope = (move * gradient).sum(1)
        going = (slope < -1e-20) & ~method.stalled
        assert bool((new_value <= value).all())
        assert bool((new_value <= value + 1e-4 * slope + 1e-15)[going].all())
        assert bool(((new_gradient * move).sum(1) >= 0.9 * slope - 1e-15)[going].all())
    assert float(method.state["value"].max()) < 1e-12


def test_lbfgs_stalls_at_a_minimum_and_only_there():
    method = lbfgs(
        lambda x: (x.square().sum(1), 2 * x), torch.tensor([[0.0, 0.0], [3.0, 4.0]]).double()
    )
    method.advance(0, 1)
    assert method.stalled.tolist() == [True, False]
    method.advance(1, 30)
    assert method.stalled.all() and float(method.state["value"].max()) < 1e-20


def test_lbfgs_forgets_what_would_lead_uphill():
    method = lbfgs(rosenbrock, torch.tensor([[-1.2, 1.0]]).double())
    method.advance(0, 5)
    before = float(method.state["value"])
    # Pairs of a metric that is not positive; the direction they give is along the gradient.
    method.state["moves"][:] = method.state["gradient"][:, None]
    method.state["turns"].zero_()
    method.state["curvature"].fill_(-1e3)
    method._step(5)
    assert float(method.state["value"]) < before


def test_lbfgs_refuses_a_step_that_decreases_next_to_nothing():
    def parabola(x):
        return -x[:, 0] + (1 - 1e-5) * x[:, 0] ** 2, -1 + 2 * (1 - 1e-5) * x

    method = lbfgs(parabola, torch.zeros(1, 1).double())
    method.advance(0, 1)  # a step of length 1 would decrease it by 1e-5
    assert float(method.state["value"]) == pytest.approx(-0.25, rel=1e-3)
