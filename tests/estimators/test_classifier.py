import pickle
from dataclasses import replace

import cvxpy
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import mtrelu
from mtrelu.estimators.classifier import ReLUClassifier
from mtrelu.validation import InvalidInputError


def line(n=30, seed=0, noise=0.8):
    """One input whose classes change twice, not separable by neurons alone."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-3.0, 3.0, n))
    return x[:, None], (np.abs(x) + noise * rng.standard_normal(n) < 1.5).astype(int)


def plane(n=40, seed=0, n_classes=3):
    """Two inputs, classes in sectors."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.0, 1.0, (n, 2))
    angle = np.arctan2(X[:, 1], X[:, 0]) + 0.3 * rng.standard_normal(n)
    return X, ((angle + np.pi) / (2 * np.pi) * n_classes).astype(int) % n_classes


def optimum(x, Y, alpha, skip, weights=None):
    """Least objective over all hinges at data points, by a cone solver."""
    weights = np.ones(len(x)) if weights is None else weights
    hinges = np.hstack([np.maximum(x - x.T, 0.0), np.maximum(x.T - x, 0.0)])
    V = cvxpy.Variable((hinges.shape[1], Y.shape[1]))
    c, a = cvxpy.Variable((1, Y.shape[1])), cvxpy.Variable((1, Y.shape[1]))
    ones = np.ones((len(x), 1))
    Z = hinges @ V + ones @ c + (x @ a if skip == "affine" else 0.0)
    loss = cvxpy.sum(
        cvxpy.multiply(weights[:, None] * np.ones_like(Y), cvxpy.logistic(Z) - cvxpy.multiply(Y, Z))
    )
    problem = cvxpy.Problem(cvxpy.Minimize(loss + alpha * cvxpy.sum(cvxpy.norm(V, 2, axis=1))))
    return problem.solve(solver=cvxpy.CLARABEL)


def objective(model, X, Y):
    net = model.network_
    Z = net(X)
    norms = np.linalg.norm(net.w, axis=1) * np.linalg.norm(net.v, axis=1)
    return np.sum(np.logaddexp(0.0, Z) - Y * Z) + model.alpha_ * norms.sum()


class TestOptimum:
    @pytest.mark.parametrize("skip", ["constant", "affine"])
    def test_two_classes(self, skip):
        X, y = line()
        model = ReLUClassifier(alpha=0.5, skip=skip, tol=1e-8).fit(X, y)
        expected = optimum(X, y[:, None], 0.5, skip)
        assert objective(model, X, y[:, None]) == pytest.approx(expected, rel=1e-6)
        assert model.status_.name == "CERTIFIED"
        assert model.certificate_.primal == pytest.approx(expected, rel=1e-6)

    def test_three_classes_share_neurons(self):
        X, _ = line()
        y = np.digitize(X[:, 0] + np.random.default_rng(1).standard_normal(30), [-1.0, 1.0])
        model = ReLUClassifier(alpha=0.5, tol=1e-8).fit(X, y)
        Y = np.eye(3)[y]
        assert objective(model, X, Y) == pytest.approx(optimum(X, Y, 0.5, "constant"), rel=1e-6)

    def test_weights(self):
        X, y = line()
        weights = np.linspace(0.5, 2.0, 30)
        model = ReLUClassifier(alpha=0.5, tol=1e-8).fit(X, y, sample_weight=weights)
        expected = optimum(X, y[:, None], 0.5, "constant", weights)
        assert model.certificate_.primal == pytest.approx(expected, rel=1e-6)

    def test_separable_classes_have_an_optimum(self):
        X = np.arange(8.0)[:, None]
        y = np.array(["no"] * 4 + ["yes"] * 4)
        model = ReLUClassifier().fit(X, y)
        assert model.status_.name == "CERTIFIED"
        assert model.predict(X).tolist() == y.tolist()
        expected = optimum(X, (y == "yes").astype(float)[:, None], 1.0, "constant")
        assert model.certificate_.primal == pytest.approx(expected, rel=1e-5)

    def test_several_inputs_are_certified(self):
        X, y = plane()
        model = ReLUClassifier(alpha=0.1).fit(X, y)
        assert model.status_.name == "CERTIFIED" and model.certificate_.oracle == "exact"
        assert model.certificate_.primal == pytest.approx(
            objective(model, X, np.eye(3)[y]), rel=1e-12
        )
        assert model.score(X, y) > 0.85


