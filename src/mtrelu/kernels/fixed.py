"""What makes a kernel without hyperparameters fit scikit-learn's estimators."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal, Self, overload

import numpy as np
from sklearn.gaussian_process.kernels import Kernel

from mtrelu.validation import FloatArray, InvalidInputError


class FixedKernel(Kernel):
    """A kernel without hyperparameters: nothing in it changes once it is made.

    It follows ``sklearn.gaussian_process.kernels.Kernel`` with an empty ``theta``. A kernel that
    scikit-learn takes apart and puts together again, as ``clone`` does, is the kernel itself.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        # theta is a property and stays assignable: sums and products of kernels hand each part
        # its share of the hyperparameters, here none.
        if name in self.__dict__:
            raise AttributeError(f"{name} of a kernel cannot be changed; make another kernel.")
        super().__setattr__(name, value)

    @overload
    def __call__(self, X: Any, Y: Any = ..., eval_gradient: Literal[False] = ...) -> FloatArray: ...

    @overload
    def __call__(
        self, X: Any, Y: Any = ..., *, eval_gradient: Literal[True]
    ) -> tuple[FloatArray, FloatArray]: ...

    def __call__(
        self, X: Any, Y: Any = None, eval_gradient: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Return the Gram matrix.

        Parameters
        ----------
        X : array_like of shape (M, d), or (M,) for d = 1
            Inputs.
        Y : array_like of shape (M2, d), or (M2,) for d = 1, optional
            Other inputs; ``X`` by default.
        eval_gradient : bool
            Whether to return the gradient for the hyperparameters too; there are none.

        Returns
        -------
        gram : ndarray of shape (M, M2)
        gradient : ndarray of shape (M, M, 0)
            Only with ``eval_gradient``.

        Raises
        ------
        InvalidInputError
            Inputs that the kernel does not take; a gradient asked for between two sets of inputs.
        """
        if eval_gradient and Y is not None:
            raise InvalidInputError(
                "Y is given together with eval_gradient=True, but the gradient belongs to the Gram "
                "matrix of X alone; leave Y out."
            )
        gram = self._gram(X, Y)
        return (gram, np.empty((*gram.shape, 0))) if eval_gradient else gram

    @abstractmethod
    def diag(self, X: Any) -> FloatArray:
        """Return the diagonal of the Gram matrix of ``X``, shape (M,)."""

    def is_stationary(self) -> bool:
        """Return whether the kernel depends on x − x' only: it does not."""
        return False

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters that can be set: none."""
        return {}

    def __sklearn_clone__(self) -> Self:
        return self

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @abstractmethod
    def _gram(self, X: Any, Y: Any) -> FloatArray:
        """Return the Gram matrix of ``X`` and ``Y``; ``Y = None`` means ``X``."""
