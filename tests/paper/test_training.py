import numpy as np
import pytest

from mtrelu.paper._training import if_settled, train_to_rest
from mtrelu.paper.readings import REST, agreed

pytest.importorskip("torch")
from mtrelu.solvers.gradient import train

X = np.linspace(-1.0, 1.0, 5)
Y = np.column_stack([np.abs(X), np.cos(3.0 * X)])
SETTINGS = {"width": 12, "steps": 300, "rate": 1e-2, "settling_steps": 3000}


def test_goes_on_from_where_adam_ends_and_only_downhill():
    seeds = [3, 7, 8]
    adam = train(X, Y, 0.01, seeds=seeds, width=12, steps=300, learning_rate=1e-2, tol=REST)
    seen = []
    found = train_to_rest(X, Y, 0.01, seeds, SETTINGS, lambda *step: seen.append(step))
    assert (adam.stationarity > 1e-2).any() and (found.stationarity <= 1e-2).all()
    assert (found.objectives <= adam.objectives * (1 + 1e-6)).all()
    assert found.objectives.min() < adam.objectives.min()
    assert (found.steps > adam.steps).all() and found.settings.seeds == (3, 7, 8)
    for network, objective in zip(found.networks, found.objectives, strict=True):
        assert found.problem.objective(network) == pytest.approx(objective, rel=1e-9)
    assert [step for step, _ in seen] == sorted(step for step, _ in seen)
    assert {total for _, total in seen} == {3300}


def test_a_seed_that_diverged_stays_and_is_not_trained_on():
    found = train_to_rest(X, Y, 0.01, [0, 1], {**SETTINGS, "steps": 20, "rate": 1e38})
    assert found.networks == [None, None] and found.diverged.all()
    assert np.isinf(found.stationarity).all()


def test_the_network_without_a_skip_connection():
    found = train_to_rest(X, Y, 0.01, [0], {**SETTINGS, "skip": "none", "settling_steps": 50})
    assert not found.networks[0].A.any() and not found.networks[0].c.any()


def test_what_is_not_settled_is_no_instance_unless_it_is_good_already():
    assert if_settled(0.2, 1e-2) == 0.2 and if_settled(0.2, 2e-2) is None
    assert if_settled(0.2, 2e-2, tolerance=0.2) == 0.2
    assert if_settled(np.inf, np.inf) == np.inf  # diverged


def test_ways_to_measure_decide_together_or_not_at_all():
    assert agreed([1.0, 0.5], 1.0) == 1.0 and agreed([1.5, 1.1], 1.0) == 1.5
    assert agreed([1.0, 1.1], 1.0) is None
