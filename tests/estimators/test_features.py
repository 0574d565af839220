import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import mtrelu
from mtrelu.estimators.features import NeuronFeatures
from mtrelu.validation import InvalidInputError


def line(n=20, T=2, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0.0, 10.0, n))
    Y = np.maximum(x - 4.0, 0.0)[:, None] * rng.uniform(1.0, 3.0, T)
    return x[:, None], Y + noise * rng.standard_normal((n, T))


def plane(n=25, T=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.0, 1.0, (n, 2))
    Y = np.maximum(X @ [0.8, 0.6] + 0.1, 0.0)[:, None] * rng.uniform(1.0, 3.0, T)
    return X, Y + 0.05 * rng.standard_normal((n, T))


class TestTransform:
    @pytest.mark.parametrize("data", [line(), plane()], ids=["line", "plane"])
    @pytest.mark.parametrize("skip", ["affine", "constant"])
    def test_with_the_output_weights_it_is_the_network_of_solve(self, data, skip):
        X, Y = data
        model = NeuronFeatures(0.1, skip=skip).fit(X, Y)
        solution = mtrelu.solve(X, Y, 0.1, skip=skip, random_state=0)
        Z = np.random.default_rng(1).uniform(-3.0, 12.0, (30, X.shape[1]))
        net = model.network_
        outputs = model.transform(Z) @ net.v + Z @ net.A.T + net.c
        np.testing.assert_allclose(
            outputs, solution.network(Z), rtol=0, atol=1e-9 * np.abs(Z).max()
        )
        assert model.status_.name == "CERTIFIED" and model.alpha_ == 0.1
        assert model.certificate_.primal == pytest.approx(solution.certificate.primal, rel=1e-12)

    @pytest.mark.parametrize("data", [line(), plane()], ids=["line", "plane"])
    def test_features_are_distances_from_where_the_neurons_bend(self, data):
        X, Y = data
        model = NeuronFeatures(0.1).fit(X, Y)
        H = model.transform(X)
        assert H.shape == (len(X), model.network_.n_neurons) and H.dtype == np.float64
        np.testing.assert_allclose(np.linalg.norm(model.network_.w, axis=1), 1.0)
        for k, (w, b) in enumerate(zip(model.network_.w, model.network_.b, strict=True)):
            np.testing.assert_allclose(H[:, k], [max(w @ x + b, 0.0) for x in X], atol=1e-12)

    def test_with_one_input_they_are_hinges_at_the_knots(self):
        X, Y = line()
        model = NeuronFeatures(0.5).fit(X, Y)
        knots = mtrelu.ReLURegressor(alpha=0.5).fit(X, Y).knots_
        places = np.sort(-model.network_.b / model.network_.w[:, 0])
        np.testing.assert_allclose(places, knots, rtol=1e-12)

    def test_far_from_zero(self):
        X, Y = line()
        near, far = (NeuronFeatures(0.5).fit(X + shift, Y) for shift in (0.0, 2.0**20))
        np.testing.assert_allclose(far.transform(X + 2.0**20), near.transform(X), atol=1e-5)

    @pytest.mark.parametrize("data", [line(), plane()], ids=["line", "plane"])
    def test_default_penalty(self, data):
        X, Y = data
        model = NeuronFeatures().fit(X, Y)
        assert model.alpha_ == pytest.approx(0.05 * mtrelu.alpha_max(X, Y), rel=1e-6)
        assert model.network_.n_neurons > 0

    def test_without_neurons_it_says_so(self):
        X, Y = line()
        with pytest.warns(UserWarning, match=r"no neurons for alpha=1e\+06"):
            model = NeuronFeatures(1e6).fit(X, Y)
        assert model.transform(X).shape == (20, 0)
        assert model.get_feature_names_out().shape == (0,)

    def test_missing_labels_and_weights(self):
        X, Y = line()
        weights = np.ones_like(Y)
        weights[[3, 11], [0, 1]] = 0.0
        holes = np.where(weights > 0, Y, np.nan)
        omitted = NeuronFeatures(0.3, nan_policy="omit").fit(X, holes)
        weighted = NeuronFeatures(0.3).fit(X, Y, sample_weight=weights)
        np.testing.assert_allclose(omitted.transform(X), weighted.transform(X), atol=1e-12)
        tasks = NeuronFeatures(0.3, task_weight=[1.0, 4.0]).fit(X, Y)
        same = NeuronFeatures(0.3).fit(X, Y, sample_weight=np.ones_like(Y) * [1.0, 4.0])
        np.testing.assert_array_equal(tasks.transform(X), same.transform(X))


