"""A face is where a neuron is linear in its weights: compared with the ReLU itself."""

import itertools

import numpy as np
import pytest

from mtrelu.solvers.faces import Face

RNG = np.random.default_rng(0)
GENERAL = {q: RNG.uniform(-1, 1, (12, q)) for q in (1, 2, 3, 5)}
LATTICE = np.array(list(itertools.product([-1.0, -0.5, 0.0, 0.5, 1.0], repeat=2)))
CUBE = np.array(list(itertools.product([-0.5, 0.0, 0.5], repeat=3)))
TWICE = np.repeat(GENERAL[2][:5], 2, axis=0)


def unit(w):
    return np.asarray(w, dtype=float) / np.linalg.norm(w)


def through(Z, rows, seed=0):
    """A unit neuron through the given samples: w across their differences, otherwise random."""
    spokes = Z[rows[1:]] - Z[rows[0]]
    w = np.random.default_rng(seed).standard_normal(Z.shape[1])
    if len(spokes):
        w -= np.linalg.pinv(spokes) @ (spokes @ w)
    w = unit(w)
    return w, -w @ Z[rows[0]]


def through_the_middle(Z, m):
    """Inputs, a neuron through m samples that has samples on both sides, and these samples."""
    for first in range(len(Z) - m):
        rows = list(range(first, first + m))
        w, b = through(Z, rows)
        others = np.delete(Z @ w + b, rows)
        if others.min() < 0 < others.max():
            return Z, w, b, rows
    raise AssertionError


def between(Z):
    """A unit neuron that passes between the samples."""
    w = unit(np.arange(1.0, Z.shape[1] + 1.0))
    heights = np.sort(Z @ w)
    widest = np.argmax(np.diff(heights))
    return w, -heights[widest : widest + 2].mean()


