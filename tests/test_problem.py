import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtrelu.losses import HuberLoss, LogisticLoss, QuantileLoss, SquaredLoss
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem, alpha_from_weight_decay, alpha_max
from mtrelu.validation import InvalidInputError

LOSSES = [SquaredLoss(), HuberLoss(delta=0.5), LogisticLoss(), QuantileLoss(quantile=0.7)]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)


def some_problem(
    loss="squared", n_samples=40, n_inputs=1, n_tasks=3, alpha=0.7, skip="affine", seed=0
):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_inputs))
    Y = rng.standard_normal((n_samples, n_tasks)) + X[:, :1]
    if getattr(loss, "name", loss) == "logistic":
        Y = (rng.random((n_samples, n_tasks)) < 1 / (1 + np.exp(-X[:, :1]))).astype(float)
        Y[::3] = rng.uniform(size=Y[::3].shape)
    weights = rng.uniform(0.2, 3.0, n_samples)
    return Problem.make(X, Y, alpha, loss=loss, skip=skip, sample_weight=weights)


def random_network(problem, n_neurons=6, seed=1):
    rng = np.random.default_rng(seed)
    d, T = problem.n_inputs, problem.n_tasks
    return ReLUNetwork(
        rng.standard_normal((n_neurons, d)),
        rng.standard_normal(n_neurons),
        rng.standard_normal((n_neurons, T)),
        rng.standard_normal((T, d)),
        rng.standard_normal(T),
    )


def largest_dual_function(x, P):
    """Return max over unit w and all b of ‖Σ p_i (w x_i + b)₊‖ for one input, entry by entry."""
    return max(
        np.linalg.norm(P.T @ np.maximum(side * (x - knot), 0.0)) for side in (1, -1) for knot in x
    )


def onto_skip_constraints(X, P):
    basis = np.linalg.qr(np.column_stack([np.ones(len(X)), X]))[0]
    for _ in range(2):
        P = P - basis @ (basis.T @ P)
    return P


# --- objective and dual ----------------------------------------------------------------------


@each_loss
@pytest.mark.parametrize("n_inputs", [1, 3])
def test_objective_is_its_definition(loss, n_inputs):
    problem = some_problem(loss, n_inputs=n_inputs)
    network = random_network(problem)
    total = 0.0
    for x, y, weight in zip(problem.X, problem.Y, problem.sample_weight, strict=True):
        hidden = np.maximum(network.w @ x + network.b, 0.0)
        z = network.v.T @ hidden + network.A @ x + network.c
        for label, prediction in zip(y, z, strict=True):
            total += weight * float(loss.value(label, prediction))
    for v, w in zip(network.v, network.w, strict=True):
        total += problem.alpha * np.linalg.norm(v) * np.linalg.norm(w)
    assert problem.objective(network) == pytest.approx(total, rel=1e-12)


def test_objective_of_interpolation_is_the_path_norm():
    problem = some_problem(alpha=0.0)
    network = random_network(problem)
    assert problem.objective(network) == network.path_cost()


@each_loss
def test_dual_variable_is_minus_the_gradient_of_the_loss(loss):
    problem = some_problem(loss, n_samples=5, n_tasks=2)
    z = np.random.default_rng(3).standard_normal((5, 2))
    P = problem.dual_variable(z)
    for i, t in np.ndindex(5, 2):
        step = np.zeros((5, 2))
        step[i, t] = 1e-6
        quotient = (problem.loss_value(z + step) - problem.loss_value(z - step)) / 2e-6
        assert P[i, t] == pytest.approx(-quotient, abs=1e-7)


