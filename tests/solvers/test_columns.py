"""Optima for several inputs against cone solvers on dictionaries, closed forms, scale laws."""

import itertools
import warnings

import cvxpy as cp
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import mtrelu
from mtrelu import Status
from mtrelu.datasets import load_cars
from mtrelu.losses import HuberLoss, QuantileLoss

CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
SQUARES = np.vstack([CORNERS, CORNERS / 2])
INNER = np.repeat([0.0, 1.0], 4)[:, None]
LABELS_101 = np.hstack([INNER, np.random.default_rng(0).integers(0, 2, size=(8, 100))])
LOSSES = {
    "huber": HuberLoss(delta=0.4),
    "logistic": "logistic",
    "quantile": QuantileLoss(quantile=0.3),
}
both_skips = pytest.mark.parametrize("skip", ["affine", "constant"])


def random(n, d, n_tasks, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((n, n_tasks))


def objective(network, X, Y, alpha, weights=None):
    """Of the squared loss, from the parameters alone."""
    hidden = np.maximum(X @ network.w.T + network.b, 0.0)
    left = Y - hidden @ network.v - X @ network.A.T - network.c
    weights = np.ones(len(X)) if weights is None else weights
    path = np.sum(np.linalg.norm(network.v, axis=1) * np.linalg.norm(network.w, axis=1))
    return 0.5 * weights @ np.sum(left**2, axis=1) + alpha * path


def dictionary(X, n_directions):
    """Unit neurons of many directions, each with its hyperplane through every sample."""
    d = X.shape[1]
    if d == 1:
        w = np.array([[1.0], [-1.0]])
    elif d == 2:
        angle = 2 * np.pi * np.arange(n_directions) / n_directions
        w = np.column_stack([np.cos(angle), np.sin(angle)])
    else:
        w = np.random.default_rng(7).standard_normal((n_directions, d))
        w /= np.linalg.norm(w, axis=1, keepdims=True)
    points = np.unique(X, axis=0)
    return np.repeat(w, len(points), axis=0), -(w @ points.T).ravel()


def cone_optimum(X, Y, alpha, skip, w, b, *, weights=None, loss="squared"):
    """The best network with these neurons, unit w, by Clarabel: never below the optimum."""
    n, n_tasks = Y.shape
    features, kept = np.unique(np.maximum(X @ w.T + b, 0.0), axis=1, return_index=True)
    V = cp.Variable((len(kept), n_tasks))
    functions = np.column_stack([np.ones(n), X]) if skip == "affine" else np.ones((n, 1))
    theta = cp.Variable((functions.shape[1], n_tasks))
    F = features @ V + functions @ theta
    R = Y - F
    if loss == "squared":
        terms = 0.5 * cp.square(R)
    elif loss == "huber":
        terms = 0.5 * cp.huber(R, 0.4)
    elif loss == "logistic":
        terms = cp.logistic(F) - cp.multiply(Y, F)
    else:
        terms = cp.maximum(0.3 * R, -0.7 * R)
    if weights is not None:
        terms = cp.multiply(np.repeat(weights[:, None], n_tasks, axis=1), terms)
    path = cp.sum(cp.abs(V)) if n_tasks == 1 else cp.sum(cp.norm(V, 2, axis=1))
    task = cp.Problem(cp.Minimize(cp.sum(terms) + alpha * path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": to 1e-10
        task.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    return float(task.value)


def largest_in_plane(X, P):
    """max ‖Σ_i p_i (w·x_i + b)₊‖ for two inputs: arc by arc, a 2×2 eigenvalue problem each."""
    largest = 0.0
    for x in np.unique(X, axis=0):
        spokes = X - x
        across = spokes[np.linalg.norm(spokes, axis=1) > 1e-12]
        turns = np.arctan2(across[:, 0], -across[:, 1])
        turns = np.unique(np.concatenate([turns, turns + np.pi, [0.0]]) % (2 * np.pi))
        ends = np.append(turns, turns[0] + 2 * np.pi)
        for low, high in itertools.pairwise(ends):
            middle = 0.5 * (low + high)
            active = spokes @ [np.cos(middle), np.sin(middle)] > 0
            G = spokes[active].T @ P[active]
            angles = [low, high]
            top = np.linalg.eigh(G @ G.T)[1][:, 1]
            for sign in (1.0, -1.0):
                angle = np.arctan2(sign * top[1], sign * top[0])
                angles.append(low + (angle - low) % (2 * np.pi))
            for angle in angles:
                if low <= angle <= high:
                    value = np.linalg.norm(np.array([np.cos(angle), np.sin(angle)]) @ G)
                    largest = max(largest, float(value))
    return largest


def lower_bound(network, X, Y, alpha, skip):
    """Of the squared loss and two inputs, from the residual of a network."""
    functions = np.column_stack([np.ones(len(X)), X]) if skip == "affine" else np.ones((len(X), 1))
    basis = np.linalg.svd(functions, full_matrices=False)[0][:, : np.linalg.matrix_rank(functions)]
    P = Y - network(X)
    P = P - basis @ (basis.T @ P)
    P = P * min(1.0, alpha / largest_in_plane(X, P))
    return np.sum(P * Y) - 0.5 * np.sum(P**2)


# --- Optima ---------------------------------------------------------------------------------


@both_skips
def test_two_squares_one_task(skip):
    for alpha in (1e-3, 1e-2, 0.1):
        solution = mtrelu.solve(SQUARES, INNER, alpha, skip=skip, tol=1e-9)
        assert solution.status is Status.CERTIFIED
        assert solution.certificate.primal == pytest.approx(4 * alpha - 4 * alpha**2, rel=1e-9)


@pytest.mark.parametrize(
    ("skip", "reference"), [("affine", 0.069667438667217), ("constant", 0.070434729994226)]
)
def test_two_squares_101_tasks(skip, reference):
    solution = mtrelu.solve(SQUARES, LABELS_101, 1e-3, skip=skip, tol=1e-9)
    assert solution.status is Status.CERTIFIED
    assert solution.certificate.primal == pytest.approx(reference, rel=2e-9)
    value = objective(solution.network, SQUARES, LABELS_101, 1e-3)
    assert value == pytest.approx(reference, rel=2e-9)


@both_skips
@pytest.mark.parametrize("share", [0.5, 0.1, 1e-2, 1e-3])
@pytest.mark.parametrize(("n", "n_tasks"), [(9, 1), (12, 4)])
def test_two_inputs_lie_between_an_independent_bound_and_a_dictionary(skip, share, n, n_tasks):
    X, Y = random(n, 2, n_tasks, seed=n)
    alpha = share * mtrelu.alpha_max(X, Y, skip=skip)
    solution = mtrelu.solve(X, Y, alpha, skip=skip, tol=1e-7)
    assert solution.status is Status.CERTIFIED
    value = objective(solution.network, X, Y, alpha)
    assert value == pytest.approx(solution.certificate.primal, rel=1e-12)
    assert value <= cone_optimum(X, Y, alpha, skip, *dictionary(X, 60)) * (1 + 1e-8)
    # The bound falls short by the gap and, through α/max g, by its square root.
    assert value * (1 - 1e-3) <= lower_bound(solution.network, X, Y, alpha, skip) <= value


@both_skips
@pytest.mark.parametrize("share", [0.3, 0.03])
@pytest.mark.parametrize(("n", "d", "n_tasks"), [(12, 3, 1), (12, 3, 3), (9, 4, 2)])
def test_no_dictionary_improves_on_the_optimum(skip, share, n, d, n_tasks):
    X, Y = random(n, d, n_tasks, seed=n)
    alpha = share * mtrelu.alpha_max(X, Y, skip=skip)
    solution = mtrelu.solve(X, Y, alpha, skip=skip)
    assert solution.status is Status.CERTIFIED and solution.certificate.oracle == "exact"
    unit = solution.network.unit_norm()
    w, b = dictionary(X, 80)
    together = cone_optimum(X, Y, alpha, skip, np.vstack([w, unit.w]), np.append(b, unit.b))
    # Over the neurons found and the dictionary nothing better than the optimum exists.
    value = objective(solution.network, X, Y, alpha)
    assert value * (1 - 1e-6 - 1e-8) <= together <= value * (1 + 1e-8)


@pytest.mark.parametrize("share", [0.3, 0.03, 1e-3])
@pytest.mark.parametrize("n_tasks", [1, 3])
def test_one_input_with_a_constant_skip(n_tasks, share):
    """All neurons of one input lie in a small dictionary: its optimum is the optimum."""
    X, Y = random(15, 1, n_tasks, seed=5)
    alpha = share * mtrelu.alpha_max(X, Y, skip="constant")
    solution = mtrelu.solve(X, Y, alpha, skip="constant", tol=1e-8)
    assert solution.status is Status.CERTIFIED
    expected = cone_optimum(X, Y, alpha, "constant", *dictionary(X, 2))
    assert objective(solution.network, X, Y, alpha) == pytest.approx(expected, rel=2e-8)
    flat = mtrelu.solve(X.ravel(), Y, alpha, skip="constant", tol=1e-8)
    assert flat.certificate.primal == solution.certificate.primal


@both_skips
@pytest.mark.parametrize("share", [0.3, 0.03, 1e-3])
@pytest.mark.parametrize("n_tasks", [1, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_other_losses(name, n_tasks, share, skip):
    X, Y = random(12, 2, n_tasks, seed=3)
    if name == "logistic":
        Y = (Y > 0).astype(float)
        Y[:2] = [[0.0] * n_tasks, [1.0] * n_tasks]
    loss = LOSSES[name]
    alpha = share * mtrelu.alpha_max(X, Y, skip=skip, loss=loss)
    solution = mtrelu.solve(X, Y, alpha, skip=skip, loss=loss, tol=1e-4)
    assert solution.status is Status.CERTIFIED
    unit = solution.network.unit_norm()
    w, b = dictionary(X, 40)
    w, b = np.vstack([w, unit.w]), np.append(b, unit.b)
    together = cone_optimum(X, Y, alpha, skip, w, b, loss=name)
    primal = solution.certificate.primal
    # 1e-6: what the cone solver reaches with exponential cones.
    assert primal * (1 - 1e-4 - 1e-6) <= together <= primal * (1 + 1e-6)


def test_student_and_teacher_with_five_inputs():
    rng = np.random.default_rng(0)
    W = rng.standard_normal((25, 5))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    X = rng.standard_normal((20, 5))
    Y, alpha = np.maximum(X @ W.T, 0.0), 0.025
    solution = mtrelu.solve(X, Y, alpha)
    assert solution.status is Status.CERTIFIED and solution.certificate.oracle == "exact"
    value = objective(solution.network, X, Y, alpha)
    assert value == pytest.approx(solution.certificate.primal, rel=1e-10)
    unit = solution.network.unit_norm()
    w, b = dictionary(X, 4)
    w, b = np.vstack([w, W, unit.w]), np.concatenate([b, np.zeros(25), unit.b])
    compressed = np.linalg.qr(Y.T, mode="r").T
    together = cone_optimum(X, compressed, alpha, "affine", w, b)
    assert value * (1 - 1e-6 - 1e-8) <= together <= value * (1 + 1e-8)
    # The teacher fits without error, at this cost.
    assert value < 25 * alpha


# --- Unusual data ---------------------------------------------------------------------------

LATTICE = np.array([[i, j] for i in range(4) for j in range(3)], dtype=float)
RNG = np.random.default_rng(11)
X2, Y2 = random(12, 2, 3, seed=2)
UNUSUAL = {
    "constant column": (np.column_stack([X2, np.full(12, 7.0)]), Y2),
    "duplicate column": (np.column_stack([X2, X2[:, 0]]), Y2),
    "dependent column": (np.column_stack([X2, X2 @ [2.0, -1.0]]), Y2),
    "lattice": (LATTICE, RNG.standard_normal((12, 2))),
    "points on a line": (np.outer(np.arange(8.0), [0.6, 0.8]) + 1.0, RNG.standard_normal((8, 2))),
    "contradicting rows": (np.vstack([X2, X2[:5]]), np.vstack([Y2, Y2[:5] + 1.0])),
    "rows that come twice": (np.vstack([X2, X2]), np.vstack([Y2, Y2])),
    "as many samples as inputs": random(3, 3, 2),
    "fewer samples than inputs": random(3, 6, 2),
    "two samples": random(2, 2, 2),
    "many more tasks than samples": random(10, 2, 1000),
    "one task": random(14, 2, 1),
    "a task that is zero": (X2, np.column_stack([Y2[:, 0], np.zeros(12)])),
    "a task that comes twice": (X2, Y2[:, [0, 0, 1]]),
    "unequal columns": (X2 * [1e-2, 1e2], Y2),
}


@both_skips
@pytest.mark.parametrize("case", UNUSUAL)
def test_unusual_data(case, skip):
    X, Y = UNUSUAL[case]
    alpha = 0.1 * mtrelu.alpha_max(X, Y, skip=skip) or 0.1
    solution = mtrelu.solve(X, Y, alpha, skip=skip)
    assert solution.status is Status.CERTIFIED and solution.certificate.oracle == "exact"
    value = objective(solution.network, X, Y, alpha)
    if value < 1e-25 * np.sum(Y**2):  # fitted by the skip connection
        return
    assert value == pytest.approx(solution.certificate.primal, rel=1e-10)
    # Independent: directions across the hull of the samples would only cost.
    centred = X - X.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][: np.linalg.matrix_rank(centred)]
    Z = X @ axes.T
    compressed = np.linalg.qr(Y.T, mode="r").T if Y.shape[1] > Y.shape[0] else Y
    unit = solution.network.unit_norm()
    w, b = dictionary(Z, 40)
    w = np.vstack([w @ axes, unit.w])
    size = np.abs(centred).max()  # in units of order one for the cone solver
    together = cone_optimum(
        centred / size, compressed, alpha / size, skip,
        w, np.append(b, unit.b) / size + (w @ X.mean(axis=0)) / size,
    )  # fmt: skip
    assert value * (1 - 1e-6 - 1e-7) <= together <= value * (1 + 1e-7)


def test_what_the_skip_connection_fits_needs_no_neuron():
    X, _ = random(10, 3, 1)
    for skip, Y in (
        ("affine", X @ [[1.0, 2.0], [0.0, 1.0], [3.0, 0.0]] + [5.0, 6.0]),
        ("constant", np.full((10, 2), 3.0)),
        ("affine", np.zeros((10, 1))),
    ):
        solution = mtrelu.solve(X, Y, 0.1, skip=skip)
        assert solution.status is Status.CERTIFIED and solution.network.n_neurons == 0
        np.testing.assert_allclose(solution.network(X), Y, atol=1e-13)


@pytest.mark.parametrize("rank", [1, 2])
def test_affine_labels_with_a_constant_skip_shrink_the_slopes(rank):
    """A neuron active everywhere is the cheapest linear function: ½‖Y−XB‖² + α‖B‖_* is reached.

    Σ_k ‖v_k‖‖w_k‖ of linear neurons is the nuclear norm. It bounds the optimum from above.
    """
    X, _ = random(15, 2, 1)
    X = X - X.mean(axis=0)
    slopes = (
        np.array([[1.0, 2.0], [3.0, -1.0]]) if rank == 2 else np.array([[1.0, 2.0], [2.0, 4.0]])
    )
    Y, alpha = X @ slopes + [3.0, 5.0], 0.1
    solution = mtrelu.solve(X, Y, alpha, skip="constant")
    assert solution.status is Status.CERTIFIED
    B = cp.Variable((2, 2))
    cost = 0.5 * cp.sum_squares(X @ slopes - X @ B) + alpha * cp.normNuc(B)
    bound = cp.Problem(cp.Minimize(cost)).solve(solver=cp.CLARABEL)
    value = objective(solution.network, X, Y, alpha)
    assert value <= bound * (1 + 1e-6)
    together = cone_optimum(X, Y, alpha, "constant", *dictionary(X, 60))
    assert value <= together * (1 + 1e-7)


@pytest.mark.parametrize("X", [np.ones((5, 2)), np.zeros((5, 3)), np.full((1, 2), 4.0)])
@both_skips
def test_inputs_that_are_all_equal(X, skip):
    Y = np.arange(float(len(X)))[:, None]
    solution = mtrelu.solve(X, Y, 0.1, skip=skip)
    assert solution.status is Status.CERTIFIED and solution.network.n_neurons == 0
    np.testing.assert_allclose(solution.network(X), Y.mean(), atol=1e-12)


# --- Penalties ------------------------------------------------------------------------------


@both_skips
@pytest.mark.parametrize("loss", ["squared", *LOSSES])
def test_from_alpha_max_on_there_are_no_neurons(loss, skip):
    X, Y = random(12, 2, 2, seed=3)
    if loss == "logistic":
        Y = (Y > 0).astype(float)
    the_loss = LOSSES.get(loss, "squared")
    top = mtrelu.alpha_max(X, Y, skip=skip, loss=the_loss)
    tol = 1e-6 if loss == "squared" else 1e-4
    for factor in (1.0, 1.5, 1e6):
        solution = mtrelu.solve(X, Y, factor * top, skip=skip, loss=the_loss, tol=tol)
        assert solution.status is Status.CERTIFIED and solution.network.n_neurons == 0
    below = mtrelu.solve(X, Y, 0.9 * top, skip=skip, loss=the_loss, tol=tol)
    assert below.status is Status.CERTIFIED
    if loss in ("squared", "huber", "logistic"):
        assert below.network.n_neurons > 0


@both_skips
@pytest.mark.parametrize(("n", "d", "n_tasks"), [(15, 2, 3), (15, 2, 1), (10, 3, 2)])
def test_a_tiny_penalty(n, d, n_tasks, skip):
    X, Y = random(n, d, n_tasks)
    alpha = 1e-7 * mtrelu.alpha_max(X, Y, skip=skip)
    solution = mtrelu.solve(X, Y, alpha, skip=skip)
    assert solution.status is Status.CERTIFIED
    # As α falls the network nearly interpolates: F is nearly α times the least path norm.
    assert np.abs(solution.network(X) - Y).max() < 1e-4 * np.abs(Y).max()
    least = mtrelu.solve(X, Y, 0.0, skip=skip).certificate
    value = objective(solution.network, X, Y, alpha)
    assert value <= alpha * least.primal * (1 + 1e-6)
    assert value == pytest.approx(alpha * least.primal, rel=1e-3)


# --- Laws -----------------------------------------------------------------------------------


def rotation(d, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


# How X, Y and α change, and by which factor the objective does.
LAWS = {
    "X grows": lambda X, Y, a: (1e6 * X, Y, 1e6 * a, 1.0),
    "X shrinks": lambda X, Y, a: (1e-6 * X, Y, 1e-6 * a, 1.0),
    "Y grows": lambda X, Y, a: (X, 1e6 * Y, 1e6 * a, 1e12),
    "Y shrinks": lambda X, Y, a: (X, 1e-6 * Y, 1e-6 * a, 1e-12),
    "both grow": lambda X, Y, a: (1e8 * X, 1e8 * Y, 1e16 * a, 1e16),
    "X moves": lambda X, Y, a: (X + 1e6, Y, a, 1.0),
    "Y moves": lambda X, Y, a: (X, Y + 1e4, a, 1.0),
    "X turns": lambda X, Y, a: (X @ rotation(X.shape[1]), Y, a, 1.0),
    "X is mirrored": lambda X, Y, a: (-X, Y, a, 1.0),
    "tasks turn": lambda X, Y, a: (X, Y @ rotation(Y.shape[1]), a, 1.0),
    "tasks swap": lambda X, Y, a: (X, Y[:, ::-1], a, 1.0),
    "more tasks, all zero": lambda X, Y, a: (X, np.hstack([Y, np.zeros((len(Y), 30))]), a, 1.0),
    "a column splits": lambda X, Y, a: (X @ [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]], Y, a, 1.0),
    "samples swap": lambda X, Y, a: (X[::-1], Y[::-1], a, 1.0),
}  # fmt: skip


@both_skips
@pytest.mark.parametrize("law", LAWS)
def test_laws(law, skip):
    X, Y = random(12, 2, 3, seed=8)
    alpha = 0.05 * mtrelu.alpha_max(X, Y, skip=skip)
    base = mtrelu.solve(X, Y, alpha, skip=skip, tol=1e-8)
    new_X, new_Y, new_alpha, factor = LAWS[law](X, Y, alpha)
    changed = mtrelu.solve(new_X, new_Y, new_alpha, skip=skip, tol=1e-8)
    assert base.status is changed.status is Status.CERTIFIED
    # An offset of 1e6 moves the inputs themselves by 1e-10.
    slack = 1e-6 if law == "X moves" else 2e-8
    assert changed.certificate.primal == pytest.approx(factor * base.certificate.primal, rel=slack)
    # The squared loss is strongly convex: residuals are unique up to the gap.
    before, after = Y - base.network(X), new_Y - changed.network(new_X)
    sizes = np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1)
    if law == "samples swap":
        sizes = sizes[0], sizes[1][::-1]
    distance = 4 * np.sqrt(2 * slack * base.certificate.primal)
    np.testing.assert_allclose(sizes[1] / np.sqrt(factor), sizes[0], atol=distance)


@both_skips
@pytest.mark.parametrize("d", [2, 3])
def test_whole_weights_are_repeated_rows(d, skip):
    X, Y = random(9, d, 2, seed=4)
    weights = np.array([1, 2, 3, 1, 1, 4, 1, 2, 1])
    rows = np.repeat(np.arange(9), weights)
    weighted = mtrelu.solve(X, Y, 0.4, skip=skip, sample_weight=weights, tol=1e-8)
    repeated = mtrelu.solve(X[rows], Y[rows], 0.4, skip=skip, tol=1e-8)
    assert weighted.status is repeated.status is Status.CERTIFIED
    assert weighted.certificate.primal == pytest.approx(repeated.certificate.primal, rel=2e-8)
    value = objective(weighted.network, X, Y, 0.4, weights)
    assert value == pytest.approx(weighted.certificate.primal, rel=1e-10)


@both_skips
def test_real_weights(skip):
    X, Y = random(10, 2, 2, seed=4)
    weights = 10.0 ** np.random.default_rng(0).uniform(-3, 2, 10)
    solution = mtrelu.solve(X, Y, 0.2, skip=skip, sample_weight=weights)
    assert solution.status is Status.CERTIFIED
    unit = solution.network.unit_norm()
    w, b = dictionary(X, 60)
    w, b = np.vstack([w, unit.w]), np.append(b, unit.b)
    together = cone_optimum(X, Y, 0.2, skip, w, b, weights=weights)
    assert solution.certificate.primal == pytest.approx(together, rel=1.1e-6)


# --- Limits ---------------------------------------------------------------------------------

HARD = random(25, 2, 4, seed=6)


@both_skips
@pytest.mark.parametrize("limit", [{"max_iter": 1}, {"max_iter": 3}, {"time_limit": 0.0}])
def test_limits_return_the_best_network_with_an_honest_certificate(limit, skip):
    X, Y = HARD
    optimum = mtrelu.solve(X, Y, 0.1, skip=skip).certificate
    seen = []
    solution = mtrelu.solve(X, Y, 0.1, skip=skip, callback=seen.append, **limit)
    assert solution.status is Status.LIMIT_REACHED
    assert solution.n_iter == len(seen) == limit.get("max_iter", 1)
    value = objective(solution.network, X, Y, 0.1)
    assert value == pytest.approx(solution.certificate.primal, rel=1e-10)
    assert value >= optimum.dual
    assert solution.certificate.dual <= optimum.primal
    # Nothing worse than what needs no neuron, nor than what was reported.
    assert value <= mtrelu.solve(X, Y, 1e6, skip=skip).certificate.primal * (1 + 1e-12)
    # Neurons that together matter less than 2 % of the gap are left out.
    assert value <= seen[-1].objective * (1 + 0.02 * seen[-1].relative_gap) * (1 + 1e-12)


def test_limits_that_are_never_reached_change_nothing():
    X, Y = HARD
    free = mtrelu.solve(X, Y, 0.5)
    limited = mtrelu.solve(X, Y, 0.5, max_iter=10_000, time_limit=1e6)
    assert limited.status is Status.CERTIFIED and limited.n_iter == free.n_iter
    assert limited.certificate.primal == free.certificate.primal


@both_skips
@pytest.mark.parametrize("tol", [1e-2, 1e-6, 1e-9])
def test_the_callback_sees_a_falling_gap(tol, skip):
    X, Y = HARD
    seen = []
    solution = mtrelu.solve(X, Y, 0.3, skip=skip, tol=tol, callback=seen.append)
    assert solution.status is Status.CERTIFIED
    assert [each.iteration for each in seen] == list(range(1, solution.n_iter + 1))
    gaps = np.array([each.relative_gap for each in seen])
    objectives = np.array([each.objective for each in seen])
    assert np.all(gaps >= 0) and gaps[-1] <= tol
    assert np.all(np.diff(gaps) <= 1e-12) and np.all(np.diff(objectives) <= 1e-12 * objectives[:-1])
    # What was claimed on the way is true: the optimum is within the gap.
    optimum = mtrelu.solve(X, Y, 0.3, skip=skip, tol=1e-9).certificate
    assert np.all(objectives * (1 - gaps) <= optimum.primal * (1 + 1e-9))
    assert np.all(objectives >= optimum.dual * (1 - 1e-9))
    assert seen[-1].n_neurons >= solution.network.n_neurons > 0


def test_interrupting_in_the_callback_leaves_everything_usable():
    X, Y = HARD
    expected = mtrelu.solve(X, Y, 0.5).certificate.primal

    def interrupt(progress):
        if progress.iteration == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mtrelu.solve(X, Y, 0.5, callback=interrupt)
    assert mtrelu.solve(X, Y, 0.5).certificate.primal == expected


@both_skips
def test_a_warm_start_gives_the_same_optimum(skip):
    X, Y = HARD
    cold = mtrelu.solve(X, Y, 0.3, skip=skip)
    elsewhere = mtrelu.ReLUNetwork(
        np.eye(2), [3.0, -8.0], np.ones((2, 4)), np.zeros((4, 2)), np.zeros(4)
    )
    empty = mtrelu.ReLUNetwork(
        np.zeros((0, 2)), np.zeros(0), np.zeros((0, 4)), np.zeros((4, 2)), np.ones(4)
    )
    near = mtrelu.solve(X, Y, 0.33, skip=skip).network
    for start in (cold.network, near, elsewhere, empty):
        warm = mtrelu.solve(X, Y, 0.3, skip=skip, warm_start=start)
        assert warm.status is Status.CERTIFIED
        assert warm.certificate.primal == pytest.approx(cold.certificate.primal, rel=1.1e-6)
    assert mtrelu.solve(X, Y, 0.3, skip=skip, warm_start=cold.network).n_iter < cold.n_iter


def test_nothing_depends_on_global_random_numbers():
    X, Y = random(12, 3, 2)
    first = mtrelu.solve(X, Y, 0.3, random_state=5)
    np.random.seed(123)
    again = mtrelu.solve(X, Y, 0.3, random_state=5)
    np.testing.assert_array_equal(first.network.w, again.network.w)
    assert first.certificate.primal == again.certificate.primal
    other = mtrelu.solve(X, Y, 0.3, random_state=np.random.default_rng(9))
    assert other.status is Status.CERTIFIED
    assert other.certificate.primal == pytest.approx(first.certificate.primal, rel=2e-6)


@pytest.mark.parametrize(
    ("n_inputs", "n_samples", "share", "seed"),
    [
        (3, 40, 0.1, 0),
        pytest.param(3, 40, 0.01, 1, marks=pytest.mark.slow),
        pytest.param(3, 25, 0, 4, marks=pytest.mark.slow),
    ],
)
def test_an_estimate_that_was_wrong_is_forgotten(n_inputs, n_samples, share, seed):
    """Many tasks hide neurons from the heuristic search; the exact one finds them in the end.

    Lower bounds that came from the heuristic search before must not end the rounds then.
    """
    X = np.random.default_rng(seed).standard_normal((n_samples, n_inputs))
    Y = np.eye(n_samples)
    alpha = share * mtrelu.alpha_max(X, Y) if share else 0.0
    solution = mtrelu.solve(X, Y, alpha)
    assert solution.certificate.oracle == "exact"
    assert solution.certificate.relative_gap <= 1e-6


@pytest.mark.slow
def test_rounds_that_gain_little_each_are_not_the_end():
    """Twelve rounds, each of which takes a tenth off the gap, are progress."""
    data = load_cars(drop_missing=True)
    rows = np.random.default_rng(1).permutation(len(data.X))[:274]
    X = np.unique(StandardScaler().fit_transform(data.X[rows]), axis=0)
    solution = mtrelu.solve(X, np.eye(len(X)), 0.107, tol=1e-2)
    assert solution.status is Status.CERTIFIED
