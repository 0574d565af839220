import itertools
import pickle

import cvxpy
import numpy as np
import pytest
import sklearn
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import mtrelu
from mtrelu import InvalidInputError, ReLURegressor
from mtrelu.status import Status

# The two curves of a public question: the breakpoints must be the same, only the slopes differ.
X = np.arange(1.0, 16.0)[:, None]
Y = np.array(
    [
        [5, 7, 9, 11, 13, 15, 28.92, 42.81, 56.7, 70.59, 84.47, 98.36, 112.25, 126.14, 140.03],
        [0.33, 1.0, 1.67, 2.34, 3.0, 3.67, 8.31, 12.94, 17.57, 22.19, 26.82, 31.45, 36.0, 40.71,
         45.34],
    ]
).T  # fmt: skip


def refit_loss(x, Y, knots):
    """Least squares on given knots, by a dense basis."""
    basis = np.column_stack([np.ones_like(x), x, *(np.maximum(x - t, 0) for t in knots)])
    residual = Y - basis @ np.linalg.lstsq(basis, Y, rcond=None)[0]
    return 0.5 * np.sum(residual**2)


def bent(seed, n, T, n_knots, noise=0.4):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0, 10, n))
    places = rng.uniform(1.5, 8.5, n_knots)
    Y = x[:, None] * rng.standard_normal(T) + noise * rng.standard_normal((n, T))
    return x, Y + sum(np.maximum(x - t, 0)[:, None] * rng.standard_normal(T) * 2 for t in places)


class TestAlpha:
    def test_objective_is_that_of_a_second_implementation(self):
        x, Y = bent(0, 15, 2, 2)
        h = np.diff(x)
        F = cvxpy.Variable(Y.shape)
        bends = [(F[i + 1] - F[i]) / h[i] - (F[i] - F[i - 1]) / h[i - 1] for i in range(1, 14)]
        penalty = sum(cvxpy.norm(bend) for bend in bends)
        loss = 0.5 * cvxpy.sum_squares(F - Y)
        optimum = cvxpy.Problem(cvxpy.Minimize(loss + 0.7 * penalty)).solve(solver=cvxpy.CLARABEL)
        model = ReLURegressor(alpha=0.7, tol=1e-9).fit(x[:, None], Y)
        net = model.network_
        ours = 0.5 * np.sum((model.predict(x[:, None]) - Y) ** 2) + 0.7 * np.sum(
            np.linalg.norm(net.v, axis=1) * np.linalg.norm(net.w, axis=1)
        )
        assert ours == pytest.approx(optimum, rel=1e-6)
        assert model.certificate_.primal == pytest.approx(ours, rel=1e-12)

    def test_fitted_attributes(self):
        model = ReLURegressor(alpha=5.0).fit(X, Y)
        assert model.status_ is Status.CERTIFIED is model.certificate_.status
        assert 0 <= model.dual_gap_ <= 1e-6 * model.certificate_.primal
        assert model.alpha_ == 5.0 and model.n_features_in_ == 1
        assert isinstance(model.n_iter_, int)
        assert np.array_equal(model.knots_, np.sort(model.knots_))
        assert set(model.knots_) <= set(X[:, 0])

    def test_alpha_zero_connects_the_dots(self):
        model = ReLURegressor(alpha=0).fit(X, Y)
        grid = np.linspace(1, 15, 301)
        dots = np.column_stack([np.interp(grid, X[:, 0], y) for y in Y.T])
        np.testing.assert_allclose(model.predict(grid), dots, rtol=0, atol=1e-11)

    def test_one_dimensional_labels_give_one_dimensional_predictions(self):
        model = ReLURegressor(alpha=1.0).fit(X, Y[:, 0])
        flat = model.predict(X)
        assert flat.shape == (15,)
        column = ReLURegressor(alpha=1.0).fit(X, Y[:, :1]).predict(X)
        assert column.shape == (15, 1)
        assert np.array_equal(flat, column[:, 0])
        low, high = model.optimal_range(X)
        assert low.shape == high.shape == (15,)

    def test_weights_are_repetitions(self):
        weights = np.array([1, 2, 3] * 5)
        weighted = ReLURegressor(alpha=3.0, tol=1e-10).fit(X, Y, sample_weight=weights)
        repeated = ReLURegressor(alpha=3.0, tol=1e-10).fit(
            np.repeat(X, weights, axis=0), np.repeat(Y, weights, axis=0)
        )
        np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-5)

    def test_range_of_an_interpolation_that_is_not_unique(self):
        # A convex zigzag: between 1 and 2 the curve may follow its neighbours' lines instead.
        model = ReLURegressor(alpha=0).fit([0.0, 1, 2, 3], [0.0, 0, 1, 3])
        low, high = model.optimal_range([0.5, 1.5, 2.5])
        np.testing.assert_allclose(high, [0.0, 0.5, 2.0], atol=1e-12)
        np.testing.assert_allclose(low, [0.0, 0.0, 2.0], atol=1e-12)

    def test_score_is_the_mean_r2_of_the_tasks(self):
        model = ReLURegressor(alpha=10.0).fit(X, Y)
        P = model.predict(X)
        r2 = 1 - ((Y - P) ** 2).sum(axis=0) / ((Y - Y.mean(axis=0)) ** 2).sum(axis=0)
        assert model.score(X, Y) == pytest.approx(r2.mean())

    @pytest.mark.parametrize("loss", ["squared", "huber", "logistic", "quantile"])
    def test_every_loss(self, loss):
        labels = (Y > np.median(Y, axis=0)).astype(float) if loss == "logistic" else Y
        if loss == "logistic":
            labels[[2, 11]] = 1 - labels[[2, 11]]  # not separable
        model = ReLURegressor(alpha=2.0, loss=loss).fit(X, labels)
        assert model.status_ is Status.CERTIFIED


