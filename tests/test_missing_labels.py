"""Labels left out and weights of single labels, through problem, solvers, certificate and sets."""

from __future__ import annotations

import warnings

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mtrelu
from mtrelu.kernels.neuron import NeuronKernel
from mtrelu.losses import make_loss
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem, alpha_max
from mtrelu.regime.leave_task_out import leave_task_out
from mtrelu.regime.quantities import KernelRegime
from mtrelu.scaling import Scaling
from mtrelu.validation import InvalidInputError
from mtrelu.verify import verify

NAN = np.nan
LOSSES = ["squared", "huber", "quantile", "logistic"]
each_loss = pytest.mark.parametrize("loss", LOSSES)


def gappy(
    seed, loss="squared", n=14, n_inputs=1, n_tasks=3, share=0.3, weighted=True, lattice=False
):
    """Inputs, labels with gaps, and weights: 0 where there is a gap."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 6, (n, n_inputs)) / 5.0 if lattice else rng.uniform(size=(n, n_inputs))
    Y = np.abs(X[:, :1] - 0.5) * rng.standard_normal(n_tasks) * 4
    Y += 0.3 * rng.standard_normal(Y.shape)
    if loss == "logistic":
        Y = np.where(Y > 0.2, 0.95, 0.05)
    weights = rng.uniform(0.5, 2.0, Y.shape) if weighted else np.ones(Y.shape)
    weights[rng.uniform(size=Y.shape) < share] = 0.0
    weights[0, ~weights.any(axis=0)] = 1.0
    return X, np.where(weights > 0.0, Y, NAN), weights


def loss_of(loss, Y, Z, weights):
    """Σ w ℓ(y, z) for an expression Z of cvxpy, from the definitions of the losses."""
    y = np.where(weights > 0.0, np.nan_to_num(Y), 0.0)
    each = {
        "squared": lambda: 0.5 * cp.square(y - Z),
        "huber": lambda: 0.5 * cp.huber(y - Z, make_loss("huber").delta),
        "quantile": lambda: 0.5 * cp.abs(y - Z),
        "logistic": lambda: cp.logistic(Z) - cp.multiply(y, Z),
    }[loss]()
    return cp.sum(cp.multiply(weights, each))


class Reference:
    """The best network over given unit neurons, by cvxpy and Clarabel."""

    def __init__(self, X, Y, weights, alpha, loss, skip, w, b):
        self.w, self.b, self.affine = w, b, skip == "affine"
        self.V = cp.Variable((len(b), Y.shape[1]))
        self.A = cp.Variable((X.shape[1], Y.shape[1]))
        self.c = cp.Variable((1, Y.shape[1]))
        misfit = loss_of(loss, Y, self.at(X), weights)
        self.objective = misfit + alpha * cp.sum(cp.norm(self.V, 2, axis=1))

    def at(self, X):
        Z = np.maximum(X @ self.w.T + self.b, 0.0) @ self.V + np.ones((len(X), 1)) @ self.c
        return Z + X @ self.A if self.affine else Z

    def least(self):
        problem = cp.Problem(cp.Minimize(self.objective))
        return problem.solve(solver="CLARABEL", tol_gap_rel=1e-9, tol_feas=1e-9)

    def width(self, X, best, slack):
        """How far the values at X can vary where the objective is at most best (1 + slack)."""
        values, direction = self.at(X), cp.Parameter(self.at(X).shape)
        problem = cp.Problem(
            cp.Maximize(cp.sum(cp.multiply(direction, values))),
            [self.objective <= best * (1 + slack), cp.abs(values) <= 1e3],
        )
        widths = np.zeros(values.shape)
        for entry in np.ndindex(*values.shape):
            for sign in (1.0, -1.0):
                at = np.zeros(values.shape)
                at[entry] = sign
                direction.value = at
                with warnings.catch_warnings():  # a thin set is hard to optimise over
                    warnings.simplefilter("ignore")
                    widths[entry] += problem.solve(solver="CLARABEL")
        return widths


def on_line(X, Y, weights, alpha, loss):
    """One input, affine skip: knots at data points are enough (Lemma 3.2)."""
    x = np.unique(X[:, 0])
    return Reference(X, Y, weights, alpha, loss, "affine", np.ones((len(x), 1)), -x)


def in_plane(X, Y, weights, alpha, loss, skip, network, n_angles=40):
    """Neurons through data points in many directions, and those of a network."""
    angles = np.linspace(0, 2 * np.pi, n_angles, endpoint=False)
    w = np.repeat(np.column_stack([np.cos(angles), np.sin(angles)]), len(X), axis=0)
    b = -np.einsum("kd,kd->k", w, np.tile(X, (n_angles, 1)))
    unit = network.unit_norm()
    w, b = np.vstack([w, unit.w]), np.concatenate([b, unit.b])
    return Reference(X, Y, weights, alpha, loss, skip, w, b)


# --- the problem --------------------------------------------------------------------------------


def test_a_label_that_is_missing_has_weight_zero():
    problem = Problem.make([0.0, 1.0, 2.0], [[1.0, NAN], [NAN, NAN], [2.0, 3.0]], 1.0,
                           nan_policy="omit")  # fmt: skip
    np.testing.assert_array_equal(problem.X[:, 0], [0.0, 2.0])  # a row without labels is left out
    np.testing.assert_array_equal(problem.sample_weight, [[1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_array_equal(problem.Y, [[1.0, 0.0], [2.0, 3.0]])
    np.testing.assert_array_equal(problem.used, [[True, False], [True, True]])


@pytest.mark.parametrize("missing", [None, "nan", "mask"])
def test_gaps_come_in_several_forms(missing):
    labels = [[1.0, 2.0], [3.0, 4.0]]
    if missing == "mask":
        Y = np.ma.array(labels, mask=[[False, True], [False, False]])
    else:
        Y = [[1.0, None if missing is None else NAN], [3.0, 4.0]]
    problem = Problem.make([0.0, 1.0], Y, 1.0, nan_policy="omit", sample_weight=[2.0, 3.0])
    np.testing.assert_array_equal(problem.sample_weight, [[2.0, 0.0], [3.0, 3.0]])


def test_weights_that_tasks_share_stay_one_a_sample():
    problem = Problem.make(
        [0.0, 1.0, 2.0], [[1.0, NAN], [1.0, 2.0], [5.0, NAN]], 1.0,
        sample_weight=[[0, 0], [2, 2], [0, 7]], nan_policy="omit",
    )  # fmt: skip
    np.testing.assert_array_equal(problem.sample_weight, [2.0])
    assert problem.shares_weights


@pytest.mark.parametrize(
    ("Y", "options", "message"),
    [
        (
            [[1.0, NAN], [1.0, 2.0]],
            {"nan_policy": "raise"},
            r'nan at row 0 of column 1\..*nan_policy="omit"',
        ),
        ([[1.0, NAN], [1.0, 2.0]], {}, r"nan at row 0 of column 1\..*or fill them first\.$"),
        ([[1.0, NAN], [1.0, NAN]], {"nan_policy": "omit"}, r"task without any label .*column 1"),
        ([NAN, NAN], {"nan_policy": "omit"}, r"no label that counts"),
        ([[1.0, NAN], [1.0, np.inf]], {"nan_policy": "omit"}, r"inf at row 1 of column 1"),
        ([1.0, 2.0], {"nan_policy": "keep"}, r"nan_policy is 'keep'.*\"omit\""),
        ([[1.0, NAN], [1.0, 2.0]], {"nan_policy": "omit", "alpha": 0.0}, r"alpha is 0.*small"),
        ([[1.0, 2.0]] * 2, {"sample_weight": [[1, 0], [1, 1]], "alpha": 0}, r"alpha is 0"),
        ([[1.0, 2.0]] * 2, {"sample_weight": [[1, 0], [1, 0]]}, r"task without any label"),
        ([[1.0, 2.0]] * 2, {"sample_weight": np.ones((2, 3))}, r"3 columns, but there are 2 tasks"),
        ([[1.0, 2.0]] * 2, {"sample_weight": [[1, 1], [1, -1]]}, r"negative .*-1.0 at row 1"),
        ([[0.5, NAN], [1, 7]], {"nan_policy": "omit", "loss": "logistic"}, r"label 7.0 at row 1"),
    ],
)
def test_what_cannot_work_is_refused(Y, options, message):
    with pytest.raises(InvalidInputError, match=message):
        Problem.make([0.0, 1.0], Y, **{"alpha": 1.0, **options})


def test_labels_that_are_not_used_need_not_suit_the_loss():
    Y = [[0.0, 1.0], [1.0, 17.0], [0.0, 0.0]]
    problem = Problem.make(
        [0.0, 1.0, 2.0], Y, 1.0, loss="logistic", sample_weight=[[1, 1], [1, 0], [1, 1]]
    )
    assert problem.Y.max() == 1.0


def test_separable_classes_are_named_by_their_column():
    Y = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, NAN]]
    problem = Problem.make(range(4), Y, 1.0, loss="logistic", nan_policy="omit")
    with pytest.raises(InvalidInputError, match=r"column 1"):
        problem.affine_fit()


@each_loss
def test_objective_and_dual_are_sums_over_the_labels_that_are_used(loss):
    X, Y, weights = gappy(0, loss)
    problem = Problem.make(X, Y, 0.5, loss=loss, sample_weight=weights, nan_policy="omit")
    rng = np.random.default_rng(1)
    network = ReLUNetwork(
        rng.standard_normal((2, 1)), rng.standard_normal(2), rng.standard_normal((2, 3)),
        rng.standard_normal((3, 1)), rng.standard_normal(3),
    )  # fmt: skip
    used = np.argwhere(~np.isnan(Y))
    Z = network(X)
    each = [weights[i, t] * problem.loss.value(Y[i, t], Z[i, t]) for i, t in used]
    assert problem.objective(network) == pytest.approx(sum(each) + 0.5 * network.path_cost())
    rows = np.flatnonzero((weights > 0).any(axis=1))
    P = problem.dual_variable(Z[rows])
    assert not P[~problem.used].any()
    value = -sum(
        weights[i, t] * problem.loss.conjugate(Y[i, t], -P[list(rows).index(i), t] / weights[i, t])
        for i, t in used
    )
    assert problem.dual_value(P) == pytest.approx(value)
    assert problem.dual_value(np.where(problem.used, P, 1e-3)) == -np.inf


@each_loss
@pytest.mark.parametrize("skip", ["affine", "constant"])
def test_the_affine_fit_is_that_of_each_task_alone(loss, skip):
    X, Y, weights = gappy(3, loss, n=20, n_inputs=2)
    problem = Problem.make(
        X, Y, 1.0, loss=loss, skip=skip, sample_weight=weights, nan_policy="omit"
    )
    A, c, P = problem.affine_fit()
    for t in range(3):
        rows = np.flatnonzero(weights[:, t])
        alone = Problem.make(
            X[rows], Y[rows, t], 1.0, loss=loss, skip=skip, sample_weight=weights[rows, t]
        )
        a, b, p = alone.affine_fit()
        np.testing.assert_array_equal(A[t], a[0])
        assert c[t] == b[0]
        kept = np.flatnonzero((weights > 0).any(axis=1))
        np.testing.assert_array_equal(P[np.isin(kept, rows), t], p[:, 0])
    assert not P[~problem.used].any()


def test_alpha_max_is_where_the_first_neuron_appears():
    for n_inputs in (1, 2):
        X, Y, weights = gappy(5, n_inputs=n_inputs)
        data = {"sample_weight": weights, "nan_policy": "omit"}
        top = alpha_max(X, Y, **data)
        assert mtrelu.solve(X, Y, 1.001 * top, **data).network.n_neurons == 0
        assert mtrelu.solve(X, Y, 0.98 * top, **data).network.n_neurons > 0


# --- solvers and certificate --------------------------------------------------------------------


@each_loss
@pytest.mark.parametrize("seed", range(4))
def test_one_input_against_cvxpy(loss, seed):
    share, weighted, lattice = [(0.1, True, False), (0.3, False, True), (0.7, True, True),
                                (0.5, False, False)][seed]  # fmt: skip
    X, Y, weights = gappy(seed, loss, n=18, share=share, weighted=weighted, lattice=lattice)
    alpha = 10.0 ** -(1 + seed % 2)
    solution = mtrelu.solve(X, Y, alpha, loss=loss, sample_weight=weights, nan_policy="omit")
    certificate = solution.certificate
    assert certificate.status.name == "CERTIFIED"
    least = on_line(X, Y, weights, alpha, loss).least()
    assert certificate.primal == pytest.approx(least, rel=1e-5)
    assert certificate.dual <= least * (1 + 1e-7)


@each_loss
@pytest.mark.parametrize("skip", ["affine", "constant"])
def test_two_inputs_against_cvxpy_and_brute_force(loss, skip):
    X, Y, weights = gappy(7, loss, n=12, n_inputs=2)
    alpha = 0.05
    solution = mtrelu.solve(
        X, Y, alpha, loss=loss, skip=skip, sample_weight=weights, nan_policy="omit"
    )
    certificate = solution.certificate
    assert certificate.status.name == "CERTIFIED" and certificate.oracle == "exact"
    # No network of these neurons, which are many and include those found, does better.
    least = in_plane(X, Y, weights, alpha, loss, skip, solution.network).least()
    assert least == pytest.approx(certificate.primal, rel=1e-5)
    # The dual variable is feasible by brute force, and worth what the certificate says.
    P, problem = solution.dual, solution.problem
    assert not P[~problem.used].any()
    basis = np.hstack([np.ones((len(problem.X), 1)), problem.X])[:, : 3 if skip == "affine" else 1]
    np.testing.assert_allclose(basis.T @ P, 0.0, atol=1e-7)
    for angle in np.linspace(0, 2 * np.pi, 2000):
        heights = problem.X @ [np.cos(angle), np.sin(angle)]
        forces = np.maximum(heights[:, None] - heights, 0.0).T @ P
        assert np.linalg.norm(forces, axis=1).max() <= alpha * (1 + 1e-5)
    assert problem.dual_value(P) >= certificate.primal * (1 - 1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(LOSSES), st.integers(1, 2))
def test_weights_equal_in_every_row_are_sample_weights(seed, loss, n_inputs):
    rng = np.random.default_rng(seed)
    X, Y, _ = gappy(seed, loss, n=8, n_inputs=n_inputs, n_tasks=2, share=0.0)
    weights = rng.integers(0, 3, 8) + (np.arange(8) < 3)
    options = {"loss": loss, "max_iter": 3}
    one = mtrelu.solve(X, Y, 0.3, sample_weight=weights, **options)
    each = mtrelu.solve(X, Y, 0.3, sample_weight=np.column_stack([weights, weights]), **options)
    assert one.network == each.network or np.array_equal(one.network(X), each.network(X))
    assert one.certificate.gap == each.certificate.gap


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(LOSSES), st.integers(1, 2))
def test_a_missing_label_of_a_single_task_is_a_sample_left_out(seed, loss, n_inputs):
    X, Y, weights = gappy(seed, loss, n=9, n_inputs=n_inputs, n_tasks=1)
    rows = ~np.isnan(Y[:, 0])
    options = {"loss": loss, "max_iter": 3}
    gaps = mtrelu.solve(X, Y, 0.2, sample_weight=weights, nan_policy="omit", **options)
    dropped = mtrelu.solve(X[rows], Y[rows], 0.2, sample_weight=weights[rows, 0], **options)
    np.testing.assert_array_equal(gaps.network(X), dropped.network(X))
    assert gaps.certificate.gap == dropped.certificate.gap


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(LOSSES), st.integers(1, 2), st.booleans())
def test_every_fit_is_certified_and_no_dual_exceeds_another_objective(
    seed, loss, n_inputs, lattice
):
    rng = np.random.default_rng(seed)
    share, alpha = rng.choice([0.05, 0.3, 0.6]), 10.0 ** rng.uniform(-2.5, 0)
    X, Y, weights = gappy(seed, loss, n=10, n_inputs=n_inputs, share=share, lattice=lattice)
    data = {"loss": loss, "sample_weight": weights, "nan_policy": "omit"}
    best = mtrelu.solve(X, Y, alpha, **data)
    assert best.certificate.status.name == "CERTIFIED"
    rough = mtrelu.solve(X, Y, alpha, max_iter=1, **data)
    assert rough.certificate.dual <= best.certificate.primal * (1 + 1e-12)
    # Tasks in another order are the same problem.
    order = rng.permutation(3)
    data["sample_weight"] = weights[:, order]
    other = mtrelu.solve(X, Y[:, order], alpha, **data)
    assert other.certificate.primal == pytest.approx(best.certificate.primal, rel=3e-6, abs=1e-20)
    network = other.network
    back = np.argsort(order)
    restored = ReLUNetwork(
        network.w, network.b, network.v[:, back], network.A[back], network.c[back]
    )
    assert best.problem.objective(restored) == pytest.approx(other.certificate.primal, rel=1e-12)


@each_loss
def test_tasks_with_few_labels_go_through_what_they_have(loss):
    X, Y, _ = gappy(11, loss, n=30, n_tasks=4, share=0.2)
    Y[:, :2] = NAN
    y = [0.3, 0.6] if loss == "logistic" else [1.0, -2.0]
    Y[[4, 9], 0] = y
    Y[3, 1] = y[0]
    for alpha in (1.0, 1e-2):
        solution = mtrelu.solve(X, Y, alpha, loss=loss, nan_policy="omit")
        assert solution.certificate.status.name == "CERTIFIED"
        assert not solution.network.v[:, :2].any()
        Z = solution.network(X)
        wanted = np.log(y) - np.log1p(-np.array(y)) if loss == "logistic" else y
        np.testing.assert_allclose(Z[[4, 9], 0], wanted, rtol=1e-6)
        np.testing.assert_allclose(Z[3, 1], wanted[0], rtol=1e-6)
        assert np.isfinite(solution.network([[-1.0], [2.0]])).all()


def test_labels_with_an_offset_and_any_unit():
    X, Y, _ = gappy(12, n=40, weighted=False)
    plain = mtrelu.solve(X, Y, 0.1, nan_policy="omit")
    # Of labels times s and inputs times r, with α times s r, it is s² times the objective.
    for s, r, offset in [(1e6, 1e-3, 0.0), (1e-6, 1e4, 0.0), (1.0, 1.0, 1e5)]:
        moved = mtrelu.solve(r * X + offset, s * Y + offset, 0.1 * s * r, nan_policy="omit")
        assert moved.certificate.status.name == "CERTIFIED"
        assert moved.certificate.primal == pytest.approx(s**2 * plain.certificate.primal, rel=1e-5)


@pytest.mark.parametrize("n_inputs", [1, 2])
def test_a_network_that_is_not_optimal_is_told_so_and_bounded(n_inputs):
    X, Y, weights = gappy(13, n_inputs=n_inputs)
    data = {"sample_weight": weights, "nan_policy": "omit"}
    best = mtrelu.solve(X, Y, 0.1, **data)
    network = best.network
    spoilt = ReLUNetwork(network.w, network.b, 1.1 * network.v, network.A, network.c)
    certificate = mtrelu.certify(spoilt, X, Y, 0.1, **data)
    assert certificate.status.name == "NOT_OPTIMAL"
    assert certificate.dual <= best.certificate.primal <= certificate.primal
    # What a network does where there is no label costs nothing.
    assert certificate.primal == pytest.approx(best.problem.objective(spoilt), rel=1e-12)


def test_a_guess_of_the_dual_variable_at_labels_not_used_does_no_harm():
    for n_inputs in (1, 2):
        X, Y, weights = gappy(14, n_inputs=n_inputs)
        for loss in ("squared", "huber", "quantile"):
            solution = mtrelu.solve(
                X, Y, 0.1, loss=loss, sample_weight=weights, nan_policy="omit", tol=1e-7
            )
            problem = solution.problem
            certificate = verify(problem, solution.network, dual=np.ones(problem.Y.shape))
            assert certificate.dual <= solution.certificate.primal * (1 + 1e-12)


def test_labels_of_a_task_on_a_line_in_the_plane():
    """The skip connection is not determined there, which must not weaken the certificate."""
    X = np.array([(i, j) for i in range(5) for j in range(5)], dtype=float)
    rng = np.random.default_rng(15)
    Y = np.column_stack([np.abs(X[:, 0] - 2), np.abs(X[:, 1] - 2) + 0.1 * rng.standard_normal(25)])
    Y[X[:, 0] != X[:, 1], 1] = NAN
    for loss in ("squared", "huber"):
        solution = mtrelu.solve(X, Y, 0.2, loss=loss, nan_policy="omit")
        assert solution.certificate.status.name == "CERTIFIED"
        assert np.linalg.norm(solution.network.v, axis=0).all()


def test_many_tasks_with_few_patterns_of_gaps():
    rng = np.random.default_rng(16)
    X = rng.uniform(size=(12, 2))
    Y = np.maximum(X @ [1.0, -1.0], 0)[:, None] * rng.standard_normal(60)
    Y += 0.1 * rng.standard_normal(Y.shape)
    Y[:4, :30] = NAN
    Y[7:, 30:] = NAN
    for alpha in (1.0, 0.1):
        certificate = mtrelu.solve(X, Y, alpha, nan_policy="omit").certificate
        assert certificate.status.name == "CERTIFIED"


def test_the_path_has_certificates_and_falls():
    X, Y, weights = gappy(17, n=30)
    path = mtrelu.alpha_path(X, Y, n_alphas=5, sample_weight=weights, nan_policy="omit")
    assert (path.relative_gaps <= 1e-6).all()
    assert (np.diff(path.losses) < 0).all() and (np.diff(path.path_norms) > 0).all()


# --- all optima ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_unique_on_a_line_means_that_no_other_function_is_as_good(seed):
    loss = ("squared", "huber")[seed % 2]
    X, Y, weights = gappy(seed, loss, n=7, n_tasks=2, share=0.3, weighted=False)
    solution = mtrelu.solve(X, Y, 0.1, loss=loss, nan_policy="omit")
    optima = solution.optimal_set()
    reference = on_line(X, Y, weights, 0.1, loss)
    at = np.array([[X.min()], [X.mean()], [X.max()]])
    width = reference.width(at, solution.certificate.primal, 1e-7)
    if optima.verdict == "unique":
        assert width.max() < 0.05
    low, high = optima.range(at)
    free = np.isinf(high)
    assert (width[free] > 100.0).all()
    np.testing.assert_allclose(low[~free], high[~free], atol=1e-12)


def test_a_task_known_at_one_input_is_free_elsewhere():
    x = np.linspace(0, 1, 6)
    Y = np.column_stack([np.abs(x - 0.4), np.full(6, NAN)])
    Y[2, 1] = 3.0
    solution = mtrelu.solve(x, Y, 0.01, nan_policy="omit")
    optima = solution.optimal_set()
    assert optima.verdict == "not unique" and "column 1" in optima.reason
    low, high = optima.range([0.0, x[2]])
    np.testing.assert_array_equal(np.isinf(high), [[False, True], [False, False]])
    assert low[1, 1] == high[1, 1] == pytest.approx(3.0)
    witness = optima.witness()
    assert solution.problem.objective(witness) == pytest.approx(solution.certificate.primal)
    assert np.abs(witness([0.0]) - solution.network([0.0])).max() > 0.1


def test_a_task_known_at_two_inputs_is_a_line():
    x = np.linspace(0, 1, 8)
    Y = np.column_stack([np.abs(x - x[3]), np.full(8, NAN)])
    Y[[2, 5], 1] = [3.0, 1.0]
    solution = mtrelu.solve(x, Y, 0.01, nan_policy="omit")
    optima = solution.optimal_set()
    assert optima.verdict == "unique"
    width = on_line(x[:, None], Y, ~np.isnan(Y), 0.01, "squared").width(
        np.array([[0.0], [1.0]]), solution.certificate.primal, 1e-6
    )
    assert width.max() < 0.01
    line = 3.0 - 14.0 / 3.0 * (np.array([0.0, 1.0]) - x[2])
    for values in (solution.network([0.0, 1.0]), *optima.range([0.0, 1.0])):
        np.testing.assert_allclose(values[:, 1], line, atol=1e-9)


def test_a_gap_that_leaves_the_bend_of_a_task_open_is_not_called_unique():
    """Both tasks bend at two neighbouring inputs, but task 1 has labels on one side only."""
    x = np.arange(6.0)
    Y = np.column_stack([[0.0, 0, 0, 1, 3, 5], [0.0, 0, 0, NAN, NAN, NAN]])
    Y[3, 0] = 0.7
    solution = mtrelu.solve(x, Y, 0.05, nan_policy="omit", tol=1e-9)
    width = on_line(x[:, None], Y, ~np.isnan(Y), 0.05, "squared").width(
        np.array([[5.0]]), solution.certificate.primal, 1e-9
    )
    if width.max() > 0.05:
        assert solution.optimal_set().verdict != "unique"


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("seed", range(3))
def test_unique_in_the_plane_means_that_no_other_function_is_as_good(seed, skip):
    X, Y, weights = gappy(seed, n=9, n_inputs=2, n_tasks=2, share=0.2, weighted=False)
    solution = mtrelu.solve(X, Y, 0.3, skip=skip, nan_policy="omit")
    optima = solution.optimal_set()
    assert optima.verdict in ("unique", "undecided")
    at = np.array([[0.2, 0.9], [0.9, 0.3]])
    reference = in_plane(X, Y, weights, 0.3, "squared", skip, optima.network, n_angles=6)
    width = reference.width(at, solution.certificate.primal, 1e-7)
    if optima.verdict == "unique":
        assert width.max() < 0.05
        low, high = optima.range(at)
        np.testing.assert_array_equal(low, high)


def test_a_task_whose_labels_lie_on_a_line_in_the_plane_is_free_across_it():
    X, Y, _ = gappy(21, n=9, n_inputs=2, n_tasks=2, share=0.0, weighted=False)
    Y[2:, 1] = NAN
    solution = mtrelu.solve(X, Y, 0.3, nan_policy="omit")
    optima = solution.optimal_set()
    assert optima.verdict == "not unique" and "column 1" in optima.reason
    witness = optima.witness()
    assert solution.problem.objective(witness) == pytest.approx(solution.certificate.primal)
    _, high = optima.range(np.vstack([X[:2].mean(axis=0), X[2]]))
    np.testing.assert_array_equal(np.isinf(high), [[False, False], [False, True]])


# --- what else sees the labels ------------------------------------------------------------------


def test_what_needs_shared_weights_says_so():
    x, Y = np.arange(5.0), np.ones((5, 2))
    weights = np.ones((5, 2))
    weights[2, 1] = 0.0
    solution = mtrelu.solve(x, Y, 0.1, sample_weight=weights)
    kernel = NeuronKernel(ReLUNetwork.from_knots([2.0], [[1.0]], [0.0], [0.0]))
    for call in (
        lambda: KernelRegime.of_solution(solution),
        lambda: leave_task_out(x, Y, 0.1, sample_weight=weights),
        lambda: kernel.fit(x, Y, 0.1, sample_weight=weights),
    ):
        with pytest.raises(InvalidInputError, match=r"1 labels? .*left out.*one weight a sample"):
            call()


def test_scaling_counts_the_labels_that_are_there():
    Y = np.array([[1.0, NAN], [3.0, 5.0], [NAN, 5.0]])
    scaling = Scaling.of(np.arange(3.0)[:, None], Y, inputs=True, tasks=True)
    np.testing.assert_array_equal(scaling.task_spread, [1.0, 1.0])
    np.testing.assert_array_equal(scaling.labels(2 * Y), 2 * Y)
    assert Scaling.of(Y[:, :1], 3 * Y, inputs=False, tasks=True).task_spread[0] == 3.0
