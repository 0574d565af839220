import json
from dataclasses import replace

import numpy as np
import pytest

from mtrelu.regime import sweep as module
from mtrelu.regime.checkpoint import Checkpoint
from mtrelu.regime.designs import DESIGNS, table_design
from mtrelu.regime.measurement import BETAS, Measurement
from mtrelu.regime.rates import fit_rate
from mtrelu.regime.sweep import Plan, Sweep, lemma_promise, run_sweep
from mtrelu.validation import InvalidInputError

LINE = DESIGNS["gaussian-1d"]
REFERENCE = {
    11: (3.3e-3, 5.8e-8, 4.0e-2),
    101: (7.0e-6, 6.2e-13, 5.7e-5),
}
"""Two squares, α = 1e-3, medians over five seeds: outputs against [18], excess of J, outputs
against the neurons of the other tasks. Measured by a prototype that shares only `mtrelu.solve`; the
benchmark kernel_regime goes from one task to 1001."""


def same(first, second):
    """Whether two sweeps measured the same, but for the time it took."""

    def untimed(sweep):
        return [repr(replace(cell, seconds=0.0)) for cell in sweep.measurements]

    return untimed(first) == untimed(second)


@pytest.fixture(scope="module")
def plan():
    return Plan.make(LINE, n_tasks=[1, 2, 5, 20], n_seeds=3)


@pytest.fixture(scope="module")
def line(plan):
    return run_sweep(plan)


def test_the_table_of_the_two_squares_is_reproduced():
    plan = Plan.make(DESIGNS["two-squares"], n_tasks=REFERENCE, n_seeds=5)
    sweep = run_sweep(plan)
    assert sweep.n_certified() == [5, 5] and not sweep.uncertified()
    names = ("output_difference", "excess", "leave_task_out_difference")
    for name, expected in zip(names, zip(*REFERENCE.values(), strict=True), strict=True):
        # Half a unit of the second digit; excesses around 1e-16 of the objective: 10 %.
        np.testing.assert_allclose(
            sweep.median(name), expected, rtol=0.1 if name == "excess" else 0.02
        )
    for beta in BETAS:
        shares = sweep.lemma_shares(beta)
        assert (shares >= lemma_promise(plan.n_tasks, beta)).all()


def test_cells_are_in_order_and_values_are_theirs(plan, line):
    assert [(cell.n_tasks, cell.seed) for cell in line.measurements] == [
        (n, seed) for n in (1, 2, 5, 20) for seed in range(3)
    ]
    table = line.values("alpha")
    assert table.shape == (3, 4) and (table == LINE.alpha).all()
    gaps = line.values("relative_gap")
    assert gaps[2, 1] == line.measurements[5].relative_gap
    assert np.isnan(line.values("excess")[:, 0]).all() and (line.values("excess")[:, 1:] > 0).all()
    np.testing.assert_array_equal(
        line.lemma_shares(0.5)[1, 2], line.measurements[7].lemma_shares[1]
    )


def test_processes_do_not_change_numbers(plan, line):
    assert same(run_sweep(plan, n_jobs=2), line)


def test_rates_leave_one_task_out(line):
    values = line.values("output_difference")
    expected = fit_rate([2, 5, 20], values[:, 1:])
    assert repr(line.rate("output_difference")) == repr(expected)  # three seeds: NaN for intervals


def made(n_tasks, seed, **kwargs):
    facts = {
        "alpha": 0.1, "status": "certified", "relative_gap": 1e-12, "n_neurons": 5, "n_private": 0,
        "l1_difference": 0.1, "kernel_deviation": 1e-12, "output_difference": 1.0 / n_tasks,
        "leave_task_out_difference": 2.0 / n_tasks, "leave_task_out_status": "certified",
        "leave_task_out_gap": 1e-12, "restart_difference": 1e-9, "excess": n_tasks**-2.0,
        "surrogate_gap": n_tasks**-1.0, "neighbourhood_share": 1.0, "lemma_shares": (1.0,) * 4,
        "gamma_spread": 1.0 / n_tasks, "seconds": 0.1,
    }  # fmt: skip
    return Measurement(n_tasks, seed, **(facts | kwargs))


def made_sweep(change=lambda n, seed: {}, n_tasks=(2, 4, 8, 16), n_seeds=2):
    plan = Plan.make(LINE, n_tasks=n_tasks, n_seeds=n_seeds)
    cells = [made(n, seed, **change(n, seed)) for n in n_tasks for seed in range(n_seeds)]
    return Sweep(plan, tuple(cells))


