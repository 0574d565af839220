"""What the estimators share: tables in, a network's predictions out, as scikit-learn expects."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from mtrelu.certificate import Certificate
from mtrelu.network import ReLUNetwork
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError, as_inputs, as_labels


class NetworkRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """An estimator whose fit is a network; see its subclasses.

    Attributes
    ----------
    network_ : ReLUNetwork
        The fitted network.
    n_features_in_ : int
        The number of inputs, d.
    feature_names_in_ : ndarray of shape (d,)
        Only when the inputs were a data frame with text for column names.
    """

    network_: ReLUNetwork

    def predict(self, X: Any) -> np.ndarray:
        """Evaluate the network.

        Parameters
        ----------
        X : array-like of shape (M, d)
            Inputs; far beyond the fitted ones every task is a straight line along each ray.

        Returns
        -------
        ndarray of shape (M,) or (M, T), float64
            Predictions, 1-D if `y` was.
        """
        check_is_fitted(self)
        return self._as_fitted(self.network_(self._inputs(X, reset=False)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        return tags

    def _data(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """`X` (N, d) and `y` (N, T) as arrays, checked; their form is remembered."""
        if y is None:
            raise InvalidInputError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; give "
                "one label, or one row of labels, a sample."
            )
        inputs = self._inputs(X, reset=True)
        labels = as_labels(y, len(inputs), name="y")
        self._labels_are_1d = np.asarray(y).ndim == 1
        return inputs, labels

    def _inputs(self, X: Any, *, reset: bool) -> np.ndarray:
        """`X` as an array (N, d), checked and named as scikit-learn does."""
        try:
            values = np.asarray(X) if isinstance(X, list | tuple) else X
            if getattr(values, "ndim", 2) == 1 and (reset or self.n_features_in_ == 1):
                X = np.asarray(values)[:, np.newaxis]
            checked = validate_data(self, X, reset=reset)
        except ValueError as error:
            raise InvalidInputError(f"X cannot be used: {error}") from None
        return as_inputs(checked)

    def _as_fitted(self, predictions: np.ndarray) -> np.ndarray:
        return predictions[:, 0] if self._labels_are_1d else predictions


def warn_of_limit(certificate: Certificate) -> None:
    """Say it as scikit-learn does, on behalf of `fit`, if the solver stopped before its goal."""
    if certificate.status in (Status.LIMIT_REACHED, Status.NOT_OPTIMAL):
        warnings.warn(
            f"{certificate.status.meaning} The relative gap is {certificate.relative_gap:.1e}, "
            f"asked for was {certificate.tol:.1e}. {certificate.status.advice}",
            ConvergenceWarning,
            stacklevel=3,
        )
