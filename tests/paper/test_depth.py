import copy
import json

import numpy as np
import pytest

import mtrelu
from mtrelu.paper import depth
from mtrelu.paper.claim import Verdict
from mtrelu.paper.depth import FIGURE
from mtrelu.paper.figure import plain
from mtrelu.report.page import png

torch = pytest.importorskip("torch")
SMALL = {"n_tasks": [1, 3], "width": 8, "steps": 60, "networks": 2, "grid": 21}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    kept = tmp_path_factory.mktemp("kept") / "kept"
    found = [FIGURE.measure(SMALL, 2, lambda done, total: None, kept) for _ in range(2)]
    first, again = (json.loads(json.dumps(plain(each), allow_nan=False)) for each in found)
    assert first == again
    return first


def verdicts(data):
    return {found.claim.name: found.verdict for found in FIGURE.findings(data)}


def test_measured_claims_can_hold_and_fail(data):
    names = ("seeds agree more with more tasks", "the same with one hidden layer")
    for ratio, verdict in ((0.5, Verdict.HOLDS), (2.0, Verdict.FAILS), (None, Verdict.OPEN)):
        data["ratios"] = dict.fromkeys(depth.DEPTHS, ratio)
        assert [verdicts(data)[name] for name in names] == [verdict] * 2


def test_training_descends_what_it_says():
    """One network at a time in plain torch.nn, with Adam's weight decay as part of the loss."""
    Y = depth.labels(3)
    outputs, objectives = depth.trained(Y, [1, 6, 5, 3], 3, 40, depth.X, "cpu")
    for seed in range(3):
        layers = [(m[seed], b[seed]) for m, b in depth._started([1, 6, 5, 3], 3)]
        linear = []
        for matrix, bias in layers:
            each = torch.nn.Linear(*matrix.shape, dtype=torch.float64)
            with torch.no_grad():
                each.weight.copy_(matrix.T)
                each.bias.copy_(bias[0])
            linear.append(each)
        parameters = [p for each in linear for p in each.parameters()]
        optimiser = torch.optim.Adam(parameters, lr=depth.RATE)
        x, y = torch.from_numpy(depth.X[:, None]), torch.from_numpy(Y)

        def outputs_of(x, linear=linear):
            return linear[2](linear[1](linear[0](x).relu()).relu()) + linear[3](x)

        def objective(linear=linear, x=x, y=y):
            decay = sum(each.weight.square().sum() for each in linear[:3])
            return 0.5 * (outputs_of(x) - y).square().sum() + 0.5 * depth.ALPHA * decay

        for step in range(40):
            held = max(step / 40 - 0.4, 0.0) / 0.6
            optimiser.param_groups[0]["lr"] = depth.RATE * 1e-3**held
            optimiser.zero_grad()
            objective().backward()
            optimiser.step()
        assert objectives[seed] == pytest.approx(float(objective().detach()), rel=1e-9)
        np.testing.assert_allclose(outputs[seed], outputs_of(x).detach().numpy()[:, 0], rtol=1e-8)


def test_one_hidden_layer_is_never_below_the_certified_optimum(data):
    for cell in data["cells"]:
        if cell["depth"] == "one hidden layer":
            least = mtrelu.solve(depth.X, depth.labels(cell["n_tasks"]), depth.ALPHA)
            assert min(cell["objectives"]) > least.certificate.dual
            assert cell["optimum"] == pytest.approx(least.certificate.primal)


def test_a_run_that_diverges_leaves_the_spread_open(monkeypatch):
    def diverging(Y, sizes, n_networks, steps, grid, device):
        outputs = np.ones((n_networks, grid.size))
        outputs[0] = np.nan
        return outputs, np.r_[np.inf, np.ones(n_networks - 1)]

    monkeypatch.setattr(depth, "trained", diverging)
    cell = plain(depth._cell("two hidden layers", 2, SMALL, 2))
    assert (cell["n_diverged"], cell["spread"]) == (1, None)
    assert cell["values"][0] is None and cell["objectives"][0] == "inf"


def test_the_spread_is_the_largest_standard_deviation_over_seeds(monkeypatch):
    def given(Y, sizes, n_networks, steps, grid, device):
        return np.arange(n_networks)[:, np.newaxis] * grid, np.ones(n_networks)

    monkeypatch.setattr(depth, "trained", given)
    cell = depth._cell("two hidden layers", 2, SMALL, 2)
    assert cell["spread"] == pytest.approx(2.0 * np.std([0, 1, 2, 3], ddof=1))


def test_drawing_what_diverged(data):
    data = copy.deepcopy(data)
    for cell in data["cells"]:
        cell |= {"spread": None, "values": [None] * cell["n_networks"]}
    assert png(FIGURE.draw(data))