class TestClasses:
    @pytest.mark.parametrize(
        "names",
        [np.array(["b", "a"]), np.array([7, -3]), np.array([2.0, 1.0]), np.array([True, False])],
    )
    def test_names_of_two_classes_are_kept(self, names):
        X, y = line()
        model = ReLUClassifier(alpha=0.5).fit(X, names[y])
        assert model.classes_.tolist() == np.unique(names).tolist()
        assert model.predict(X).dtype == names.dtype
        plain = ReLUClassifier(alpha=0.5).fit(X, y)
        assert model.predict(X).tolist() == names[plain.predict(X)].tolist()
        sign = 1.0 if names[1] == model.classes_[1] else -1.0
        np.testing.assert_allclose(
            sign * model.decision_function(X), plain.decision_function(X), atol=1e-2
        )

    def test_names_of_many_classes_are_kept(self):
        X, y = plane()
        names = np.array(["red", "green", "blue"])
        model = ReLUClassifier(alpha=0.3).fit(X, names[y].tolist())
        assert model.classes_.tolist() == ["blue", "green", "red"]
        decision = model.decision_function(X)
        assert decision.shape == (40, 3)
        assert model.predict(X).tolist() == model.classes_[decision.argmax(axis=1)].tolist()
        assert (model.predict(X) == names[y]).mean() > 0.7

    def test_outputs_are_one_against_the_rest(self):
        X, y = line()
        y = y + (X[:, 0] > 0)
        model = ReLUClassifier(alpha=0.5, tol=1e-9).fit(X, y)
        Y = np.eye(3)[y]
        solution = mtrelu.solve(X, Y, 0.5, loss="logistic", skip="constant", tol=1e-9)
        np.testing.assert_allclose(model.decision_function(X), solution.network(X), atol=1e-3)

    def test_many_labels_a_sample(self):
        X, y = line()
        Y = np.column_stack([y, 1 - y, X[:, 0] > 0])
        Y[3] = 1 - Y[3]
        model = ReLUClassifier(alpha=0.5).fit(X, Y)
        assert model.classes_.tolist() == [0, 1, 2]
        decision = model.decision_function(X)
        np.testing.assert_array_equal(model.predict(X), (decision > 0).astype(int))
        np.testing.assert_allclose(model.predict_proba(X), 1 / (1 + np.exp(-decision)))
        np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))
        again = ReLUClassifier(alpha=0.5).fit(X, Y.tolist())
        np.testing.assert_array_equal(again.predict(X), model.predict(X))

    def test_names_of_labels(self):
        pandas = pytest.importorskip("pandas")
        X, y = line()
        frame = pandas.DataFrame({"early": y, "late": 1 - y})
        model = ReLUClassifier(alpha=0.5).fit(X, frame)
        assert model.classes_.tolist() == ["early", "late"]
        assert model.predict(X).shape == (30, 2)

    @pytest.mark.parametrize("dtype", ["str", "category", "boolean", "Int64"])
    def test_pandas_types(self, dtype):
        pandas = pytest.importorskip("pandas")
        X, y = line()
        named = np.array(["no", "yes"])[y] if dtype in ("str", "category") else y
        model = ReLUClassifier(alpha=0.5).fit(X, pandas.Series(named).astype(dtype))
        assert sorted(model.classes_.tolist()) == sorted(set(np.asarray(named).tolist()))

    def test_polars(self):
        polars = pytest.importorskip("polars")
        X, y = line()
        frame = polars.DataFrame({"x": X[:, 0]})
        model = ReLUClassifier(alpha=0.5).fit(frame, polars.Series(np.array(["no", "yes"])[y]))
        assert model.feature_names_in_.tolist() == ["x"]
        assert set(model.predict(frame)) == {"no", "yes"}


