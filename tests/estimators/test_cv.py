import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import mtrelu
from mtrelu.displays import SelectionDisplay
from mtrelu.estimators.cv import ReLURegressorCV
from mtrelu.validation import InvalidInputError


def line(n=24, T=2, noise=0.4, seed=0):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0.0, 10.0, n))
    Y = np.maximum(x - 4.0, 0.0)[:, None] * rng.uniform(1.0, 3.0, T)
    return x[:, None], Y + noise * rng.standard_normal((n, T))


def plane(n=30, T=2, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.0, 1.0, (n, 2))
    Y = np.maximum(X @ [0.8, 0.6], 0.0)[:, None] * rng.uniform(1.0, 3.0, T)
    return X, Y + noise * rng.standard_normal((n, T))


class TestChoice:
    def test_losses_are_those_of_fits_that_have_not_seen_the_fold(self):
        X, Y = line()
        model = ReLURegressorCV(n_alphas=5, cv=KFold(3, shuffle=True, random_state=1)).fit(X, Y)
        assert model.cv_losses_.shape == model.cv_gaps_.shape == (5, 3)
        folds = list(KFold(3, shuffle=True, random_state=1).split(X))
        for a in range(5):
            for f, (train, test) in enumerate(folds):
                net = mtrelu.solve(X[train], Y[train], model.alphas_[a] * len(train) / 24).network
                loss = 0.5 * np.mean((net(X[test]) - Y[test]) ** 2)
                assert model.cv_losses_[a, f] == pytest.approx(loss, rel=1e-6)
        assert model.n_held_out_.tolist() == [8, 8, 8]

    def test_grid_falls_from_alpha_max(self):
        X, Y = line()
        model = ReLURegressorCV(cv=2).fit(X, Y)
        assert model.alphas_[0] == pytest.approx(mtrelu.alpha_max(X, Y))
        assert model.alphas_.size == 26 and (np.diff(model.alphas_) < 0).all()

    def test_one_standard_error_rule(self):
        X, Y = line()
        one_se = ReLURegressorCV(cv=4).fit(X, Y)
        least = ReLURegressorCV(cv=4, rule="min").fit(X, Y)
        np.testing.assert_array_equal(one_se.cv_losses_, least.cv_losses_)
        mean = least.cv_losses_.mean(axis=1)
        bound = mean.min() + np.std(least.cv_losses_[mean.argmin()], ddof=1) / 2.0
        assert least.alpha_ == least.alphas_[mean.argmin()]
        assert one_se.alpha_ == least.alphas_[mean <= bound].max() > least.alpha_
        assert one_se.network_.n_neurons <= least.network_.n_neurons

    def test_every_fit_is_certified(self):
        model = ReLURegressorCV(cv=3, tol=1e-7).fit(*line())
        assert model.status_.name == "CERTIFIED" and model.certificate_.relative_gap <= 1e-7
        assert model.certificate_.alpha == model.alpha_
        assert model.cv_gaps_.min() >= 0.0 and model.cv_gaps_.max() <= 1e-6

    def test_the_network_is_that_of_the_chosen_penalty(self):
        X, Y = line()
        model = ReLURegressorCV(cv=3).fit(X, Y)
        plain = mtrelu.ReLURegressor(alpha=model.alpha_).fit(X, Y)
        np.testing.assert_array_equal(model.predict(X), plain.predict(X))
        np.testing.assert_array_equal(model.knots_, plain.knots_)
        for mine, theirs in zip(model.optimal_range(X), plain.optimal_range(X), strict=True):
            np.testing.assert_array_equal(mine, theirs)

    @pytest.mark.parametrize("data", [line(), plane(20)], ids=["line", "plane"])
    def test_folds_in_parallel_change_nothing(self, data):
        one, two = (ReLURegressorCV(n_alphas=3, cv=3, n_jobs=n).fit(*data) for n in (None, 2))
        np.testing.assert_array_equal(one.cv_losses_, two.cv_losses_)
        np.testing.assert_array_equal(one.cv_gaps_, two.cv_gaps_)
        np.testing.assert_array_equal(one.predict(data[0]), two.predict(data[0]))
        assert one.alpha_ == two.alpha_

    def test_several_inputs(self):
        X, Y = plane()
        model = ReLURegressorCV(cv=3).fit(X, Y)
        assert model.status_.name == "CERTIFIED" and model.certificate_.relative_gap <= 1e-6
        assert model.cv_gaps_.max() <= 1e-2
        assert model.alphas_.size < 13  # smaller penalties only lose
        assert model.alpha_ < model.alphas_[0] and model.score(X, Y) > 0.3

    def test_given_penalties_and_groups(self):
        X, Y = line()
        groups = np.arange(24) // 4
        splits = list(GroupKFold(3).split(X, groups=groups))
        model = ReLURegressorCV([0.1, 3.0], cv=splits).fit(X, Y)
        assert model.alphas_.tolist() == [3.0, 0.1] and model.cv_losses_.shape == (2, 3)
        assert sorted(model.n_held_out_.tolist()) == [8, 8, 8]

    def test_picture(self):
        model = ReLURegressorCV(cv=3).fit(*line())
        display = SelectionDisplay(model.selection_)
        assert display.selection.alpha == model.alpha_
        assert display.selection.mean.tolist() == model.cv_losses_.mean(axis=1).tolist()


