"""The first-order Sobolev kernel, whose interpolant is connect-the-dots [6]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrelu.kernels.fixed import FixedKernel
from mtrelu.solvers.interpolation import one_column, sorted_distinct
from mtrelu.validation import FloatArray, InvalidInputError, as_labels

_BLOCK_ENTRIES = 1 << 22


@dataclass(unsafe_hash=True)  # safe: attributes of a FixedKernel cannot be changed
class SobolevKernel(FixedKernel):
    """Kernel of the Sobolev space H¹ on an interval, k(x, x') = 1 + min(x, x') − start [6].

    Its norm is f(start)² + ∫ f'(x)² dx. On the interval it equals the paper's
    1 − (x − x')₊ + (x − x₁)₊ + (x₁ − x')₊ with x₁ = ``start``.

    Parameters
    ----------
    start, stop : float
        The interval; for data, the smallest and the largest input.

    Raises
    ------
    InvalidInputError
        Ends that are not finite or in the wrong order.

    Examples
    --------
    >>> kernel = SobolevKernel(0.0, 2.0)
    >>> kernel([0.0, 1.0, 2.0])
    array([[1., 1., 1.],
           [1., 2., 2.],
           [1., 2., 3.]])

    It works as the kernel of scikit-learn's estimators:

    >>> from sklearn.svm import SVR
    >>> SVR(kernel=kernel).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0]).n_support_.shape
    (1,)
    """

    start: float
    stop: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.start) and np.isfinite(self.stop) and self.start <= self.stop):
            raise InvalidInputError(
                f"start={self.start} and stop={self.stop} are not the ends of an interval; "
                "pass the smallest and the largest input."
            )

    def diag(self, X: Any) -> FloatArray:
        """Return the diagonal of the Gram matrix, 1 + x − start.

        Parameters
        ----------
        X : array_like of shape (M,) or (M, 1)
            Inputs in the interval.

        Returns
        -------
        ndarray of shape (M,)

        Raises
        ------
        InvalidInputError
            Inputs outside the interval.
        """
        return 1.0 + (self._inside(X, "X") - self.start)

    def interpolant(self, X: Any, Y: Any) -> SobolevInterpolant:
        """Return the interpolant of least norm [6].

        Parameters
        ----------
        X : array_like of shape (N,) or (N, 1)
            Inputs in the interval, in any order.
        Y : array_like of shape (N, T) or (N,)
            Labels.

        Returns
        -------
        SobolevInterpolant
            Σ_j α_j k(·, x_j) through all data points.

        Raises
        ------
        InvalidInputError
            Inputs outside the interval, or equal inputs with different labels.

        Examples
        --------
        >>> fit = SobolevKernel(0.0, 2.0).interpolant([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])
        >>> fit([0.5, 1.5]).ravel()
        array([0.5, 0.5])
        """
        inputs = self._inside(X, "X")
        x, labels = sorted_distinct(inputs, as_labels(Y, inputs.size))
        # The inverse Gram matrix is tridiagonal: with f' = Σ over x_j > x of α_j, the coefficients
        # are the drops of the slope, the slope right of the last point being zero.
        slopes = np.diff(labels, axis=0) / np.diff(x)[:, np.newaxis]
        ended = np.concatenate([slopes, np.zeros((1, labels.shape[1]))])
        coefficients = np.empty_like(labels)
        coefficients[1:] = ended[:-1] - ended[1:]
        # At x_1 every k(x_1, x_j) is the same, 1 + x_1 − start.
        height = 1.0 + (x[0] - self.start)
        coefficients[0] = labels[0] / height - ended[0]
        return SobolevInterpolant(self, x, coefficients)

    def _gram(self, X: Any, Y: Any) -> FloatArray:
        first = self._inside(X, "X")
        second = first if Y is None else self._inside(Y, "Y")
        return 1.0 + (np.minimum.outer(first, second) - self.start)

    def _inside(self, X: Any, name: str) -> FloatArray:
        inputs = one_column(X)
        if inputs.min() < self.start or inputs.max() > self.stop:
            raise InvalidInputError(
                f"{name} reaches from {inputs.min():.6g} to {inputs.max():.6g}, but the kernel is "
                f"defined on [{self.start:.6g}, {self.stop:.6g}] only; make one for the larger "
                "interval."
            )
        return inputs


@dataclass(frozen=True, eq=False)
class SobolevInterpolant:
    """The function Σ_j α_j k(·, x_j), made by `SobolevKernel.interpolant`.

    Attributes
    ----------
    kernel : SobolevKernel
        k.
    x : ndarray of shape (N,)
        Distinct inputs, ascending.
    coefficients : ndarray of shape (N, T)
        α, one column a task.
    """

    kernel: SobolevKernel
    x: FloatArray
    coefficients: FloatArray

    def __call__(self, X: Any) -> FloatArray:
        """Evaluate inside the interval of the kernel.

        Parameters
        ----------
        X : array_like of shape (M,) or (M, 1)
            Where.

        Returns
        -------
        ndarray of shape (M, T)
        """
        queries = one_column(X)
        values = np.empty((queries.size, self.coefficients.shape[1]))
        rows = max(_BLOCK_ENTRIES // self.x.size, 1)
        for start in range(0, queries.size, rows):
            block = slice(start, start + rows)
            values[block] = self.kernel(queries[block], self.x) @ self.coefficients
        return values

    def squared_norm(self) -> FloatArray:
        """Return the squared norm f(start)² + ∫ f'² of each task, shape (T,) [6]."""
        images = self(self.x)
        return np.asarray(np.sum(self.coefficients * images, axis=0))
