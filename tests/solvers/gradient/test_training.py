import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import mtrelu
from mtrelu.solvers.gradient import train
from mtrelu.solvers.gradient.checkpoint import Checkpoint
from mtrelu.validation import InvalidInputError, MissingExtraError

X_LINE, Y_LINE = [0, 1, 2, 3, 4], [0, 1, 2, 1, 0]
METHODS = ("adam", "lbfgs", "proximal")


def squares(n_tasks=1):
    X = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)])
    more = np.random.default_rng(0).integers(0, 2, (8, 100))
    return np.vstack((X, 0.5 * X)), np.hstack((np.repeat([[0.0], [1.0]], 4, axis=0), more))[
        :, :n_tasks
    ]


def same(one, other):
    for name in ("objectives", "stationarity", "converged", "diverged", "steps"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in ("steps", "objectives", "stationarity"):
        first, second = getattr(one.history, name), getattr(other.history, name)
        assert np.array_equal(first, second, equal_nan=True), name
    for first, second in zip(one.networks, other.networks, strict=True):
        assert (first is None) == (second is None)
        if first is not None:
            for name in "wbvAc":
                assert np.array_equal(getattr(first, name), getattr(second, name)), name


@pytest.mark.parametrize(
    ("method", "steps", "excess"),
    [("adam", 20_000, 1e-2), ("lbfgs", 1500, 1e-3), ("proximal", 1000, 1e-9)],
)
def test_the_line_is_fitted_to_the_certified_optimum(method, steps, excess):
    optimum = mtrelu.solve(X_LINE, Y_LINE, 0.1, tol=1e-12).certificate.primal
    training = train(
        X_LINE, Y_LINE, 0.1, seeds=4, method=method, steps=steps, width=40, dtype="float64",
        tol=1e-6,
    )  # fmt: skip
    assert training.objectives.min() <= optimum * (1 + excess)
    assert np.all(training.objectives >= optimum * (1 - 1e-9))
    for position, network in enumerate(training.networks):
        certificate = training.certify(position)
        assert certificate.primal == pytest.approx(training.objectives[position], rel=1e-9)
        assert certificate.dual <= optimum * (1 + 1e-9)
        assert training.problem.objective(network) == pytest.approx(certificate.primal, rel=1e-9)


@pytest.mark.parametrize("n_tasks", [1, 5])
def test_two_squares_come_near_the_certified_optimum(n_tasks):
    X, Y = squares(n_tasks)
    optimum = mtrelu.solve(X, Y, 1e-3, tol=1e-10).certificate.primal
    training = train(X, Y, 1e-3, seeds=3, method="proximal", steps=1500, width=60)
    assert np.all(training.objectives >= optimum * (1 - 1e-5))
    assert training.objectives.min() <= optimum * 1.02
    assert all(each.gap >= each.primal - optimum - 1e-6 for each in training.certificates())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_call_gives_the_same_bits(method, dtype):
    X, Y = squares(3)
    calls = [
        train(X, Y, 0.05, seeds=3, method=method, steps=60, width=30, dtype=dtype) for _ in range(2)
    ]
    same(*calls)
    assert calls[0].settings.dtype == dtype
    w = calls[0].networks[0].w
    if method != "proximal":  # which is balanced at the end, in the type it was trained in
        assert np.array_equal(w, w.astype(np.float32)) == (dtype == "float32")


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_run_resumes_bit_for_bit(method, tmp_path, monkeypatch):
    monkeypatch.setattr("mtrelu.solvers.gradient.training.STORING_SHARE", 1e9)  # at each judgement
    X, Y = [0, 1, 2, 3, 4, 5], np.random.default_rng(0).standard_normal((6, 2))
    # Some networks finish early, so that the state of the others is stored without them.
    options = {"seeds": 5, "method": method, "width": 30, "tol": 0.4, "steps": 400}
    expected = train(X, Y, 0.5, **options)
    path = tmp_path / "run.safetensors"
    for limit in (100, 250):

        def stop(progress, limit=limit):
            if progress.step >= limit:
                raise KeyboardInterrupt

        try:
            train(X, Y, 0.5, checkpoint=path, callback=stop, **options)
        except KeyboardInterrupt:
            pass
    steps = []
    resumed = train(
        X, Y, 0.5, checkpoint=path, callback=lambda each: steps.append(each.step), **options
    )
    assert not steps or steps[0] > 250
    same(resumed, expected)
    assert [each.name for each in tmp_path.iterdir()] == ["run.safetensors"]
    again = train(
        X, Y, 0.5, checkpoint=path, callback=lambda each: pytest.fail("a step"), **options
    )
    same(again, expected)
    assert again.seconds == resumed.seconds > 0


def test_early_finishers_leave_and_are_remembered():
    X, Y = X_LINE, Y_LINE
    training = train(X, Y, 0.1, seeds=6, method="lbfgs", steps=500, tol=0.05, dtype="float64")
    assert len(set(training.steps)) > 1
    for position, steps in enumerate(training.steps):
        seen = training.history.steps <= steps
        for values in (training.history.objectives, training.history.stationarity):
            assert np.array_equal(np.isfinite(values[:, position]), seen)
        last = training.history.objectives[seen, position][-1]
        assert last == training.objectives[position]
        assert training.problem.objective(training.networks[position]) == pytest.approx(last)
    assert np.array_equal(training.converged, training.stationarity <= 0.05)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    train(X_LINE, Y_LINE, 0.1, seeds=2, steps=10, checkpoint=path)
    stored = path.read_bytes()
    for change in ({"alpha": 0.2}, {"seeds": 3}, {"steps": 20}, {"dtype": "float64"}):
        options = {"alpha": 0.1, "seeds": 2, "steps": 10} | change
        with pytest.raises(InvalidInputError, match="other settings"):
            train(X_LINE, Y_LINE, checkpoint=path, **options)
    with pytest.raises(InvalidInputError, match="other data"):
        train(X_LINE, [0, 1, 2, 1, 1], 0.1, seeds=2, steps=10, checkpoint=path)
    assert path.read_bytes() == stored
    path.write_bytes(stored[: len(stored) // 2])
    with pytest.raises(InvalidInputError, match="damaged"):
        train(X_LINE, Y_LINE, 0.1, seeds=2, steps=10, checkpoint=path)
    with pytest.raises(InvalidInputError, match="cannot be written"):
        train(X_LINE, Y_LINE, 0.1, seeds=2, steps=10, checkpoint=tmp_path / "no" / "run")


def test_a_checkpoint_that_fails_half_way_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    train(X_LINE, Y_LINE, 0.1, seeds=2, steps=10, checkpoint=path)
    stored = path.read_bytes()
    checkpoint = Checkpoint(path, "a key")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(InvalidInputError, match="No space left"):
        checkpoint.store(Checkpoint(path, json_key(path)).load()[0], {})
    assert path.read_bytes() == stored
    assert [each.name for each in tmp_path.iterdir()] == ["run.safetensors"]


def json_key(path):
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["mtrelu training"])["key"]


def test_divergence_is_reported_and_nothing_is_dropped():
    training = train(X_LINE, Y_LINE, 0.1, seeds=[4, 1], learning_rate=1e30, steps=100)
    assert training.diverged.all() and not training.converged.any()
    assert training.networks == [None, None] and training.certificates() == [None, None]
    assert np.isinf(training.objectives).all() and np.isinf(training.stationarity).all()
    assert training.steps.max() < 100
    with pytest.raises(InvalidInputError, match="diverged"):
        training.certify(0)


def test_one_network_that_diverges_does_not_disturb_the_others():
    start = [mtrelu.solve(X_LINE, Y_LINE, 0.5).network.balanced()] * 3
    wild = mtrelu.ReLUNetwork(*(1e30 * getattr(start[0], name) for name in "wbvAc"))
    options = {"steps": 100, "tol": 1e-12}
    training = train(X_LINE, Y_LINE, 0.1, seeds=3, start=[start[0], wild, start[2]], **options)
    expected = train(X_LINE, Y_LINE, 0.1, seeds=1, start=start[:1], **options)
    assert training.diverged.tolist() == [False, True, False]
    assert training.networks[1] is None and training.steps.tolist() == [100, 50, 100]
    for position in (0, 2):
        assert training.objectives[position] == pytest.approx(expected.objectives[0], rel=1e-5)


def test_training_stops_at_the_certificate():
    training = train(
        X_LINE, Y_LINE, 0.1, seeds=3, method="proximal", stop="certificate", tol=1e-5, steps=5000
    )
    assert training.converged.all() and training.steps.max() < 5000
    for position in range(3):
        assert training.certify(position).relative_gap <= 1e-5
        earlier = training.history.steps < training.steps[position]
        optimum = training.certify(position).dual
        assert np.all(training.history.objectives[earlier, position] > optimum * (1 + 1e-6))


def test_stationary_is_not_optimal_and_certify_says_so():
    """With one neuron there is a stationary network that is far from the wide optimum."""
    y = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    training = train(
        range(6), y, 0.01, seeds=4, width=1, method="proximal", tol=1e-4, dtype="float64"
    )
    assert training.converged.any()
    for position in np.flatnonzero(training.converged):
        certificate = training.certify(int(position))
        assert certificate.stationarity < 1e-3 and certificate.relative_gap > 0.5


def test_the_width_is_that_of_the_paper():
    assert train(X_LINE, Y_LINE, 0.1, seeds=1, steps=1).networks[0].n_neurons == 20
    assert train(*squares(), 0.1, seeds=1, steps=1).networks[0].n_neurons == 800


def test_the_callback_sees_every_judgement():
    seen = []
    training = train(X_LINE, Y_LINE, 0.1, seeds=3, steps=105, tol=1e-12, callback=seen.append)
    assert [each.step for each in seen] == training.history.steps.tolist()
    assert seen[-1].step == seen[-1].n_steps == 105 and seen[-1].n_running == 0
    assert [each.n_running for each in seen[:-1]] == [3] * (len(seen) - 1)
    np.testing.assert_array_equal([each.objectives for each in seen], training.history.objectives)


def test_samples_of_weight_two_count_twice():
    weight = [1, 2, 1, 1, 2]
    X, Y = np.repeat(X_LINE, weight), np.repeat(Y_LINE, weight)
    for method in ("lbfgs", "proximal"):
        options = {"seeds": 2, "method": method, "steps": 30, "dtype": "float64", "tol": 1e-12}
        twice = train(X, Y, 0.1, **options)
        weighted = train(X_LINE, Y_LINE, 0.1, sample_weight=weight, **options)
        np.testing.assert_allclose(weighted.objectives, twice.objectives, rtol=1e-5)


BAD = {
    "no seeds": ({"seeds": 0}, "seeds is 0"),
    "negative seeds": ({"seeds": -3}, "seeds is -3"),
    "seeds twice": ({"seeds": [1, 1]}, "every seed once"),
    "seeds that are text": ({"seeds": "12"}, "seeds is '12'"),
    "empty seeds": ({"seeds": []}, "seeds is"),
    "half a seed": ({"seeds": 1.5}, "seeds is 1.5"),
    "unknown method": ({"method": "sgd"}, "'adam', 'lbfgs', 'proximal'"),
    "unknown skip": ({"skip": "cubic"}, "skip is 'cubic'"),
    "unknown schedule": ({"schedule": "cosine"}, "'settle', 'constant'"),
    "unknown reduction": ({"reduction": "none"}, "'mean', 'sum'"),
    "unknown rule": ({"stop": "never"}, "'stationarity', 'certificate'"),
    "half floats": ({"dtype": "float16"}, "'float32', 'float64'"),
    "no width": ({"width": 0}, "width is 0"),
    "no steps": ({"steps": 0}, "steps is 0"),
    "a negative rate": ({"learning_rate": -1.0}, "learning_rate is -1"),
    "a rate that is no number": ({"learning_rate": float("nan")}, "learning_rate is nan"),
    "a rate for a line search": ({"learning_rate": 0.1, "method": "lbfgs"}, "by itself"),
    "no tolerance": ({"tol": 0.0}, "tol is 0"),
    "no penalty": ({"alpha": 0.0}, "mtrelu.solve"),
    "no certificate": ({"skip": "none", "stop": "certificate"}, 'skip is "none"'),
    "unknown device": ({"device": "abacus"}, "device is 'abacus'"),
    "a device of another kind": ({"device": "meta"}, "device is 'meta'"),
    "a GPU that is not there": ({"device": "cuda:99"}, "device='cpu'"),
    "no callback": ({"callback": 3}, "callback is 3"),
    "too few starts": ({"start": []}, "start has 0 networks"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_explained(name):
    change, words = BAD[name]
    with pytest.raises(InvalidInputError) as caught:
        train(X_LINE, Y_LINE, **{"alpha": 0.1, "seeds": 2, "steps": 2, **change})
    assert words in str(caught.value)


def test_a_gpu_that_is_absent_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInputError, match="sees 0 GPUs"):
        train(X_LINE, Y_LINE, 0.1, device="cuda")


def test_starts_that_do_not_fit_are_refused():
    two = mtrelu.ReLUNetwork([[1.0], [2.0]], [0.0, 0.0], [[1.0], [1.0]], [[0.0]], [0.0])
    three = mtrelu.ReLUNetwork(np.ones((3, 1)), np.ones(3), np.ones((3, 1)), [[0.0]], [0.0])
    plane = mtrelu.ReLUNetwork(np.ones((2, 2)), np.ones(2), np.ones((2, 1)), [[0.0, 0.0]], [0.0])
    for start in ([two, three], [two, plane], [two, "a network"]):
        with pytest.raises(InvalidInputError):
            train(X_LINE, Y_LINE, 0.1, seeds=2, start=start)
    tilted = dataclasses.replace(two, A=np.ones((1, 1)))
    with pytest.raises(InvalidInputError, match="linear part A"):
        train(X_LINE, Y_LINE, 0.1, seeds=1, start=[tilted], skip="constant")
    assert train(X_LINE, Y_LINE, 0.1, seeds=1, start=[three], steps=1).settings.width == 3


def test_no_such_network_to_certify():
    training = train(X_LINE, Y_LINE, 0.1, seeds=2, steps=2)
    for position in (2, -1, 0.0):
        with pytest.raises(InvalidInputError, match="there are 2 networks"):
            training.certify(position)


def test_without_pytorch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"mtrelu\[torch\]"):
        train(X_LINE, Y_LINE, 0.1)


def test_pytorch_is_imported_by_the_first_training_only():
    code = (
        "import sys, mtrelu.solvers.gradient as room; assert 'torch' not in sys.modules;"
        "room.train([0, 1], [0, 1], 0.1, seeds=1, steps=1); assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