class TestNumberOfKnots:
    @pytest.mark.parametrize("loss", ["squared", "huber", "quantile"])
    def test_two_curves_that_bend_at_six(self, loss):
        model = ReLURegressor(n_knots=1, loss=loss).fit(X, Y)
        assert model.knots_.tolist() == [6.0]

    def test_two_curves_in_any_order_and_at_any_scale(self):
        order = np.random.default_rng(0).permutation(15)
        model = ReLURegressor(n_knots=1).fit(1e6 + 1e-3 * X[order], 1e5 * Y[order])
        np.testing.assert_allclose(model.knots_, [1e6 + 6e-3], rtol=1e-15)

    @pytest.mark.parametrize("seed", range(6))
    def test_as_good_as_the_best_of_all_subsets(self, seed):
        n_knots = 1 + seed % 2
        x, Y = bent(seed, 30, 1 + seed // 2, n_knots)
        model = ReLURegressor(n_knots=n_knots).fit(x[:, None], Y)
        best = min(refit_loss(x, Y, c) for c in itertools.combinations(x[1:-1], n_knots))
        loss = 0.5 * np.sum((model.predict(x[:, None]) - Y) ** 2)
        assert loss <= best * (1 + 1e-9)
        assert loss == pytest.approx(refit_loss(x, Y, model.knots_), rel=1e-9)

    def test_knots_are_data_points_and_at_most_as_many_as_asked(self):
        x, Y = bent(3, 60, 3, 4)
        for n_knots in range(6):
            knots = ReLURegressor(n_knots=n_knots).fit(x[:, None], Y).knots_
            assert len(knots) <= n_knots
            assert set(knots) <= set(x[1:-1])

    def test_no_knot_is_spent_on_rounding(self):
        exact = np.column_stack([np.abs(X[:, 0] - 6), 3 * np.abs(X[:, 0] - 6)])
        assert ReLURegressor(n_knots=4).fit(X, exact).knots_.tolist() == [6.0]

    def test_zero_knots_is_the_line(self):
        model = ReLURegressor(n_knots=0).fit(X, Y)
        line = np.polynomial.polynomial.polyfit(X[:, 0], Y, 1)
        np.testing.assert_allclose(model.predict([[0.0], [1.0]]), [line[0], line.sum(axis=0)])

    def test_weight_zero_is_absence(self):
        weights = np.ones(15)
        weights[12:] = 0
        some = ReLURegressor(n_knots=2).fit(X, Y, sample_weight=weights)
        fewer = ReLURegressor(n_knots=2).fit(X[:12], Y[:12])
        np.testing.assert_allclose(some.knots_, fewer.knots_)
        np.testing.assert_allclose(some.predict(X), fewer.predict(X), rtol=1e-9)

    def test_weights_are_repetitions(self):
        weights = np.array([1, 5, 2] * 5)
        weighted = ReLURegressor(n_knots=2).fit(X, Y, sample_weight=weights)
        repeated = ReLURegressor(n_knots=2).fit(
            np.repeat(X, weights, axis=0), np.repeat(Y, weights, axis=0)
        )
        assert weighted.knots_.tolist() == repeated.knots_.tolist()
        np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-9)

    def test_nothing_global_is_claimed(self):
        model = ReLURegressor(n_knots=1).fit(X, Y)
        assert model.certificate_ is None
        assert model.status_ is Status.UNCERTIFIED
        assert np.isnan(model.dual_gap_)
        with pytest.raises(InvalidInputError, match="fitted with n_knots=1"):
            model.optimal_range(X)

    @pytest.mark.parametrize("n_knots", [-1, 1.5, "two", True])
    def test_bad_numbers(self, n_knots):
        with pytest.raises(InvalidInputError, match="n_knots must be a whole number"):
            ReLURegressor(n_knots=n_knots).fit(X, Y)

    def test_more_knots_than_places(self):
        with pytest.raises(InvalidInputError, match=r"n_knots=3 needs at least 5 .* has 4"):
            ReLURegressor(n_knots=3).fit([1.0, 2, 3, 4], [1.0, 2, 0, 4])


