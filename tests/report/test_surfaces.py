import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from mtrelu.api import Solution
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.report import SurfaceReport
from mtrelu.scaling import Scaling
from mtrelu.selection import Selection
from mtrelu.verify import verify


class Text(HTMLParser):
    def __init__(self):
        super().__init__()
        self.text, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text.append(data)


def read(report):
    parser = Text()
    parser.feed(report.html())
    return re.sub(r"\s+", " ", " ".join(parser.text)), parser.links


class Optima:
    """A range that is known in closed form, in the units of the fit: task t is t + 1 times x1."""

    reason = "Because."

    def __init__(self, verdict, T):
        self.verdict = SimpleNamespace(value=verdict)
        self.T = T

    def range(self, X):
        return np.zeros((len(X), self.T)), np.abs(X[:, :1]) * np.arange(1.0, self.T + 1)


def make(d=2, T=2, K=3, verdict="unique", scaled=True, seed=0, selection=None, **kwargs):
    rng = np.random.default_rng(seed)
    network = ReLUNetwork(
        rng.standard_normal((K, d)), rng.standard_normal(K), rng.standard_normal((K, T)),
        rng.standard_normal((T, d)), rng.standard_normal(T),
    )  # fmt: skip
    X = rng.standard_normal((20, d))
    problem = Problem.make(X, network(X) + 0.3 * rng.standard_normal((20, T)), 0.25)
    certificate = verify(problem, network, time_limit=0.1)
    scaling = Scaling(np.zeros(d), np.ones(d), np.ones(T))
    if scaled:
        scaling = Scaling(
            np.arange(100.0, 100.0 + d), np.arange(2.0, 2.0 + d), np.arange(5.0, 5.0 + T)
        )
    facts = {
        "tasks": [f"t{t}" for t in range(T)],
        "input_names": ["power", "weight", "year"][:d],
        "title": "A title",
        "description": "Where from.",
        "command": "mtrelu fit a.csv --x power --x weight",
        "version": "1.2.3",
        "left_out": (),
    }
    report = SurfaceReport(
        Solution(problem, network, certificate, 1, None),
        scaling=scaling,
        selection=selection,
        **(facts | kwargs),
    )
    report.__dict__["optimal_set"] = Optima(verdict, T)  # what cached_property would hold
    return report


def test_it_says_what_was_fitted():
    text, links = read(make())
    for words in (
        "A title", "Where from.", "20 samples of 'power' and 'weight'", "labels of 2 tasks",
        "bends along straight lines", "alpha = 0.25", "centred and divided by its standard dev",
        "mtrelu fit a.csv --x power --x weight", "It was given, not chosen",
    ):  # fmt: skip
        assert words in text
    assert links and all(link.startswith("data:image/png;base64,") for link in links)


def test_errors_are_in_own_units():
    report = make()
    own = report.scaling.in_own_units(report.solution.network)
    X = report.solution.problem.X * report.scaling.spread + report.scaling.centre
    Y = report.solution.problem.Y * report.scaling.task_spread
    rmse = np.sqrt(((Y - own(X)) ** 2).mean(axis=0))
    np.testing.assert_allclose(report.rmse, rmse, rtol=1e-9)
    i = int(np.argmax(np.abs(Y - own(X))[:, 0]))
    assert f"{(Y - own(X))[i, 0]:+.3g} at {X[i, 0]:.6g}, {X[i, 1]:.6g}" in read(report)[0]


def test_own_units_kept():
    text, _ = read(make(scaled=False))
    assert "--no-standardize" in text and "centred" not in text


def test_the_certificate_is_told_with_what_the_oracle_can_do():
    report = make()
    text, _ = read(report)
    assert " ".join(report.solution.certificate.in_words().split()) in text
    assert "exact: every possible neuron was considered" in text


@pytest.mark.parametrize(
    ("verdict", "words", "pictures"),
    [
        ("unique", "Yes. Every network that reaches", {"contours", "dual"}),
        ("not unique", "No. Other networks are exactly as good", {"contours", "dual", "width"}),
        ("undecided", "That cannot be decided here", {"contours", "dual", "width"}),
    ],
)
def test_verdict(verdict, words, pictures):
    report = make(verdict=verdict)
    text, links = read(report)
    assert words in text and "Because." in text
    assert set(report.figures) == pictures and len(links) == len(pictures)
    assert all(png.startswith(b"\x89PNG") for png in report.figures.values())


def test_the_widest_place_is_named():
    report = make(verdict="not unique")
    grid = report._widths[1].grid
    largest = max(abs(grid[0] - 100.0)) / 2.0  # where x1 is farthest from its centre
    place = grid[0][np.argmax(abs(grid[0] - 100.0))]
    assert report.spread.startswith(
        f"by up to {6.0 * 2.0 * largest:.3g} (t1 at power = {place:.4g}"
    )


def test_inequalities_say_where_neurons_are_active():
    report = make(K=9, seed=4)
    own = report.scaling.in_own_units(report.solution.network)
    rng = np.random.default_rng(0)
    points = report.scaling.centre + 3.0 * rng.standard_normal((200, 2))
    names = {"power": points[:, 0], "weight": points[:, 1]}
    for k in range(9):
        text = report._inequality(k).replace("·", "*").replace("−", "-")
        left, side, right = re.fullmatch(r"(.*) ([<>]) (.*)", text).groups()
        value = eval(left, {}, names) - float(right)
        hidden = points @ own.w[k] + own.b[k]
        clear = np.abs(hidden) > 1e-2 * np.abs(hidden).max()  # four digits are written
        assert ((value > 0) == (side == ">"))[clear].tolist() == (hidden > 0)[clear].tolist()
    assert "9" in read(report)[0]


def test_no_neurons():
    text, _ = read(make(K=0))
    assert "every task is linear in the inputs" in text


def test_three_inputs_have_labels_against_predictions():
    report = make(d=3)
    assert set(report.figures) == {"fit"}
    text, _ = read(report)
    assert "'power', 'weight' and 'year'" in text and "straight lines" not in text


def test_many_tasks():
    report = make(T=14)
    text, _ = read(report)
    assert "12 of the 14 tasks" in text


def test_rows_left_out_are_named():
    text, _ = read(make(left_out=[f"{i} (car {i})" for i in range(30)]))
    assert "30 rows" in text and "19 (car 19)" in text and "and 10 more" in text
    assert (
        "1 row with unknown values left out, as asked by --drop-missing: 7 (x)."
        in read(make(left_out=["7 (x)"]))[0]
    )


def test_how_alpha_was_chosen():
    choice = Selection(
        0.25, np.array([1.0, 0.25]), np.ones((2, 5)), np.full(5, 4), np.zeros((2, 5))
    )
    report = make(selection=choice)
    text, _ = read(report)
    assert "the points were divided into 5 parts" in text and "once the loss had risen" in text
    assert "alpha" in report.figures


def test_names_are_text_not_markup():
    report = make(input_names=["<i>", "a & b"], tasks=["<b>x</b>", "u"])
    assert "<i>" not in report.html() and "<b>x" not in report.html()
