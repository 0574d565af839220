import re
from html.parser import HTMLParser

import numpy as np
import pytest

import mtrelu
from mtrelu.report import CurveReport
from mtrelu.scaling import Scaling
from mtrelu.selection import select_alpha

VOID = {"meta", "img", "br", "link"}


class Strict(HTMLParser):
    """Collects text, and fails on tags that do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(report):
    parser = Strict()
    parser.feed(report.html())
    assert parser.open == []
    return re.sub(r"\s+", " ", " ".join(parser.text)), parser.links


def make(x, Y, alpha, *, scale=None, selection=None, tasks=None, **kwargs):
    Y = np.asarray(Y, dtype=float).reshape(len(x), -1)
    scale = np.ones(Y.shape[1]) if scale is None else scale
    solution = mtrelu.solve(x, Y / scale, alpha)
    facts = {
        "tasks": tasks or [f"t{t}" for t in range(Y.shape[1])],
        "input_names": ["time"],
        "title": "A title",
        "description": "Where from.",
        "command": "mtrelu fit a.csv --x time",
        "version": "1.2.3",
    }
    scaling = Scaling(np.zeros(1), np.ones(1), scale)
    return CurveReport(solution, scaling=scaling, selection=selection, **(facts | kwargs))


def wavy(T=3, n=12):
    rng = np.random.default_rng(0)
    return np.arange(float(n)), rng.standard_normal((n, T)).cumsum(axis=0)


def test_nothing_is_loaded_from_elsewhere():
    _, links = read(make(*wavy(), 0.5))
    assert links and all(link.startswith("data:image/png;base64,") for link in links)
    assert "http" not in make(*wavy(), 0.5).html()


def test_it_says_what_was_fitted_and_how_to_do_it_again():
    text, _ = read(make(*wavy(), 0.5))
    for words in (
        "A title", "Where from.", "12 values of 'time'", "labels of 3 tasks", "alpha = 0.5",
        "mtrelu fit a.csv --x time", "mtrelu 1.2.3", "It was given, not chosen",
    ):  # fmt: skip
        assert words in text


def test_errors_are_those_of_the_predictions():
    x, Y = wavy()
    Y[:, 2] = 7.0
    report = make(x, Y, 2.0)
    predictions = report.solution.network(x)
    rmse = np.sqrt(((Y - predictions) ** 2).mean(axis=0))
    np.testing.assert_allclose(report.rmse, rmse, rtol=1e-12)
    explained = 1 - ((Y - predictions) ** 2).sum(axis=0)[:2] / (Y.var(axis=0) * len(x))[:2]
    np.testing.assert_allclose(report.r2[:2], explained, rtol=1e-9)
    assert np.isnan(report.r2[2])
    assert "–" in read(report)[0]


def test_certificate_and_status_are_told():
    report = make(*wavy(), 0.5)
    text, _ = read(report)
    assert " ".join(report.solution.certificate.in_words().split()) in text
    assert f"{report.solution.certificate.gap:.2e}" in text


def test_unique_and_not_unique():
    unique, _ = read(make([0.0, 1, 2], [0.0, 1, 0], 0))
    assert "Yes. Every network that reaches the optimum" in unique
    report = make([0.0, 1, 2, 3], [0.0, 0, 1, 3], 0)
    text, _ = read(report)
    assert "No. Other networks are exactly as good" in text
    assert "1 to 2" in text
    width, place, task = report.widest
    assert width == pytest.approx(0.5, abs=0.01) and place == pytest.approx(1.5, abs=0.01)
    assert task == "t0"


def test_units():
    x, Y = wavy(2)
    Y *= [1.0, 1e6]
    assert "fit with --standardize" in read(make(x, Y, 0.5))[0]
    scale = Y.std(axis=0)
    report = make(x, Y, 0.5, scale=scale)
    assert "divided by its standard deviation" in read(report)[0]
    residual = Y - report.solution.network(x) * scale
    np.testing.assert_allclose(report.rmse, np.sqrt((residual**2).mean(axis=0)), rtol=1e-9)


def test_interpolation_is_told_as_such():
    text, _ = read(make(*wavy(), 0))
    assert "pass through every label" in text and "weighs two wishes" not in text


def test_how_alpha_was_chosen():
    x, Y = wavy()
    choice = select_alpha(x, Y, n_folds=2)
    text, _ = read(make(x, Y, choice.alpha, selection=choice))
    assert "By cross-validation" in text and "2 parts" in text
    assert ("(--alpha 0) would predict about as well" in text) == choice.least_at_edge


def test_names_are_text_not_markup():
    report = make(*wavy(2), 0.5, tasks=["<b>x</b>", "a & b"], title="<script>", input_names=["<i>"])
    assert "<script>" not in report.html() and "<b>x" not in report.html()
    text, _ = read(report)
    assert "<b>x</b>" in text and "a & b" in text


@pytest.mark.parametrize(("T", "pictures"), [(1, 2), (12, 2), (13, 3)])
def test_pictures(T, pictures):
    report = make(*wavy(T), 0.5)
    assert len(report.figures) == pictures
    for png in report.figures.values():
        assert png.startswith(b"\x89PNG")
    _, links = read(report)
    assert len(links) == pictures


def test_straight_lines_have_no_knots_to_tell():
    text, _ = read(make([0.0, 1, 2], [0.0, 1, 2.1], 1e3))
    assert "every curve is a straight line" in text


def test_long_tables_say_that_they_are_shortened():
    text, _ = read(make(*wavy(150), 0.5))
    assert "Shown are the 100 worst fitted tasks of 150." in text