@each_loss
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 5.0))
def test_no_network_is_below_a_feasible_dual(loss, seed, alpha):
    problem = some_problem(loss, n_samples=15, n_tasks=2, alpha=alpha)
    P = problem.dual_variable(np.random.default_rng(seed).standard_normal((15, 2)))
    P = onto_skip_constraints(problem.X, P)
    lo, hi = (problem.sample_weight[:, None] * bound for bound in loss.dual_bounds(problem.Y))
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.fmin(np.where(P > 0, hi / P, np.inf), np.where(P < 0, lo / P, np.inf)).min()
    largest = largest_dual_function(problem.X[:, 0], P)
    P = P * min(1.0, room, alpha / largest)
    dual = problem.dual_value(P)
    assert np.isfinite(dual)
    networks = [random_network(problem, n_neurons, seed + 1) for n_neurons in (0, 1, 6)]
    A, c, _ = problem.affine_fit()
    networks.append(ReLUNetwork(np.empty((0, 1)), [], np.empty((0, 2)), A, c))
    for network in networks:
        assert dual <= problem.objective(network) * (1 + 1e-12)


def test_dual_of_interpolation_is_linear():
    problem = some_problem(alpha=0.0)
    P = np.random.default_rng(0).standard_normal(problem.Y.shape)
    assert problem.dual_value(P) == pytest.approx(np.vdot(P, problem.Y), rel=1e-12)


def test_dual_value_is_minus_infinity_outside_the_domain():
    problem = some_problem(HuberLoss(delta=0.5))
    inside = 0.49 * problem.sample_weight[:, None] * np.ones(problem.n_tasks)
    assert np.isfinite(problem.dual_value(inside))
    assert problem.dual_value(1.1 * inside) == -np.inf


def test_a_weight_is_a_number_of_copies():
    problem = some_problem(n_samples=6)
    copies = np.array([1, 2, 3, 1, 1, 4])
    weighted = Problem.make(problem.X, problem.Y, 0.5, sample_weight=copies)
    repeated = Problem.make(problem.X.repeat(copies, 0), problem.Y.repeat(copies, 0), 0.5)
    network = random_network(problem)
    assert weighted.objective(network) == pytest.approx(repeated.objective(network), rel=1e-12)
    for ours, theirs in zip(weighted.affine_fit()[:2], repeated.affine_fit()[:2], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-13)


def test_samples_of_weight_zero_are_left_out():
    problem = Problem.make([0.0, 1.0, 2.0], [0.0, 5.0, 1.0], 1.0, sample_weight=[1, 0, 2])
    np.testing.assert_array_equal(problem.X, [[0.0], [2.0]])
    np.testing.assert_array_equal(problem.Y, [[0.0], [1.0]])
    np.testing.assert_array_equal(problem.sample_weight, [1.0, 2.0])


# --- the affine fit --------------------------------------------------------------------------


def assert_optimal_affine_fit(problem, rtol=1e-10):
    """The dual value of P proves that the fit is the best one without neurons."""
    A, c, P = problem.affine_fit()
    lo, hi = (problem.sample_weight[:, None] * b for b in problem.loss.dual_bounds(problem.Y))
    assert np.all((lo <= P) & (P <= hi))
    size = np.abs(P).sum()
    if problem.skip != "none":
        assert np.all(np.abs(P.sum(axis=0)) <= 1e-12 * size)
    else:
        assert not c.any()
    if problem.skip == "affine":
        centred = problem.X - problem.X.mean(axis=0)
        reach = np.abs(centred).max(axis=0)
        assert np.all(np.abs(centred.T @ P) <= 1e-12 * reach[:, None] * size)
    else:
        assert not A.any()
    origin = problem.X[0]
    predictions = (problem.X - origin) @ A.T + (c + A @ origin)
    primal, dual = problem.loss_value(predictions), problem.dual_value(P)
    assert abs(primal - dual) <= rtol * primal


@each_loss
@pytest.mark.parametrize("skip", ["affine", "constant", "none"])
@pytest.mark.parametrize("n_inputs", [1, 3])
def test_affine_fit_is_proved_by_its_dual(loss, skip, n_inputs):
    assert_optimal_affine_fit(some_problem(loss, n_inputs=n_inputs, skip=skip))


