import copy
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure as Picture

import mtrelu
from mtrelu.knot_removal import KnotRemoval
from mtrelu.optimal_set import OptimalSet
from mtrelu.paper import fig1, fig2, fig3, fig6, theorem41, univariate
from mtrelu.paper.claim import Verdict
from mtrelu.paper.figure import NAMES, figure, plain
from mtrelu.regime.designs import DESIGNS
from mtrelu.report.page import png

SMALL = {
    "fig1": {"mixtures": 5},
    "fig2": {"sizes": [[6, 2], [8, 3]], "draws": 15},
    "fig3": {"draws": 5},
    "fig6": {"draws": 5},
    "theorem41": {"n_tasks": [2, 5], "grid": 9},
    "univariate": {"interpolation": [4, 2], "regularised": [[8, 1, 0.05], [8, 3, 0.05]]},
}
OPEN = {"theorem41": {"well defined", "[17] falls fast enough", "[16] falls fast enough",
                      "one weight for all tasks"}}  # fmt: skip
"""What two seeds and few tasks cannot decide."""


def measured(name, n_seeds=2):
    each = figure(name)
    steps = []
    settings = {**each.quick, **SMALL[name]}
    data = each.measure(settings, n_seeds, lambda *step: steps.append(step), Path("kept.jsonl"))
    assert steps and steps[-1][0] == steps[-1][1] == max(step[0] for step in steps)
    return json.loads(json.dumps(plain(data), allow_nan=False))


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@cache
def stored(name):
    return measured(name, 1 if name == "univariate" else 2)


@pytest.fixture
def data(request):
    return copy.deepcopy(stored(request.param))


def verdicts(name, data):
    return {found.claim.name: found.verdict for found in figure(name).findings(data)}


def every(*names):
    return pytest.mark.parametrize(("name", "data"), [(n, n) for n in names], indirect=["data"])


@every(*SMALL)
def test_all_claims_hold(name, data):
    found = verdicts(name, data)
    expected = {
        claim: Verdict.OPEN if claim in OPEN.get(name, ()) else Verdict.HOLDS for claim in found
    }
    assert found == expected


def put(data, where, value):
    """Replace the number at a place."""
    *steps, last = where.replace("[", ".").replace("]", "").split(".")
    for step in steps:
        data = data[int(step) if step.isdigit() else step]
    data[int(last) if last.isdigit() else last] = value


@every(*SMALL)
def test_each_claim_fails_on_one_wrong_number(name, data):
    for finding in figure(name).findings(data):
        claim = finding.claim
        if finding.where is None:
            continue
        wrong = copy.deepcopy(data)
        sign = 1.0 if claim.sense == "at most" else -1.0
        put(wrong, finding.where, claim.tolerance + sign * (abs(claim.tolerance) * 1e-6 + 1e-15))
        assert claim.judge(wrong).verdict is Verdict.FAILS, claim.name
        put(wrong, finding.where, None)
        assert claim.judge(wrong).verdict is Verdict.OPEN, claim.name


@every(*SMALL)
def test_the_picture_comes_from_what_was_stored(name, data):
    picture = figure(name).draw(data)
    assert isinstance(picture, Picture)
    assert png(picture).startswith(b"\x89PNG")


def claim(name, wanted):
    return next(each for each in figure(name).claims if each.name == wanted)


def refuted(name, *claims, n_seeds=1):
    found = verdicts(name, measured(name, n_seeds))
    assert {claim: found[claim] for claim in claims} == dict.fromkeys(claims, Verdict.FAILS)
    return found


def test_a_sweep_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    settings = {"n_tasks": [2, 3], "grid": 5}
    kept, silent = tmp_path / "kept.jsonl", lambda done, total: None
    for part in ("_pair", "_many"):
        monkeypatch.setattr(theorem41, part, lambda *args: {})

    def stop(n_grid):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(theorem41, "_single", stop)
        theorem41.measure(settings, 1, silent, kept)
    assert len(kept.read_text().splitlines()) == 3  # a header and two cells
    monkeypatch.setattr("mtrelu.regime.sweep.measure", stop)
    assert len(theorem41.measure(settings, 1, silent, kept)["cells"]) == 2


