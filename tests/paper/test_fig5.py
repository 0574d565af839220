"""Figure 5: the smallest run, what its claims say of wrong data, and what its parts measure."""

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest

import mtrelu
from mtrelu.paper import _squares, fig5
from mtrelu.paper.claim import Verdict
from mtrelu.paper.figure import plain

TINY = {
    "width": 40,
    "settling_steps": 20,
    "one": {"steps": 300, "rate": 0.01},
    "many": {"steps": 60, "rate": 0.01},
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("fig5") / "kept.jsonl"


@pytest.fixture(scope="module")
def data(kept):
    pytest.importorskip("torch")
    return plain(fig5.FIGURE.measure(TINY, 2, lambda done, total: None, kept))


def verdict(data, name):
    found = {each.claim.name: each for each in fig5.FIGURE.findings(data)}
    return found[name].verdict


def test_a_tiny_run_from_end_to_end(data):
    json.dumps(data, allow_nan=False)
    assert data["alpha"] == pytest.approx({"T = 1": 0.004, "T = 101": 0.404}, rel=1e-12)
    assert [run["seed"] for run in data["many"]["runs"]] == [0, 1]
    assert {each.verdict for each in fig5.FIGURE.findings(data)} >= {Verdict.HOLDS, Verdict.OPEN}


def test_what_is_certified_does_not_depend_on_training(data):
    for name in (
        "single task: several optima",
        "single task: how far optima differ",
        "101 tasks: one optimum",
        "kernel fit of optimal neurons",
    ):
        assert verdict(data, name) is Verdict.HOLDS
    # So few steps do not settle, and what is not settled refutes nothing.
    assert all(run["excess"] > 1e-3 for run in data["many"]["runs"])
    for name in ("as good as optimal", "converged", "the optimal function", "nearly identical"):
        assert verdict(data, f"101 tasks: {name}") is Verdict.OPEN


def test_excess_against_the_objective_written_out(data):
    X, Y = _squares.DESIGN.draw(1, 0)
    best = mtrelu.solve(X, Y, 0.004, tol=1e-10).certificate.primal
    for run in data["single"]["runs"]:
        assert run["objective"] == pytest.approx((1.0 + run["excess"]) * best, rel=1e-8)
        assert run["excess"] > 0.0
        assert len(run["values"]) == 33 * 33


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("single task: as good as optimal",
         lambda d: d["single"]["runs"][1].update(settled_excess="inf")),
        ("single task: several optima",
         lambda d: d["optima"]["single"][0].update(unique=True)),
        ("single task: how far optima differ",
         lambda d: d["optima"]["single"][1].update(width=0.0)),
        ("single task: seeds show it", lambda d: d["single"].update(spread=1e-6)),
        ("101 tasks: one optimum", lambda d: d["optima"]["many"][1].update(unique=False)),
        ("101 tasks: the optimal function",
         lambda d: d["many"]["runs"][0].update(from_optimum=0.11)),
        ("101 tasks: nearly identical", lambda d: d["many"].update(spread=0.11)),
        ("kernel fit of trained neurons",
         lambda d: d["many"]["runs"][1].update(from_kernel=0.11)),
        ("kernel fit of optimal neurons",
         lambda d: d["optima"]["many"][0].update(from_kernel=0.11)),
        ("smoother, trained", lambda d: d["smoother"].update(trained=1.1)),
        ("101 tasks: λ ≈ 0", lambda d: d["optima"]["many"][0].update(residual=0.11)),
    ],
)  # fmt: skip
def test_claims_fail_on_wrong_data(data, name, wrong):
    changed = copy.deepcopy(data)
    wrong(changed)
    assert verdict(changed, name) is Verdict.FAILS


def test_what_is_missing_leaves_a_claim_open(data):
    changed = copy.deepcopy(data)
    for run in changed["many"]["runs"]:
        run["from_optimum"] = 0.001
    assert verdict(changed, "101 tasks: the optimal function") is Verdict.HOLDS
    changed["many"]["runs"][1]["from_optimum"] = None
    assert verdict(changed, "101 tasks: the optimal function") is Verdict.OPEN


