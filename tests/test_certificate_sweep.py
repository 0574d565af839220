"""No certificate may claim more than the truth: generated problems, networks and hints.

Each problem is drawn on a dyadic grid, so that changes of units and offsets by powers of two are
exact and the optimum is known to change by a power of two with them. Any feasible function bounds
the optimum from above; CVXPY provides one that is nearly optimal. A dual value above its objective
is a false certificate.
"""

import warnings

import cvxpy as cp
import numpy as np
import pytest

from mtrelu.losses import HuberLoss, LogisticLoss, QuantileLoss, SquaredLoss
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError
from mtrelu.verify import verify

SLACK = 1e-12
GRID = 2.0**-12


def dyadic(values):
    return np.round(np.asarray(values) / GRID) * GRID


def reference_values(problem, x, rows):
    """Nearly optimal values at the distinct inputs; weights are clipped to what CVXPY can bear."""
    Y, loss = problem.Y, problem.loss
    w = np.clip(problem.sample_weight, None, 1e3)
    F = cp.Variable((x.size, Y.shape[1]))
    Z, h = F[rows], np.diff(x)
    R, columns = Y - Z, (1, Y.shape[1])
    if isinstance(loss, SquaredLoss):
        terms = 0.5 * cp.square(R)
    elif isinstance(loss, HuberLoss):
        terms = 0.5 * cp.huber(R, loss.delta)
    elif isinstance(loss, LogisticLoss):
        terms = cp.logistic(Z) - cp.multiply(Y, Z)
    else:
        terms = cp.maximum(loss.quantile * R, (loss.quantile - 1) * R)
    cost = cp.sum(cp.multiply(np.tile(w[:, None], columns), terms))
    if x.size > 2:
        slopes = cp.multiply(F[1:] - F[:-1], np.tile(1 / h[:, None], columns))
        cost += problem.alpha * cp.sum(cp.norm(slopes[1:] - slopes[:-1], 2, axis=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an inaccurate point is an upper bound too
        try:
            cp.Problem(cp.Minimize(cost)).solve(solver=cp.CLARABEL)
        except cp.SolverError:
            pass
    if F.value is None:
        return np.zeros((x.size, Y.shape[1])) + Y.mean(axis=0)
    values = np.array(F.value)
    for i in np.flatnonzero(problem.sample_weight > 1e3):
        if not isinstance(loss, LogisticLoss):
            values[rows[i]] = Y[i]
    return values


def objective(problem, x, rows, F):
    """Objective of the function that connects F, from the definitions."""
    y, z, w = problem.Y, F[rows], problem.sample_weight[:, None]
    r, loss = y - z, problem.loss
    if isinstance(loss, SquaredLoss):
        terms = 0.5 * r**2
    elif isinstance(loss, HuberLoss):
        a = np.abs(r)
        terms = np.where(a <= loss.delta, 0.5 * a**2, loss.delta * (a - 0.5 * loss.delta))
    elif isinstance(loss, LogisticLoss):
        terms = y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)
    else:
        terms = np.maximum(loss.quantile * r, (loss.quantile - 1) * r)
    slopes = np.diff(F, axis=0) / np.diff(x)[:, None]
    bend = np.linalg.norm(np.diff(slopes, axis=0), axis=1).sum() if x.size > 2 else 0.0
    return float(np.sum(w * terms)) + problem.alpha * float(bend)


def connect(x, F):
    if x.size == 1:
        return ReLUNetwork.from_knots([], np.zeros((0, F.shape[1])), np.zeros(F.shape[1]), F[0])
    slopes = np.diff(F, axis=0) / np.diff(x)[:, None]
    return ReLUNetwork.from_knots(
        x[1:-1], np.diff(slopes, axis=0), slopes[0], F[0] - slopes[0] * x[0]
    )


def draw(rng):
    """A problem, near-optimal values and their objective, in plain units."""
    n, n_tasks = int(rng.integers(1, 13)), int(rng.integers(1, 4))
    kind = rng.choice(["uniform", "integers", "close", "clusters"])
    x = {
        "uniform": lambda: rng.uniform(-4, 4, n),
        "integers": lambda: rng.integers(-3, 4, n).astype(float),  # duplicates
        "close": lambda: rng.integers(0, 4, n) + GRID * rng.integers(0, 3, n),
        "clusters": lambda: np.where(rng.random(n) < 0.9, rng.uniform(0, 0.01, n), 64.0),
    }[kind]()
    x = dyadic(x)
    loss = [
        SquaredLoss(),
        HuberLoss(delta=float(2.0 ** rng.integers(-4, 3))),
        LogisticLoss(),
        QuantileLoss(quantile=float(rng.choice([0.1, 0.5, 0.9, 0.999]))),
    ][rng.integers(4)]
    Y = dyadic(rng.standard_normal((n, n_tasks)) + np.sin(2 * x)[:, None])
    if isinstance(loss, LogisticLoss):
        Y = rng.choice([0.0, 0.0, 1.0, 1.0, 0.5, 1e-9], size=(n, n_tasks))
    elif rng.random() < 0.2:
        Y = np.round(Y)
    if rng.random() < 0.15:
        Y = np.outer(Y[:, 0], rng.integers(0, 2, n_tasks))  # proportional tasks, or zero
    weights = [
        lambda: np.ones(n),
        lambda: 10.0 ** rng.uniform(-3, 3, n),
        lambda: np.where(np.arange(n) == rng.integers(n), 10.0 ** rng.uniform(6, 20), 1.0),
        lambda: 10.0 ** rng.uniform(-14, 3, n),
    ][rng.integers(4)]()
    alpha = float(10.0 ** rng.uniform(-8, 3))
    problem = Problem.make(x, Y, alpha, loss=loss, sample_weight=weights)
    grid, rows = np.unique(x, return_inverse=True)
    F = reference_values(problem, grid, rows)
    least, best = np.inf, F
    labels = np.zeros_like(F)
    np.put_along_axis(labels, rows[:, None].repeat(n_tasks, 1), Y, axis=0)
    flat = np.zeros_like(F)
    for values in (F, flat, *([] if isinstance(loss, LogisticLoss) else [labels])):
        if (cost := objective(problem, grid, rows, values)) < least:
            least, best = cost, values
    return problem, grid, rows, best, least


def rescaled(problem, F, least, rng):
    """The same problem in other units and with other offsets; all changes are exact."""
    sx, sy = 2.0 ** rng.choice([-27, 0, 27]), 2.0 ** rng.choice([-27, 0, 27])
    offset = float(rng.choice([0.0, 0.0, 2.0**33]))
    level, tilt = rng.choice([0.0, 0.0, 2.0**20], 2)
    loss, factor = problem.loss, sy
    x, Y = problem.X[:, 0], problem.Y
    if isinstance(loss, LogisticLoss):
        sy, factor = 1.0, 1.0
    else:
        line = level + tilt * x
        Y, F = Y + line[:, None], F + (level + tilt * np.unique(x))[:, None]
        if isinstance(loss, HuberLoss):
            loss = HuberLoss(delta=loss.delta * sy)
        if not isinstance(loss, QuantileLoss):
            factor = sy * sy
    alpha = problem.alpha * sx * factor / sy
    x = (x + offset) * sx
    moved = Problem.make(x, Y * sy, alpha, loss=loss, sample_weight=problem.sample_weight)
    return moved, F * sy, least * factor


def networks(problem, F, rng):
    x, n_tasks = np.unique(problem.X), problem.n_tasks
    spread = float(np.ptp(F)) + float(np.abs(problem.Y).max()) * 1e-3 + 1e-300
    yield connect(x, F)
    yield connect(x, F + 1e-7 * spread * rng.standard_normal(F.shape))
    yield connect(x, F + 10.0 ** rng.uniform(-6, 1) * spread * rng.standard_normal(F.shape))
    yield connect(x, np.zeros_like(F))
    k, reach = int(rng.integers(1, 6)), float(np.ptp(x)) or 1.0
    w = rng.standard_normal((k, 1))
    yield ReLUNetwork(
        w,
        -w[:, 0] * (x[0] + reach * rng.random(k)),
        spread / reach * rng.standard_normal((k, n_tasks)),
        np.zeros((n_tasks, 1)),
        F[0],
    )


def hints(problem, F, rng):
    rows = np.unique(problem.X, return_inverse=True)[1].ravel()
    own = problem.dual_variable(F[rows])
    noise = rng.standard_normal(own.shape)
    yield None
    yield own
    yield own * 10.0 ** rng.uniform(-320, -150)
    yield np.clip(own * 10.0 ** rng.uniform(100, 290), -1e307, 1e307)
    yield own * (1 + 10.0 ** rng.uniform(-12, 0) * noise)
    yield noise * 10.0 ** rng.uniform(-12, 12, size=own.shape)
    yield noise * problem.sample_weight[:, None]


def check(seed):
    rng = np.random.default_rng(seed)
    plain, _, _, F, least = draw(rng)
    for problem, values, bound in ((plain, F, least), rescaled(plain, F, least, rng)):
        for network in networks(problem, values, rng):
            for hint in hints(problem, values, rng):
                certificate = verify(problem, network, dual=hint)
                assert certificate.dual <= bound * (1 + SLACK) + 1e-290, (seed, certificate)
                if certificate.relative_gap <= 1e-6:
                    assert certificate.primal * (1 - 1e-6) <= bound * (1 + SLACK) + 1e-290, seed


@pytest.mark.parametrize("block", range(4))
def test_no_dual_value_exceeds_the_objective_of_any_function(block):
    for seed in range(10 * block, 10 * block + 10):
        check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_no_dual_value_exceeds_the_objective_of_any_function_wide(block):
    for seed in range(1000 + 50 * block, 1000 + 50 * block + 50):
        check(seed)


@pytest.mark.parametrize("weight", [1e-13, 1e6, 1e10, 1e13, 1e18])
@pytest.mark.parametrize("place", [0, 2])
@pytest.mark.parametrize("slope", [1.0, 1e3, 1e6])
@pytest.mark.parametrize("loss", ["squared", "huber", "quantile"])
def test_one_sample_that_outweighs_all_others(loss, slope, place, weight):
    # The line through the heavy sample bounds the optimum; the dual variable of a network of
    # another slope meets the constraints of the skip only after a badly conditioned projection.
    x = np.arange(6.0)
    y = slope * x + 0.1 * np.random.default_rng(0).standard_normal(6)
    y -= y[place]
    weights = np.where(x == place, weight, 1.0)
    problem = Problem.make(x, y, 0.5, loss=loss, sample_weight=weights)

    def line(a):
        return ReLUNetwork.from_knots([], np.zeros((0, 1)), [a], [-a * x[place]])

    bound = problem.objective(line(slope))
    for a in (0.0, 0.5 * slope, 2 * slope, slope * (1 + 1e-6)):
        assert verify(problem, line(a)).dual <= bound * (1 + SLACK)


@pytest.mark.parametrize("exponent", [-250, -165, -155, 155, 165, 250])
@pytest.mark.parametrize("alpha", [0.0, 10.0])
def test_lopsided_neurons_cost_what_they_cost(alpha, exponent):
    x, y = np.arange(8.0), np.sin(3 * np.arange(8.0))
    problem, s = Problem.make(x, y, alpha), 10.0**exponent
    dots = connect(x, y[:, None])
    lopsided = ReLUNetwork(dots.w * s, dots.b * s, dots.v / s, dots.A, dots.c)
    plain, other = verify(problem, dots), verify(problem, lopsided)
    np.testing.assert_allclose(other.primal, plain.primal, rtol=1e-10)
    if alpha:
        assert other.status is Status.NOT_OPTIMAL


@pytest.mark.parametrize("exponent", [-320, -310, -161, -150, 150, 200, 300])
def test_the_size_of_a_hint_does_not_matter(exponent):
    x, y = np.arange(8.0), np.sin(3 * np.arange(8.0))
    problem = Problem.make(x, y, 0.05)
    grid, rows = np.unique(x, return_inverse=True)
    F = reference_values(problem, grid, rows)
    hint = problem.dual_variable(F) * 10.0**exponent
    dual = verify(problem, connect(x, np.zeros((8, 1))), dual=hint).dual
    assert dual <= objective(problem, grid, rows, F) * (1 + SLACK)
    if exponent > -300:  # below, the hint itself has lost its digits
        assert dual >= 0.9999 * objective(problem, grid, rows, F)


def test_bounds_of_what_overflows_are_zero():
    problem = Problem.make([0.0, 1e-300, 1.0], [0.0, 1e10, 0.0], 0.0)
    certificate = verify(problem, ReLUNetwork.from_knots([], np.zeros((0, 1)), [0.0], [0.0]))
    assert certificate.dual == 0.0 and certificate.status is Status.INFEASIBLE


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("network", {"network": "a network"}),
        ("tol", {"tol": "small"}),
        ("dual", {"dual": np.full((3, 1), "a")}),
        ("dual", {"dual": np.full((3, 1), 1j)}),
    ],
)
def test_arguments_of_another_kind_are_named(argument, values):
    problem = Problem.make([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], 0.1)
    given = {"network": connect(np.arange(3.0), problem.Y), **values}
    with pytest.raises(InvalidInputError, match=f"^{argument} "):
        verify(problem, **given)
