"""`ReLURegressor`: many curves over one input, with scikit-learn's interface."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from mtrelu.api import Solution, solve
from mtrelu.certificate import Certificate
from mtrelu.estimators.knots import fit_knots
from mtrelu.losses import Loss
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError, as_inputs, as_labels


class ReLURegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Piecewise-linear curves that share their knots, as the best shallow ReLU network.

    Minimises Σ loss + alpha · Σ‖v_k‖‖w_k‖ [9] over all networks of one input and T outputs, of any
    width, to certified global optimality. The neurons that remain are the knots; every task has its
    own slope change at each of them.

    Parameters
    ----------
    alpha : float, default=1.0
        Weight of the penalty, ≥ 0; 0 interpolates. Losses are sums over samples and tasks.
        Ignored when `n_knots` is given.
    n_knots : int or None, default=None
        Ask for at most this many knots instead of giving `alpha`. The penalised fits from
        ``alpha_max`` downwards propose the knots, a run of neighbouring data points counting as
        one; knots then move between data points as long as that lowers the loss, and the network is
        fitted to them without penalty.
    loss : {"squared", "huber", "logistic", "quantile"} or Loss, default="squared"
        How a prediction is compared with its label.
    tol : float, default=1e-6
        Relative duality gap to reach.
    max_iter : int or None, default=None
        Limit on the solver's iterations; None lets the solver choose.

    Attributes
    ----------
    network_ : ReLUNetwork
        The fitted network.
    certificate_ : Certificate or None
        How far `network_` can be from the global optimum. None with `n_knots`: the best position of
        a given number of knots is no convex problem, and nothing global is claimed.
    status_ : Status
        What the certificate amounts to; ``Status.UNCERTIFIED`` with `n_knots`.
    dual_gap_ : float
        Absolute duality gap of `network_`; NaN with `n_knots`.
    n_iter_ : int
        Iterations of the solver (all fits together with `n_knots`).
    knots_ : ndarray of shape (K,)
        Where the slopes change, ascending.
    alpha_ : float
        The `alpha` used; with `n_knots` that of the fit which proposed the knots.
    n_features_in_ : int
        Always 1.
    feature_names_in_ : ndarray of shape (1,)
        Only when `X` was a data frame.

    See Also
    --------
    mtrelu.solve : The same fit as a function.

    References
    ----------
    Nakhleh, Shenouda, Nowak: The Effects of Multi-Task Learning on ReLU Neural Network Functions,
    arXiv:2410.21696, equations [2], [3], [9].

    Examples
    --------
    Two curves that bend at the same place:

    >>> import numpy as np
    >>> from mtrelu import ReLURegressor
    >>> x = np.arange(1.0, 16.0)
    >>> Y = np.column_stack([2 * x + 12 * np.maximum(x - 6, 0), x + 4 * np.maximum(x - 6, 0)])
    >>> model = ReLURegressor(n_knots=1).fit(x[:, None], Y)
    >>> model.knots_
    array([6.])
    >>> model.predict([[6.5]]).round(6)
    array([[19. ,  8.5]])
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        n_knots: int | None = None,
        loss: str | Loss = "squared",
        tol: float = 1e-6,
        max_iter: int | None = None,
    ) -> None:
        self.alpha = alpha
        self.n_knots = n_knots
        self.loss = loss
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (N, 1) or (N,)
            The input, in any order; equal inputs are allowed where `alpha` > 0.
        y : array-like of shape (N,) or (N, T)
            Labels, one column per task.
        sample_weight : array-like of shape (N,), optional
            Weight of each sample's loss, ≥ 0.

        Returns
        -------
        ReLURegressor
            The fitted estimator itself.

        Raises
        ------
        InvalidInputError
            If an argument cannot be used; the message says which, why and what to try.
        """
        if y is None:
            raise InvalidInputError(
                "ReLURegressor requires y to be passed, but the target y is None; give one label, "
                "or one row of labels, a sample."
            )
        x = self._one_column(X, reset=True)
        Y = as_labels(y, len(x), name="y")
        self._labels_are_1d = np.asarray(y).ndim == 1
        if self.n_knots is None:
            solution = solve(
                x,
                Y,
                self.alpha,
                loss=self.loss,
                tol=self.tol,
                sample_weight=sample_weight,
                max_iter=self.max_iter,
            )
            self._solution: Solution | None = solution
            self.network_ = solution.network
            self.certificate_: Certificate | None = solution.certificate
            self.status_ = solution.status
            self.dual_gap_ = float(solution.certificate.gap)
            self.n_iter_ = int(solution.n_iter)
            self.alpha_ = float(self.alpha)
        else:
            n_knots: Any = self.n_knots  # which may be anything
            if isinstance(n_knots, bool) or not isinstance(n_knots, Integral) or n_knots < 0:
                raise InvalidInputError(
                    f"n_knots must be a whole number of knots, 0 or more; got {n_knots!r}. "
                    "Leave it out (None) to choose the fit by alpha."
                )
            fit = fit_knots(
                x,
                Y,
                int(n_knots),
                loss=self.loss,
                tol=self.tol,
                sample_weight=sample_weight,
                max_iter=self.max_iter,
            )
            self._solution = None
            self.network_ = fit.network
            self.certificate_ = None
            self.status_ = Status.UNCERTIFIED
            self.dual_gap_ = float("nan")
            self.n_iter_ = fit.n_iter
            self.alpha_ = fit.alpha
        self.knots_ = self.network_.knots()
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Evaluate the network.

        Parameters
        ----------
        X : array-like of shape (M, 1) or (M,)
            Inputs; beyond the fitted ones the curves go on as straight lines.

        Returns
        -------
        ndarray of shape (M,) or (M, T), float64
            Predictions, 1-D if `y` was.
        """
        check_is_fitted(self)
        return self._as_fitted(self.network_(self._one_column(X, reset=False)))

    def optimal_range(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """How far apart the predictions of two optimal networks can be.

        Parameters
        ----------
        X : array-like of shape (M, 1) or (M,)
            Inputs.

        Returns
        -------
        low, high : ndarray of shape (M,) or (M, T), float64
            The smallest and the largest prediction over all globally optimal networks.

        Raises
        ------
        InvalidInputError
            If the model was fitted with `n_knots`: then there is no set of optima to speak of.
        """
        check_is_fitted(self)
        if self._solution is None:
            raise InvalidInputError(
                "optimal_range describes all networks that are optimal for one alpha; this model "
                f"was fitted with n_knots={self.n_knots}. Fit with alpha={self.alpha_:.6g} instead."
            )
        low, high = self._solution.optimal_set().range(self._one_column(X, reset=False))
        return self._as_fitted(low), self._as_fitted(high)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        return tags

    def _one_column(self, X: Any, *, reset: bool) -> np.ndarray:
        """`X` as an array (N, 1); checks names and number of the columns as scikit-learn does."""
        values = as_inputs(X)
        if values.shape[1] != 1:
            raise InvalidInputError(
                f"X has {values.shape[1]} columns; ReLURegressor fits curves over one input. "
                "Choose one column, X[:, [j]]."
            )
        validate_data(
            self, X if hasattr(X, "columns") else values, reset=reset, skip_check_array=True
        )
        return values

    def _as_fitted(self, predictions: np.ndarray) -> np.ndarray:
        return predictions[:, 0] if self._labels_are_1d else predictions