@each_loss
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_affine_fit_at_extreme_scales(loss, scale):
    problem = some_problem(loss)
    w = problem.sample_weight
    X, Y = problem.X, problem.Y
    assert_optimal_affine_fit(Problem.make(scale * X, Y, 1.0, loss=loss, sample_weight=w))
    assert_optimal_affine_fit(Problem.make(X, Y, 1.0, loss=loss, sample_weight=scale * w))
    if loss.name != "logistic":
        assert_optimal_affine_fit(Problem.make(X, scale * Y, 1.0, loss=loss, sample_weight=w))
    assert_optimal_affine_fit(Problem.make(X + 1e6, Y, 1.0, loss=loss), rtol=1e-8)


@each_loss
def test_affine_fit_of_awkward_data(loss):
    rng = np.random.default_rng(0)
    Y = some_problem(loss).Y
    n = len(Y)
    assert_optimal_affine_fit(Problem.make(np.full(n, 3.0), Y, 1.0, loss=loss))
    assert_optimal_affine_fit(Problem.make(rng.integers(0, 3, n), Y, 1.0, loss=loss))
    gaps = np.concatenate([[0.0, 1e-9], rng.uniform(0.5, 1.0, n - 2)])
    assert_optimal_affine_fit(Problem.make(gaps, Y, 1.0, loss=loss))
    outlier = np.concatenate([[1e6], rng.uniform(size=n - 1)])
    assert_optimal_affine_fit(Problem.make(outlier, Y, 1.0, loss=loss))
    twice = rng.standard_normal((n, 1))
    assert_optimal_affine_fit(Problem.make(np.hstack([twice, 2 * twice]), Y, 1.0, loss=loss))
    if loss.name != "logistic":
        assert_optimal_affine_fit(Problem.make(rng.uniform(size=n), np.exp(10 * Y), 1.0, loss=loss))


@each_loss
def test_affine_fit_through_every_point(loss):
    Y = np.array([[0.2, 0.3], [0.7, 0.6]])
    A, c, P = Problem.make([1.0, 3.0], Y, 1.0, loss=loss).affine_fit()
    expected = Y if loss.name != "logistic" else np.log(Y / (1 - Y))
    np.testing.assert_allclose(np.array([[1.0], [3.0]]) @ A.T + c, expected, atol=1e-12)
    np.testing.assert_allclose(P, 0.0, atol=1e-12)
    A, c, P = Problem.make([2.0], Y[:1], 1.0, loss=loss).affine_fit()
    np.testing.assert_array_equal(A, 0.0)
    np.testing.assert_allclose(c, expected[0], atol=1e-12)
    np.testing.assert_allclose(P, 0.0, atol=1e-12)


def test_affine_fit_of_squares_is_weighted_least_squares():
    problem = some_problem(n_inputs=2)
    root = np.sqrt(problem.sample_weight)[:, None]
    columns = root * np.column_stack([np.ones(problem.n_samples), problem.X])
    expected = np.linalg.lstsq(columns, root * problem.Y, rcond=None)[0]
    A, c, _ = problem.affine_fit()
    np.testing.assert_allclose(np.vstack([c, A.T]), expected, atol=1e-13)


@pytest.mark.parametrize("loss", LOSSES[1:], ids=lambda loss: loss.name)
def test_affine_fit_agrees_with_cvxpy(loss):
    problem = some_problem(loss, n_samples=25, n_tasks=2)
    A, c = cp.Variable((2, 1)), cp.Variable(2)
    Z = problem.X @ A.T + np.ones((25, 1)) @ cp.reshape(c, (1, 2), order="C")
    R, w = problem.Y - Z, problem.sample_weight[:, None] * np.ones((1, 2))
    terms = {
        "huber": lambda: cp.huber(R, 0.5) / 2,
        "logistic": lambda: cp.logistic(Z) - cp.multiply(problem.Y, Z),
        "quantile": lambda: cp.maximum(0.7 * R, -0.3 * R),
    }[loss.name]()
    best = cp.Problem(cp.Minimize(cp.sum(cp.multiply(w, terms)))).solve(solver=cp.CLARABEL)
    ours_A, ours_c, _ = problem.affine_fit()
    ours = problem.loss_value(problem.X @ ours_A.T + ours_c)
    assert ours == pytest.approx(best, rel=1e-7)


