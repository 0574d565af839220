"""How near two kernels are modulo affine functions, and which known kernel is nearest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import null_space
from sklearn.gaussian_process.kernels import RBF, Matern

from mtrelu._affine import skip_basis
from mtrelu.kernels.known import arc_cosine, arc_cosine_at, ntk, polyharmonic, same_space
from mtrelu.problem import Problem
from mtrelu.validation import FloatArray, InvalidInputError, as_generator, as_inputs

Gram = Callable[[Any, Any], FloatArray]
"""A kernel: the Gram matrix (M, M2) of two sets of inputs."""

SCALES = np.geomspace(0.1, 10.0, 21)
"""Length scales and biases that are tried, in units of the spread of the inputs."""
EXPONENTS = tuple(round(0.1 * tenths, 1) for tenths in range(2, 39))
"""Exponents of the polyharmonic kernel that are tried."""

# Singular values of a Gram matrix below this share of the largest count as zero.
_SINGULAR = 1e-13


@dataclass(frozen=True)
class Nearness:
    """How near a kernel is to another, both taken modulo affine functions.

    Attributes
    ----------
    name : str
        The kernel that was compared.
    scale : float or None
        The length scale, bias or exponent that was found best for it; None where it has none.
    alignment : float
        Cosine of the angle between the two Gram matrices on the data, both projected off the affine
        functions on both sides; 1 for kernels that are proportional.
    alignment_at_points : float
        The same at new points.
    cardinal_difference : float
        Difference of the two kernels' cardinal functions, the interpolants of the labels that are 1
        at one sample and 0 at the others, with a free affine part: root mean square over new points
        and samples, divided by the same for how far those of the first kernel are from their affine
        fits. 0 for kernels that interpolate alike, 1 for one as far away as no kernel at all.
    typical_difference : float
        The same with the median over the samples of the root mean square over new points. Samples
        that are close together have large cardinal functions, which decide the mean and leave the
        median alone. The two can rank kernels differently; a ranking is safe where they agree.
    """

    name: str
    scale: float | None
    alignment: float
    alignment_at_points: float
    cardinal_difference: float
    typical_difference: float


@dataclass(frozen=True)
class KnownKernel:
    """A kernel to compare with.

    Attributes
    ----------
    name : str
    gram : callable
        ``gram(A, B, scale)``, the Gram matrix of two sets of inputs.
    scales : tuple
        Length scales, biases or exponents to try; ``(None,)`` where there is nothing to choose.
    """

    name: str
    gram: Callable[[Any, Any, Any], FloatArray]
    scales: tuple[float | None, ...] = (None,)

    def at(self, scale: float | None) -> Gram:
        """Return the kernel with one of its scales."""
        return lambda A, B: self.gram(A, B, scale)


def known_kernels(X: Any) -> list[KnownKernel]:
    """Return the kernels that the kernel of a network is compared with.

    Parameters
    ----------
    X : array_like of shape (N, d) or (N,)
        The data. They set the unit of the scales and are where the last of the arc-cosine kernels
        is centred; `arc_cosine` and `ntk` take inputs relative to their mean.

    Returns
    -------
    list of KnownKernel

    Raises
    ------
    InvalidInputError
        All rows equal.

    Examples
    --------
    >>> [kernel.name for kernel in known_kernels([0.0, 1.0, 2.0])][:3]
    ['linear -r', 'thin plate r² log r', 'cubic r³']
    """
    inputs = as_inputs(X)
    centre = inputs.mean(axis=0)
    spread = float(np.sqrt(np.sum((inputs - centre) ** 2) / inputs.shape[0]))
    if not np.ptp(inputs, axis=0).any():
        raise InvalidInputError(
            "X has all its rows equal, so every kernel is the same there; pass different inputs."
        )
    scales = tuple(float(scale) for scale in spread * SCALES)
    return [
        KnownKernel("linear -r", lambda A, B, _: polyharmonic(A, B, exponent=1.0)),
        KnownKernel("thin plate r² log r", lambda A, B, _: polyharmonic(A, B, exponent=2.0)),
        KnownKernel("cubic r³", lambda A, B, _: polyharmonic(A, B, exponent=3.0)),
        KnownKernel("r^β, best β", lambda A, B, s: polyharmonic(A, B, exponent=s), EXPONENTS),
        KnownKernel(
            "arc-cosine", lambda A, B, s: arc_cosine(A - centre, B - centre, bias=s), scales
        ),
        KnownKernel("NTK", lambda A, B, s: ntk(A - centre, B - centre, bias=s), scales),
        KnownKernel("arc-cosine at the data", lambda A, B, _: arc_cosine_at(inputs, A, B)),
        KnownKernel("Laplace", lambda A, B, s: np.asarray(Matern(s, nu=0.5)(A, B)), scales),
        KnownKernel("Gaussian", lambda A, B, s: np.asarray(RBF(s)(A, B)), scales),
    ]


def compare(
    kernel: Gram, X: Any, points: Any, known: Sequence[KnownKernel] | None = None
) -> list[Nearness]:
    """Compare a kernel with known ones, nearest first.

    Parameters
    ----------
    kernel : callable
        For example an `InfiniteTaskKernel` or a `NeuronKernel` with an affine skip connection.
    X : array_like of shape (N, d) or (N,)
        The data.
    points : array_like of shape (M, d) or (M,)
        New points, for example `points_inside`.
    known : sequence of KnownKernel, optional
        `known_kernels` of the data by default.

    Returns
    -------
    list of Nearness
        In order of ``cardinal_difference``. A kernel with scales gets the one of them that makes it
        smallest, at these very points; so it is at its best in this measure.

    Raises
    ------
    InvalidInputError
        Inputs that cannot work; fewer than d + 2 points; a kernel that is zero modulo affine
        functions.

    Examples
    --------
    For one input the kernel of infinitely many tasks interpolates as -r does:

    >>> from mtrelu.kernels.infinite_task import InfiniteTaskKernel
    >>> x = [0.0, 1.0, 3.0, 4.0, 6.0]
    >>> rows = compare(InfiniteTaskKernel(x), x, points_inside(x, 100), known_kernels(x)[:3])
    >>> rows[0].name, rows[0].cardinal_difference < 1e-9
    ('linear -r', True)
    """
    inputs = as_inputs(X)
    queries = same_space(as_inputs(points, "points"), inputs, "points")
    n_points, n_inputs = queries.shape
    if n_points < n_inputs + 2:
        raise InvalidInputError(
            f"points has {n_points} rows, but modulo affine functions of {n_inputs} inputs there "
            f"is nothing left on fewer than {n_inputs + 2}; pass more, for example points_inside."
        )
    target = _Target(kernel, inputs, queries)
    rows = []
    for candidate in known_kernels(inputs) if known is None else known:
        differences = [target.differences(candidate.at(scale)) for scale in candidate.scales]
        best = min(range(len(differences)), key=differences.__getitem__)
        scale = candidate.scales[best]
        aligned = target.alignments(candidate.at(scale))
        rows.append(Nearness(candidate.name, scale, *aligned, *differences[best]))
    return sorted(rows, key=lambda row: row.cardinal_difference)


def points_inside(X: Any, n_points: int, random_state: Any = None) -> FloatArray:
    """Return random points inside the hull of the data.

    Each is a mean of d + 1 random data points with weights that are uniform over the simplex, so
    that there are more of them where there are more data.

    Parameters
    ----------
    X : array_like of shape (N, d) or (N,)
        The data, at least d + 1 points.
    n_points : int
        How many, M.
    random_state : int, Generator or None
        Seed.

    Returns
    -------
    ndarray of shape (M, d)

    Raises
    ------
    InvalidInputError
        Fewer than d + 1 samples; ``n_points`` that is not a whole number of at least 1.

    Examples
    --------
    >>> points_inside([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 5, random_state=0).shape
    (5, 2)
    """
    inputs = as_inputs(X)
    n_samples, n_inputs = inputs.shape
    if n_samples <= n_inputs:
        raise InvalidInputError(
            f"X has {n_samples} rows, but in {n_inputs} dimensions it takes {n_inputs + 1} points "
            "to have an inside; pass more samples."
        )
    count: Any = n_points  # which may be anything
    if not (isinstance(count, int | np.integer) and count >= 1):
        raise InvalidInputError(
            f"n_points is {n_points!r}, but points are counted; pass a whole number of at least 1."
        )
    rng = as_generator(random_state)
    corners = rng.random((n_points, n_samples)).argpartition(n_inputs, axis=1)[:, : n_inputs + 1]
    weights = rng.dirichlet(np.ones(n_inputs + 1), n_points)
    return np.asarray(np.einsum("ms,msd->md", weights, inputs[corners]))


def interpolation_matrix(kernel: Gram, X: Any, points: Any) -> FloatArray:
    """Return a kernel's cardinal functions at new points, with a free affine part.

    Parameters
    ----------
    kernel : callable
        Positive definite modulo affine functions.
    X : array_like of shape (N, d) or (N,)
        Samples.
    points : array_like of shape (M, d) or (M,)
        Where to evaluate.

    Returns
    -------
    ndarray of shape (M, N)
        Column j is the interpolant of the labels that are 1 at sample j and 0 at the others. Where
        the Gram matrix is singular to working precision, it is the fit that comes nearest.

    Examples
    --------
    For one input r³ makes natural cubic splines:

    >>> interpolation_matrix(polyharmonic, [0.0, 1.0, 2.0], [0.0, 0.5]).round(5) + 0.0
    array([[ 1.     ,  0.     ,  0.     ],
           [ 0.40625,  0.6875 , -0.09375]])
    """
    inputs = as_inputs(X)
    queries = same_space(as_inputs(points, "points"), inputs, "points")
    basis, basis_there = _affine_basis(inputs, queries)
    gram = kernel(inputs, inputs)
    # Coefficients of a kernel interpolant have no affine part. Solving for the rest keeps more
    # digits than a projected matrix, which is singular.
    free = null_space(basis.T)
    coefficients = free @ np.linalg.lstsq(free.T @ gram @ free, free.T, rcond=_SINGULAR)[0]
    affine = basis.T @ (np.eye(inputs.shape[0]) - gram @ coefficients)
    return np.asarray(kernel(queries, inputs) @ coefficients + basis_there @ affine)


def alignment(first: FloatArray, second: FloatArray) -> float:
    """Return the cosine of the angle between two matrices, ⟨G, H⟩ / (‖G‖‖H‖).

    Examples
    --------
    >>> alignment(np.eye(2), np.ones((2, 2))).__round__(6)
    0.707107
    """
    product = np.linalg.norm(first) * np.linalg.norm(second)
    return float(np.vdot(first, second) / product) if product > 0.0 else 0.0


class _Target:
    """The kernel that others are compared with, and what of it is needed again and again."""

    def __init__(self, kernel: Gram, X: FloatArray, points: FloatArray) -> None:
        self.X, self.points = X, points
        basis, basis_there = _affine_basis(X, points)
        self.places = ((X, basis), (points, _affine_basis(points, points)[0]))
        self.grams = [_off(kernel(at, at), affine) for at, affine in self.places]
        self.cardinal = interpolation_matrix(kernel, X, points)
        self.sizes = _sizes(self.cardinal - basis_there @ basis.T)
        if not min(self.sizes) > 0.0:
            raise InvalidInputError(
                "kernel is zero modulo affine functions on these inputs, so there is nothing to "
                "compare; pass a kernel with neurons, and more samples than d + 1."
            )

    def differences(self, other: Gram) -> tuple[float, float]:
        apart = _sizes(interpolation_matrix(other, self.X, self.points) - self.cardinal)
        return apart[0] / self.sizes[0], apart[1] / self.sizes[1]

    def alignments(self, other: Gram) -> tuple[float, float]:
        on_data, at_points = (
            alignment(gram, _off(other(at, at), affine))
            for gram, (at, affine) in zip(self.grams, self.places, strict=True)
        )
        return on_data, at_points


def _sizes(functions: FloatArray) -> tuple[float, float]:
    """Return the root mean square of the columns' root mean squares, and their median."""
    squares = np.mean(functions**2, axis=0)
    return float(np.sqrt(np.mean(squares))), float(np.sqrt(np.median(squares)))


def _affine_basis(X: FloatArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return orthonormal affine functions on the data (N, q), and the same at points (M, q)."""
    problem = Problem.make(X, np.zeros(X.shape[0]), 1.0)
    basis, coefficients = skip_basis(problem)
    return basis, coefficients[0] + points @ coefficients[1:]


def _off(gram: FloatArray, basis: FloatArray) -> FloatArray:
    """Return a Gram matrix projected off the columns of an orthonormal basis on both sides."""
    half = gram - basis @ (basis.T @ gram)
    return np.asarray(half - (half @ basis) @ basis.T)