class TestScikitLearn:
    def test_names(self):
        pandas = pytest.importorskip("pandas")
        X, Y = plane()
        frame = pandas.DataFrame(X, columns=["north", "east"])
        model = NeuronFeatures(0.1).set_output(transform="pandas").fit(frame, Y)
        H = model.transform(frame)
        K = model.network_.n_neurons
        assert model.feature_names_in_.tolist() == ["north", "east"]
        assert list(H.columns) == [f"neuronfeatures{k}" for k in range(K)]
        assert list(H.index) == list(frame.index)
        with pytest.raises(InvalidInputError, match="feature names"):
            model.transform(frame[["east", "north"]])

    def test_polars(self):
        polars = pytest.importorskip("polars")
        X, Y = plane()
        frame = polars.DataFrame(X, schema=["north", "east"])
        model = NeuronFeatures(0.1).set_output(transform="polars")
        H = model.fit_transform(frame, polars.DataFrame(Y, schema=["a", "b"]))
        assert isinstance(H, polars.DataFrame) and H.columns[0] == "neuronfeatures0"
        expected = NeuronFeatures(0.1).fit(X, Y).transform(X)
        np.testing.assert_array_equal(H.to_numpy(), expected)

    def test_in_a_pipeline_before_another_model(self):
        X, Y = plane(n=40)
        both = FeatureUnion([("x", FunctionTransformer()), ("neurons", NeuronFeatures())])
        search = GridSearchCV(
            make_pipeline(StandardScaler(), both, Ridge(alpha=1e-3)),
            {"featureunion__neurons__alpha": [None, 0.3]},
            cv=2,
        ).fit(X, Y)
        assert search.score(X, Y) > 0.97 > make_pipeline(Ridge()).fit(X, Y).score(X, Y)

    def test_before_a_classifier(self):
        x = np.linspace(-3.0, 3.0, 40)[:, None]
        y = np.abs(x[:, 0]) < 1.5
        features = NeuronFeatures(0.5, loss="logistic", skip="constant")
        model = make_pipeline(features, LogisticRegression()).fit(x, y)
        assert model.score(x, y) == 1.0 > LogisticRegression().fit(x, y).score(x, y)

    def test_clone_and_pickle(self):
        X, Y = plane()
        model = NeuronFeatures(0.1, loss="huber", tol=1e-5, random_state=3).fit(X, Y)
        assert clone(model).get_params() == model.get_params()
        copied = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(copied.transform(X), model.transform(X))

    def test_weights_are_routed(self):
        X, Y = line()
        weights = np.linspace(0.1, 3.0, 20)
        with sklearn.config_context(enable_metadata_routing=True):
            features = NeuronFeatures(0.3).set_fit_request(sample_weight=True)
            piped = make_pipeline(features, Ridge().set_fit_request(sample_weight=True))
            piped.fit(X, Y, sample_weight=weights)
        direct = NeuronFeatures(0.3).fit(X, Y, weights)
        np.testing.assert_array_equal(piped[0].transform(X), direct.transform(X))


class TestBadInput:
    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"alpha": -1.0}, "alpha is -1.0"),
            ({"alpha": "much"}, "alpha is 'much'"),
            ({"loss": "hinge"}, "loss is 'hinge'"),
            ({"skip": "no"}, "skip is 'no'"),
            ({"tol": -1.0}, "tol"),
            ({"max_iter": 0}, "max_iter"),
            ({"nan_policy": "drop"}, "nan_policy is 'drop'"),
            ({"task_weight": [1.0]}, r"task_weight has shape \(1,\).*2 task"),
        ],
    )
    def test_parameters(self, parameters, message):
        with pytest.raises(InvalidInputError, match=message):
            NeuronFeatures(**parameters).fit(*line())

    def test_data(self):
        X, Y = line()
        with pytest.raises(InvalidInputError, match="the target y is None"):
            NeuronFeatures().fit(X, None)
        with pytest.raises(InvalidInputError, match="y has 19 rows"):
            NeuronFeatures().fit(X, Y[1:])
        with pytest.raises(NotFittedError):
            NeuronFeatures().transform(X)
        with pytest.raises(InvalidInputError, match="X has 2 features"):
            NeuronFeatures(0.1).fit(X, Y).transform(np.ones((3, 2)))


EXPLAINED = {"check_fit1d": "a vector is one input here, as in all of mtrelu"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:The network has no neurons:UserWarning")
@parametrize_with_checks([NeuronFeatures(max_iter=4)], expected_failed_checks=lambda _: EXPLAINED)
def test_scikit_learns_own_checks(estimator, check, no_proofs):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:The network has no neurons:UserWarning")
@parametrize_with_checks([NeuronFeatures()], expected_failed_checks=lambda _: EXPLAINED)
def test_scikit_learns_own_checks_with_the_defaults(estimator, check):
    check(estimator)