separable = [
    ([0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1], True),
    ([0.0, 1.0, 2.0, 3.0], [1, 1, 0, 0], True),
    ([0.0, 1.0, 1.0, 3.0], [0, 0, 1, 1], True),  # touching classes: still no minimum
    ([0.0, 1.0, 2.0, 3.0], [1, 1, 1, 1], True),
    ([0.0, 1.0, 2.0, 3.0], [0, 0, 0, 0], True),
    ([0.0, 1.0, 2.0, 3.0], [0, 0, 0.5, 1], True),  # a line through zero at the undecided sample
    ([0.0, 1.0, 2.0, 3.0], [0, 0.5, 0.5, 1], False),
    ([0.0, 1.0, 2.0, 3.0], [0, 1, 0, 1], False),
    ([0.0, 1.0, 1.0 - 1e-9, 3.0], [0, 0, 1, 1], False),
    ([1.0, 1.0, 1.0, 1.0], [0, 1, 0, 1], False),
    ([0.0, 1.0, 2.0, 3.0], [0.3, 0.3, 0.3, 0.3], False),
]


@pytest.mark.parametrize(("x", "y", "has_no_minimum"), separable)
def test_separable_classes_are_refused_exactly(x, y, has_no_minimum):
    Y = np.column_stack([[0.4, 0.6, 0.6, 0.4], y])
    # In the plane, the same question is answered by a linear program.
    for X in (np.array(x)[:, None], np.column_stack([x, np.array(x) + 1.0])):
        problem = Problem.make(X, Y, 1.0, loss="logistic")
        if has_no_minimum:
            with pytest.raises(InvalidInputError, match=r"column 1\) whose classes the skip"):
                problem.affine_fit()
        elif X.shape[1] == 1 or min(abs(np.diff(sorted(set(x)))), default=1.0) > 1e-6:
            assert_optimal_affine_fit(problem)


def test_a_confident_fit_of_equal_inputs_is_not_refused():
    problem = Problem.make([1.0, 1.0], [0, 1], 1.0, loss="logistic", sample_weight=[1.0, 1e-9])
    assert_optimal_affine_fit(problem)
    assert problem.affine_fit()[1][0] == pytest.approx(np.log(1e-9), rel=1e-9)


def test_separable_classes_with_a_constant_skip():
    assert_optimal_affine_fit(
        Problem.make([0.0, 1.0], [0.0, 1.0], 1.0, loss="logistic", skip="constant")
    )
    with pytest.raises(InvalidInputError, match="column 0"):
        Problem.make([0.0, 1.0], [1.0, 1.0], 1.0, loss="logistic", skip="constant").affine_fit()


# --- compression -----------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "alpha"), [("squared", 0.7), ("squared", 0.0), ("huber", 0.0)])
def test_compression_is_exact(loss, alpha):
    problem = some_problem(loss, n_samples=8, n_tasks=50, alpha=alpha)
    small, W = problem.compressed()
    assert small.n_tasks == 8
    np.testing.assert_allclose(W.T @ W, np.eye(8), atol=1e-14)
    np.testing.assert_allclose(small.Y @ W.T, problem.Y, atol=1e-13)
    network = random_network(small)
    back = ReLUNetwork(network.w, network.b, network.v @ W.T, W @ network.A, W @ network.c)
    assert problem.objective(back) == pytest.approx(small.objective(network), rel=1e-13)
    P = np.random.default_rng(0).standard_normal(small.Y.shape)
    assert problem.dual_value(P @ W.T) == pytest.approx(small.dual_value(P), rel=1e-13)


def test_compression_keeps_nearly_dependent_tasks_apart():
    rng = np.random.default_rng(0)
    Y = rng.standard_normal((6, 1)) @ np.ones((1, 40)) + 1e-9 * rng.standard_normal((6, 40))
    small, W = Problem.make(np.arange(6.0), Y, 1.0).compressed()
    np.testing.assert_allclose(small.Y @ W.T, Y, rtol=0, atol=1e-14)
    np.testing.assert_allclose(
        np.linalg.svd(small.Y)[1], np.linalg.svd(Y)[1], rtol=1e-6, atol=1e-15
    )


