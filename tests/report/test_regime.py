import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from mtrelu.regime.designs import DESIGNS
from mtrelu.regime.measurement import Measurement
from mtrelu.regime.sweep import Plan, Sweep
from mtrelu.report.regime import RegimeReport

VOID = {"meta", "img", "br", "link"}


class Strict(HTMLParser):
    """Collects text and rows of tables, and fails on tags that do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.links, self.rows = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


@pytest.fixture(autouse=True)
def a_small_picture(request, monkeypatch):
    """The picture has tests of its own, and takes a second."""
    if request.function is not test_nothing_is_loaded_from_elsewhere:
        monkeypatch.setattr(RegimeReport, "figure", b"picture")


def make(change=lambda n, seed: {}, n_tasks=(1, 2, 4, 8, 16), n_seeds=2, **options):
    plan = Plan.make(options.pop("design", DESIGNS["gaussian-1d"]), n_tasks=n_tasks,
                     n_seeds=n_seeds, **options)  # fmt: skip
    cells = []
    for n in n_tasks:
        for seed in range(n_seeds):
            cell = Measurement(n, seed, plan.penalty(20, n), "certified", 1e-12, 4, 0, 0.1, 1e-13)
            if n > 1:
                cell = replace(
                    cell, output_difference=1.0 / n, leave_task_out_difference=3.0 / n,
                    leave_task_out_status="certified", leave_task_out_gap=2e-12,
                    restart_difference=1e-8, excess=n**-2.0, surrogate_gap=n**-0.5,
                    neighbourhood_share=0.5, lemma_shares=(0.6, 0.7, 0.8, 0.9),
                    gamma_spread=4.0 / n,
                )  # fmt: skip
            cells.append(replace(cell, **change(n, seed)))
    return RegimeReport(Sweep(plan, tuple(cells)), "mtrelu regime x", "1.2.3")


def read(report):
    parser = Strict()
    parser.feed(report.html())
    assert parser.open == []
    return re.sub(r"\s+", " ", " ".join(parser.text)), parser


def test_nothing_is_loaded_from_elsewhere():
    report = make()
    _, parser = read(report)
    assert len(parser.links) == 1 and parser.links[0].startswith("data:image/png;base64,")
    assert "http" not in report.html()
    assert report.figure.startswith(b"\x89PNG")


def test_it_says_what_was_measured_and_how_to_do_it_again():
    text, _ = read(make())
    for words in (
        "White labels over 1 Gaussian input", "20 samples of 1 standard Gaussian input",
        "10 of 10", "α = 0.01 for every number of tasks", "mtrelu regime x", "mtrelu 1.2.3",
        "401 over the range", "Of 10 cells 10 are certified",
    ):  # fmt: skip
        assert words in text
    assert "Not certified" not in text and "not used for the rate" not in text


def test_the_table_has_medians_and_exponents():
    text, parser = read(make(n_seeds=5))
    assert "in the last row rates" in text
    rows = {row[0]: row for row in parser.rows}
    assert rows["T"] == [
        "T", "proved", "neurons", "ridge [18]", "others' neurons", "excess of J [17]",
        "H − J [16]", "spread of γ [21]", "share [20]",
    ]  # fmt: skip
    assert rows["1"] == ["1", "5/5", "4", "–", "–", "–", "–", "–", "–"]
    assert rows["8"][2:] == ["4", "1.2e-01", "3.8e-01", "1.6e-02", "3.5e-01", "5.0e-01", "0.8"]
    assert rows["rate"] == [
        "rate", "", "", "T^-1.00", "T^-1.00", "T^-2.00", "T^-0.50", "T^-1.00", "",
    ]  # fmt: skip
    assert rows["J(v′) − J(v*) [17]"][1:] == ["-2.00", "-2.00 … -2.00", "2 … 16", "1.0"]


def test_a_growing_penalty_is_told_and_shown():
    text, parser = read(make(weight_decay=1e-3))
    assert "α = λNT/2 with λ = 0.001" in text and "The theorem holds α fixed" in text
    rows = {row[0]: row for row in parser.rows}
    assert rows["T"][1] == "α" and rows["8"][1] == "0.08"


def test_what_is_not_certified_is_counted_and_named():
    def change(n, seed):
        if (n, seed) == (4, 1):
            return {"status": "almost", "relative_gap": 1e-4}
        if (n, seed) == (8, 0):
            return {"leave_task_out_status": "uncertified", "leave_task_out_gap": 0.5}
        return {}

    text, parser = read(make(change))
    assert "8 of 10" in text and "Of 10 cells 8 are certified" in text and "Not certified" in text
    assert ["4", "1", "almost", "1.0e-04", "certified", "2.0e-12"] in parser.rows
    assert ["8", "0", "certified", "1.0e-12", "uncertified", "5.0e-01"] in parser.rows
    assert "1/2" in [row[1] for row in parser.rows if row[0] == "4"]


def test_many_cells_without_proof_are_shortened():
    text, _ = read(make(lambda n, seed: {"status": "almost"}, n_seeds=20))
    assert "Of 100 cells 0 are certified" in text and "Shown are the 30 first cells of 100" in text


def test_a_difference_that_two_starts_explain_is_told():
    report = make(lambda n, seed: {"restart_difference": 0.1} if n == 16 else {})
    text, parser = read(report)
    assert "not used for the rate are T = 16," in text
    rows = {row[0]: row for row in parser.rows}
    assert rows["16"][4] == "1.9e-01?" and rows["8"][4] == "3.8e-01"
    assert "19 %?" in text and "not resolved, see below" in text


def test_one_task_alone():
    text, parser = read(make(n_tasks=(1,)))
    assert "no rate" in text
    assert "last row" not in text
    assert all(row and row[0] != "rate" for row in parser.rows)


def test_infinite_values_are_shown_as_such():
    _, parser = read(make(lambda n, seed: {"gamma_spread": np.inf} if n == 2 else {}))
    assert "∞" in next(row for row in parser.rows if row[0] == "2")


@pytest.mark.parametrize("name", ["<script>", "a & b"])
def test_names_are_text_not_markup(name):
    design = replace(DESIGNS["gaussian-1d"], title=name, description=name)
    report = make(design=design)
    assert "<script>" not in report.html()
    assert name in read(report)[0]


def test_rows_that_were_left_out_are_counted():
    report = replace(make(), left_out=["3 (x)", "9 (y)"])
    assert "2 rows with unknown values were left out" in read(report)[0]