def test_what_is_not_certified_counts_for_nothing_and_is_counted():
    def change(n, seed):
        if (n, seed) == (4, 1):
            return {"status": "almost", "output_difference": 1e9}
        if (n, seed) == (8, 0):
            return {"leave_task_out_status": "almost", "leave_task_out_difference": 1e9}
        return {}

    sweep = made_sweep(change)
    assert sweep.n_certified() == [2, 1, 1, 2]
    assert [(cell.n_tasks, cell.seed) for cell in sweep.uncertified()] == [(4, 1), (8, 0)]
    np.testing.assert_allclose(sweep.median("output_difference"), [1 / 2, 1 / 4, 1 / 8, 1 / 16])
    assert sweep.rate("leave_task_out_difference").exponent == pytest.approx(-1.0)
    # The network of all tasks of the second of these cells is proved optimal.
    assert not np.isnan(sweep.values("output_difference")[0, 2])
    table = sweep.table()
    assert table["certified"].tolist() == [2, 1, 1, 2] and table["cells"].tolist() == [2] * 4


def test_no_certified_cell_no_median():
    sweep = made_sweep(lambda n, seed: {"status": "limit reached"} if n == 4 else {})
    assert np.isnan(sweep.median("excess")).tolist() == [False, True, False, False]
    assert 4 not in sweep.rate("excess").n_tasks


def test_differences_that_two_starts_explain_are_not_used_for_the_rate():
    sweep = made_sweep(lambda n, seed: {"restart_difference": 0.1} if n == 16 else {})
    assert sweep.rate("leave_task_out_difference").n_tasks == (2, 4, 8)
    assert sweep.rate("output_difference").n_tasks == (2, 4, 8, 16)
    assert sweep.unresolved() == [16]


def test_numbers_of_tasks_are_unresolved_too_where_no_rate_is_left():
    sweep = made_sweep(lambda n, seed: {"restart_difference": 2.0 / n if n > 4 else np.nan})
    assert sweep.unresolved() == [2, 4, 8, 16]  # a second start that proved nothing tells nothing
    assert np.isnan(sweep.rate("leave_task_out_difference").exponent)
    one = made_sweep(lambda n, seed: {"leave_task_out_difference": np.nan}, n_tasks=(1, 2))
    assert one.unresolved() == []


def test_the_table_has_a_row_for_each_number_of_tasks(line):
    table = line.table()
    assert all(len(column) == 4 for column in table.values())
    assert table["n_tasks"].tolist() == [1, 2, 5, 20]
    np.testing.assert_array_equal(table["excess"], line.median("excess"))
    np.testing.assert_allclose(table["lemma_promise beta=0.5"], 1 - np.array([1, 2, 5, 20]) ** -0.5)


class TestPlan:
    def test_a_penalty_that_grows_with_the_number_of_tasks(self):
        plan = Plan.make(LINE, n_tasks=[1, 10], weight_decay=1e-3)
        assert plan.penalty(20, 1) == pytest.approx(0.01)
        assert plan.penalty(20, 10) == pytest.approx(0.1)
        sweep = run_sweep(Plan.make(LINE, n_tasks=[1, 10], n_seeds=1, weight_decay=1e-3))
        assert [cell.alpha for cell in sweep.measurements] == pytest.approx([0.01, 0.1])

    def test_what_is_not_given_is_the_design_s(self):
        plan = Plan.make(LINE)
        assert plan.n_tasks == LINE.n_tasks and plan.alpha == LINE.alpha and plan.n_seeds == 5
        assert len(plan.cells()) == len(set(plan.cells())) == 5 * len(LINE.n_tasks)

    def test_numbers_of_tasks_are_sorted_and_named_once(self):
        assert Plan.make(LINE, n_tasks=[5, 1, 5]).n_tasks == (1, 5)

    def test_the_key_tells_plans_apart(self):
        x, Y = np.arange(4.0)[:, None], np.arange(12.0).reshape(4, 3)
        table = table_design("t", x, Y, title="", description="")
        other = table_design("t", x, Y + 1e-12, title="", description="")
        plan = Plan.make(table, n_seeds=2)
        keys = {
            plan.key(),
            Plan.make(other, n_seeds=2).key(),
            Plan.make(table, n_seeds=3).key(),
            Plan.make(table, n_seeds=2, n_tasks=[1, 2]).key(),
            Plan.make(table, n_seeds=2, alpha=0.5).key(),
            Plan.make(table, n_seeds=2, weight_decay=0.5).key(),
            Plan.make(table, n_seeds=2, skip="constant").key(),
        }
        assert len(keys) == 7 and plan.key() == Plan.make(table, n_seeds=2).key()

    def test_another_version_measures_anew(self, monkeypatch, plan):
        before = plan.key()
        monkeypatch.setattr("mtrelu.__version__", "0.0.0")
        assert plan.key() != before

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_tasks": []}, "at least one"),
            ({"n_tasks": [0, 2]}, "from 1"),
            ({"n_seeds": 0}, "at least one seed"),
            ({"skip": "linear"}, "skip is 'linear'"),
            ({"alpha": 0.1, "weight_decay": 0.1}, "one of them"),
            ({"alpha": 0.0}, "alpha is 0"),
            ({"weight_decay": 0.0}, "weight_decay is 0"),
            ({"alpha": -1.0}, "negative"),
            ({"weight_decay": np.nan}, "weight_decay"),
        ],
    )
    def test_bad_input(self, options, message):
        with pytest.raises(InvalidInputError, match=message):
            Plan.make(LINE, **options)