@pytest.mark.parametrize(
    ("loss", "n_tasks", "alpha"), [("huber", 50, 1.0), ("logistic", 50, 1.0), ("squared", 8, 1.0)]
)
def test_nothing_is_compressed_without_gain_or_invariance(loss, n_tasks, alpha):
    problem = some_problem(loss, n_samples=8, n_tasks=n_tasks, alpha=alpha)
    small, W = problem.compressed()
    assert small is problem
    assert W is None


# --- alpha -----------------------------------------------------------------------------------


@each_loss
def test_alpha_max_is_the_largest_dual_function_of_the_affine_fit(loss):
    problem = some_problem(loss)
    P = problem.affine_fit()[2]
    found = alpha_max(problem.X, problem.Y, loss=loss, sample_weight=problem.sample_weight)
    assert found == pytest.approx(largest_dual_function(problem.X[:, 0], P), rel=1e-12)


def test_alpha_max_is_where_the_first_knot_appears():
    problem = some_problem(n_samples=15, n_tasks=2)
    x, Y, w = problem.X[:, 0], problem.Y, problem.sample_weight
    largest = alpha_max(x, Y, sample_weight=w)
    hinges = np.maximum(x[:, None] - x, 0.0)
    for factor, bends in ((1.001, False), (0.98, True)):
        V, A, c = cp.Variable((15, 2)), cp.Variable((1, 2)), cp.Variable((1, 2))
        R = Y - hinges @ V - x[:, None] @ A - np.ones((15, 1)) @ c
        loss = cp.sum_squares(cp.multiply(np.sqrt(w)[:, None] * np.ones((1, 2)), R)) / 2
        penalty = factor * largest * cp.sum(cp.norm(V, axis=1))
        cp.Problem(cp.Minimize(loss + penalty)).solve(solver=cp.CLARABEL)
        assert (np.linalg.norm(V.value) > 1e-5) == bends


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize(("n_inputs", "n_samples"), [(1, 12), (2, 12), (3, 7)])
def test_alpha_max_is_where_the_first_neuron_pays(n_inputs, n_samples, skip):
    problem = some_problem(n_samples=n_samples, n_inputs=n_inputs, n_tasks=2, skip=skip)
    X, Y, w = problem.X, problem.Y, problem.sample_weight
    largest = alpha_max(X, Y, skip=skip, sample_weight=w)
    # Many neurons through data points, among them the one whose direction a fine search likes best.
    P = problem.affine_fit()[2]
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((4000, n_inputs))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    pivots = rng.integers(0, n_samples, 4000)
    best, best_at = 0.0, None
    for size in (1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5):
        b = -np.einsum("ij,ij->i", directions, X[pivots])
        g = np.linalg.norm(np.maximum(X @ directions.T + b, 0.0).T @ P, axis=1)
        if g.max() > best:
            best, best_at = g.max(), (directions[g.argmax()], pivots[g.argmax()])
        directions = best_at[0] + size * rng.standard_normal((4000, n_inputs))
        directions /= np.linalg.norm(directions, axis=1)[:, None]
        pivots = np.where(rng.random(4000) < 0.5, best_at[1], rng.integers(0, n_samples, 4000))
    assert best * (1 - 1e-15) <= largest
    assert largest == pytest.approx(best, rel=1e-4)
    phi = np.maximum(X @ best_at[0] - X[best_at[1]] @ best_at[0], 0.0)[:, None]
    for factor, pays in ((1.001, False), (0.98, True)):
        V, A, c = cp.Variable((1, 2)), cp.Variable((n_inputs, 2)), cp.Variable((1, 2))
        R = Y - phi @ V - np.ones((n_samples, 1)) @ c - (X @ A if skip == "affine" else 0.0)
        loss = cp.sum_squares(cp.multiply(np.sqrt(w)[:, None] * np.ones((1, 2)), R)) / 2
        cp.Problem(cp.Minimize(loss + factor * largest * cp.norm(V))).solve(solver=cp.CLARABEL)
        assert (np.linalg.norm(V.value) > 1e-4) == pays


