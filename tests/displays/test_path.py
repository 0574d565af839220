from dataclasses import replace

import matplotlib
import numpy as np
import pytest

import mtrelu
from mtrelu import ReLURegressor
from mtrelu.displays import PathDisplay
from mtrelu.estimators.classifier import ReLUClassifier
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def path(T=2, d=1, n=25, **options):
    rng = np.random.default_rng(T)
    X = rng.uniform(0, 5, (n, d))
    Y = rng.standard_normal((n, T))[np.argsort(np.argsort(X[:, 0]))].cumsum(axis=0)
    options = {"n_alphas": 7, "alpha_min_ratio": 1e-2} | options
    return mtrelu.alpha_path(X, Y, **options)


@pytest.mark.parametrize("T", [1, 2, 100])
def test_one_input_has_a_line_for_every_knot(T):
    found = path(T)
    display = PathDisplay.from_path(found)
    every = {knot for each in found.solutions for knot in each.network.knots()}
    assert len(every) == len(display.knots) and np.allclose(sorted(every), display.knots)
    for solution, row in zip(found.solutions, display.norms, strict=True):
        bends = dict(zip(solution.network.knots(), solution.network.slope_changes(), strict=True))
        for knot, norm in zip(display.knots, row, strict=True):
            expected = np.linalg.norm(bends[knot]) if knot in bends else 0.0
            assert norm == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("T", [1, 40])
def test_several_inputs_have_a_line_for_every_rank(T):
    found = path(T, d=2, n=15, n_alphas=4, alpha_min_ratio=0.05)
    display = PathDisplay.from_path(found)
    assert display.knots is None
    assert display.norms.shape == (4, max(found.n_neurons))
    for solution, row in zip(found.solutions, display.norms, strict=True):
        net = solution.network
        sizes = np.sqrt((net.v**2).sum(axis=1) * (net.w**2).sum(axis=1))
        assert np.allclose(row[: len(sizes)], np.sort(sizes)[::-1])
        assert not row[len(sizes) :].any()
        assert row.sum() == pytest.approx(net.path_cost())


@pytest.mark.parametrize(("T", "d"), [(1, 1), (100, 1), (3, 2)])
def test_what_is_drawn(T, d):
    found = path(T, d, n=15 if d == 2 else 25, n_alphas=5, alpha_min_ratio=0.05)
    display = PathDisplay.from_path(found, alpha=float(found.alphas[2])).plot()
    norms, numbers, gaps = display.ax_
    lines = norms.collections[0].get_segments()
    assert len(lines) == display.norms.shape[1]
    for line, column in zip(lines, display.norms.T, strict=True):
        drawn = dict(line)
        for alpha, norm in zip(display.alphas, column, strict=True):
            assert drawn.get(alpha, 0.0) == norm
    curve = next(line for line in numbers.lines if line.get_marker() == "o")
    assert np.array_equal(curve.get_xdata(), found.alphas)
    assert np.array_equal(curve.get_ydata(), found.n_neurons)
    proved = next(line for line in gaps.lines if line.get_label() == "certified")
    assert np.array_equal(proved.get_xdata(), found.alphas)
    assert np.array_equal(proved.get_ydata(), found.relative_gaps)
    for axes in display.ax_:
        assert axes.get_xscale() == "log"
        assert any(list(line.get_xdata()) == [found.alphas[2]] * 2 for line in axes.lines)
    assert gaps.get_yscale() == "log"
    display.figure_.canvas.draw()
    if d == 1:  # the colour of a line is its place
        assert np.array_equal(norms.collections[0].get_array(), display.knots)


def test_a_gap_that_is_not_proved_is_marked():
    found = path(2)
    display = PathDisplay.from_path(found)
    display.certified[3] = False
    display.relative_gaps = display.relative_gaps.copy()
    display.relative_gaps[3] = np.inf
    gaps = display.plot().ax_[2]
    crosses = next(line for line in gaps.lines if line.get_label() == "not certified")
    assert list(crosses.get_xdata()) == [found.alphas[3]]
    assert np.isfinite(crosses.get_ydata()).all()
    certified = next(line for line in gaps.lines if line.get_label() == "certified")
    assert found.alphas[3] not in certified.get_xdata()
    display.figure_.canvas.draw()