class TestProbabilities:
    def test_two_classes(self):
        X, y = line()
        model = ReLUClassifier(alpha=0.5).fit(X, y)
        P = model.predict_proba(X)
        np.testing.assert_allclose(P[:, 1], 1 / (1 + np.exp(-model.decision_function(X))))
        np.testing.assert_allclose(P.sum(axis=1), 1.0)
        np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), P)
        assert np.array_equal(model.predict(X), (P[:, 1] > 0.5).astype(int))
        # With a free constant the mean probability of an optimum is the share of the class.
        assert P[:, 1].mean() == pytest.approx(y.mean(), abs=1e-3)

    def test_three_classes_are_normalised_as_one_vs_rest_does(self):
        X, y = plane()
        model = ReLUClassifier(alpha=0.3).fit(X, y)
        P = 1 / (1 + np.exp(-model.decision_function(X)))
        expected = P / P.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-12)
        np.testing.assert_allclose(model.predict_log_proba(X), np.log(expected), rtol=1e-10)

        class Known(ReLUClassifier):
            """One of the three outputs, found by its labels."""

            def fit(self, X, y):
                t = next(t for t in range(3) if np.array_equal(labels == t, y == 1))
                self.t, self.classes_ = t, np.array([0, 1])
                return self

            def predict_proba(self, X):
                return np.column_stack([1 - P[:, self.t], P[:, self.t]])

        labels = y
        theirs = OneVsRestClassifier(Known()).fit(X, y).predict_proba(X)
        np.testing.assert_allclose(model.predict_proba(X), theirs, rtol=1e-12)

    def test_far_away_logarithms_do_not_round_to_infinity(self):
        X, y = plane()
        model = ReLUClassifier(alpha=0.3).fit(X, y)
        logs = model.predict_log_proba(1e5 * X)
        assert np.isfinite(logs).all() and logs.min() < -1000
        np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1.0)


class TestOptimalRange:
    @pytest.mark.parametrize("kind", ["two", "three", "labels"])
    def test_it_holds_the_decision_function(self, kind):
        X, y = line()
        labels = {"two": y, "three": y + (X[:, 0] > 0), "labels": np.column_stack([y, 1 - y])}
        model = ReLUClassifier(alpha=0.5, tol=1e-9).fit(X, labels[kind])
        places = np.linspace(-2.5, 2.5, 7)
        low, high = model.optimal_range(places)
        decision = model.decision_function(places)
        assert low.shape == high.shape == decision.shape
        assert (low <= decision + 1e-3).all() and (decision <= high + 1e-3).all()

    def test_a_range_that_is_not_proved_comes_with_a_warning(self):
        X, y = line()
        model = ReLUClassifier(alpha=0.5).fit(X, y)
        optima = model._solution.optimal_set()
        model._solution.__dict__["_optimal_set"] = replace(optima, range_is_proved=False)
        with pytest.warns(UserWarning, match="the range is not proved"):
            low, high = model.optimal_range([0.0])
        assert low <= high

    def test_without_the_data(self):
        model = ReLUClassifier(alpha=0.5).fit(*line())
        del model._solution
        with pytest.raises(InvalidInputError, match="needs the training data"):
            model.optimal_range([0.0])

    def test_the_problem_of_other_data(self):
        X, y = plane()
        model = ReLUClassifier(alpha=0.3).fit(X, np.array(["r", "g", "b"])[y])
        problem = model._problem(X[:5], np.array(["r", "g", "b"])[y[:5]])
        np.testing.assert_array_equal(problem.Y, np.eye(3)[[2, 1, 0]][y[:5]])
        assert problem.loss.name == "logistic" and problem.skip == "constant"
        with pytest.raises(InvalidInputError, match="'x', which is none of the classes"):
            model._problem(X[:1], ["x"])