def test_alpha_max_in_the_plane_is_equivariant():
    problem = some_problem(n_samples=15, n_inputs=2)
    X, Y = problem.X, problem.Y
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((2, 2)))[0]
    for skip in ("affine", "constant"):
        base = alpha_max(X, Y, skip=skip)
        assert alpha_max(X @ turn + 5.0, Y, skip=skip) == pytest.approx(base, rel=1e-11)
        assert alpha_max(1e6 * X, 1e-3 * Y, skip=skip) == pytest.approx(1e3 * base, rel=1e-11)
        again = alpha_max(np.vstack([X, X]), np.vstack([Y, Y]), skip=skip)
        assert again == pytest.approx(2 * base, rel=1e-11)
    assert alpha_max(np.hstack([X, X[:, :1]]), Y) > 0.0
    one = X[:, :1]
    assert alpha_max(np.hstack([one, np.ones_like(one)]), Y) == pytest.approx(
        alpha_max(one, Y), rel=1e-11
    )


def test_alpha_max_of_affine_labels_is_zero():
    x = np.linspace(0.0, 1.0, 10)
    assert alpha_max(x, np.column_stack([2 * x + 1, -x])) < 1e-13
    assert alpha_max([1.0], [2.0]) == 0.0
    X = np.random.default_rng(0).standard_normal((10, 2))
    assert alpha_max(X, X @ [[2.0, 1.0], [0.0, -3.0]] + 5.0) < 1e-12
    assert alpha_max(X, np.full(10, 3.0), skip="constant") < 1e-12
    assert alpha_max(np.ones((4, 3)), [1.0, 2.0, 3.0, 4.0], skip="constant") < 1e-12


def test_alpha_max_is_equivariant():
    problem = some_problem(n_samples=20)
    x, Y = problem.X[:, 0], problem.Y
    base = alpha_max(x, Y)
    order = np.random.default_rng(0).permutation(20)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    assert alpha_max(x[order], Y[order]) == pytest.approx(base, rel=1e-12)
    assert alpha_max(x, Y @ rotation) == pytest.approx(base, rel=1e-12)
    assert alpha_max(1e8 * x, 1e-3 * Y) == pytest.approx(1e5 * base, rel=1e-12)
    assert alpha_max(5.0 - x, Y + 2.0 * x[:, None] - 7.0) == pytest.approx(base, rel=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weight_decay_is_converted_to_the_penalty_of_a_balanced_network(reduction):
    problem = some_problem(n_samples=12, n_tasks=5)
    decay = 0.03
    alpha = alpha_from_weight_decay(decay, 12, 5, reduction)
    network = random_network(problem).balanced()
    errors = (problem.Y - network(problem.X)) ** 2
    mean = reduction == "mean"
    trained = errors.mean() if mean else errors.sum()
    trained += decay / 2 * (np.sum(network.w**2) + np.sum(network.v**2))
    ours = Problem.make(problem.X, problem.Y, alpha).objective(network)
    assert ours == pytest.approx(trained * (12 * 5 if mean else 1) / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 2, 2), r"weight_decay is -1\.0"),
        ((np.nan, 2, 2), r"weight_decay is nan"),
        ((1.0, 0, 2), r"n_samples is 0"),
        ((1.0, 2, 0), r"n_tasks is 0"),
        ((1.0, 2, 2, "none"), r"reduction is 'none'"),
    ],
)
def test_weight_decays_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        alpha_from_weight_decay(*arguments)


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": []}, r"X has no rows"),
        ({"X": [0.0, np.nan, 2.0]}, r"X has 1 entry that is not finite"),
        ({"Y": [1.0, 2.0]}, r"Y has 2 rows, but the inputs have 3"),
        ({"Y": np.empty((3, 0))}, r"Y has no columns"),
        ({"alpha": -1.0}, r"alpha is -1\.0"),
        ({"loss": "l1"}, r"loss is 'l1'"),
        ({"loss": "logistic"}, r"Y has the label 2\.0 at row 1, but the logistic loss needs"),
        ({"skip": "linear"}, r"skip is 'linear', which is not a known skip connection"),
        ({"X": [0.0, 1e200, 2.0]}, r"X has values up to 1e\+200, whose squares"),
        ({"Y": [0.0, -1e200, 2.0]}, r"Y has values up to 1e\+200, whose squares"),
        ({"sample_weight": [1.0]}, r"sample_weight has 1 entries"),
    ],
)
def test_problems_that_cannot_work_are_refused(change, message):
    arguments = {"X": [0.0, 1.0, 2.0], "Y": [0.0, 2.0, 1.0], "alpha": 1.0} | change
    with pytest.raises(InvalidInputError, match=message):
        Problem.make(**arguments)


