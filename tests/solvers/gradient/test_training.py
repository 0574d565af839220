import dataclasses
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import mtrelu
from mtrelu.problem import Problem
from mtrelu.solvers.gradient import train
from mtrelu.solvers.gradient.batch import Batch
from mtrelu.solvers.gradient.settings import DEFAULT_STEPS
from mtrelu.status import Status
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


def test_a_checkpoint_that_fails_half_way_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"

    def fail_later(now):
        if now.step == 2:
            monkeypatch.setattr("os.fsync", fail)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mtrelu.solvers.gradient.training.STORING_SHARE", 1e9)  # at each judgement
    options = {"seeds": 2, "steps": 4, "method": "proximal", "tol": 1e-12, "checkpoint": path}
    with pytest.raises(InvalidInputError, match="No space left"):
        train(X_LINE, Y_LINE, 0.1, callback=fail_later, **options)
    assert [each.name for each in tmp_path.iterdir()] == ["run.safetensors"]
    monkeypatch.undo()
    steps = []
    train(X_LINE, Y_LINE, 0.1, callback=lambda now: steps.append(now.step), **options)
    assert steps == [3, 4]


def test_a_checkpoint_that_cannot_be_written_is_found_before_training(tmp_path):
    for path in (tmp_path / "no" / "run", tmp_path, ""):
        with pytest.raises(InvalidInputError, match="cannot be written"):
            train(
                X_LINE, Y_LINE, 0.1, seeds=2, steps=10, checkpoint=path,
                callback=lambda _: pytest.fail("trained"),
            )  # fmt: skip