def with_holes(seed, n, T, share=0.3):
    """Two bent curves or more, of which labels are missing."""
    x, labels = bent(seed, n, T, 1)
    rng = np.random.default_rng(100 + seed)
    holes = np.where(rng.uniform(size=labels.shape) < share, np.nan, labels)
    holes[0], holes[-1] = labels[0], labels[-1]
    return x, holes


def spline_optimum(x, labels, alpha, weights):
    """Least objective with a weight for each label, by a cone solver."""
    h = np.diff(x)
    F = cvxpy.Variable(labels.shape)
    bends = [(F[i + 1] - F[i]) / h[i] - (F[i] - F[i - 1]) / h[i - 1] for i in range(1, len(x) - 1)]
    loss = 0.5 * cvxpy.sum(cvxpy.multiply(weights, cvxpy.square(F - labels)))
    penalty = sum(cvxpy.norm(bend) for bend in bends)
    return cvxpy.Problem(cvxpy.Minimize(loss + alpha * penalty)).solve(solver=cvxpy.CLARABEL)


class TestMissingLabels:
    @pytest.mark.parametrize("seed", range(3))
    def test_each_task_is_fitted_to_the_labels_that_it_has(self, seed):
        x, holes = with_holes(seed, 16, 3)
        model = ReLURegressor(0.7, tol=1e-8, nan_policy="omit").fit(x, holes)
        seen = ~np.isnan(holes)
        expected = spline_optimum(x, np.nan_to_num(holes), 0.7, seen.astype(float))
        assert model.status_ is Status.CERTIFIED
        assert model.certificate_.primal == pytest.approx(expected, rel=1e-6)
        net = model.network_
        ours = 0.5 * np.sum((model.predict(x) - holes)[seen] ** 2) + 0.7 * np.sum(
            np.linalg.norm(net.v, axis=1) * np.linalg.norm(net.w, axis=1)
        )
        assert model.certificate_.primal == pytest.approx(ours, rel=1e-12)

    def test_they_are_labels_of_weight_zero(self):
        x, holes = with_holes(0, 20, 2)
        omitted = ReLURegressor(0.7, nan_policy="omit").fit(x, holes)
        weights = (~np.isnan(holes)).astype(float)
        zero = ReLURegressor(0.7).fit(x, np.where(weights > 0, holes, 9e9), sample_weight=weights)
        np.testing.assert_allclose(omitted.predict(x), zero.predict(x), rtol=1e-9)

    def test_with_several_inputs(self):
        inputs, labels = plane()
        labels[[3, 7, 20], [0, 1, 0]] = np.nan
        model = ReLURegressor(0.1, nan_policy="omit").fit(inputs, labels)
        assert model.status_ is Status.CERTIFIED
        assert np.isfinite(model.predict(inputs)).all()

    def test_one_task_is_as_good_as_without_the_rows(self):
        x, holes = with_holes(1, 20, 1)
        seen = ~np.isnan(holes[:, 0])
        omitted = ReLURegressor(0.7, nan_policy="omit").fit(x, holes[:, 0])
        fewer = ReLURegressor(0.7).fit(x[seen], holes[seen, 0])
        np.testing.assert_allclose(omitted.predict(x), fewer.predict(x), rtol=1e-9)

    @pytest.mark.parametrize("seed", range(3))
    def test_a_number_of_knots(self, seed):
        x, holes = with_holes(seed, 25, 3)
        model = ReLURegressor(n_knots=1, nan_policy="omit").fit(x, holes)
        seen = ~np.isnan(holes)

        def loss(knot):
            return sum(
                refit_loss(x[rows], y[rows, None], [knot])
                for y, rows in zip(holes.T, seen.T, strict=True)
            )

        best = min(x[1:-1], key=loss)
        assert model.knots_.tolist() == [best]
        ours = 0.5 * np.sum((model.predict(x) - holes)[seen] ** 2)
        assert ours == pytest.approx(loss(best), rel=1e-8)

    def test_score_is_the_mean_over_tasks_on_their_own_samples(self):
        x, holes = with_holes(0, 20, 3)
        holes[2:, 2] = np.nan
        holes[0, 2] = np.nan  # one label is left, which is none to score
        model = ReLURegressor(0.7, nan_policy="omit").fit(x, holes)
        weights = np.linspace(1.0, 2.0, 20)
        expected = []
        for y, z in zip(holes.T[:2], model.predict(x).T, strict=False):
            s = ~np.isnan(y)
            centre = np.average(y[s], weights=weights[s])
            expected.append(
                1 - (weights[s] @ (y[s] - z[s]) ** 2) / (weights[s] @ (y[s] - centre) ** 2)
            )
        assert model.score(x, holes, weights) == pytest.approx(np.mean(expected))
        with pytest.raises(InvalidInputError, match="no task with at least two labels"):
            model.score(x[:2], np.full((2, 3), np.nan))

    def test_data_frames_with_missing_entries(self):
        pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
        x, holes = with_holes(0, 20, 2)
        columns = {
            "a": [None if np.isnan(v) else v for v in holes[:, 0]],
            "b": holes[:, 1].tolist(),
        }
        expected = ReLURegressor(0.7, nan_policy="omit").fit(x, holes).predict(x)
        for frame in (pandas.DataFrame(columns).astype("Float64"), polars.DataFrame(columns)):
            model = ReLURegressor(0.7, nan_policy="omit").fit(x, frame)
            np.testing.assert_array_equal(model.predict(x), expected)
            assert model.task_names_.tolist() == ["a", "b"]

    def test_refused_unless_asked_for(self):
        x, holes = with_holes(0, 20, 2)
        with pytest.raises(InvalidInputError, match=r"y has .* not finite.*nan_policy=.omit"):
            ReLURegressor().fit(x, holes)
        with pytest.raises(InvalidInputError, match=r"without any label.*column 1"):
            ReLURegressor(nan_policy="omit").fit(x, holes * [1.0, np.nan])
        with pytest.raises(InvalidInputError, match="alpha is 0"):
            ReLURegressor(alpha=0, nan_policy="omit").fit(x, holes)
        with pytest.raises(InvalidInputError, match="inf"):
            ReLURegressor(nan_policy="omit").fit(x, np.where(np.isnan(holes), np.inf, holes))