def test_a_diverged_seed_is_in_the_claims_and_in_the_picture(data):
    X, Y = _squares.DESIGN.draw(1, 0)
    optimum = mtrelu.solve(X, Y, 0.004)
    training = SimpleNamespace(
        networks=[optimum.network, None],
        settings=SimpleNamespace(seeds=(0, 1)),
        diverged=np.array([False, True]),
        converged=np.array([True, False]),
        steps=np.array([5, 5]),
        stationarity=np.array([0.0, np.inf]),
        objectives=np.array([optimum.certificate.primal, np.inf]),
    )
    rows = plain(_squares.runs(training, optimum))
    assert rows[0]["excess"] < 1e-5
    assert (rows[1]["excess"], rows[1]["residual"], rows[1]["values"]) == ("inf", "inf", None)
    changed = copy.deepcopy(data)
    changed["single"]["runs"] = rows
    assert verdict(changed, "single task: as good as optimal") is Verdict.FAILS
    assert verdict(changed, "single task: converged") is Verdict.FAILS
    _close(fig5.draw(changed))


def test_an_interrupted_run_goes_on(data, kept, monkeypatch):
    lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join(lines[:-1]))  # all but the kernel
    trainings = []
    original = fig5.trained
    monkeypatch.setattr(
        fig5, "trained", lambda *args: trainings.append(args[1].shape[1]) or original(*args)
    )
    again = plain(fig5.FIGURE.measure(TINY, 2, lambda done, total: None, kept))
    assert trainings == [100]
    np.testing.assert_array_equal(again["kernel"]["values"], data["kernel"]["values"])


def test_roughness_of_known_functions():
    x, y = _squares.grid().T
    assert _squares.roughness(3.0 * x - y + 1.0)[:2] == pytest.approx([0.0, 0.0], abs=1e-12)
    # The largest slope of a plane along axes and diagonals; the mean square over all of them.
    slopes = np.array([3.0, -1.0, np.sqrt(2.0), 2.0 * np.sqrt(2.0)])
    n = np.array([33 * 32, 33 * 32, 32 * 32, 32 * 32])
    mean = np.sqrt(np.sum(n * slopes**2) / n.sum())
    assert _squares.roughness(3.0 * x - y)[2:] == pytest.approx([3.0, mean])
    assert _squares.roughness(np.maximum(2.0 * y, 0.0))[0] == pytest.approx(2.0)
    # Along (1, 1)/√2 the slope changes by √2, along an axis by 1.
    assert _squares.roughness(np.maximum(x + y, 0.0))[0] == pytest.approx(np.sqrt(2.0))
    assert _squares.roughness(np.maximum(x - y, 0.0))[0] == pytest.approx(np.sqrt(2.0))
    # Many neurons in place of one, all well within a step, bend as much.
    split = np.mean([np.abs(x - shift) for shift in np.linspace(-0.01, 0.01, 7)], axis=0)
    assert 0.9 * 2.0 < _squares.roughness(split)[0] <= 2.0 + 1e-12


def test_the_kernel_fit_is_the_ridge_regression_of_its_features():
    rng = np.random.default_rng(0)
    w, v = rng.standard_normal((12, 2)), rng.standard_normal((12, 4))
    others = mtrelu.ReLUNetwork(w, rng.standard_normal(12), v, np.zeros((4, 2)), np.zeros(4))
    X, Y = _squares.DESIGN.draw(1, 0)
    sizes = np.linalg.norm(w, axis=1)
    # In units of each neuron's strength: min ½‖y − B θ − Φ z‖² + ½ α ‖z‖².
    Phi = np.maximum(X @ w.T + others.b, 0.0) * np.sqrt(np.linalg.norm(v, axis=1) / sizes)
    A = np.hstack([Phi, np.ones((8, 1)), X])
    penalty = np.diag([0.404] * 12 + [0.0] * 3)
    values = A @ np.linalg.solve(A.T @ A + penalty, A.T @ Y)
    np.testing.assert_allclose(_squares.kernel_fit(others, 0.404)(X), values, atol=1e-9)


def test_the_picture_is_drawn_from_stored_data(data):
    _close(fig5.draw(json.loads(json.dumps(data))))
    one = copy.deepcopy(data)
    one["single"]["runs"] = one["single"]["runs"][:1]
    one["single"]["spread"] = None
    _close(fig5.draw(one))


def _close(figure):
    from matplotlib import pyplot

    figure.canvas.draw()
    pyplot.close(figure)
