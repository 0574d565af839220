"""Along a path the loss falls, the path norm grows, and every point is certified."""

import numpy as np
import pytest

from mtrelu import InvalidInputError, Status, alpha_max, certify, solve
from mtrelu.path import alpha_path

RNG = np.random.default_rng(0)
CURVES = np.sort(RNG.uniform(size=30)), RNG.standard_normal((30, 3))
SURFACES = RNG.standard_normal((15, 2)), RNG.standard_normal((15, 2))
DATA = {
    "curves": (*CURVES, {}),
    "curves, constant skip": (*CURVES, {"skip": "constant"}),
    "weighted curves": (*CURVES, {"sample_weight": RNG.uniform(0.5, 2.0, size=30)}),
    "surfaces": (*SURFACES, {}),
    "surfaces, constant skip": (*SURFACES, {"skip": "constant"}),
}


@pytest.mark.parametrize("kind", DATA)
def test_every_point_is_certified_and_the_path_is_monotone(kind):
    X, Y, options = DATA[kind]
    path = alpha_path(X, Y, n_alphas=6, alpha_min_ratio=1e-2, **options)
    top = alpha_max(X, Y, **options)
    np.testing.assert_allclose(path.alphas, np.geomspace(top, 1e-2 * top, 6), rtol=1e-12)
    assert path.left_out.size == 0
    for k, (alpha, solution) in enumerate(zip(path.alphas, path.solutions, strict=True)):
        assert solution.problem.alpha == alpha
        again = certify(solution.network, X, Y, alpha, **options)
        assert solution.status is again.status is Status.CERTIFIED
        assert path.relative_gaps[k] == solution.certificate.relative_gap <= 1e-6
        # From a cold start the optimum is the same, to the certified gaps.
        cold = solve(X, Y, alpha, **options).certificate.primal
        assert path.objectives[k] == pytest.approx(cold, rel=2e-6)
    residuals = [solution.network(X) - Y for solution in path.solutions]
    weights = np.asarray(options.get("sample_weight", np.ones(len(X))))[:, np.newaxis]
    np.testing.assert_allclose(path.losses, [np.sum(weights * r**2) / 2 for r in residuals])
    np.testing.assert_allclose(path.objectives, path.losses + path.alphas * path.path_norms)
    # Optima are monotone; what is at hand is optimal up to its gap, here divided by the change
    # of alpha as in the proof of monotonicity.
    gaps = path.objectives * path.relative_gaps
    slack = (gaps[1:] + gaps[:-1]) / -np.diff(path.alphas) + 1e-12
    assert np.all(np.diff(path.path_norms) >= -slack)
    assert np.all(np.diff(path.losses) <= path.alphas[:-1] * slack)
    assert np.all(np.diff(path.objectives) <= gaps[1:] + 1e-12)


def test_from_alpha_max_on_there_are_no_neurons():
    for X, Y in (CURVES, SURFACES):
        top = alpha_max(X, Y)
        path = alpha_path(X, Y, [0.9 * top, 3.0 * top, (1 + 1e-9) * top])
        np.testing.assert_array_equal(path.alphas, [3.0 * top, (1 + 1e-9) * top, 0.9 * top])
        np.testing.assert_array_equal(path.n_neurons[:2], 0)
        np.testing.assert_array_equal(path.path_norms[:2], 0.0)
        assert path.n_neurons[2] > 0


def test_options_are_those_of_solve():
    X, Y = CURVES
    seen = []
    path = alpha_path(X, Y[:, 0], [0.05], loss="huber", tol=1e-4, callback=seen.append)
    assert seen == path.solutions
    assert path.solutions[0].problem.loss.name == "huber"
    assert path.solutions[0].certificate.tol == 1e-4


@pytest.mark.parametrize("X, Y", [CURVES, SURFACES], ids=["curves", "surfaces"])
def test_the_time_limit_leaves_penalties_out(X, Y):
    path = alpha_path(X, Y, n_alphas=10, time_limit=0.0)
    assert (path.alphas.size, path.left_out.size, len(path.solutions)) == (1, 9, 1)
    assert repr(path) == "AlphaPath(1 of 10 penalties, stopped by the time limit)"
    assert np.isfinite(path.objectives).all()
    whole = alpha_path(X, Y, n_alphas=3, time_limit=600.0)
    assert repr(whole) == "AlphaPath(3 of 3 penalties)"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"alphas": []}, "alphas is not a list"),
        ({"alphas": 1.0}, "alphas is not a list"),
        ({"alphas": [[1.0]]}, "alphas is not a list"),
        ({"alphas": ["a"]}, "alphas is not a list"),
        ({"alphas": [1.0, 0.0]}, "not positive"),
        ({"alphas": [np.nan]}, "not positive"),
        ({"alphas": [np.inf]}, "not positive"),
        ({"n_alphas": 1}, "n_alphas is 1"),
        ({"n_alphas": 2.5}, "n_alphas is 2.5"),
        ({"alpha_min_ratio": 1.0}, "alpha_min_ratio is 1.0"),
        ({"alpha_min_ratio": 0.0}, "alpha_min_ratio is 0.0"),
        ({"time_limit": -1.0}, "time_limit is -1.0"),
        ({"time_limit": np.nan}, "time_limit is nan"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        alpha_path(*CURVES, **options)


def test_labels_without_kinks_have_no_path():
    with pytest.raises(InvalidInputError, match="without neurons"):
        alpha_path([0.0, 1.0, 2.0], [0.0, 0.0, 0.0])