def test_interpolation_of_contradictions_is_refused_with_the_rows():
    X, Y = [3.0, 1.0, 2.0, 1.0, 3.0], [0.0, 1.0, 2.0, 4.0, 0.0]
    with pytest.raises(InvalidInputError, match=r"same input X \(rows 1 and 3\), so no function"):
        Problem.make(X, Y, 0.0)
    assert Problem.make(X, Y, 1.0).n_samples == 5
    assert Problem.make(X, Y, 0.0, sample_weight=[1, 1, 1, 0, 1]).n_samples == 4
    # The rows are the caller's, also when some were left out.
    with pytest.raises(InvalidInputError, match=r"rows 1 and 3\)"):
        Problem.make(X, Y, 0.0, sample_weight=[0, 1, 1, 1, 1])
    with pytest.raises(InvalidInputError, match=r"rows 0 and 2\)"):
        Problem.make(
            [[1.0, 2.0], [1.0, 3.0], [1.0, 2.0]], [[0.0, 1.0], [0.0, 1.0], [0.0, 2.0]], 0.0
        )


@pytest.mark.parametrize(
    ("skip", "network", "message"),
    [
        ("affine", ([[1.0, 1.0]], [0.0], [[1.0]], [[0.0, 0.0]], [0.0]), r"network has 2 inputs"),
        ("affine", ([[1.0]], [0.0], [[1.0, 1.0]], [[0.0]] * 2, [0.0] * 2), r"and 2 tasks, but"),
        ("constant", ([[1.0]], [0.0], [[1.0]], [[1.0]], [0.0]), r"network has a linear part A"),
        ("none", ([[1.0]], [0.0], [[1.0]], [[0.0]], [1.0]), r"network has a constant part c"),
    ],
)
def test_networks_that_are_no_candidates_are_refused(skip, network, message):
    problem = Problem.make([0.0, 1.0], [0.0, 1.0], 1.0, skip=skip)
    with pytest.raises(InvalidInputError, match=message):
        problem.objective(ReLUNetwork(*network))


def test_alpha_max_says_what_it_does_not_do():
    with pytest.raises(InvalidInputError, match=r'skip is "none", but without a skip connection'):
        alpha_max([0.0, 1.0], [0.0, 1.0], skip="none")


@pytest.mark.parametrize(
    ("arguments", "word"), [(("a", 2, 2), "weight_decay"), ((1e-3, 2.5, 2), "n_samples is 2.5")]
)
def test_weight_decay_refuses_what_is_not_a_number(arguments, word):
    with pytest.raises(InvalidInputError, match=word):
        alpha_from_weight_decay(*arguments)


@pytest.mark.parametrize("alpha", [0.0, 1e-172])
def test_numbers_whose_squares_underflow_are_refused(alpha):
    x = np.arange(20.0)
    with pytest.raises(InvalidInputError, match=r"^Y has values up to 1e-169 only.*rescale"):
        Problem.make(x, np.abs(x - 9) * 1e-170, alpha)
    with pytest.raises(InvalidInputError, match=r"^X has values up to 1.9e-169 only.*rescale"):
        Problem.make(x * 1e-170, np.abs(x - 9), alpha)
    assert not Problem.make(x, np.zeros(20), alpha).Y.any()