class TestResuming:
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "cells.jsonl"

    @pytest.fixture
    def interrupted(self, plan, line, path, monkeypatch):
        """A sweep that ends in the middle; returns how many cells it kept."""
        measure, calls = module._cell, []

        def at_most_five(*cell):
            calls.append(cell)
            if len(calls) > 5:
                raise KeyboardInterrupt
            return measure(*cell)

        with monkeypatch.context() as patch:
            patch.setattr(module, "_cell", at_most_five)
            with pytest.raises(KeyboardInterrupt):
                run_sweep(plan, checkpoint=path)
        return 5

    def count(self, monkeypatch):
        measure, calls = module._cell, []

        def counted(*cell):
            calls.append(cell)
            return measure(*cell)

        monkeypatch.setattr(module, "_cell", counted)
        return calls

    def test_it_goes_on_where_it_stopped(self, plan, line, path, interrupted, monkeypatch):
        calls = self.count(monkeypatch)
        seen = []
        resumed = run_sweep(plan, checkpoint=path, progress=lambda *at: seen.append(at))
        assert same(resumed, line)
        assert len(calls) == 12 - interrupted and seen == [(i, 12) for i in range(5, 13)]
        assert same(run_sweep(plan, checkpoint=path), line)
        assert len(calls) == 12 - interrupted  # nothing was left to do

    @pytest.mark.parametrize("cut", [1, 40, 200])
    def test_half_a_line_is_measured_again(self, plan, line, path, interrupted, monkeypatch, cut):
        path.write_bytes(path.read_bytes()[:-cut])
        calls = self.count(monkeypatch)
        assert same(run_sweep(plan, checkpoint=path), line)
        assert len(calls) == 12 - interrupted + 1
        # The file is whole again.
        lines = path.read_text().splitlines()
        assert len(lines) == 13 and all(json.loads(text) for text in lines)

    def test_damaged_lines_are_measured_again(self, plan, line, path, interrupted, monkeypatch):
        lines = path.read_bytes().split(b"\n")
        lines[1] = b"\xff\x00 no text"
        lines[2] = b'{"n_tasks": 20}'
        lines[3] = b"[1, 2]"
        path.write_bytes(b"\n".join(lines))
        calls = self.count(monkeypatch)
        assert same(run_sweep(plan, checkpoint=path), line)
        assert len(calls) == 12 - interrupted + 3

    def test_not_even_a_first_line(self, plan, line, path, interrupted):
        path.write_bytes(path.read_bytes()[:20])
        assert same(run_sweep(plan, checkpoint=path), line)

    def test_another_run_s_cells_are_refused_and_kept(self, path, interrupted):
        before = path.read_bytes()
        with pytest.raises(InvalidInputError, match="another run"):
            run_sweep(Plan.make(LINE, n_tasks=[1, 2, 5, 20], n_seeds=4), checkpoint=path)
        assert path.read_bytes() == before

    @pytest.mark.parametrize("content", ["my notes", "my notes\n", '{"a": 1}\n', "3\n", "{"])
    def test_other_files_are_refused_and_kept(self, plan, path, content):
        path.write_text(content)
        # One brace may be the beginning of a first line.
        if content != "{":
            with pytest.raises(InvalidInputError, match="not a file of unfinished cells"):
                run_sweep(plan, checkpoint=path)
            assert path.read_text() == content
        else:
            assert Checkpoint(path, "key").cells == []


def test_an_error_in_a_process_is_told_as_it_is():
    huge = table_design(
        "t", np.arange(3.0)[:, None], np.full((3, 2), 1e200), title="", description=""
    )
    with pytest.raises(InvalidInputError, match="divide Y by a constant"):
        run_sweep(Plan.make(huge, n_seeds=1), n_jobs=2)


def test_a_process_that_is_killed_is_told():
    import os
    from functools import partial

    design = replace(LINE, sample=partial(_dies, os.getpid()))
    plan = replace(Plan.make(LINE, n_tasks=[1, 2], n_seeds=1), design=design)
    with pytest.raises(InvalidInputError, match="killed"):
        run_sweep(plan, n_jobs=2)


def _dies(parent, n_tasks, seed):
    import os
    import signal

    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("the cell was not measured in a process of its own")


@pytest.mark.parametrize("n_jobs", [0, -1])
def test_there_is_at_least_one_process(plan, n_jobs):
    with pytest.raises(InvalidInputError, match="n_jobs"):
        run_sweep(plan, n_jobs=n_jobs)