class TestWeights:
    def test_zero_is_absence(self):
        X, y = line()
        weights = np.ones(30)
        weights[[3, 8]] = 0.0
        some = ReLUClassifier(alpha=0.5).fit(X, y, sample_weight=weights)
        fewer = ReLUClassifier(alpha=0.5).fit(np.delete(X, [3, 8], 0), np.delete(y, [3, 8]))
        np.testing.assert_allclose(some.decision_function(X), fewer.decision_function(X))

    def test_whole_numbers_are_repetitions(self):
        X, y = line()
        weights = np.array([1, 3, 2] * 10)
        one = ReLUClassifier(alpha=0.5, tol=1e-10).fit(X, y, sample_weight=weights)
        other = ReLUClassifier(alpha=0.5, tol=1e-10).fit(
            np.repeat(X, weights, 0), y.repeat(weights)
        )
        np.testing.assert_allclose(one.decision_function(X), other.decision_function(X), atol=1e-4)

    def test_a_class_that_weighs_more_gets_more(self):
        X, y = plane()
        one, other = (
            ReLUClassifier(alpha=0.3, task_weight=w).fit(X, y) for w in (None, [10.0, 1.0, 1.0])
        )
        losses = [
            np.logaddexp(0, np.where(y == 0, -1, 1) * m.decision_function(X)[:, 0]).sum()
            for m in (one, other)
        ]
        assert losses[1] < 0.9 * losses[0]


BAD = {
    "one class": ([1.0, 2, 3], ["a", "a", "a"], "y has one class only, 'a'"),
    "numbers": ([1.0, 2, 3], [0.1, 0.7, 0.2], "Unknown label type: continuous"),
    "none": ([1.0, 2, 3], None, "the target y is None"),
    "NaN": ([1.0, 2, 3], [0.0, np.nan, 1.0], "NaN; pass one class a sample"),
    "mixed": ([1.0, 2, 3], ["a", None, "b"], "y cannot be used"),
    "lengths": ([1.0, 2, 3], ["a", "b"], "y has 2 rows, but X has 3"),
    "several columns of classes": ([1.0, 2, 3], [[0, 1], [2, 1], [0, 2]], "entries other than 0"),
    "two other numbers": ([1.0, 2, 3], [[2, 1], [1, 1], [1, 2]], "entries other than 0 and 1"),
    "label on none": ([1.0, 2, 3], [[0, 1], [0, 0], [0, 1]], "the label 0 on no sample"),
    "label on all": ([1.0, 2, 3], [[0, 1], [1, 1], [0, 1]], "the label 1 on every sample"),
    "infinite input": ([1.0, np.inf, 3], [0, 1, 0], "X cannot be used"),
}


class TestBadInput:
    @pytest.mark.parametrize("case", BAD)
    def test_refused(self, case):
        X, y, message = BAD[case]
        with pytest.raises(InvalidInputError, match=message):
            ReLUClassifier().fit(X, y)

    @pytest.mark.parametrize("alpha", [0, -1.0, np.nan, "much"])
    def test_alpha(self, alpha):
        with pytest.raises(InvalidInputError, match="alpha"):
            ReLUClassifier(alpha=alpha).fit(*line())

    @pytest.mark.parametrize(
        ("y", "named"), [(["a", "a", "b", "b"], "'b'"), (["a", "b", "c", "c"], "'a'")]
    )
    def test_separable_classes_with_an_affine_skip(self, y, named):
        with pytest.raises(InvalidInputError, match=rf'class {named} is separated.*"constant"'):
            ReLUClassifier(skip="affine").fit([1.0, 2, 3, 4], y)

    @pytest.mark.parametrize("absent", ["a", "b", "c"])
    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_a_class_without_weight(self, absent, n_classes):
        y = np.array(["a", "b", "c"] * 3)[: 9 if n_classes == 3 else 8]
        y = y if n_classes == 3 else np.where(y == "c", "a", y)
        if absent not in y:
            return
        with pytest.raises(InvalidInputError, match=f"class '{absent}' has no sample"):
            ReLUClassifier().fit(np.arange(float(len(y))), y, sample_weight=(y != absent) * 1.0)

    @pytest.mark.parametrize("weight", [[1.0], [1.0, -1.0, 1.0], ["a", "b", "c"], 3.0])
    def test_task_weight(self, weight):
        with pytest.raises(InvalidInputError, match="task_weight"):
            ReLUClassifier(task_weight=weight).fit(*plane())

    def test_not_fitted(self):
        for method in ("predict", "predict_proba", "decision_function", "optimal_range"):
            with pytest.raises(NotFittedError):
                getattr(ReLUClassifier(), method)([[0.0]])


