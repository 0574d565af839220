import copy
import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure as Picture

import mtrelu
from mtrelu.optimal_set import Verdict as Uniqueness
from mtrelu.paper import training_optimum
from mtrelu.paper.claim import Verdict
from mtrelu.paper.figure import plain
from mtrelu.paper.training_optimum import FIGURE, problem_of

pytest.importorskip("torch")

SMALL = {
    "alpha": 0.3,
    "n_tasks": [1, 2],
    "networks": 2,
    "grid": 9,
    "steps": 300,
    "settling_steps": 500,
}


def measured(kept, **changed):
    steps = []
    data = FIGURE.measure(
        {**FIGURE.quick, **SMALL, **changed}, 1, lambda *step: steps.append(step), Path(kept)
    )
    assert steps[-1][0] == steps[-1][1]
    return json.loads(json.dumps(plain(data), allow_nan=False))


@cache
def stored(folder):
    return measured(folder / "kept.jsonl")


@pytest.fixture
def data(tmp_path_factory):
    return copy.deepcopy(stored(tmp_path_factory.getbasetemp()))


def verdicts(data):
    return {found.claim.name: found.verdict for found in FIGURE.findings(data)}


def test_small_settings_run_end_to_end(data):
    assert [(group["problem"], group["T"]) for group in data["groups"]] == [
        ("line", 1), ("line", 2), ("squares", 1), ("squares", 2)
    ]  # fmt: skip
    for group in data["groups"]:
        assert [cell["neurons"] for cell in group["cells"]] == [8, 16, 64]
        assert group["bound"] <= group["objective"] * (1 + 1e-12)
        assert all(seed["excess"] >= 0.0 for cell in group["cells"] for seed in cell["seeds"])
    assert len(data["seeds"]["line"]["N²"]) == 4
    assert set(verdicts(data)) == {claim.name for claim in FIGURE.claims}


def test_the_optimum_is_that_of_the_problem_written_out(data):
    X, Y = problem_of("squares", 2)
    group = data["groups"][3]
    assert group["alpha"] == pytest.approx(0.3 * 2**0.5)
    line = np.column_stack([X, np.ones(8)])
    rest = Y - line @ np.linalg.lstsq(line, Y, rcond=None)[0]
    assert group["bound"] <= 0.5 * np.sum(rest**2) * (1 + 1e-12)


def test_goes_on_after_an_interruption(tmp_path, monkeypatch):
    kept = tmp_path / "kept.jsonl"
    first = measured(kept)
    lines = kept.read_text().splitlines()
    kept.write_text("\n".join(lines[:-1]) + "\n")
    made = []
    group = training_optimum._group

    def counted(name, *rest):
        made.append(name)
        return group(name, *rest)

    monkeypatch.setattr(training_optimum, "_group", counted)
    again = measured(kept)
    assert made == ["squares"]
    assert _without_seconds(again["groups"]) == _without_seconds(first["groups"])


def _without_seconds(groups):
    return [
        [{k: v for k, v in cell.items() if k != "seconds"} for cell in group["cells"]]
        for group in groups
    ]


def test_seeds_that_diverge_are_reported(tmp_path):
    data = measured(tmp_path / "kept.jsonl", steps=20, rate=1e38, n_tasks=[1])
    seeds = [s for g in data["groups"] for c in g["cells"] for s in c["seeds"]]
    assert len(seeds) == 12
    assert {each["status"] for each in seeds} == {"diverged"}
    found = verdicts(data)
    for title in ("one input", "two squares"):
        for width in ("N", "2N", "N²"):
            assert found[f"{title}, width {width}: reached"] is Verdict.FAILS
    assert found["typical network, width N²"] is Verdict.FAILS
    assert isinstance(FIGURE.draw(data), Picture)


@pytest.mark.parametrize(
    ("claim", "spoil"),
    [
        (
            "two squares, width N: reached",
            lambda d: d["seeds"]["squares"]["N"][0].update(settled_excess=0.01),
        ),
        (
            "one input, width N²: reached",
            lambda d: d["seeds"]["line"]["N²"][0].update(settled_excess="inf"),
        ),
        ("typical network, width N²", lambda d: d["widest"][0].update(settled_median=0.01)),
        ("seeds agree where the optimum is unique", lambda d: d["unique"].append({"spread": 0.2})),
        (
            "seeds spread where it is not",
            lambda d: d["several"].append({"share": 0.005}),
        ),
    ],
)
def test_claims_can_fail(data, claim, spoil):
    spoil(data)
    assert verdicts(data)[claim] is Verdict.FAILS


def test_seeds_that_are_not_settled_leave_a_claim_open():
    settled = {"excess": 0.2, "settled_excess": 0.2}
    running = {"excess": 0.2, "settled_excess": None}
    reached = {"excess": 1e-7, "settled_excess": 1e-7}
    median = training_optimum._settled_median
    assert median([settled, settled, running]) == 0.2
    assert median([settled, running, running]) is None
    assert median([reached, reached, running]) == 1e-7


def test_spread_and_share_of_given_networks(monkeypatch, tmp_path):
    """Two networks that reached the optimum of one task, and one that did not and is far off."""
    X, Y = problem_of("line", 1)
    solution = mtrelu.solve(X, Y, 0.3, tol=1e-10)
    optima = solution.optimal_set()
    far = mtrelu.ReLUNetwork.from_knots([], np.zeros((0, 1)), [9.0], [0.0])
    networks = [*optima.sample(2, random_state=0), far]

    def given(X, Y, alpha, seeds, settings):
        best = solution.certificate.primal
        return SimpleNamespace(
            networks=networks, objectives=np.array([best, best, 2 * best]), seconds=0.0,
            stationarity=np.zeros(3), diverged=np.zeros(3, bool),
            settings=SimpleNamespace(seeds=(0, 1, 2)),
        )  # fmt: skip

    monkeypatch.setattr(training_optimum, "train_to_rest", given)
    data = measured(tmp_path / "kept.jsonl", n_tasks=[1])
    points = np.linspace(-1.0, 1.0, 9)[:, np.newaxis]
    low, high = optima.range(points)
    apart = np.abs(networks[0](points) - networks[1](points))
    cell = data["groups"][0]["cells"][0]
    assert cell["reached"] == 2
    assert cell["spread"] == pytest.approx(apart.max() / np.abs(Y).max())
    widest = np.argmax(high - low)
    if optima.verdict is Uniqueness.NOT_UNIQUE:
        assert cell["share"] == pytest.approx(apart.flat[widest] / (high - low).max())
    else:
        assert cell["share"] is None


def test_draws_what_is_stored(data):
    picture = FIGURE.draw(data)
    assert isinstance(picture, Picture)
    assert [each.get_title() for each in picture.axes[:2]] == ["one input", "two squares"]
