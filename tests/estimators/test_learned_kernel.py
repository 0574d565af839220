import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import mtrelu
from mtrelu import InvalidInputError, ReLUNetwork, ReLURegressor
from mtrelu.datasets import load_el_nino
from mtrelu.estimators import base
from mtrelu.estimators.learned_kernel import LearnedKernelRidge
from mtrelu.kernels.infinite_task import InfiniteTaskKernel
from mtrelu.kernels.neuron import NeuronKernel


def table(seed=0, n=20, d=2, T=3):
    """Tasks that bend at common places, with noise."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.0, 1.0, (n, d))
    w, b = rng.standard_normal((d, 3)), rng.uniform(-0.5, 0.5, 3)
    Y = np.maximum(X @ w + b, 0.0) @ rng.standard_normal((3, T)) + X @ rng.standard_normal((d, T))
    return X, Y + 0.1 * rng.standard_normal((n, T)), rng


def neurons(seed=0, d=2, K=12, T=4):
    """Some network whose neurons bend inside the data of `table`, of no unit norm."""
    rng = np.random.default_rng(100 + seed)
    w = rng.standard_normal((K, d))
    return ReLUNetwork(
        w, -np.einsum("kd,kd->k", w, rng.uniform(-0.8, 0.8, (K, d))),
        rng.standard_normal((K, T)), rng.standard_normal((T, d)), rng.standard_normal(T),
    )  # fmt: skip


def gram(network, X, Z):
    """Σ_k ‖v_k‖‖w_k‖ φ_k(x) φ_k(z) with unit input weights, neuron by neuron."""
    total = np.zeros((len(X), len(Z)))
    for w, b, v in zip(network.w, network.b, network.v, strict=True):
        size = np.linalg.norm(w)
        hinge = [np.maximum(points @ (w / size) + b / size, 0.0) for points in (X, Z)]
        total += size * np.linalg.norm(v) * np.outer(*hinge)
    return total


def kernel_ridge(network, X, Y, alpha, Z, *, skip="affine", weights=None):
    """Predictions at Z of kernel ridge regression with free skip functions: a bordered system."""
    weights = np.ones(len(X)) if weights is None else weights
    skips = {"affine": lambda A: np.column_stack([np.ones(len(A)), A]),
             "constant": lambda A: np.ones((len(A), 1)),
             "none": lambda A: np.empty((len(A), 0))}[skip]  # fmt: skip
    B = skips(X)
    system = np.block(
        [[gram(network, X, X) + np.diag(alpha / weights), B], [B.T, np.zeros((B.shape[1],) * 2)]]
    )
    labels = np.vstack([Y, np.zeros((B.shape[1], Y.shape[1]))])
    solution = np.linalg.solve(system, labels)
    return gram(network, Z, X) @ solution[: len(X)] + skips(Z) @ solution[len(X) :]


def brute_loo(network, X, Y, alpha, *, skip="affine", weights=None, groups=None):
    """Leave-one-out error by refitting without each sample, or without each group of samples."""
    weights = np.ones(len(X)) if weights is None else weights
    groups = np.arange(len(X)) if groups is None else groups
    squares = np.empty(len(X))
    for g in np.unique(groups):
        out = groups == g
        held_out = kernel_ridge(
            network, X[~out], Y[~out], alpha, X[out], skip=skip, weights=weights[~out]
        )
        squares[out] = np.mean((Y[out] - held_out) ** 2, axis=1)
    return np.average(squares, weights=weights)


class TestAlgebra:
    @pytest.mark.parametrize("d", [1, 2, 5])
    @pytest.mark.parametrize("skip", ["affine", "constant", "none"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_is_kernel_ridge_regression_with_a_free_skip_part(self, d, skip, weighted):
        X, Y, rng = table(d=d)
        weights = rng.uniform(0.2, 3.0, len(X)) if weighted else None
        Z = rng.uniform(-2.0, 2.0, (30, d))
        for alpha in (1e-3, 0.1, 10.0):
            model = LearnedKernelRidge(neurons(d=d), alphas=alpha, skip=skip)
            model.fit(X, Y, sample_weight=weights)
            expected = kernel_ridge(neurons(d=d), X, Y, alpha, Z, skip=skip, weights=weights)
            scale = np.abs(expected).max()
            np.testing.assert_allclose(model.predict(Z), expected, rtol=0, atol=1e-9 * scale)

    @pytest.mark.parametrize("source", ["infinite-task", "neurons"])
    @pytest.mark.parametrize("skip", ["affine", "constant"])
    def test_so_it_is_with_a_kernel_it_learns(self, source, skip):
        X, Y, rng = table(n=15)
        Z = rng.uniform(-2.0, 2.0, (30, 2))
        model = LearnedKernelRidge(source, kernel_alpha=0.02, skip=skip, tol=1e-3).fit(X, Y)
        assert model.kernel_.network.n_neurons > 3
        expected = kernel_ridge(model.kernel_.network, X, Y, model.alpha_, Z, skip=skip)
        np.testing.assert_allclose(model.predict(Z), expected, rtol=0, atol=1e-8)

    def test_new_tasks_of_a_joint_optimum_are_its_outputs(self):
        # At an optimum F = K (K + alpha I)⁻¹ Y exactly: fitted again in closed form, it stays.
        X, Y, _ = table(n=20, T=4)
        weights = np.linspace(0.5, 2.0, 20)
        joint = mtrelu.solve(X, Y, 0.1, tol=1e-12, sample_weight=weights)
        model = LearnedKernelRidge(joint.network, alphas=0.1).fit(X, Y, sample_weight=weights)
        Z = np.random.default_rng(5).uniform(-2.0, 2.0, (50, 2))
        np.testing.assert_allclose(model.predict(Z), joint.network(Z), rtol=0, atol=1e-5)
        other = LearnedKernelRidge(joint.network, alphas=0.2).fit(X, Y, sample_weight=weights)
        assert np.abs(other.predict(Z) - joint.network(Z)).max() > 1e-2

    def test_a_square_in_gamma_would_be_noticed(self):
        X, Y, _ = table(n=20, T=4)
        net = mtrelu.solve(X, Y, 0.1, tol=1e-12).network.unit_norm()
        v = net.v * np.linalg.norm(net.v, axis=1, keepdims=True)
        squared = ReLUNetwork(net.w, net.b, v, net.A, net.c)
        model = LearnedKernelRidge(squared, alphas=0.1).fit(X, Y)
        assert np.abs(model.predict(X) - net(X)).max() > 1e-2

    def test_cardinal_functions_of_the_limit_of_many_tasks(self):
        X, Y, _ = table(n=12)
        model = LearnedKernelRidge(alphas=0.2, kernel_alpha=0.2, tol=1e-11).fit(X, Y)
        smoother = mtrelu.solve(X, np.eye(12), 0.2, tol=1e-11).network(X)
        np.testing.assert_allclose(model.predict(X), smoother @ Y, rtol=0, atol=1e-4)

    @pytest.mark.parametrize("d", [1, 3])
    def test_tasks_do_not_see_each_other(self, d):
        X, Y, rng = table(d=d)
        model = LearnedKernelRidge(neurons(d=d), alphas=0.05)
        together = model.fit(X, Y).predict(X)
        for t, y in enumerate(Y.T):
            np.testing.assert_allclose(model.fit(X, y).predict(X), together[:, t], atol=1e-10)
        mix = rng.standard_normal((3, 50))
        np.testing.assert_allclose(model.fit(X, Y @ mix).predict(X), together @ mix, atol=1e-9)

    def test_penalty_zero_interpolates(self):
        X, Y, _ = table(n=8)
        model = LearnedKernelRidge(neurons(K=40), alphas=0.0).fit(X, Y)
        np.testing.assert_allclose(model.predict(X), Y, rtol=0, atol=1e-9)
        close = LearnedKernelRidge(neurons(K=40), alphas=1e-9).fit(X, Y)
        Z = np.random.default_rng(0).uniform(-1, 1, (20, 2))
        np.testing.assert_allclose(model.predict(Z), close.predict(Z), rtol=0, atol=1e-4)
        with pytest.raises(InvalidInputError, match="cannot take the labels"):
            LearnedKernelRidge(neurons(K=2), alphas=0.0).fit(X, Y)

    def test_no_neurons_leave_the_line(self):
        X, Y, _ = table(d=1)
        flat = ReLUNetwork.from_knots([], np.empty((0, 1)), [1.0], [0.0])
        model = LearnedKernelRidge(flat).fit(X, Y)
        line = np.polynomial.polynomial.polyfit(X[:, 0], Y, 1)
        np.testing.assert_allclose(model.predict([[0.0], [1.0]]), [line[0], line.sum(axis=0)])
        assert model.network_.n_neurons == 0


class TestLeaveOneOut:
    @pytest.mark.parametrize("d", [1, 3])
    @pytest.mark.parametrize("skip", ["affine", "constant", "none"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_errors_are_those_of_refits(self, d, skip, weighted):
        X, Y, rng = table(n=12, d=d)
        weights = rng.uniform(0.2, 3.0, len(X)) if weighted else None
        alphas = [10.0, 0.3, 1e-2, 1e-4]
        model = LearnedKernelRidge(neurons(d=d), alphas=alphas, skip=skip)
        model.fit(X, Y, sample_weight=weights)
        expected = [
            brute_loo(neurons(d=d), X, Y, alpha, skip=skip, weights=weights) for alpha in alphas
        ]
        np.testing.assert_allclose(model.loo_errors_, expected, rtol=1e-7)
        assert model.alphas_.tolist() == alphas
        assert model.alpha_ == alphas[int(np.argmin(expected))]

    def test_fewer_neurons_than_samples(self):
        X, Y, _ = table(n=40)
        model = LearnedKernelRidge(neurons(K=3), alphas=[1.0, 1e-6]).fit(X, Y)
        expected = [brute_loo(neurons(K=3), X, Y, alpha) for alpha in (1.0, 1e-6)]
        np.testing.assert_allclose(model.loo_errors_, expected, rtol=1e-7)

    def test_equal_inputs_are_left_out_together(self):
        X, Y, rng = table(n=10)
        groups = np.repeat(np.arange(10), [1, 2, 1, 3, 1, 1, 1, 1, 2, 1])
        X, Y = X[groups], Y[groups] + 0.3 * rng.standard_normal((14, 3))
        order = rng.permutation(14)
        weights = rng.uniform(0.5, 2.0, 14)
        X, Y, groups = X[order], Y[order], groups[order]
        model = LearnedKernelRidge(neurons(), alphas=[1.0, 0.01]).fit(X, Y, sample_weight=weights)
        expected = [
            brute_loo(neurons(), X, Y, alpha, weights=weights, groups=groups)
            for alpha in (1.0, 0.01)
        ]
        np.testing.assert_allclose(model.loo_errors_, expected, rtol=1e-8)
        np.testing.assert_allclose(
            model.predict(X), kernel_ridge(neurons(), X, Y, model.alpha_, X, weights=weights)
        )

    def test_default_grid_holds_the_least_error(self):
        X, Y, _ = table(n=30)
        model = LearnedKernelRidge(neurons()).fit(X, Y)
        assert model.alphas_.size == model.loo_errors_.size == 55
        best = int(np.argmin(model.loo_errors_))
        assert 0 < best < 54 and model.alpha_ == model.alphas_[best]
        fine = np.geomspace(model.alphas_[best - 1], model.alphas_[best + 1], 9)
        errors = [brute_loo(neurons(), X, Y, alpha) for alpha in fine]
        assert model.loo_errors_[best] <= 1.01 * min(errors)

    def test_the_strongest_ridge_of_the_grid_is_the_line(self):
        X, Y, _ = table(n=30)
        model = LearnedKernelRidge(neurons()).fit(X, Y)
        basis = np.column_stack([np.ones(30), X])
        hat = basis @ np.linalg.pinv(basis)
        residuals = (Y - hat @ Y) / (1 - np.diag(hat))[:, None]
        assert model.loo_errors_[0] == pytest.approx(np.mean(residuals**2), rel=0.2)

    def test_a_sample_that_alone_determines_a_slope_does_not_count(self):
        X, Y, _ = table(n=15)
        X = np.column_stack([X, np.zeros(15)])
        X[4, 2] = 1.0
        net = neurons(d=2)
        wide = ReLUNetwork(np.column_stack([net.w, np.zeros(12)]), net.b, net.v,
                           np.zeros((4, 3)), net.c)  # fmt: skip
        model = LearnedKernelRidge(wide, alphas=[0.5, 0.01]).fit(X, Y)
        others = np.delete(np.arange(15), 4)
        expected = [brute_loo(net, X[others, :2], Y[others], alpha) for alpha in (0.5, 0.01)]
        np.testing.assert_allclose(model.loo_errors_, expected, rtol=1e-8)
        np.testing.assert_allclose(model.predict(X)[4], Y[4], atol=1e-10)

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_where_the_skip_functions_fit_everything(self, n):
        X, Y, _ = table(n=n)
        model = LearnedKernelRidge(neurons()).fit(X, Y)
        np.testing.assert_allclose(model.predict(X), Y, atol=1e-10)
        assert np.isnan(model.loo_errors_).all() and np.isfinite(model.alpha_)

    def test_the_kernel_is_taken_as_given(self):
        # A network of one task learns from the very label that is left out.
        X, Y, _ = table(n=15, T=1)
        model = LearnedKernelRidge("neurons", kernel_alpha=1e-3).fit(X, Y)
        honest = -cross_val_score(
            LearnedKernelRidge("neurons", alphas=model.alpha_, kernel_alpha=1e-3), X, Y,
            cv=15, scoring="neg_mean_squared_error",
        ).mean()  # fmt: skip
        assert model.loo_errors_.min() < 0.7 * honest


class TestKernel:
    def test_infinite_task_does_not_see_labels_or_weights(self):
        X, Y, rng = table(n=15)
        model = LearnedKernelRidge().fit(X, Y)
        other = LearnedKernelRidge().fit(X, rng.standard_normal(15), rng.uniform(1, 2, 15))
        np.testing.assert_array_equal(model.kernel_(X), other.kernel_(X))
        known = InfiniteTaskKernel(
            np.unique(X, axis=0), alpha=model.kernel_alpha_, tol=1e-2, random_state=0
        )
        np.testing.assert_allclose(model.kernel_(X), known(X), rtol=1e-9)
        assert isinstance(model.kernel_, InfiniteTaskKernel)

    def test_neurons_are_those_of_solve(self):
        X, Y, _ = table(n=15)
        weights = np.linspace(1.0, 2.0, 15)
        model = LearnedKernelRidge("neurons").fit(X, Y, sample_weight=weights)
        solution = mtrelu.solve(
            X, Y, model.kernel_alpha_, sample_weight=weights, random_state=0, tol=1e-2
        )
        np.testing.assert_allclose(model.kernel_(X), NeuronKernel(solution.network)(X), rtol=1e-9)
        assert model.certificate_.primal == pytest.approx(solution.certificate.primal, rel=1e-12)

    @pytest.mark.parametrize("source", ["infinite-task", "neurons"])
    def test_certificate(self, source):
        X, Y, _ = table(n=15)
        model = LearnedKernelRidge(source, tol=1e-5).fit(X, Y)
        assert model.certificate_.status.name == "CERTIFIED"
        assert model.certificate_.tol == 1e-5 and model.certificate_.relative_gap <= 1e-5
        assert model.certificate_.alpha == model.kernel_alpha_

    @pytest.mark.parametrize("source", ["infinite-task", "neurons"])
    def test_default_penalty_of_the_kernel(self, source):
        X, Y, _ = table(n=15)
        labels = np.eye(15) if source == "infinite-task" else Y
        model = LearnedKernelRidge(source).fit(X, Y)
        assert model.kernel_alpha_ == pytest.approx(0.05 * mtrelu.alpha_max(X, labels), rel=1e-6)

    def test_every_form_of_a_given_kernel(self):
        X, Y, _ = table(n=15)
        fitted = ReLURegressor(alpha=0.1).fit(X, Y)
        expected = LearnedKernelRidge(fitted.network_).fit(X, Y).predict(X)
        for kernel in (fitted, NeuronKernel(fitted)):
            model = LearnedKernelRidge(kernel).fit(X, Y)
            np.testing.assert_array_equal(model.predict(X), expected)
            assert model.certificate_ is None and model.kernel_alpha_ is None
        perceptron = MLPRegressor(hidden_layer_sizes=(10,), max_iter=5, random_state=0)
        with pytest.warns(ConvergenceWarning):
            perceptron.fit(X, Y)
        assert LearnedKernelRidge(perceptron).fit(X, Y).kernel_.network.n_neurons <= 10
        limit = InfiniteTaskKernel(X, alpha=0.1)
        model = LearnedKernelRidge(limit).fit(X, Y)
        assert model.kernel_ is limit and model.certificate_ is limit.solution.certificate

    def test_the_kernel_brings_its_skip_functions(self):
        X, Y, _ = table(n=15)
        given = LearnedKernelRidge(NeuronKernel(neurons(), skip="constant"), alphas=0.1).fit(X, Y)
        asked = LearnedKernelRidge(neurons(), alphas=0.1, skip="constant").fit(X, Y)
        np.testing.assert_array_equal(given.predict(X), asked.predict(X))
        assert not given.network_.A.any()

    def test_the_fit_is_a_network_of_the_same_neurons(self, tmp_path):
        X, Y, _ = table(n=15)
        model = LearnedKernelRidge().fit(X, Y)
        net = model.network_
        np.testing.assert_array_equal(net.w, model.kernel_.network.w)
        assert net.n_tasks == 3 and model.kernel_.network.n_tasks == 15
        path = tmp_path / "net.safetensors"
        mtrelu.save_network(path, net)
        np.testing.assert_array_equal(mtrelu.load_network(path)[0](X), model.predict(X))

    def test_time_limit(self):
        X, Y, _ = table(n=60, d=2)
        with pytest.warns(ConvergenceWarning, match="relative gap"):
            model = LearnedKernelRidge(time_limit=0.0, tol=1e-9).fit(X, Y)
        assert model.certificate_.status.name == "LIMIT_REACHED"
        assert np.isfinite(model.predict(X)).all()

    def test_a_kernel_that_rounding_leaves_unproved_is_told(self):
        X, Y, _ = table(n=10)
        with pytest.warns(ConvergenceWarning, match="Optimality could not be proved"):
            model = LearnedKernelRidge(kernel_alpha=1e-30, tol=1e-9).fit(X, Y)
        assert model.certificate_.status.name == "NOT_OPTIMAL"

    def test_beyond_the_data_the_fit_goes_on_in_straight_lines(self):
        X, Y, _ = table(n=15)
        far = LearnedKernelRidge().fit(X, Y).predict(np.outer([1e3, 2e3, 3e3], [0.6, -0.8]))
        np.testing.assert_allclose(far[1] - far[0], far[2] - far[1], rtol=1e-9)


class TestSymmetries:
    @pytest.mark.parametrize("source", ["infinite-task", "neurons"])
    def test_units_of_inputs_and_labels(self, source):
        X, Y, _ = table(n=20)
        one = LearnedKernelRidge(source, tol=1e-9).fit(X, Y)
        other = LearnedKernelRidge(source, tol=1e-9).fit(64 * X + 3.0, 1024 * Y)
        np.testing.assert_allclose(1024 * one.predict(X), other.predict(64 * X + 3.0), rtol=1e-3)
        np.testing.assert_allclose(other.loo_errors_, 2**20 * one.loo_errors_, rtol=1e-3)

    @pytest.mark.parametrize("source", ["infinite-task", "neurons"])
    def test_weights_are_repetitions(self, source):
        X, Y, rng = table(n=15)
        weights = np.array([1, 3, 2] * 5)
        rows = np.repeat(np.arange(15), weights)
        order = rng.permutation(len(rows))
        weighted = LearnedKernelRidge(source, tol=1e-10).fit(X, Y, sample_weight=weights)
        repeated = LearnedKernelRidge(source, tol=1e-10).fit(X[rows[order]], Y[rows[order]])
        np.testing.assert_allclose(weighted.loo_errors_, repeated.loo_errors_, rtol=1e-4)
        np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), atol=1e-4)

    @pytest.mark.parametrize("source", ["infinite-task", "neurons"])
    def test_weight_zero_is_absence(self, source):
        X, Y, _ = table(n=15)
        weights = np.ones(15)
        weights[[2, 7]] = 0.0
        some = LearnedKernelRidge(source).fit(X, Y, sample_weight=weights)
        fewer = LearnedKernelRidge(source).fit(np.delete(X, [2, 7], 0), np.delete(Y, [2, 7], 0))
        np.testing.assert_allclose(some.predict(X), fewer.predict(X), rtol=1e-9)
        np.testing.assert_allclose(some.loo_errors_, fewer.loo_errors_, rtol=1e-9)

    def test_one_dimensional_labels_and_inputs(self):
        X, Y, _ = table(d=1)
        flat = LearnedKernelRidge().fit(X[:, 0], Y[:, 0]).predict(X[:, 0])
        column = LearnedKernelRidge().fit(X, Y[:, :1]).predict(X)
        assert flat.shape == (20,) and column.shape == (20, 1)
        np.testing.assert_array_equal(flat, column[:, 0])


class TestRealData:
    def test_years_that_the_kernel_has_not_seen(self):
        data = load_el_nino()
        kernel = NeuronKernel(mtrelu.solve(data.X, data.Y[:, :40], 1.0).network)
        seen = np.array([0, 2, 4, 6, 8, 10, 11])
        held_out = np.setdiff1d(np.arange(12), seen)
        model = LearnedKernelRidge(kernel).fit(data.X[seen], data.Y[seen, 40:])
        errors = model.predict(data.X[held_out]) - data.Y[held_out, 40:]
        lines = [np.interp(held_out, seen, y[seen]) for y in data.Y[:, 40:].T]
        dots = np.column_stack(lines) - data.Y[held_out, 40:]
        assert np.mean(errors**2) < np.mean(dots**2)


BAD = {
    "lengths": ([[1.0], [2.0]], [1.0, 2.0, 3.0], "rows"),
    "no labels": ([[1.0], [2.0]], None, "y is None"),
    "NaN label": ([[1.0], [2.0]], [1.0, np.nan], "y has"),
    "infinite input": ([[1.0], [np.inf]], [1.0, 2.0], "X"),
    "squares overflow": ([[1.0], [2.0]], [1.0, 1e200], "Y has values up to 1e.200"),
    "empty": (np.empty((0, 1)), np.empty(0), r"X cannot be used: .* 0 sample"),
    "text": ([["a"], ["b"]], [1.0, 2.0], "X"),
}


class TestBadInput:
    @pytest.mark.parametrize("case", BAD)
    @pytest.mark.parametrize("kernel", ["infinite-task", neurons(d=1)])
    def test_refused(self, case, kernel):
        inputs, labels, message = BAD[case]
        with pytest.raises(InvalidInputError, match=message):
            LearnedKernelRidge(kernel).fit(inputs, labels)

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"kernel": "rbf"}, "kernel is 'rbf'.*infinite-task"),
            ({"kernel": 3}, "not known to be a network"),
            ({"kernel": ReLURegressor()}, "not fitted"),
            ({"kernel": neurons(d=3)}, "X has 2 columns.*3 inputs"),
            ({"alphas": -1.0}, "alphas cannot be used: alpha is -1.0"),
            ({"alphas": [1.0, np.nan]}, "alphas cannot be used: alpha is nan"),
            ({"alphas": "some"}, "alphas cannot be used: alpha is 'some'"),
            ({"alphas": []}, r"alphas has shape \(0,\)"),
            ({"alphas": [[1.0]]}, r"alphas has shape \(1, 1\)"),
            ({"kernel_alpha": -1.0}, "kernel_alpha cannot be used"),
            ({"kernel_alpha": "much"}, "kernel_alpha cannot be used"),
            ({"skip": "no"}, "skip is 'no'"),
            ({"skip": "none"}, 'skip is "none"'),
            ({"tol": -1.0}, "tol"),
            ({"time_limit": -1.0}, "time_limit"),
            ({"random_state": "seed"}, "random_state"),
        ],
    )
    def test_parameters(self, parameters, message):
        X, Y, _ = table(n=10)
        with pytest.raises(InvalidInputError, match=message):
            LearnedKernelRidge(**parameters).fit(X, Y)

    def test_weights_of_labels(self):
        X, Y, _ = table(n=10)
        weights = np.ones_like(Y)
        weights[2, 1] = 0.0
        with pytest.raises(InvalidInputError, match=r"1 labels are left out.*one kernel"):
            LearnedKernelRidge(neurons()).fit(X, Y, sample_weight=weights)
        same = LearnedKernelRidge(neurons(), alphas=0.1).fit(X, Y, sample_weight=np.ones_like(Y))
        expected = LearnedKernelRidge(neurons(), alphas=0.1).fit(X, Y).predict(X)
        np.testing.assert_array_equal(same.predict(X), expected)

    def test_prediction(self):
        X, Y, _ = table(n=10)
        with pytest.raises(NotFittedError):
            LearnedKernelRidge().predict(X)
        model = LearnedKernelRidge(neurons()).fit(X, Y)
        with pytest.raises(InvalidInputError, match="X has 3 features"):
            model.predict(np.ones((3, 3)))
        with pytest.raises(TypeError, match="dense"):
            model.fit(csr_array(X), Y)


class TestScikitLearn:
    @pytest.mark.parametrize(
        "kernel", ["infinite-task", "neurons", neurons(), NeuronKernel(neurons())]
    )
    def test_clone_and_pickle(self, kernel):
        X, Y, _ = table(n=10)
        model = LearnedKernelRidge(kernel, alphas=[0.1, 1.0], tol=1e-3)
        copied = clone(model)
        assert copied.get_params().keys() == model.get_params().keys()
        assert copied.get_params()["alphas"] == [0.1, 1.0]
        expected = model.fit(X, Y).predict(X)
        np.testing.assert_array_equal(copied.fit(X, Y).predict(X), expected)
        loaded = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(loaded.predict(X), expected)
        np.testing.assert_array_equal(loaded.kernel_(X), model.kernel_(X))

    def test_pipeline_and_grid_search(self):
        X, Y, _ = table(n=30)
        search = GridSearchCV(
            make_pipeline(StandardScaler(), LearnedKernelRidge(tol=1e-2)),
            {
                "learnedkernelridge__kernel": ["infinite-task", "neurons"],
                "learnedkernelridge__kernel_alpha": [0.3, 1.0],
            },
            cv=3,
        ).fit(X, Y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_labels_in_different_units(self):
        X, Y, _ = table(n=30)
        units = np.array([1.0, 1e3, 1e-3])
        scaled = TransformedTargetRegressor(
            LearnedKernelRidge("neurons", tol=1e-9), transformer=StandardScaler()
        )
        one = scaled.fit(X, Y).predict(X)
        other = clone(scaled).fit(X, Y * units).predict(X)
        np.testing.assert_allclose(one * units, other, rtol=1e-4, atol=1e-7)

    def test_names_of_columns(self):
        pandas = pytest.importorskip("pandas")
        X, Y, _ = table(n=15)
        frame = pandas.DataFrame(X, columns=["power", "weight"])
        labels = pandas.DataFrame(Y, columns=list("abc"))
        model = LearnedKernelRidge(neurons()).fit(frame, labels)
        assert model.feature_names_in_.tolist() == ["power", "weight"]
        np.testing.assert_array_equal(
            model.predict(frame), LearnedKernelRidge(neurons()).fit(X, Y).predict(X)
        )
        with pytest.raises(InvalidInputError, match="feature names"):
            model.predict(frame[["weight", "power"]])

    def test_score_is_the_mean_r2_of_the_tasks(self):
        X, Y, _ = table()
        model = LearnedKernelRidge(neurons()).fit(X, Y)
        P = model.predict(X)
        r2 = 1 - ((Y - P) ** 2).sum(axis=0) / ((Y - Y.mean(axis=0)) ** 2).sum(axis=0)
        assert model.score(X, Y) == pytest.approx(r2.mean())


EXPLAINED = {"check_fit1d": "a vector is one input here, as in all of mtrelu"}


@pytest.fixture
def few_neurons(monkeypatch, no_proofs):
    """Of 200 samples of ten inputs the network of the infinite-task kernel takes minutes.

    A time limit would do too, but then two fits differ.
    """
    monkeypatch.setattr(base, "NEURON_SHARE", 0.7)


@parametrize_with_checks(
    [LearnedKernelRidge("neurons", tol=0.3)], expected_failed_checks=lambda _: EXPLAINED
)
def test_scikit_learns_own_checks(estimator, check, few_neurons):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([LearnedKernelRidge(tol=0.3)], expected_failed_checks=lambda _: EXPLAINED)
def test_scikit_learns_own_checks_without_labels(estimator, check, few_neurons):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [LearnedKernelRidge("neurons")], expected_failed_checks=lambda _: EXPLAINED
)
def test_scikit_learns_own_checks_with_the_defaults(estimator, check):
    check(estimator)