def test_certified_is_what_the_certificates_say():
    found = path(3, n_alphas=4, alpha_min_ratio=0.05)
    sizes = [1e-15, 1e-4, 1e-8, 1e-2]
    for k, size in enumerate(sizes):
        proof = found.solutions[k].certificate
        status = Status.CERTIFIED if size < proof.tol else Status.ALMOST
        judged = replace(proof, relative_gap=size, status=status)
        found.solutions[k] = replace(found.solutions[k], certificate=judged)
    assert PathDisplay.from_path(found).certified.tolist() == [True, False, True, False]


def test_a_path_of_one_fit_without_neurons():
    found = mtrelu.alpha_path([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], alphas=[1e3])
    display = PathDisplay.from_path(found).plot()
    assert display.norms.shape == (1, 0)
    display.figure_.canvas.draw()


class TestEstimator:
    def test_its_options_and_names_are_used_and_its_alpha_is_marked(self):
        pandas = pytest.importorskip("pandas")
        rng = np.random.default_rng(0)
        X = pandas.DataFrame({"year": np.arange(15.0)})
        y = pandas.Series(rng.standard_normal(15).cumsum(), name="rain")
        model = ReLURegressor(alpha=0.7, loss="huber", tol=1e-4).fit(X, y)
        display = PathDisplay.from_estimator(model, X, y, n_alphas=4)
        expected = mtrelu.alpha_path(X, y, n_alphas=4, loss="huber", tol=1e-4)
        assert np.allclose(display.alphas, expected.alphas)
        assert np.array_equal(display.n_neurons, expected.n_neurons)
        assert (display.alpha, display.tol, display.input_name) == (0.7, 1e-4, "year")

    def test_missing_labels_and_given_penalties(self):
        rng = np.random.default_rng(1)
        x, Y = np.arange(15.0), rng.standard_normal((15, 2))
        Y[4, 0] = np.nan
        model = ReLURegressor(alpha=0.7, nan_policy="omit").fit(x[:, None], Y)
        display = PathDisplay.from_estimator(model, x[:, None], Y, alphas=[0.2, 2.0])
        expected = mtrelu.alpha_path(x, Y, [2.0, 0.2], nan_policy="omit")
        assert display.alphas.tolist() == [2.0, 0.2] and display.certified.all()
        assert np.allclose(display.norms.sum(axis=1), expected.path_norms, rtol=1e-3)

    def test_a_classifier(self):
        rng = np.random.default_rng(2)
        x = rng.uniform(0, 3, 40)
        y = np.array(["a", "b", "a"])[x.astype(int)]
        y[::7] = "b"
        model = ReLUClassifier(alpha=0.5).fit(x[:, None], y)
        display = PathDisplay.from_estimator(model, x[:, None], y, n_alphas=3)
        assert display.certified.all() and display.n_neurons[-1] > 0

    def test_what_has_no_path_is_refused(self):
        X, y = np.arange(9.0)[:, None], np.arange(9.0) ** 2
        with pytest.raises(InvalidInputError, match="not fitted by alpha"):
            PathDisplay.from_estimator(ReLURegressor(n_knots=1).fit(X, y), X, y)
        with pytest.raises(InvalidInputError, match="without a fitted network"):
            PathDisplay.from_estimator(ReLURegressor(), X, y)


def test_the_panels_share_the_place_of_axes_given():
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    left, right = Figure().subplots(1, 2)
    display = PathDisplay.from_path(path(n_alphas=3)).plot(left)
    assert all(axes.get_position().x1 <= right.get_position().x0 for axes in display.ax_)
    assert pyplot.get_fignums() == []
