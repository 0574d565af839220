import re
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

import mtrelu
from mtrelu import ReLURegressor
from mtrelu.api import Solution
from mtrelu.displays import CertificateDisplay, DualFunctionDisplay, DualLineDisplay
from mtrelu.estimators.classifier import ReLUClassifier
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def data(T=2, d=1, n=15):
    rng = np.random.default_rng(T + d)
    return rng.uniform(0, 5, (n, d)), rng.standard_normal((n, T))


def solved(T=2, d=1, n=15, alpha=0.5, **options):
    return mtrelu.solve(*data(T, d, n), alpha, **options)


def written(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(("T", "d"), [(1, 1), (100, 1), (1, 2), (20, 2), (2, 3)])
def test_what_is_drawn(T, d):
    solution = solved(T, d)
    proof = solution.certificate
    display = CertificateDisplay.from_solution(solution).plot()
    assert len(display.ax_) == (3 if d < 3 else 2)
    assert isinstance(
        display.dual_function, {1: DualLineDisplay, 2: DualFunctionDisplay}.get(d, type(None))
    )
    values, gap = display.ax_[:2]
    primal, missing, dual = (bars.patches[0] for bars in values.containers)
    assert primal.get_width() + missing.get_width() == pytest.approx(proof.primal)
    assert dual.get_width() == proof.dual
    numbers = [float(text) for text in written(values) if re.fullmatch(r"[\d.e+-]+", text)]
    assert np.allclose(numbers, [proof.primal, proof.dual], rtol=1e-5)
    mark = gap.lines[-1]
    assert mark.get_xdata()[0] == max(proof.relative_gap, 1e-16)
    assert any(list(line.get_xdata()) == [proof.tol] * 2 for line in gap.lines)
    assert values.get_title(loc="left") == "certified"
    assert "proved globally optimal" in " ".join(written(values)).replace("\n", " ")
    display.figure_.canvas.draw()


def test_primal_and_dual_are_seen_to_differ():
    for gap in (0.3, 1e-3, 1e-6, 1e-9):
        proof = replace(solved().certificate, primal=1 / 3, dual=(1 - gap) / 3, relative_gap=gap)
        numbers = written(CertificateDisplay(certificate=proof).plot().ax_[0])[:2]
        assert float(numbers[0]) - float(numbers[1]) == pytest.approx(gap / 3, rel=0.1)


def test_a_network_that_is_far_from_optimal():
    solution = solved()
    flat = mtrelu.ReLUNetwork.from_knots([2.0], [[9.0, 9.0]], [0.0, 0.0], [0.0, 0.0])
    proof = mtrelu.certify(flat, solution.problem.X, solution.problem.Y, 0.5)
    bad = Solution(solution.problem, flat, proof, 0, None)
    display = CertificateDisplay.from_solution(bad).plot()
    assert display.ax_[0].get_title(loc="left") == "not optimal"
    words = display.in_words()
    assert "could not be proved" in words and f"{proof.violation:.4g} times alpha" in words
    missing = display.ax_[0].containers[1].patches[0]
    assert missing.get_width() == pytest.approx(proof.gap)
    assert display.dual_function.g.max() == pytest.approx(proof.violation, rel=1e-9)
    display.figure_.canvas.draw()


def test_a_network_that_misses_labels_it_must_meet():
    X, Y = data()
    off = mtrelu.ReLUNetwork.from_knots([2.0], [[9.0, 9.0]], [0.0, 0.0], [0.0, 0.0])
    solution = mtrelu.solve(X, Y, 0)
    proof = mtrelu.certify(off, X, Y, 0)
    assert proof.gap == np.inf
    display = CertificateDisplay.from_solution(Solution(solution.problem, off, proof, 0, None))
    assert "alpha" not in display.in_words().split("dual function")[1]
    display.plot().figure_.canvas.draw()
    assert display.ax_[0].get_title(loc="left") == "infeasible"


@pytest.mark.parametrize("oracle", ["exact", "bound", "estimate"])
def test_only_proofs_are_called_proofs(oracle):
    solution = solved(d=3, n=8)
    proof = replace(
        solution.certificate, oracle=oracle, status=Status.UNCERTIFIED, relative_gap=0.3,
        violation=1.2, estimated_relative_gap=None if oracle == "exact" else 1e-8,
    )  # fmt: skip
    display = CertificateDisplay(certificate=proof).plot()
    values, gap = display.ax_
    labels = " ".join(label.get_text() for label in values.get_yticklabels())
    words = display.in_words()
    if oracle == "estimate":
        assert "no network" not in labels and "search" in labels
        assert "no proof" in gap.get_xlabel() and "search" in words
    else:
        assert "no network below" in labels and "no proof" not in gap.get_xlabel()
    assert ("proved to reach at most" in words) == (oracle == "bound")
    assert ("if a search found the worst" in written(gap)) == (oracle != "exact")
    display.figure_.canvas.draw()


@pytest.mark.parametrize(
    ("violation", "said"),
    [(1.0, "1 times"), (1 + 3e-9, "1 + 3.0e-09 times"), (1 - 2e-5, "1 − 2.0e-05 times"),
     (17.25, "17.25 times"), (0.5, "0.5 times"), (np.inf, "inf times")],
)  # fmt: skip
def test_violation_in_words(violation, said):
    proof = replace(solved().certificate, violation=violation)
    assert f"reaches {said} alpha" in CertificateDisplay(certificate=proof).in_words()


class TestEstimator:
    @pytest.mark.parametrize("d", [1, 2])
    def test_its_own_certificate_without_data(self, d):
        model = ReLURegressor(alpha=0.5).fit(*data(d=d))
        display = CertificateDisplay.from_estimator(model)
        assert display.certificate is model.certificate_

    @pytest.mark.parametrize("loss", ["squared", "quantile"])
    def test_the_same_data_give_as_good_a_certificate(self, loss):
        X, Y = data()
        model = ReLURegressor(alpha=0.5, loss=loss).fit(X, Y)
        found = CertificateDisplay.from_estimator(model, X, Y).certificate
        assert found.status is model.status_ is Status.CERTIFIED
        assert found.primal == pytest.approx(model.certificate_.primal)

    def test_other_data_give_another_one(self):
        X, Y = data()
        weight = np.linspace(0.5, 2.0, len(X))
        model = ReLURegressor(alpha=0.5).fit(X, Y)
        display = CertificateDisplay.from_estimator(model, X, Y, sample_weight=weight)
        expected = mtrelu.certify(model.network_, X, Y, 0.5, sample_weight=weight)
        assert display.certificate.primal == expected.primal
        assert display.certificate.relative_gap == pytest.approx(expected.relative_gap)
        assert display.certificate.status is not Status.CERTIFIED

    def test_without_the_data_of_the_fit_they_have_to_be_given(self):
        X, Y = data()
        model = ReLURegressor(alpha=0.5).fit(X, Y)
        model._solution = None  # as after loading from a file
        with pytest.raises(InvalidInputError, match="pass X and y"):
            CertificateDisplay.from_estimator(model)
        assert CertificateDisplay.from_estimator(model, X, Y).certificate.status is Status.CERTIFIED

    def test_names_of_the_input(self):
        pandas = pytest.importorskip("pandas")
        X, Y = data()
        frame = pandas.DataFrame(X, columns=["depth"])
        model = ReLURegressor(alpha=0.5).fit(frame, Y)
        display = CertificateDisplay.from_estimator(model).plot()
        assert "depth" in display.ax_[2].get_xlabel()

    def test_a_classifier(self):
        X, _ = data(n=40)
        y = np.where(np.sin(2 * X[:, 0]) + 0.3 * np.cos(50 * X[:, 0]) > 0, "up", "down")
        model = ReLUClassifier(alpha=0.3).fit(X, y)
        display = CertificateDisplay.from_estimator(model, X, y)
        assert display.certificate.status is Status.CERTIFIED

    def test_what_has_no_certificate_is_refused(self):
        X, Y = data()
        knots = ReLURegressor(n_knots=1).fit(X, Y)
        with pytest.raises(InvalidInputError, match="not fitted by alpha"):
            CertificateDisplay.from_estimator(knots, X, Y)
        with pytest.raises(InvalidInputError, match="fit by alpha"):
            CertificateDisplay.from_estimator(knots)
        kernel = mtrelu.LearnedKernelRidge().fit(X, Y)
        with pytest.raises(InvalidInputError, match="not fitted by alpha"):
            CertificateDisplay.from_estimator(kernel, X, Y)
        with pytest.raises(InvalidInputError, match="not given together"):
            CertificateDisplay.from_estimator(ReLURegressor().fit(X, Y), X)


def test_the_panels_share_the_place_of_axes_given():
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    figure = Figure()
    left, right = figure.subplots(1, 2)
    display = CertificateDisplay.from_solution(solved()).plot(left)
    assert display.figure_ is figure
    assert all(axes.get_position().x1 <= right.get_position().x0 for axes in display.ax_)
    assert pyplot.get_fignums() == []