class TestTaskWeights:
    def test_each_loss_is_multiplied(self):
        x, labels = bent(0, 15, 2, 2)
        tasks = np.array([0.5, 4.0])
        samples = np.linspace(0.5, 1.5, 15)
        model = ReLURegressor(0.7, tol=1e-8, task_weight=tasks)
        expected = spline_optimum(x, labels, 0.7, np.ones((15, 1)) * tasks)
        assert model.fit(x, labels).certificate_.primal == pytest.approx(expected, rel=1e-6)
        expected = spline_optimum(x, labels, 0.7, samples[:, None] * tasks)
        model.fit(x, labels, sample_weight=samples)
        assert model.certificate_.primal == pytest.approx(expected, rel=1e-6)
        assert model.status_ is Status.CERTIFIED

    def test_equal_ones_are_weights_of_samples(self):
        model = ReLURegressor(3.0, task_weight=[2.0, 2.0]).fit(X, Y)
        same = ReLURegressor(3.0).fit(X, Y, sample_weight=np.full(15, 2.0))
        np.testing.assert_array_equal(model.predict(X), same.predict(X))

    @pytest.mark.parametrize(
        "weights", [1.0, [1.0], [1.0, 0.0], [1.0, np.nan], ["a", "b"], [[1.0, 2.0]], [True, True]]
    )
    def test_refused(self, weights):
        with pytest.raises(InvalidInputError, match="task_weight"):
            ReLURegressor(task_weight=weights).fit(X, Y)