def rewritten(path, change, header=None):
    """Replace a checkpoint by one with other tensors or another header."""
    with safe_open(path, "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    change(tensors)
    if header is not None:
        metadata = {"mtrelu training": json.dumps(header(json.loads(metadata["mtrelu training"])))}
    save_file({name: each.clone() for name, each in tensors.items()}, path, metadata=metadata)


DAMAGE = {
    "no header": (lambda tensors: None, lambda header: {}),
    "a header that is a list": (lambda tensors: None, lambda header: [header]),
    "a step that is no number": (lambda tensors: None, lambda header: header | {"step": "10"}),
    "a step after the last": (lambda tensors: None, lambda header: header | {"step": 11}),
    "another step": (lambda tensors: None, lambda header: header | {"step": 9}),
    "no time": (lambda tensors: None, lambda header: header | {"seconds": None}),
    "no rows": (lambda tensors: tensors.pop("record rows"), None),
    "one tensor more": (lambda tensors: tensors.update(more=torch.zeros(1)), None),
    "a row that does not exist": (
        lambda tensors: tensors.update({"record rows": torch.tensor([0, 7])}), None
    ),
    "a row that runs without a state": (
        lambda tensors: tensors.update({"record rows": torch.tensor([0])}), None
    ),
    "another shape": (
        lambda tensors: tensors.update({"record final hidden": torch.zeros(2, 3, 20)}), None
    ),
    "too few networks": (
        lambda tensors: tensors.update({"record stalled": torch.zeros(1, dtype=torch.bool)}), None
    ),
    "another type": (
        lambda tensors: tensors.update({"record converged": torch.ones(2)}), None
    ),
    "a judgement less": (
        lambda tensors: tensors.update({"record past_objectives": torch.zeros(0, 2).double()}), None
    ),
    "a verdict that is wrong": (
        lambda tensors: tensors.update(
            {"record converged": torch.ones(2, dtype=torch.bool),
             "record stationarity": torch.zeros(2).double()}
        ), None,
    ),
    "a verdict that does not follow": (
        lambda tensors: tensors.update({"record converged": torch.ones(2, dtype=torch.bool)}), None
    ),
    "an objective that is wrong": (
        lambda tensors: tensors.update({"record objectives": torch.zeros(2).double()}), None
    ),
    "other networks": (
        lambda tensors: tensors["record final output"].mul_(1.01), None
    ),
    "divergence that is wrong": (
        lambda tensors: tensors.update({"record diverged": torch.ones(2, dtype=torch.bool)}), None
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_checkpoint_is_not_trusted(damage, tmp_path):
    path = tmp_path / "run.safetensors"
    options = {"seeds": 2, "steps": 10, "tol": 1e-12, "checkpoint": path}
    train(X_LINE, Y_LINE, 0.1, **options)
    rewritten(path, *DAMAGE[damage])
    with pytest.raises(InvalidInputError, match="damaged"):
        train(X_LINE, Y_LINE, 0.1, **options)


@pytest.mark.parametrize("change", ["X", "weights", "start"])
def test_a_checkpoint_belongs_to_its_data_and_start(change, tmp_path):
    path = tmp_path / "run.safetensors"
    start = Batch.drawn(Problem.make(X_LINE, Y_LINE, 0.1), [0, 1], 20)
    options = {"seeds": 2, "steps": 10, "sample_weight": [1, 1, 2, 1, 1], "checkpoint": path}
    train(X_LINE, Y_LINE, 0.1, start=[start.network(0), start.network(1)], **options)
    other = {
        "X": ([0, 1, 2, 3, 5], options, (0, 1)),
        "weights": (X_LINE, options | {"sample_weight": [1, 1, 1, 1, 2]}, (0, 1)),
        "start": (X_LINE, options, (1, 0)),
    }
    X, options, order = other[change]
    with pytest.raises(InvalidInputError, match="other data"):
        train(X, Y_LINE, 0.1, start=[start.network(row) for row in order], **options)


def test_divergence_is_reported_and_nothing_is_dropped():
    training = train(X_LINE, Y_LINE, 0.1, seeds=[4, 1], learning_rate=1e30, steps=200)
    assert training.diverged.all() and not training.converged.any()
    assert training.networks == [None, None] and training.certificates() == [None, None]
    assert np.isinf(training.objectives).all() and np.isinf(training.stationarity).all()
    assert training.steps.max() < 200
    with pytest.raises(InvalidInputError, match="diverged"):
        training.certify(0)


@pytest.mark.parametrize("schedule", ["settle", "constant"])
def test_a_network_that_ends_above_its_start_has_diverged_and_is_returned(schedule):
    training = train(X_LINE, Y_LINE, 0.1, seeds=3, learning_rate=1e3, steps=1000, schedule=schedule)
    assert training.status == ["diverged"] * 3 and not training.converged.any()
    assert np.all(np.isfinite(training.objectives)) and np.all(training.objectives > 100)
    for position, network in enumerate(training.networks):
        objective = training.problem.objective(network)
        assert objective == pytest.approx(training.objectives[position], rel=1e-6)
        assert training.certify(position).relative_gap > 0.9


def test_a_network_that_leaves_an_optimum_a_little_has_not_diverged():
    start = mtrelu.solve(X_LINE, Y_LINE, 0.1).network.balanced()
    training = train(
        X_LINE, Y_LINE, 0.1, seeds=1, start=start, steps=50, tol=1e-12, schedule="constant"
    )
    assert training.objectives[0] > training.problem.objective(start) * (1 + 1e-6)
    assert training.status == ["out of steps"]


def test_a_stalled_network_is_not_a_converged_one():
    """In float32 the search for a step ends long before so small a tolerance."""
    training = train(
        X_LINE, Y_LINE, 0.1, seeds=4, method="lbfgs", steps=3000, tol=1e-12, dtype="float32"
    )
    assert training.stalled.all() and training.status == ["stalled"] * 4
    assert not training.converged.any() and np.all(training.steps < 3000)


def test_one_network_that_diverges_does_not_disturb_the_others():
    start = [mtrelu.solve(X_LINE, Y_LINE, 0.5).network.balanced()] * 3
    wild = mtrelu.ReLUNetwork(*(1e30 * getattr(start[0], name) for name in "wbvAc"))
    options = {"steps": 200, "tol": 1e-12}
    training = train(X_LINE, Y_LINE, 0.1, seeds=3, start=[start[0], wild, start[2]], **options)
    expected = train(X_LINE, Y_LINE, 0.1, seeds=1, start=start[:1], **options)
    assert training.diverged.tolist() == [False, True, False]
    assert training.networks[1] is None and training.steps.tolist() == [200, 100, 200]
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


def test_the_certificate_that_ends_training_is_the_one_of_certify(monkeypatch):
    """Labels that are affine are certified although no relative gap says so; one oracle does."""
    built = []
    original = mtrelu.oracles.choice.certifying_oracle
    monkeypatch.setattr(
        "mtrelu.oracles.choice.certifying_oracle", lambda *a: built.append(a) or original(*a)
    )
    X, Y = squares(2)
    training = train(X, Y, 0.05, seeds=2, method="proximal", stop="certificate", width=30, tol=1e-2)
    assert len(built) == 1
    built.clear()
    for position in np.flatnonzero(training.converged):
        certificate = training.certify(int(position), tol=1e-2)
        assert certificate.status is Status.CERTIFIED
    x = np.arange(6.0)
    flat = train(x, 2 * x + 1, 0.1, seeds=2, method="proximal", stop="certificate", tol=1e-5,
                 steps=200, dtype="float64")  # fmt: skip
    statuses = [flat.certify(position, tol=1e-5).status for position in range(2)]
    assert flat.converged.tolist() == [each is Status.CERTIFIED for each in statuses] == [True] * 2


def test_stationary_networks_that_are_not_certified_go_on():
    y = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    options = {"seeds": 2, "width": 1, "method": "proximal", "dtype": "float64", "steps": 1000}
    training = train(range(6), y, 0.01, stop="certificate", tol=1e-2, **options)
    assert (training.stationarity < 1e-3).any() and not training.converged.any()


def test_seeds_and_positions():
    training = train(X_LINE, Y_LINE, 0.1, seeds=[7, 2, 1], steps=2)
    assert training.seeds == (7, 2, 1)
    for position, network in enumerate(training.networks):
        certificate = training.certify(position=position)
        assert certificate.primal == pytest.approx(training.problem.objective(network))


def test_the_number_of_steps_if_nothing_is_said():
    assert DEFAULT_STEPS == {"adam": 30_000, "lbfgs": 3_000, "proximal": 10_000}
    assert train(X_LINE, Y_LINE, 0.1, seeds=1, width=1, tol=1e9).settings.steps == 30_000


@pytest.mark.parametrize("kind", ["one", "generator"])
def test_starts_of_several_kinds(kind):
    network = mtrelu.ReLUNetwork([[1.0]], [-0.5], [[1.0]], [[0.0]], [0.0])
    start = network if kind == "one" else (each for each in [network])
    training = train(X_LINE, Y_LINE, 0.1, seeds=1, start=start, steps=1)
    assert training.settings.width == 1 and abs(training.networks[0].b[0] + 0.5) < 0.01


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_one_line_on_a_terminal_and_nothing_elsewhere(monkeypatch):
    options = {"seeds": 3, "steps": 200, "tol": 1e-12, "progress": True}
    seen = []
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr("sys.stderr", stream)
        train(X_LINE, Y_LINE, 0.1, callback=seen.append, **options)
        shown = stream.getvalue()
        assert shown.count("\n") == shown.count("of 200") // 2 == isinstance(stream, Terminal)
        if shown:
            assert "step 100 of 200" in shown and "3 of 3 networks running" in shown
            assert f"median objective {np.median(seen[0].objectives):.4g}" in shown
            assert shown.endswith("0 of 3 networks running, 0:00 left at most\x1b[K\n")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_trains_the_same_networks_resumes_and_repeats(method, tmp_path):
    X, Y = squares(3)
    options = {"seeds": 3, "method": method, "width": 30, "steps": 60, "tol": 1e-12}
    options["dtype"] = "float64"
    on_cpu = train(X, Y, 0.05, **options)
    on_gpu = train(X, Y, 0.05, device="cuda", **options)
    np.testing.assert_allclose(on_gpu.objectives, on_cpu.objectives, rtol=1e-6)
    same(on_gpu, train(X, Y, 0.05, device="cuda", **options))
    path = tmp_path / "run.safetensors"

    def stop(now):
        if now.step >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(X, Y, 0.05, device="cuda", checkpoint=path, callback=stop, **options)
    same(on_gpu, train(X, Y, 0.05, device="cuda", checkpoint=path, **options))


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
    "data out of range": ({"X": [0, 1, 2, 3, 1e30]}, "float64"),
    "a start that is no network": ({"start": 3}, "start is a int"),
    "no callback": ({"callback": 3}, "callback is 3"),
    "too few starts": ({"start": []}, "start has 0 networks"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_explained(name):
    change, words = BAD[name]
    with pytest.raises(InvalidInputError) as caught:
        train(**{"X": X_LINE, "Y": Y_LINE, "alpha": 0.1, "seeds": 2, "steps": 2, **change})
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
