"""The units of a fit: bring inputs and tasks to one scale, and fold the scales back into weights.

The path norm adds ‖w_k‖ over inputs and ‖v_k‖ over tasks, which only means something when inputs
and tasks are on one scale. A network fitted to scaled data is a network of the data as they came:
only its weights change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.validation import FloatArray, InvalidInputError


@dataclass(frozen=True, eq=False)
class Scaling:
    """Fitted are (x − centre) / spread and y / task_spread.

    Attributes
    ----------
    centre, spread : ndarray of shape (d,)
        What is subtracted from each input, and what it is then divided by.
    task_spread : ndarray of shape (T,)
        What each task is divided by.

    Examples
    --------
    >>> X, Y = np.array([[0.0, 5.0], [4.0, 5.0]]), np.array([[10.0], [30.0]])
    >>> scaling = Scaling.of(X, Y, inputs=True, tasks=True)
    >>> scaling.spread, scaling.inputs(X)
    (array([2., 1.]), array([[-1.,  0.],
           [ 1.,  0.]]))
    """

    centre: FloatArray
    spread: FloatArray
    task_spread: FloatArray

    @classmethod
    def of(cls, X: FloatArray, Y: FloatArray, *, inputs: bool, tasks: bool) -> Scaling:
        """Return the scaling that gives columns the standard deviation 1.

        Parameters
        ----------
        X : ndarray of shape (N, d)
            Inputs.
        Y : ndarray of shape (N, T)
            Labels; missing ones (NaN) do not count.
        inputs, tasks : bool
            Whether to scale them; what is not scaled is left as it is. Constant columns are not
            divided.
        """
        d = X.shape[1]
        centre, spread = (X.mean(axis=0), _spread(X)) if inputs else (np.zeros(d), np.ones(d))
        return cls(centre, spread, _spread(Y) if tasks else np.ones(Y.shape[1]))

    @property
    def scales_inputs(self) -> bool:
        """Whether any input is fitted in other units than its own."""
        return bool(self.centre.any() or np.any(self.spread != 1.0))

    @property
    def scales_tasks(self) -> bool:
        """Whether any task is fitted in other units than its own."""
        return bool(np.any(self.task_spread != 1.0))

    def inputs(self, X: FloatArray) -> FloatArray:
        """Return inputs (M, d) as they are fitted."""
        return np.asarray((X - self.centre) / self.spread)

    def labels(self, Y: FloatArray) -> FloatArray:
        """Return labels (M, T) as they are fitted."""
        return np.asarray(Y / self.task_spread)

    def in_own_units(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the network of inputs and labels as they came that `network` stands for.

        Examples
        --------
        >>> network = ReLUNetwork([[1.0]], [0.0], [[1.0]], [[0.0]], [0.0])
        >>> scaling = Scaling(np.array([3.0]), np.array([2.0]), np.array([10.0]))
        >>> scaling.in_own_units(network)([1.0, 3.0, 5.0]).ravel()
        array([ 0.,  0., 10.])
        """
        w, A = network.w / self.spread, network.A / self.spread
        return ReLUNetwork(
            w,
            network.b - w @ self.centre,
            network.v * self.task_spread,
            A * self.task_spread[:, np.newaxis],
            (network.c - A @ self.centre) * self.task_spread,
        )

    def as_fitted(self, network: ReLUNetwork) -> ReLUNetwork:
        """Undo `in_own_units`, up to rounding."""
        A = network.A / self.task_spread[:, np.newaxis]
        return ReLUNetwork(
            network.w * self.spread,
            network.b + network.w @ self.centre,
            network.v / self.task_spread,
            A * self.spread,
            network.c / self.task_spread + A @ self.centre,
        )

    def to_dict(self) -> dict[str, list[float]]:
        """Return plain lists, ready for JSON."""
        return {
            "centre": self.centre.tolist(),
            "spread": self.spread.tolist(),
            "task_spread": self.task_spread.tolist(),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Scaling:
        """Rebuild what `to_dict` returned.

        Raises
        ------
        InvalidInputError
            Something else, or scales that are not positive.
        """
        try:
            arrays = [
                np.array(plain[name], dtype=np.float64)
                for name in ("centre", "spread", "task_spread")
            ]
        except (KeyError, TypeError, ValueError):
            arrays = []
        usable = len(arrays) == 3 and all(a.ndim == 1 and np.isfinite(a).all() for a in arrays)
        if not usable or min(arrays[1].min(initial=1.0), arrays[2].min(initial=1.0)) <= 0:
            raise InvalidInputError(
                "plain is not a stored scaling; pass what Scaling.to_dict returned."
            )
        return cls(*arrays)


def _spread(columns: FloatArray) -> FloatArray:
    """Return the standard deviation of each column, 1 where it is 0."""
    missing = np.isnan(columns)
    if missing.any():
        deviation = np.ma.array(columns, mask=missing).std(axis=0).filled(0.0)
    else:
        deviation = columns.std(axis=0)
    return np.where(deviation > 0.0, deviation, 1.0)