class TestLoadedWithoutData:
    def test_optimal_range_says_what_is_missing(self):
        model = ReLURegressor(alpha=5.0).fit(X, Y)
        del model._solution
        with pytest.raises(InvalidInputError, match="needs the training data"):
            model.optimal_range(X)

    def test_the_problem_can_be_posed_again(self):
        model = ReLURegressor(5.0, loss="huber", task_weight=[1.0, 2.0], nan_policy="omit")
        model.fit(X, Y)
        labels = np.where(Y == Y[3], np.nan, Y)
        problem = model._problem(X, labels, np.arange(1.0, 16.0))
        assert problem.alpha == 5.0 and problem.loss.name == "huber"
        assert problem.n_samples == 14
        np.testing.assert_array_equal(problem.weights[0], [1.0, 2.0])


BAD = {
    "lengths": ([[1.0], [2.0]], [1.0, 2.0, 3.0], "rows"),
    "no labels": ([[1.0], [2.0]], None, "y is None"),
    "NaN label": ([[1.0], [2.0]], [1.0, np.nan], "y has"),
    "infinite input": ([[1.0], [np.inf]], [1.0, 2.0], "X"),
    "empty": (np.empty((0, 1)), np.empty(0), r"X cannot be used: .* 0 sample"),
    "text": ([["a"], ["b"]], [1.0, 2.0], "X"),
}


class TestBadInput:
    @pytest.mark.parametrize("case", BAD)
    @pytest.mark.parametrize("n_knots", [None, 1])
    def test_refused(self, case, n_knots):
        inputs, labels, message = BAD[case]
        with pytest.raises(InvalidInputError, match=message):
            ReLURegressor(n_knots=n_knots).fit(inputs, labels)

    @pytest.mark.parametrize("alpha", [-1.0, np.nan, "much"])
    def test_alpha(self, alpha):
        with pytest.raises(InvalidInputError, match="alpha"):
            ReLURegressor(alpha=alpha).fit(X, Y)

    def test_two_columns_at_prediction(self):
        with pytest.raises(InvalidInputError, match="X has 2 features"):
            ReLURegressor().fit(X, Y).predict(np.ones((3, 2)))