class TestWeightsAndMissingLabels:
    def test_missing_labels_are_neither_fitted_nor_scored(self):
        X, Y = line()
        holes = Y.copy()
        holes[[1, 8, 15, 20], [0, 1, 0, 1]] = np.nan
        model = ReLURegressorCV([1.0, 0.1], cv=KFold(3), nan_policy="omit").fit(X, holes)
        filled = np.where(np.isnan(holes), 1e3, holes)
        same = ReLURegressorCV([1.0, 0.1], cv=KFold(3)).fit(
            X, filled, sample_weight=(~np.isnan(holes)).astype(float)
        )
        np.testing.assert_allclose(model.cv_losses_, same.cv_losses_, rtol=1e-9)
        assert model.status_.name == "CERTIFIED"
        assert np.isfinite(model.score(X, holes))

    def test_tasks_that_weigh_more_are_fitted_more_closely(self):
        X, Y = line(noise=1.0)
        light, heavy = (
            ReLURegressorCV([0.5, 5.0], cv=2, rule="min", task_weight=[w, 1.0]).fit(X, Y)
            for w in (0.1, 10.0)
        )
        errors = [np.sum((m.predict(X) - Y)[:, 0] ** 2) for m in (light, heavy)]
        assert errors[1] < errors[0]

    def test_weights_are_repetitions(self):
        X, Y = line()
        weights = np.array([1, 2, 3] * 8)
        one = ReLURegressorCV(n_alphas=4, cv=3).fit(X, Y, sample_weight=weights)
        other = ReLURegressorCV(n_alphas=4, cv=3).fit(X.repeat(weights, 0), Y.repeat(weights, 0))
        np.testing.assert_allclose(one.cv_losses_, other.cv_losses_, rtol=1e-4)
        assert one.alpha_ == pytest.approx(other.alpha_)


class TestScikitLearn:
    def test_clone_and_pickle(self):
        X, Y = line()
        model = ReLURegressorCV([0.3, 1.0], rule="min", cv=3, loss="huber").fit(X, Y[:, 0])
        assert clone(model).get_params() == model.get_params()
        copied = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(copied.predict(X), model.predict(X))
        assert copied.predict(X).shape == (24,)

    def test_in_pipeline_search_and_transformed_target(self):
        X, Y = plane()
        inner = ReLURegressorCV(n_alphas=4, cv=2, tol=1e-3)
        model = make_pipeline(
            StandardScaler(), TransformedTargetRegressor(inner, transformer=StandardScaler())
        )
        name = "transformedtargetregressor__regressor__rule"
        search = GridSearchCV(model, {name: ["one_se", "min"]}, cv=2).fit(X, 1e3 * Y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_names_of_columns(self):
        pandas = pytest.importorskip("pandas")
        X, Y = line()
        model = ReLURegressorCV([1.0], cv=2).fit(
            pandas.DataFrame(X, columns=["age"]), pandas.DataFrame(Y, columns=["a", "b"])
        )
        assert model.feature_names_in_.tolist() == ["age"]
        assert model.task_names_.tolist() == ["a", "b"]

    def test_weights_are_routed(self):
        X, Y = line()
        weights = np.linspace(0.1, 3.0, 24)
        with sklearn.config_context(enable_metadata_routing=True):
            model = ReLURegressorCV([0.3, 3.0], cv=3).set_fit_request(sample_weight=True)
            piped = make_pipeline(model).fit(X, Y, sample_weight=weights)
        direct = clone(model).fit(X, Y, weights)
        np.testing.assert_array_equal(piped[0].cv_losses_, direct.cv_losses_)


class TestBadInput:
    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"alphas": [1.0, -1.0]}, "alphas has entries that are not positive"),
            ({"alphas": "some"}, "alphas is not a list"),
            ({"n_alphas": 1}, "n_alphas is 1"),
            ({"rule": "one_percent"}, "rule is 'one_percent'.*one_se, min"),
            ({"cv": 1}, "n_folds is 1"),
            ({"cv": "many"}, "cv cannot be used: .*many"),
            ({"cv": True}, "n_folds is 1"),
            ({"cv": KFold(99)}, "cv cannot be used: .*99"),
            ({"cv": ShuffleSplit(1)}, r"1 division\(s\)"),
            ({"cv": [([0, 1, 2], [200]), ([0], [1])]}, "divides no 24 samples"),
            ({"loss": "hinge"}, "loss is 'hinge'"),
            ({"tol": "small"}, "tol is 'small'"),
            ({"tol": -1.0}, "tol"),
            ({"nan_policy": "drop"}, "nan_policy is 'drop'"),
            ({"task_weight": [1.0]}, "task_weight has shape"),
        ],
    )
    def test_parameters(self, parameters, message):
        with pytest.raises(InvalidInputError, match=message):
            ReLURegressorCV(**parameters).fit(*line())

    def test_data(self):
        X, Y = line()
        with pytest.raises(InvalidInputError, match="the target y is None"):
            ReLURegressorCV().fit(X, None)
        with pytest.raises(InvalidInputError, match=r"y has 1 entry that is not finite.*omit"):
            ReLURegressorCV().fit(X, np.where(Y == Y[3, 1], np.nan, Y))
        with pytest.raises(InvalidInputError, match="4 distinct values"):
            ReLURegressorCV().fit(X[:4], Y[:4])


EXPLAINED = {"check_fit1d": "a vector is one input here, as in all of mtrelu"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [ReLURegressorCV([1e3, 1e4], cv=KFold(2), max_iter=1)],
    expected_failed_checks=lambda _: EXPLAINED,
)
def test_scikit_learns_own_checks(estimator, check, no_proofs):
    check(estimator)


EXPLAINED_DEFAULTS = {
    **EXPLAINED,
    "check_sample_weights_shape": "a table of four distinct inputs, too few to hold some out",
    "check_sample_weights_not_overwritten": "the same table",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [ReLURegressorCV(n_alphas=3, time_limit=1.0)],
    expected_failed_checks=lambda _: EXPLAINED_DEFAULTS,
)
def test_scikit_learns_own_checks_with_the_defaults(estimator, check, no_proofs):
    check(estimator)