class TestWrongMathematics:
    """Each statement is made wrong at its root, and the claim has to notice."""

    def test_functions_that_are_not_optimal(self, monkeypatch):
        extremes = OptimalSet.extremes

        def bent(self):
            dots, corner = extremes(self)
            return dots, mtrelu.paper._line.mixture(dots, corner, 1.01)

        monkeypatch.setattr(OptimalSet, "extremes", bent)
        refuted("fig1", "both optimal", "convex combinations", "as far as possible")

    def test_data_with_one_optimum_only(self, monkeypatch):
        monkeypatch.setitem(SMALL, "fig1", {"y": [0.0, 1.0, 0.0, 1.0, 0.0, 1.0], "mixtures": 3})
        refuted("fig1", "different")

    def test_a_second_task_that_is_a_multiple_of_the_first(self, monkeypatch):
        proof = fig1.dual_proof
        monkeypatch.setattr(
            fig1, "dual_proof", lambda x, Y: proof(x, np.column_stack([Y[:, 0], 2 * Y[:, 0]]))
        )
        found = verdicts("fig1", measured("fig1"))
        assert found["a second task decides"] is Verdict.OPEN

    def test_another_function_than_connect_the_dots(self, monkeypatch):
        through = fig2.through

        def smooth(x, Y):
            middle = 0.5 * (x[2] + x[3])
            extra = through(x, Y)(np.array([middle])) + 0.1
            return through(np.insert(x, 3, middle), np.insert(Y, 3, extra, axis=0))

        monkeypatch.setattr(fig2, "through", smooth)
        refuted("fig2", "certified", "minimum Sobolev norm")

    def test_a_condition_that_always_holds(self, monkeypatch):
        monkeypatch.setattr(fig2, "aligned_pairs", lambda x, Y: [1])
        refuted("fig2", "exactly when", "the dual agrees", "aligned data have others")

    def test_aligned_data_are_no_longer_unique(self):
        x, Y = fig2._aligned(np.random.default_rng(1), 3)
        found = fig2._judged(x, Y)
        assert found["pairs"] and found["margin"] is None and found["verdict"] == "not unique"
        assert found["witness_gap"] < 1e-12 and found["witness_apart"] == pytest.approx(0.75)

    def test_a_removal_that_leaves_the_line(self, monkeypatch):
        remove = fig3.remove_knot

        def careless(network, knot, x):
            right = remove(network, knot, x)
            bent = fig3.ReLUNetwork.from_knots([right.knot], [[0.5] * network.n_tasks],
                                               np.zeros(network.n_tasks),
                                               np.zeros(network.n_tasks))  # fmt: skip
            wrong = mtrelu.paper._line.mixture(right.network, bent, 0.5)
            return KnotRemoval(wrong, right.knot, right.left, right.right, right.cost_after,
                               right.cost_before)  # fmt: skip

        monkeypatch.setattr(fig3, "remove_knot", careless)
        monkeypatch.setattr(fig3, "_random", self._first_removal_only(fig3._random))
        found = verdicts("fig3", measured("fig3", 1))
        assert found["never dearer"] is Verdict.FAILS
        assert found["strictly cheaper"] is Verdict.FAILS
        assert found["not equal beyond"] is Verdict.FAILS

    @staticmethod
    def _first_removal_only(measure):
        """A careless removal leaves knots that the sequence of removals would trip over."""

        def cut(rng, T):
            x = np.arange(4.0)
            at = np.array([-1.0, 0.0, 1.0, 1.5, 2.0, 3.0])
            network = fig3.through(at, rng.standard_normal((6, T)))
            where = fig3._knot(network, 1.5)
            return fig3._change(network, where, x) | {"moved": 0.0, "end_off": 0.0}

        return cut

    def test_no_knot_in_the_end_interval(self, monkeypatch):
        def without(x, Y, first=None):
            if x.size == 6:
                return fig2.through(np.delete(x, 1), np.delete(Y, 1, axis=0))
            return fig2.through(x, Y, first)

        monkeypatch.setattr(fig6, "through", without)
        found = refuted("fig6", "strictly dearer", "in general", "by removing the knot")
        assert found["certified"] is Verdict.HOLDS

    def test_two_tasks_are_not_many(self, monkeypatch):
        monkeypatch.setattr(theorem41, "MANY", 2)
        monkeypatch.setitem(SMALL, "theorem41", {"n_tasks": [2], "grid": 5})
        found = refuted("theorem41", "similar to the kernel fit", "one for many tasks")
        assert found["many for one task"] is Verdict.HOLDS

    def test_networks_that_were_not_solved_to_the_end_prove_nothing(self, monkeypatch):
        monkeypatch.setattr(theorem41, "PROVED", 0.0)
        assert theorem41._pair(1e-3, 0, None)["difference"] is None

    def test_the_design_is_the_one_of_the_paper(self):
        X, Y = DESIGNS["two-squares"].draw(101, 0)
        np.testing.assert_array_equal(Y[:, 0], np.abs(X[:, 0]) < 0.75)
        assert set(np.unique(Y[:, 1:])) == {0.0, 1.0}

    def test_another_formula_for_the_cost(self, monkeypatch):
        monkeypatch.setattr(univariate, "cost", lambda changes: float(np.abs(changes).sum()))
        found = univariate._interpolated(np.random.default_rng(0), 4, 2)
        wrong = {"interpolation": [found]}
        assert claim("univariate", "interpolation: the cost").judge(wrong).verdict is Verdict.FAILS
        assert claim("univariate", "interpolation: the function").judge(wrong).verdict is (
            Verdict.HOLDS
        )

    def test_a_spline_with_another_penalty(self, monkeypatch):
        solve = mtrelu.solve

        def other(x, Y, alpha, *, method="auto", **options):
            return solve(x, Y, alpha * (1.001 if method == "spline" else 1.0), method=method,
                         **options)  # fmt: skip

        monkeypatch.setattr(univariate.mtrelu, "solve", other)
        wrong = {"regularised": [univariate._regularised(np.random.default_rng(0), 8, 3, 0.05)]}
        for name in ("regularised: the objective", "regularised: fitted values"):
            assert claim("univariate", name).judge(wrong).verdict is Verdict.FAILS


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_tested_here_or_in_a_file_of_its_own(name):
    assert name in SMALL or (Path(__file__).parent / f"test_{name}.py").exists()