class TestScikitLearn:
    def test_clone_and_parameters(self):
        model = ReLURegressor(alpha=3.0, n_knots=2, loss="huber", tol=1e-4, max_iter=50)
        assert clone(model).get_params() == model.get_params()

    def test_pipeline_and_grid_search(self):
        search = GridSearchCV(
            make_pipeline(StandardScaler(), ReLURegressor()),
            {"reluregressor__alpha": [0.1, 1.0, 10.0]},
            cv=3,
        ).fit(X, Y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    def test_pickle(self):
        model = ReLURegressor(alpha=5.0).fit(X, Y)
        copied = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(copied.predict(X), model.predict(X))
        np.testing.assert_array_equal(copied.optimal_range(X), model.optimal_range(X))

    def test_labels_in_other_units(self):
        scaled = TransformedTargetRegressor(ReLURegressor(0.1), transformer=StandardScaler())
        one = scaled.fit(X, Y).predict(X)
        other = clone(scaled).fit(X, Y * [1e3, 1e-3]).predict(X)
        np.testing.assert_allclose(one * [1e3, 1e-3], other, rtol=1e-6)

    def test_weights_are_routed(self):
        weights = np.linspace(0.1, 3.0, 15)
        with sklearn.config_context(enable_metadata_routing=True):
            model = ReLURegressor(alpha=5.0).set_fit_request(sample_weight=True)
            scaler = StandardScaler().set_fit_request(sample_weight=False)
            piped = make_pipeline(scaler, model).fit(X, Y, sample_weight=weights)
            search = GridSearchCV(
                model.set_score_request(sample_weight=True), {"alpha": [1.0, 5.0]}, cv=3
            ).fit(X, Y, sample_weight=weights)
        direct = ReLURegressor(alpha=5.0).fit(StandardScaler().fit_transform(X), Y, weights)
        np.testing.assert_array_equal(piped[-1].network_.v, direct.network_.v)
        chosen = ReLURegressor(alpha=search.best_params_["alpha"]).fit(X, Y, weights)
        np.testing.assert_array_equal(search.predict(X), chosen.predict(X))

    def test_polars(self):
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame({"power": X[:, 0]})
        model = ReLURegressor(alpha=5.0).fit(frame, polars.DataFrame(Y, schema=["a", "b"]))
        assert model.feature_names_in_.tolist() == ["power"]
        assert model.task_names_.tolist() == ["a", "b"]
        np.testing.assert_array_equal(model.predict(frame), ReLURegressor(5.0).fit(X, Y).predict(X))

    def test_names_of_tasks(self):
        pandas = pytest.importorskip("pandas")
        model = ReLURegressor(alpha=5.0).fit(X, pandas.Series(Y[:, 0], name="price"))
        assert model.task_names_.tolist() == ["price"] and model.predict(X).shape == (15,)
        for unnamed in (Y, pandas.DataFrame(Y), pandas.Series(Y[:, 0])):
            assert not hasattr(model.fit(X, unnamed), "task_names_")

    def test_names_of_columns(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"power": X[:, 0], "weight": X[:, 0] ** 2 / 15})
        model = ReLURegressor(alpha=5.0).fit(frame, Y)
        assert model.feature_names_in_.tolist() == ["power", "weight"]
        with pytest.raises(InvalidInputError, match="feature names"):
            model.predict(frame[["weight", "power"]])


EXPLAINED = {"check_fit1d": "a vector is one input here, as in all of mtrelu"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [ReLURegressor(max_iter=4)],
    expected_failed_checks=lambda _: EXPLAINED,
)
def test_scikit_learns_own_checks(estimator, check, no_proofs):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([ReLURegressor()], expected_failed_checks=lambda _: EXPLAINED)
def test_scikit_learns_own_checks_with_the_defaults(estimator, check):
    check(estimator)


def plane(seed=0, n=25, T=2, noise=0.05):
    """Tasks that bend along one line of the plane."""
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(-1.0, 1.0, (n, 2))
    bend = np.maximum(inputs @ [0.8, 0.6] + 0.1, 0.0)[:, None] * rng.uniform(1.0, 3.0, T)
    return inputs, bend + inputs @ rng.standard_normal((2, T)) + noise * rng.standard_normal((n, T))