# Inputs, neuron, the samples on its hyperplane.
CASES = {
    f"q={q}, {m} pinned": through_the_middle(Z, m)
    for q, Z in GENERAL.items()
    for m in range(1, q + 1)
} | {
    f"q={q}, none pinned": (Z, *between(Z), []) for q, Z in GENERAL.items()
} | {
    "a line of a lattice": (LATTICE, np.array([1.0, 0.0]), -0.5, list(range(15, 20))),
    "a diagonal of a lattice": (LATTICE, unit([1, 1]), 0.0, [4, 8, 12, 16, 20]),
    "one point of a lattice": (LATTICE, unit([1.0, 0.1]), 0.0, [12]),
    "a plane of a cube": (CUBE, unit([1, 1, 1]), 0.0, list(np.flatnonzero(CUBE.sum(axis=1) == 0))),
    "an edge of a cube": (CUBE, unit([1, 3, 0]), 0.0, [12, 13, 14]),
    "a sample that comes twice": (TWICE, *through(TWICE, [0]), [0, 1]),
    "active nowhere": (GENERAL[3], np.array([1.0, 0.0, 0.0]), -7.0, []),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_active_and_pinned_samples_are_those_of_the_neuron(case):
    Z, w, b, pinned = CASES[case]
    face = Face.of(Z, w, b)
    np.testing.assert_array_equal(np.flatnonzero(face.pinned), pinned)
    heights = Z @ w + b
    heights[pinned] = 0.0
    np.testing.assert_array_equal(face.active, heights > 0)


@pytest.mark.parametrize("case", CASES)
def test_the_basis_spans_all_turns_around_the_pinned_samples(case):
    Z, w, b, pinned = CASES[case]
    face = Face.of(Z, w, b)
    spokes = (Z[pinned] - Z[pinned[0]]) if pinned else np.zeros((1, w.size))
    n_free = w.size - np.linalg.matrix_rank(spokes, tol=1e-8)
    assert face.basis.shape == (w.size, n_free)
    np.testing.assert_allclose(face.basis.T @ face.basis, np.eye(n_free), atol=1e-14)
    np.testing.assert_allclose(face.basis @ (face.basis.T @ w), w, atol=1e-9)
    np.testing.assert_allclose(spokes @ face.basis, 0.0, atol=1e-9)
    assert face.anchor @ w + b == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_features_are_those_of_a_relu_as_long_as_no_sample_changes_sides(case):
    Z, w, b, pinned = CASES[case]
    face = Face.of(Z, w, b)
    A = face.features(Z)
    assert A.shape == (len(Z), face.basis.shape[1])
    assert not A[~face.active].any() and not A[pinned].any()
    # b as given holds for w itself; a turn keeps the anchor on the hyperplane.
    np.testing.assert_allclose(A @ (face.basis.T @ w), np.maximum(Z @ w + b, 0.0), atol=1e-9)
    rng = np.random.default_rng(1)
    stayed = left = 0
    others = np.setdiff1d(np.arange(len(Z)), pinned)
    for size in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(10):
            u = w + size * face.basis @ rng.standard_normal(face.basis.shape[1])
            heights = (Z - face.anchor) @ u
            np.testing.assert_allclose(heights[pinned], 0.0, atol=1e-8)
            same_sides = np.array_equal(heights[others] > 0, face.active[others])
            same = np.allclose(A @ (face.basis.T @ u), np.maximum(heights, 0.0), atol=1e-8)
            assert same or not same_sides
            stayed, left = stayed + same_sides, left + (not same_sides)
    assert stayed and (left or w.size == 1 or not face.active.any())


@pytest.mark.parametrize("q", GENERAL)
@pytest.mark.parametrize("touching", [False, True])
def test_neurons_that_are_negative_nowhere_have_one_face(q, touching):
    """They are affine on the data whatever their weights: nothing pins them."""
    Z, rng = GENERAL[q], np.random.default_rng(q)
    faces = []
    for _ in range(5):
        w = unit(rng.standard_normal(q))
        b = -(Z @ w).min() + (0.0 if touching else 3.0)
        face = Face.of(Z, w, b)
        assert face.active.all() and not face.pinned.any()
        assert abs(np.linalg.det(face.basis)) == pytest.approx(1.0)
        # Anchored where the ReLU is zero at one sample and what it is at the others; the bias
        # that was given differs by a constant, which skip connections absorb.
        anchored = np.maximum((Z - face.anchor) @ w, 0.0)
        np.testing.assert_allclose(face.features(Z) @ (face.basis.T @ w), anchored, atol=1e-12)
        np.testing.assert_allclose(np.ptp(np.maximum(Z @ w + b, 0.0) - anchored), 0.0, atol=1e-12)
        assert anchored.min() == 0.0
        other = Face.everywhere(Z, w)
        np.testing.assert_array_equal(other.anchor, face.anchor)
        faces.append(face.key)
    assert len(set(faces)) == 1


@pytest.mark.parametrize("q", [2, 3, 5])
@pytest.mark.parametrize("copies", [1, 2])
def test_pin_takes_one_freedom_a_sample(q, copies):
    Z = np.vstack([GENERAL[q]] * copies)
    face = Face.of(Z, *through(Z, [0]))
    for i in range(1, q):
        w, _ = through(Z, list(range(i + 1)))  # where sample i reaches the hyperplane
        before = face
        face = face.pin(Z, i, w)
        expected = np.concatenate([np.arange(i + 1) + 12 * copy for copy in range(copies)])
        np.testing.assert_array_equal(np.flatnonzero(face.pinned), expected)
        assert face.basis.shape == (q, q - i)
        np.testing.assert_array_equal(face.active, before.active & ~face.pinned)
        np.testing.assert_array_equal(face.anchor, before.anchor)
        np.testing.assert_allclose(face.basis @ (face.basis.T @ w), w, atol=1e-9)
        np.testing.assert_allclose((Z[face.pinned] - face.anchor) @ face.basis, 0.0, atol=1e-9)
        assert not face.features(Z)[face.pinned].any()
    # Nothing is left but to grow: pinned again, or at one sample more, w still fits.
    again = face.pin(Z, 1, w)
    assert again.basis.shape == (q, 1)
    np.testing.assert_allclose(np.abs(again.basis[:, 0] @ w), 1.0, atol=1e-9)


def test_pin_includes_samples_on_the_line_through_both():
    # From the centre of the lattice to a corner there is a point half way.
    face = Face.of(LATTICE, unit([1.0, -0.9]), 0.0)
    assert np.flatnonzero(face.pinned).tolist() == [12]
    face = face.pin(LATTICE, 24, unit([1.0, -1.0]))
    assert {12, 18, 24} <= set(np.flatnonzero(face.pinned))
    assert face.basis.shape == (2, 1)


def test_pin_of_a_hyperplane_between_samples():
    Z = GENERAL[2]
    w, b = between(Z)
    face = Face.of(Z, w, b)
    i = int(np.argmin(np.abs(Z @ w + b)))
    spoke = Z[i] - face.anchor
    turned = unit(w - spoke * (w @ spoke) / (spoke @ spoke))
    pinned = face.pin(Z, i, turned)
    assert pinned.pinned[i] and pinned.basis.shape == (2, 1)
    np.testing.assert_allclose(spoke @ pinned.basis, 0.0, atol=1e-12)


def test_two_neurons_have_one_key_if_they_have_one_face():
    Z = GENERAL[2]
    # All turns around sample 0, against the sides of all samples computed by hand.
    keys, sides = [], []
    for angle in np.linspace(0, 2 * np.pi, 721)[:-1]:
        w = np.array([np.cos(angle), np.sin(angle)])
        keys.append(Face.of(Z, w, -w @ Z[0]).key)
        sides.append(tuple((Z[1:] - Z[0]) @ w > 0))
    assert len(set(keys)) == len(set(sides)) == 22  # each of 11 samples is met twice
    assert len(set(zip(keys, sides, strict=True))) == 22
    # Of the same active samples, with and without a pinned one.
    w, b = through(Z, [0])
    heights = np.abs(Z[1:] @ w + b).min()
    assert Face.of(Z, w, b).key != Face.of(Z, w, b - 0.5 * heights).key


def test_blur_says_how_uncertain_the_bias_is():
    Z = GENERAL[2] + 0.0
    w, b = through(Z, [0])
    assert not Face.of(Z, w, b + 1e-8).pinned.any()
    blurred = Face.of(Z, w, b + 1e-8, blur=2e-8)
    assert np.flatnonzero(blurred.pinned).tolist() == [0]
    np.testing.assert_array_equal(blurred.anchor, Z[0])
