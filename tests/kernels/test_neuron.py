"""The kernel of the neurons against loops, dense saddle systems, cvxpy, and certified optima."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from sklearn.neural_network import MLPRegressor

import mtrelu
from mtrelu import InvalidInputError, NeuronKernel, ReLUNetwork
from mtrelu.solvers.ridge import fit_ridge

SKIPS = ["affine", "constant", "none"]


def random_network(n_neurons=6, n_inputs=2, n_tasks=3, seed=0):
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((n_neurons, n_inputs)) * rng.uniform(0.2, 5.0, (n_neurons, 1))
    return ReLUNetwork(
        w,
        rng.standard_normal(n_neurons),
        rng.standard_normal((n_neurons, n_tasks)) * rng.uniform(0.1, 4.0, (n_neurons, 1)),
        rng.standard_normal((n_tasks, n_inputs)),
        rng.standard_normal(n_tasks),
    )


def kappa(network, x, z):
    """Σ_k ‖v_k‖‖w_k‖ φ_k(x) φ_k(z) of [24], φ_k with unit weights, one neuron at a time."""
    total = 0.0
    for w, b, v in zip(network.w, network.b, network.v, strict=True):
        length = np.sqrt(w @ w)
        if length == 0.0:
            continue
        strength = np.sqrt(v @ v) * length
        phi_x, phi_z = (max(float(w @ point + b) / length, 0.0) for point in (x, z))
        total += strength * phi_x * phi_z
    return total


def gram_of(network, X, Z):
    return np.array([[kappa(network, x, z) for z in Z] for x in X])


def columns(X, skip):
    """The skip functions on points, as they come: ones and the inputs."""
    ones = np.ones((len(X), 1))
    return {"none": np.empty((len(X), 0)), "constant": ones, "affine": np.hstack([ones, X])}[skip]


def saddle_fit(K, B, Y, alpha, weights):
    """Fitted values of ½‖Y − Bθ − f‖_W² + (α/2)‖f‖², from its optimality conditions, dense."""
    q = B.shape[1]
    system = np.block([[K + alpha * np.diag(1.0 / weights), B], [B.T, np.zeros((q, q))]])
    solution = np.linalg.solve(system, np.vstack([Y, np.zeros((q, Y.shape[1]))]))
    coefficients, theta = solution[: len(Y)], solution[len(Y) :]
    return coefficients, theta


def off_skip(B, weights):
    """S, Π with S = √W and Π the orthogonal projection off √W B, from a QR decomposition."""
    root = np.diag(np.sqrt(weights))
    Q, _ = np.linalg.qr(root @ B)
    return root, np.eye(len(B)) - Q @ Q.T


# The kernel -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_inputs", [1, 2, 5])
def test_gram_diagonal_and_features_are_the_sum_over_neurons(n_inputs):
    network = random_network(n_inputs=n_inputs)
    kernel = NeuronKernel(network)
    rng = np.random.default_rng(1)
    X, Z = rng.standard_normal((9, n_inputs)), 3.0 * rng.standard_normal((5, n_inputs))
    expected = gram_of(network, X, Z)
    assert expected.max() > 1.0
    np.testing.assert_allclose(kernel(X, Z), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(kernel(X), gram_of(network, X, X), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(kernel.diag(Z), np.diag(gram_of(network, Z, Z)), rtol=1e-12)
    np.testing.assert_allclose(kernel.features(X) @ kernel.features(Z).T, expected, rtol=1e-12)
    np.testing.assert_array_equal(kernel(X), kernel(X).T)
    assert np.linalg.eigvalsh(kernel(X)).min() > -1e-12 * np.trace(expected[:5])
    if n_inputs == 1:
        np.testing.assert_array_equal(kernel(X[:, 0], Z[:, 0]), kernel(X, Z))


def test_reproduces_point_values():
    # The output weights of κ(·, x) are read off its values, not computed from the strengths.
    kernel = NeuronKernel(random_network(n_neurons=8))
    rng = np.random.default_rng(2)
    points = 3.0 * rng.standard_normal((200, 2))
    neurons = np.maximum(points @ kernel.network.w.T + kernel.network.b, 0.0)
    X = rng.standard_normal((7, 2))
    sections = np.linalg.lstsq(neurons, kernel(points, X), rcond=None)[0]
    v = rng.standard_normal((8, 4))
    values = np.maximum(X @ kernel.network.w.T + kernel.network.b, 0.0) @ v
    np.testing.assert_allclose(kernel.inner_product(sections, v), values, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(kernel.inner_product(sections, sections), kernel(X), atol=1e-9)
    np.testing.assert_allclose(kernel.inner_product(v[:, 0], v), v[:, 0] / kernel.strengths @ v)
    norm = kernel.inner_product(v[:, 0], v[:, 0])
    assert isinstance(norm, float) and norm > 0.0


def test_does_not_depend_on_how_the_network_is_written():
    network = random_network()
    kernel = NeuronKernel(network)
    scale = np.random.default_rng(3).uniform(0.1, 10.0, 6)
    idle = ReLUNetwork(  # and one neuron that no task uses, and one that is a constant
        np.vstack([network.w * scale[:, None], [[1.0, 2.0], [0.0, 0.0]]]),
        np.concatenate([network.b * scale, [0.3, 2.0]]),
        np.vstack([network.v / scale[:, None], [[0.0, 0.0, 0.0], [1.0, 1.0, -1.0]]]),
        network.A,
        network.c,
    )
    again = NeuronKernel(idle)
    X = np.random.default_rng(4).standard_normal((20, 2))
    np.testing.assert_allclose(again(X), kernel(X), rtol=1e-12)
    assert again.network.n_neurons == 6
    np.testing.assert_allclose(np.linalg.norm(again.network.w, axis=1), 1.0)
    np.testing.assert_allclose(again.strengths, np.linalg.norm(again.network.v, axis=1))
    np.testing.assert_allclose(again.network(X), idle(X), rtol=1e-12, atol=1e-12)


def test_takes_a_model_of_another_library():
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((30, 2)), rng.standard_normal((30, 2))
    model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=2000, tol=1e-2, random_state=0).fit(X, y)
    network = mtrelu.as_network(model)
    np.testing.assert_allclose(NeuronKernel(model)(X[:6]), gram_of(network, X[:6], X[:6]))


# Ridge regression -----------------------------------------------------------------------------


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("n_samples", [4, 15])  # fewer samples than neurons, and more
@pytest.mark.parametrize("alpha", [1e-4, 0.3, 50.0])
def test_fit_solves_the_optimality_conditions(skip, n_samples, alpha):
    network = random_network(n_neurons=7)
    rng = np.random.default_rng(6)
    X, Y = rng.standard_normal((n_samples, 2)), rng.standard_normal((n_samples, 5))
    weights = rng.uniform(0.2, 3.0, n_samples)
    fit = NeuronKernel(network, skip).fit(X, Y, alpha, sample_weight=weights)
    far = 10.0 * rng.standard_normal((50, 2))  # also far outside the data
    coefficients, theta = saddle_fit(gram_of(network, X, X), columns(X, skip), Y, alpha, weights)
    expected = gram_of(network, far, X) @ coefficients + columns(far, skip) @ theta
    np.testing.assert_allclose(fit(far), expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max())
    assert (skip == "affine") == bool(fit.A.any()) and (skip != "none") == bool(fit.c.any())


def test_one_task_fits_as_among_many():
    kernel = NeuronKernel(random_network())
    rng = np.random.default_rng(7)
    X, Y = rng.standard_normal((10, 2)), rng.standard_normal((10, 40))
    together = kernel.fit(X, Y, 0.1)
    for task in (0, 39):
        alone = kernel.fit(X, Y[:, task], 0.1)
        np.testing.assert_allclose(alone.v[:, 0], together.v[:, task], rtol=1e-9, atol=1e-12)


def test_fit_with_a_robust_loss_is_the_convex_optimum():
    kernel = NeuronKernel(random_network())
    rng = np.random.default_rng(8)
    X, y = rng.standard_normal((12, 2)), 3.0 * rng.standard_normal(12)
    fit = kernel.fit(X, y, 0.2, loss=mtrelu.HuberLoss(delta=1.0))
    v, theta = cp.Variable(6), cp.Variable(3)
    phi = np.maximum(X @ kernel.network.w.T + kernel.network.b, 0.0)
    lengths = np.linalg.norm(random_network().v, axis=1) * np.linalg.norm(
        random_network().w, axis=1
    )
    residual = y - phi @ v - columns(X, "affine") @ theta
    cost = 0.5 * cp.sum(cp.huber(residual, 1.0)) + 0.1 * cp.sum_squares(
        cp.multiply(v, 1.0 / np.sqrt(lengths))
    )
    cp.Problem(cp.Minimize(cost)).solve(solver="CLARABEL")
    np.testing.assert_allclose(fit.v[:, 0], v.value, rtol=1e-5, atol=1e-6)


def test_a_loss_without_a_minimum_is_refused():
    kernel, X = NeuronKernel(random_network()), PLANE
    sides = np.column_stack([np.arange(11) % 2, X[:, 0] > 0.1])
    kernel.fit(X, sides[:, :1], 0.1, loss="logistic")
    with pytest.raises(InvalidInputError, match=r"column 1\) whose classes .* no minimum"):
        kernel.fit(X, sides, 0.1, loss="logistic")
    alone = NeuronKernel(random_network(), "none").fit(X, sides, 0.1, loss="logistic")
    assert np.abs(alone.v).max() < 100  # without skip functions there is one


def test_a_fit_that_is_not_proved_is_refused(monkeypatch):
    def stopped_early(*arguments):
        return fit_ridge(*arguments, tol=0.3)

    kernel, y = NeuronKernel(random_network()), np.random.default_rng(23).standard_normal(11)
    kernel.fit(PLANE, y, 0.1, loss="huber")
    monkeypatch.setattr("mtrelu.kernels.neuron.fit_ridge", stopped_early)
    with pytest.raises(InvalidInputError, match="Y cannot be fitted: over these neurons"):
        kernel.fit(PLANE, y, 0.1, loss="huber")


@pytest.mark.parametrize("unit", [1e-100, 1e100, 1e150])
def test_units_of_labels_and_inputs(unit):
    network = random_network()
    rng = np.random.default_rng(24)
    X, Y = rng.standard_normal((9, 2)), rng.standard_normal((9, 2))
    expected = NeuronKernel(network).fit(X, Y, 0.1)(X)
    np.testing.assert_allclose(NeuronKernel(network).fit(X, unit * Y, 0.1)(X) / unit, expected)
    # Neurons in the unit of x; the kernel is of the unit of x², the strengths undo that.
    far = ReLUNetwork(network.w, unit * network.b, network.v / unit, network.A, network.c)
    np.testing.assert_allclose(NeuronKernel(far).fit(unit * X, Y, 0.1 * unit)(unit * X), expected)


def test_without_penalty_it_interpolates_with_least_norm():
    network = random_network(n_neurons=12)
    kernel = NeuronKernel(network)
    rng = np.random.default_rng(9)
    X, Y = rng.standard_normal((6, 2)), rng.standard_normal((6, 2))
    fit = kernel.fit(X, Y, 0.0)
    np.testing.assert_allclose(fit(X), Y, atol=1e-9)
    v, theta = cp.Variable((12, 2)), cp.Variable((3, 2))
    phi = np.maximum(X @ kernel.network.w.T + kernel.network.b, 0.0)
    scaled = cp.multiply(v, 1.0 / np.sqrt(kernel.strengths)[:, None] @ np.ones((1, 2)))
    constraints = [phi @ v + columns(X, "affine") @ theta == Y]
    cp.Problem(cp.Minimize(cp.sum_squares(scaled)), constraints).solve(solver="CLARABEL")
    np.testing.assert_allclose(fit.v, v.value, atol=1e-6)


# The identity ---------------------------------------------------------------------------------

LINE = np.sort(np.random.default_rng(10).uniform(-2.0, 2.0, 12))[:, None]
PLANE = np.random.default_rng(11).standard_normal((11, 2))


@pytest.fixture(scope="module")
def optimum():
    """Certified optima, solved once: (X, Y, α, weights, solution) by case."""
    solved = {}

    def solve(n_inputs, n_tasks, skip="affine", weighted=False):
        key = (n_inputs, n_tasks, skip, weighted)
        if key not in solved:
            X = LINE if n_inputs == 1 else PLANE
            rng = np.random.default_rng(n_tasks)
            Y = np.sin(3.0 * X[:, :1]) + rng.standard_normal((len(X), n_tasks)) + 2.0
            weights = rng.uniform(0.3, 3.0, len(X)) if weighted else np.ones(len(X))
            solution = mtrelu.solve(X, Y, 0.2, skip=skip, sample_weight=weights, tol=1e-12)
            assert solution.certificate.oracle == "exact"
            assert solution.certificate.relative_gap < 1e-9
            assert solution.network.n_neurons >= 2
            solved[key] = (X, Y, 0.2, weights, solution.network)
        return solved[key]

    return solve


CASES = [
    (d, T, skip, weighted)
    for d in (1, 2)
    for T in (1, 2, 7)
    for skip in ("affine", "constant")
    for weighted in (False, True)
]


def identity_error(K, B, Y, alpha, weights, outputs):
    """‖ΠF − K̃(K̃ + αI)⁻¹ΠY‖ / ‖ΠF‖ with K̃ = Π√W K √WΠ, all dense."""
    root, projection = off_skip(B, weights)
    small = projection @ root @ K @ root @ projection
    F, labels = projection @ root @ outputs, projection @ root @ Y
    expected = small @ np.linalg.solve(small + alpha * np.eye(len(Y)), labels)
    return float(np.linalg.norm(F - expected) / np.linalg.norm(F))


@pytest.mark.parametrize("case", CASES)
def test_every_optimum_is_kernel_ridge_regression_with_its_own_kernel(optimum, case):
    X, Y, alpha, weights, network = optimum(*case)
    skip = case[2]
    kernel = NeuronKernel(network, skip)
    error = identity_error(kernel(X), columns(X, skip), Y, alpha, weights, network(X))
    assert error < 1e-9
    assert kernel.deviation(X, Y, alpha, sample_weight=weights) < 1e-9
    refit = kernel.fit(X, Y, alpha, sample_weight=weights)
    far = 5.0 * np.random.default_rng(0).standard_normal((50, X.shape[1]))
    difference = np.abs(refit(far) - network(far)).max()
    assert difference < 1e-8 * np.abs(network(far)).max()


@pytest.mark.parametrize("case", CASES)
def test_the_identity_fails_when_a_gamma_is_squared(optimum, case):
    X, Y, alpha, weights, network = optimum(*case)
    unit = network.unit_norm()
    phi = np.maximum(X @ unit.w.T + unit.b, 0.0)
    strengths = np.linalg.norm(unit.v, axis=1)
    B = columns(X, case[2])
    right = identity_error((phi * strengths) @ phi.T, B, Y, alpha, weights, network(X))
    squared = identity_error((phi * strengths**2) @ phi.T, B, Y, alpha, weights, network(X))
    doubled = identity_error((phi * strengths) @ phi.T, B, Y, 2 * alpha, weights, network(X))
    assert right < 1e-9 and squared > 1e-2 and doubled > 1e-2


@pytest.mark.parametrize("skip", SKIPS)
def test_holds_for_output_weights_that_are_best_for_neurons_that_are_not(skip):
    rng = np.random.default_rng(21)
    neurons = random_network(n_neurons=8).unit_norm()
    X, Y, weights = rng.standard_normal((14, 2)), rng.standard_normal((14, 3)), np.full(14, 0.7)
    B = columns(X, skip)
    phi = np.maximum(X @ neurons.w.T + neurons.b, 0.0)
    v, theta = cp.Variable((8, 3)), cp.Variable((max(B.shape[1], 1), 3))
    outputs = phi @ v + (B @ theta if B.size else 0.0)
    cost = 0.35 * cp.sum_squares(Y - outputs) + 0.4 * cp.sum(cp.norm(v, 2, axis=1))
    precise = {f"tol_{name}": 1e-10 for name in ("gap_abs", "gap_rel", "feas")}
    cp.Problem(cp.Minimize(cost)).solve(solver="CLARABEL", **precise)
    c = theta.value[0] if B.size else np.zeros(3)
    A = theta.value[1:].T if skip == "affine" else np.zeros((3, 2))
    network = ReLUNetwork(neurons.w, neurons.b, v.value, A, c)
    assert NeuronKernel(network, skip).deviation(X, Y, 0.4, weights) < 1e-6
    halved = ReLUNetwork(neurons.w, neurons.b, 0.5 * v.value, A, c)
    assert NeuronKernel(halved, skip).deviation(X, Y, 0.4, weights) > 1e-2


def weighted_ridge(phi, B, Y, penalty):
    """Output weights of ½‖Y − Bθ − Φv‖² + Σ_k penalty_k v_k², from its normal equations."""
    both = np.hstack([phi, B])
    system = both.T @ both + np.diag(np.append(2.0 * penalty, np.zeros(B.shape[1])))
    return np.linalg.solve(system, both.T @ Y)[: phi.shape[1]]


@pytest.mark.parametrize("case", [(1, 2), (1, 7), (2, 2), (2, 7)])
def test_the_printed_inner_product_and_penalty_give_another_function(optimum, case):
    X, Y, alpha, _, network = optimum(*case)
    kernel = NeuronKernel(network)
    unit = kernel.network
    phi, B = np.maximum(X @ unit.w.T + unit.b, 0.0), columns(X, "affine")
    gamma = 1.0 / np.linalg.norm(unit.v, axis=1)
    consistent = weighted_ridge(phi, B, Y, 0.5 * alpha * gamma)  # [18] with [21]
    square = weighted_ridge(phi, B, Y, 0.5 * alpha * gamma**2)  # Q of [23] alone
    no_half = weighted_ridge(phi, B, Y, alpha * gamma)  # λ‖f‖² of [27] alone
    printed = weighted_ridge(phi, B, Y, alpha * gamma**2)  # both

    def distance(v):
        return np.linalg.norm(v - unit.v) / np.linalg.norm(unit.v)

    fitted = kernel.fit(X, Y, alpha)
    np.testing.assert_allclose(fitted.v, consistent, rtol=1e-7, atol=1e-9)
    assert distance(consistent) < 1e-8
    assert min(distance(square), distance(no_half), distance(printed)) > 1e-2
    # The objective in the words of the class: (α/2)‖f‖² is the penalty of [18].
    norms = np.diag(kernel.inner_product(fitted.v, fitted.v))
    np.testing.assert_allclose(norms, np.sum(gamma[:, None] * fitted.v**2, axis=0), rtol=1e-10)


def test_deviation_grows_away_from_the_optimum(optimum):
    X, Y, alpha, _, network = optimum(2, 7)
    rng = np.random.default_rng(12)
    direction = rng.standard_normal(network.v.shape) * np.abs(network.v).max()
    deviations = []
    for step in (0.0, 1e-4, 1e-2, 1.0):
        moved = ReLUNetwork(
            network.w, network.b, network.v + step * direction, network.A, network.c
        )
        deviations.append(NeuronKernel(moved).deviation(X, Y, alpha))
    assert deviations[0] < 1e-9 and 1e-6 < deviations[1] < 1e-2
    assert np.all(np.diff(deviations) > 0) and deviations[3] > 0.1
    shifted = ReLUNetwork(network.w, network.b, network.v, network.A, network.c + 0.1)
    assert NeuronKernel(shifted).deviation(X, Y, alpha) > 1e-2
    assert NeuronKernel(network).deviation(X, Y, 1.1 * alpha) > 1e-3
    assert NeuronKernel(network).deviation(X, Y, alpha, rng.uniform(0.5, 2.0, len(X))) > 1e-3
    assert NeuronKernel(network).deviation(X, Y, alpha, np.full(len(X), 2.0)) > 1e-3


@pytest.mark.parametrize("skip", SKIPS)
def test_deviation_is_a_relative_distance_in_the_norm_of_the_weights(skip):
    rng = np.random.default_rng(22)
    X, Y, weights = PLANE, rng.standard_normal((11, 3)), rng.uniform(0.01, 9.0, 11)
    network = random_network()
    A = network.A * (skip == "affine")
    network = ReLUNetwork(network.w, network.b, network.v, A, network.c * (skip != "none"))
    K, B = gram_of(network, X, X), columns(X, skip)
    coefficients, theta = saddle_fit(K, B, Y, 0.6, weights)
    F, refitted = network(X), K @ coefficients + B @ theta
    root, projection = off_skip(B, weights)
    scale = max(np.linalg.norm(projection @ root @ values) for values in (F, refitted))
    expected = np.linalg.norm(root @ (F - refitted)) / scale
    deviation = NeuronKernel(network, skip).deviation(X, Y, 0.6, weights)
    assert deviation == pytest.approx(expected, rel=1e-9) and expected > 0.1


def test_deviation_ignores_the_offset_and_the_unit_of_the_labels(optimum):
    X, Y, alpha, _, network = optimum(2, 2)
    moved = ReLUNetwork(network.w, network.b, 1.3 * network.v, network.A, network.c)
    expected = NeuronKernel(moved).deviation(X, Y, alpha)
    assert expected > 1e-3
    for scale, offset in ((1e6, 0.0), (1.0, 1e4), (1e-6, 1e-3)):
        other = ReLUNetwork(
            moved.w, moved.b, scale * moved.v, scale * moved.A, scale * moved.c + offset
        )
        deviation = NeuronKernel(other).deviation(X, scale * Y + offset, scale * alpha)
        assert deviation == pytest.approx(expected, rel=1e-6)


def test_deviation_where_the_neurons_contribute_nothing():
    X, Y = PLANE, 1e3 * PLANE @ [[1.0, 2.0], [3.0, -1.0]] + 7.0
    affine = mtrelu.solve(X, Y, 10.0).network
    assert NeuronKernel(affine).deviation(X, Y, 10.0) < 1e-6
    assert NeuronKernel(affine).deviation(X, Y + X[:, :1], 10.0) > 1e-2
    nothing = ReLUNetwork(np.empty((0, 2)), [], np.empty((0, 2)), np.zeros((2, 2)), [0.0, 0.0])
    assert NeuronKernel(nothing).deviation(X, np.zeros((11, 2)), 1.0) == 0.0


def test_samples_of_weight_zero_are_left_out(optimum):
    X, Y, alpha, weights, network = optimum(1, 2, "affine", True)
    kernel = NeuronKernel(network)
    X2, Y2 = np.vstack([X, [[9.0]]]), np.vstack([Y, [[99.0, -99.0]]])
    more = np.append(weights, 0.0)
    assert kernel.deviation(X2, Y2, alpha, more) < 1e-6
    np.testing.assert_allclose(
        kernel.fit(X2, Y2, alpha, sample_weight=more).v,
        kernel.fit(X, Y, alpha, sample_weight=weights).v,
    )


# Corners --------------------------------------------------------------------------------------


def test_goes_on_linearly_outside_the_data(optimum):
    X, Y, alpha, _, network = optimum(2, 7)
    fit = NeuronKernel(network).fit(X, Y, alpha)
    rays = np.random.default_rng(17).standard_normal((20, 2))
    near, middle, far = (fit(scale * rays) for scale in (1e4, 2e4, 3e4))
    np.testing.assert_allclose(far - middle, middle - near, rtol=1e-6, atol=1e-6)
    assert np.isfinite(NeuronKernel(network)(1e6 * rays)).all()


@pytest.mark.parametrize("skip", SKIPS)
def test_a_network_without_neurons_leaves_the_skip_functions(skip):
    rng = np.random.default_rng(18)
    X, Y = rng.standard_normal((8, 2)), rng.standard_normal((8, 2))
    empty = ReLUNetwork(np.empty((0, 2)), [], np.empty((0, 3)), np.zeros((3, 2)), np.zeros(3))
    kernel = NeuronKernel(empty, skip)
    np.testing.assert_array_equal(kernel(X), np.zeros((8, 8)))
    np.testing.assert_array_equal(kernel.diag(X), np.zeros(8))
    assert kernel.features(X).shape == (8, 0)
    fit = kernel.fit(X, Y, 1.0)
    B = columns(X, skip)
    np.testing.assert_allclose(fit(X), B @ np.linalg.lstsq(B, Y, rcond=None)[0], atol=1e-12)
    np.testing.assert_array_equal(kernel.inner_product(fit.v, fit.v), np.zeros((2, 2)))


def test_bad_input():
    network = random_network()
    kernel = NeuronKernel(network)
    X, Y = np.random.default_rng(19).standard_normal((2, 9, 3))
    for call in (kernel, kernel.diag, kernel.features):
        with pytest.raises(InvalidInputError, match="X has 3 columns, but the neurons"):
            call(X)
    with pytest.raises(InvalidInputError, match="Y has 3 columns"):
        kernel(X[:, :2], X)
    with pytest.raises(InvalidInputError, match="leave Y out"):
        kernel(X[:, :2], X[:, :2], eval_gradient=True)
    with pytest.raises(InvalidInputError, match="not finite"):
        kernel([[np.nan, 0.0]])
    with pytest.raises(InvalidInputError, match="skip is 'linear'"):
        NeuronKernel(network, "linear")
    with pytest.raises(InvalidInputError, match="one hidden ReLU layer"):
        NeuronKernel("network")
    with pytest.raises(InvalidInputError, match="u has shape"):
        kernel.inner_product(np.ones(5), np.ones(6))
    with pytest.raises(InvalidInputError, match="v has shape"):
        kernel.inner_product(np.ones(6), np.ones((1, 6)))
    for value in ("one", ["a"] * 6, [[1.0, 2.0], [1.0]], {}):
        with pytest.raises(InvalidInputError, match="u is not a rectangular array of numbers"):
            kernel.inner_product(value, np.ones(6))
    with pytest.raises(InvalidInputError, match="X has 3 columns"):
        kernel.fit(X, Y, 0.1)
    with pytest.raises(InvalidInputError, match="Y has values up to"):
        kernel.fit(X[:, :2], 1e200 * Y, 0.1)
    with pytest.raises(InvalidInputError, match="X has values up to"):
        kernel.deviation(1e200 * X[:, :2], Y, 0.1)
    with pytest.raises(InvalidInputError, match="alpha is -1"):
        kernel.fit(X[:, :2], Y, -1.0)
    with pytest.raises(InvalidInputError, match="alpha is 0, but then every network"):
        kernel.deviation(X[:, :2], Y, 0.0)
    with pytest.raises(InvalidInputError, match="3 tasks, but the data"):
        kernel.deviation(X[:, :2], Y[:, :2], 0.1)
    with pytest.raises(InvalidInputError, match="linear part A"):
        NeuronKernel(network, "constant").deviation(X[:, :2], Y, 0.1)


def test_labels_that_no_output_weights_interpolate_are_refused():
    # Three neurons and an affine part against nine labels: K is singular.
    rng = np.random.default_rng(20)
    kernel = NeuronKernel(random_network(n_neurons=3))
    X, y = rng.standard_normal((9, 2)), rng.standard_normal(9)
    with pytest.raises(InvalidInputError, match="neurons"):
        kernel.fit(X, y, 0.0)
    with pytest.raises(InvalidInputError, match="different labels"):
        kernel.fit([[0.0, 0.0], [0.0, 0.0]], [0.0, 1.0], 0.0)
    taken = kernel.fit(X, random_network(n_neurons=3)(X), 0.0)  # singular, but consistent
    np.testing.assert_allclose(taken(X), random_network(n_neurons=3)(X), atol=1e-9)