class TestScikitLearn:
    def test_clone_and_pickle(self):
        X, y = line()
        model = ReLUClassifier(alpha=0.7, skip="affine", tol=1e-5, task_weight=[2.0]).fit(X, y)
        assert clone(model).get_params() == model.get_params()
        copied = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(copied.predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(copied.optimal_range(X), model.optimal_range(X))

    def test_grid_search_of_a_pipeline(self):
        X, y = load_iris(return_X_y=True)
        X, names = X[::3, 2:], load_iris().target_names[y][::3]
        search = GridSearchCV(
            make_pipeline(StandardScaler(), ReLUClassifier(tol=1e-3)),
            {"reluclassifier__alpha": [0.3, 30.0]},
            scoring="neg_log_loss",
            cv=3,
        ).fit(X, names)
        assert search.best_params_["reluclassifier__alpha"] == 0.3
        assert search.score(X, names) > -0.3

    def test_weights_are_routed(self):
        X, y = line()
        weights = np.where(np.arange(30) % 2, 1.0, 5.0)
        with sklearn.config_context(enable_metadata_routing=True):
            model = ReLUClassifier(alpha=0.5)
            model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
            scaler = StandardScaler().set_fit_request(sample_weight=False)
            piped = make_pipeline(scaler, model)
            scores = cross_val_score(piped, X, y, params={"sample_weight": weights}, cv=3)
            piped.fit(X, y, sample_weight=weights)
        assert np.isfinite(scores).all()
        direct = clone(model).fit(StandardScaler().fit_transform(X), y, weights)
        np.testing.assert_array_equal(piped[-1].network_.v, direct.network_.v)


EXPLAINED = {
    "check_fit1d": "a vector is one input here, as in all of mtrelu",
    "check_sample_weight_equivalence_on_dense_data": "its table has thirty inputs, where the "
    "search for neurons starts at random, from the samples in their order: fits to the end agree "
    "to 1e-4, asked is 1e-7. TestWeights has the same with one input.",
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([ReLUClassifier(max_iter=4)], expected_failed_checks=lambda _: EXPLAINED)
def test_scikit_learns_own_checks(estimator, check, no_proofs):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([ReLUClassifier()], expected_failed_checks=lambda _: EXPLAINED)
def test_scikit_learns_own_checks_with_the_defaults(estimator, check):
    check(estimator)


class TestMissingLabels:
    @pytest.mark.parametrize("skip", ["constant", "affine"])
    def test_a_label_that_is_missing_does_not_count(self, skip):
        rng = np.random.default_rng(0)
        x = np.linspace(-2.0, 2.0, 40)
        known = np.column_stack([np.abs(x) < 1, rng.random(40) < 0.5]).astype(float)
        y = np.where(rng.random((40, 2)) < 0.3, np.nan, known)
        model = ReLUClassifier(alpha=0.5, skip=skip, nan_policy="omit").fit(x[:, None], y)
        assert model.status_.name == "CERTIFIED"
        weights = (~np.isnan(y)).astype(float)
        same = mtrelu.solve(x, known, 0.5, loss="logistic", skip=skip, sample_weight=weights)
        assert model.certificate_.primal == pytest.approx(same.certificate.primal, rel=1e-5)
        assert set(np.unique(model.predict(x[:, None]))) <= {0, 1}

    def test_it_has_to_be_asked_for(self):
        x, y = np.arange(4.0)[:, None], [[0, 1], [1, 0], [1, np.nan], [0, 0]]
        with pytest.raises(InvalidInputError, match="y cannot be used: Input y contains NaN"):
            ReLUClassifier().fit(x, y)
        with pytest.raises(InvalidInputError, match="entries other than 0 and 1"):
            ReLUClassifier(nan_policy="omit").fit(x, [[0, 1], [1, 0], [2, np.nan], [0, 0]])
        with pytest.raises(InvalidInputError, match="nan_policy is 'drop'"):
            ReLUClassifier(nan_policy="drop").fit(x, [0, 1, 1, 0])
