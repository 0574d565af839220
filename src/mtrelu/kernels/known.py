"""Gram functions of known kernels that the kernel of a network may be near to."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from mtrelu.validation import FloatArray, InvalidInputError, as_inputs


def arc_cosine(X: Any, Y: Any = None, *, bias: float = 1.0) -> FloatArray:
    """Return the arc-cosine kernel of order 1, the kernel of random neurons with a trained output.

    It is the mean of (w·x + b)₊ (w·x' + b)₊ over w ~ N(0, I) and b ~ N(0, bias²), which is
    ‖z‖‖z'‖ (sin θ + (π − θ) cos θ) / 2π with z = (x, bias) and θ the angle between z and z'
    (Cho and Saul, 2009).

    Parameters
    ----------
    X : array_like of shape (M, d) or (M,)
        Inputs.
    Y : array_like of shape (M2, d) or (M2,), optional
        Other inputs; ``X`` by default.
    bias : float
        Standard deviation of the biases, in the units of the inputs; > 0.

    Returns
    -------
    ndarray of shape (M, M2)

    Raises
    ------
    InvalidInputError
        Inputs that cannot work, or a bias that is not positive.

    Examples
    --------
    >>> arc_cosine([3.0], bias=4.0)  # half of 3² + 4²
    array([[12.5]])
    """
    product, cosine, angle = _lifted(X, Y, bias)
    return np.asarray(product * (np.sin(angle) + (np.pi - angle) * cosine) / (2.0 * np.pi))


def ntk(X: Any, Y: Any = None, *, bias: float = 1.0) -> FloatArray:
    """Return the neural tangent kernel of one hidden ReLU layer, input weights trained as well.

    To `arc_cosine`, which comes from the output weights, it adds z·z' (π − θ) / 2π, which comes
    from the input weights and biases, with z = (x, bias) (Jacot, Gabriel and Hongler, 2018).

    Parameters
    ----------
    X : array_like of shape (M, d) or (M,)
        Inputs.
    Y : array_like of shape (M2, d) or (M2,), optional
        Other inputs; ``X`` by default.
    bias : float
        Standard deviation of the biases, in the units of the inputs; > 0.

    Returns
    -------
    ndarray of shape (M, M2)

    Raises
    ------
    InvalidInputError
        Inputs that cannot work, or a bias that is not positive.

    Examples
    --------
    >>> ntk([3.0], bias=4.0)  # 3² + 4²
    array([[25.]])
    """
    product, cosine, angle = _lifted(X, Y, bias)
    shared = (np.pi - angle) * cosine
    return np.asarray(product * (np.sin(angle) + 2.0 * shared) / (2.0 * np.pi))


def arc_cosine_at(pivots: Any, X: Any, Y: Any = None) -> FloatArray:
    """Return the mean of arc-cosine kernels centred at given points.

    The hyperplane of every neuron of an optimal network runs through a data point. With the data
    as ``pivots`` this is the kernel of neurons about which nothing more is known: the mean of
    (w·(x − p))₊ (w·(x' − p))₊ over w ~ N(0, I) and the pivots p. For one input it is
    the mean of (x − p)₊ (x' − p)₊ modulo affine functions, and its interpolant connects the dots.

    Parameters
    ----------
    pivots : array_like of shape (N, d) or (N,)
        Where the kernels are centred.
    X : array_like of shape (M, d) or (M,)
        Inputs.
    Y : array_like of shape (M2, d) or (M2,), optional
        Other inputs; ``X`` by default.

    Returns
    -------
    ndarray of shape (M, M2)

    Raises
    ------
    InvalidInputError
        Inputs that cannot work.

    Examples
    --------
    >>> arc_cosine_at([0.0, 1.0], [2.0])  # half of the mean of 2² and 1²
    array([[1.25]])
    """
    first, second = _pair(X, Y)
    centres = same_space(as_inputs(pivots, "pivots"), first, "pivots")
    total = np.zeros((first.shape[0], second.shape[0]))
    for centre in centres:
        product, cosine, angle = _polar(first - centre, second - centre)
        total += product * (np.sin(angle) + (np.pi - angle) * cosine)
    return np.asarray(total / (2.0 * np.pi * centres.shape[0]))


def polyharmonic(X: Any, Y: Any = None, *, exponent: float = 3.0) -> FloatArray:
    """Return ±r^exponent, r = ‖x − x'‖, as a kernel modulo affine functions.

    The exponent 1 is the linear kernel −r, 2 the thin-plate kernel r² log r, 3 the cubic r³. What
    is computed is (r^β − r²) / (β − 2), whose limit for β → 2 is r² log r. It has the right sign
    on both sides, and r² = ‖x‖² − 2 x·x' + ‖x'‖² is nothing modulo affine functions.

    Parameters
    ----------
    X : array_like of shape (M, d) or (M,)
        Inputs.
    Y : array_like of shape (M2, d) or (M2,), optional
        Other inputs; ``X`` by default.
    exponent : float
        β, strictly between 0 and 4.

    Returns
    -------
    ndarray of shape (M, M2)
        Conditionally positive definite: only where affine functions are free, as with an affine
        skip connection, is it a kernel.

    Raises
    ------
    InvalidInputError
        Inputs that cannot work, or an exponent outside (0, 4).

    Notes
    -----
    r³ is the kernel of neurons spread evenly over all hyperplanes. For a unit w and s = w·x,
    t = w·x', the kernel k(s, t) = ∫ (s + b)₊ (t + b)₊ db over all biases in a large interval has
    ∂²/∂s² ∂²/∂t² k = δ(s − t), and so has |s − t|³ / 12. The two differ by functions that are
    affine in s or affine in t, which a free affine part takes up. The mean of |w·(x − x')|³ over
    all directions w is a constant times ‖x − x'‖³.

    Examples
    --------
    >>> polyharmonic([[0.0, 0.0]], [[3.0, 4.0]], exponent=3.0)  # 5³ − 5²
    array([[100.]])
    """
    if not (isinstance(exponent, int | float | np.number) and 0.0 < exponent < 4.0):
        raise InvalidInputError(
            f"exponent is {exponent!r}, but ±r^exponent is a kernel modulo affine functions only "
            "for exponents strictly between 0 and 4; pass one of these, for example 3."
        )
    r = cdist(*_pair(X, Y))
    log_r = np.log(np.where(r > 0.0, r, 1.0))
    excess = exponent - 2.0
    power = log_r if excess == 0.0 else np.expm1(excess * log_r) / excess
    # At r = 0 the second factor is 0 or finite by the convention for log r, so the product is 0.
    return np.asarray(r**2 * power)


def _lifted(X: Any, Y: Any, bias: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return `_polar` of the inputs with the bias as one more coordinate."""
    if not (isinstance(bias, int | float | np.number) and 0.0 < bias < np.inf):
        raise InvalidInputError(
            f"bias is {bias!r}, but it is a standard deviation; pass a number > 0, in the units of "
            "the inputs."
        )
    first, second = _pair(X, Y)
    return _polar(*(np.column_stack([Z, np.full(Z.shape[0], bias)]) for Z in (first, second)))


def _polar(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return ‖z‖‖z'‖, the cosine of the angle between z and z', and that angle; each (M, M2)."""
    norms = [np.linalg.norm(Z, axis=1) for Z in (first, second)]
    units = [
        Z / np.where(norm > 0.0, norm, 1.0)[:, np.newaxis]
        for Z, norm in zip((first, second), norms, strict=True)
    ]
    # The arc cosine loses half the digits of small angles, these chords lose none.
    apart, together = cdist(units[0], units[1]), cdist(units[0], -units[1])
    angle = 2.0 * np.arctan2(apart, together)
    return np.multiply.outer(*norms), np.cos(angle), angle


def _pair(X: Any, Y: Any) -> tuple[FloatArray, FloatArray]:
    first = as_inputs(X)
    return first, first if Y is None else same_space(as_inputs(Y, "Y"), first, "Y")


def same_space(points: FloatArray, X: FloatArray, name: str) -> FloatArray:
    """Return points (M, d), if they have as many columns as X."""
    if points.shape[1] != X.shape[1]:
        raise InvalidInputError(
            f"{name} has {points.shape[1]} columns, but X has {X.shape[1]}; pass points of the "
            "same space."
        )
    return points