class TestSeveralInputs:
    def test_the_fit_is_that_of_solve(self):
        inputs, labels = plane()
        model = ReLURegressor(alpha=0.1).fit(inputs, labels)
        solution = mtrelu.solve(inputs, labels, 0.1)
        np.testing.assert_allclose(
            model.predict(inputs), solution.network(inputs), rtol=0, atol=1e-3
        )
        assert model.status_ is Status.CERTIFIED and model.certificate_.relative_gap <= 1e-6
        assert model.n_features_in_ == 2 and isinstance(model.n_iter_, int)

    def test_the_certificate_is_that_of_the_objective(self):
        inputs, labels = plane()
        model = ReLURegressor(alpha=0.1).fit(inputs, labels)
        net = model.network_
        loss = 0.5 * np.sum((model.predict(inputs) - labels) ** 2)
        norms = np.linalg.norm(net.v, axis=1) * np.linalg.norm(net.w, axis=1)
        assert model.certificate_.primal == pytest.approx(loss + 0.1 * norms.sum(), rel=1e-9)
        assert model.certificate_.dual <= model.certificate_.primal

    def test_rotating_the_inputs_changes_nothing(self):
        inputs, labels = plane()
        turn = np.array([[0.6, -0.8], [0.8, 0.6]])
        one = ReLURegressor(alpha=0.1, tol=1e-8).fit(inputs, labels)
        other = ReLURegressor(alpha=0.1, tol=1e-8).fit(inputs @ turn, labels)
        np.testing.assert_allclose(one.predict(inputs), other.predict(inputs @ turn), atol=1e-3)

    def test_range_holds_the_prediction(self):
        inputs, labels = plane()
        model = ReLURegressor(alpha=0.1).fit(inputs, labels[:, 0])
        places = np.random.default_rng(1).uniform(-1.5, 1.5, (5, 2))
        low, high = model.optimal_range(places)
        assert low.shape == high.shape == (5,)
        size = np.ptp(labels[:, 0])
        assert (low <= model.predict(places) + 1e-2 * size).all()
        assert (model.predict(places) <= high + 1e-2 * size).all()

    def test_a_constant_skip(self):
        inputs, labels = plane()
        model = ReLURegressor(alpha=0.1, skip="constant").fit(inputs, labels)
        assert not model.network_.A.any() and model.status_ is Status.CERTIFIED

    def test_no_knots(self):
        inputs, labels = plane()
        model = ReLURegressor(alpha=0.1).fit(inputs, labels)
        assert not hasattr(model, "knots_")
        with pytest.raises(AttributeError, match="one input only; this model has 2"):
            model.knots_  # noqa: B018
        assert hasattr(model.fit(inputs[:, :1], labels), "knots_")
        assert not hasattr(ReLURegressor(), "knots_")
        with pytest.raises(InvalidInputError, match=r"n_knots=3 asks for knots.*X has 2 columns"):
            ReLURegressor(n_knots=3).fit(inputs, labels)

    def test_a_limit_is_told_as_scikit_learn_does(self):
        inputs, labels = plane(n=60, noise=0.5)
        model = ReLURegressor(alpha=1e-3, max_iter=1)
        with pytest.warns(ConvergenceWarning, match="Raise max_iter"):
            model.fit(inputs, labels)
        assert model.status_ is Status.LIMIT_REACHED and model.n_iter_ == 1
        assert np.isfinite(model.predict(inputs)).all()

    @pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 3)])
    def test_another_number_of_columns(self, shape):
        inputs, labels = plane()
        model = ReLURegressor(alpha=0.1).fit(inputs, labels)
        with pytest.raises(InvalidInputError, match=r"X cannot be used: .*(2 features|1D array)"):
            model.predict(np.ones(shape))

    def test_sparse_input_is_refused(self):
        inputs, labels = plane()
        with pytest.raises(TypeError, match="dense"):
            ReLURegressor().fit(csr_array(inputs), labels)
