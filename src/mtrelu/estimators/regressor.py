"""`ReLURegressor`: the best shallow ReLU network for many tasks, as a scikit-learn estimator."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from mtrelu.api import Solution, solve
from mtrelu.certificate import Certificate
from mtrelu.estimators.base import NetworkRegressor, warn_of_limit
from mtrelu.estimators.knots import fit_knots
from mtrelu.losses import Loss
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError


class ReLURegressor(NetworkRegressor):
    """Many tasks fitted together by the best shallow ReLU network of any width.

    Minimises Σ loss + alpha · Σ‖v_k‖‖w_k‖ [12], [9] over all networks of d inputs and T outputs,
    and says how far the network found can be from the global optimum. With one input the neurons
    that remain are knots, which all tasks share; with several they are lines, planes, … along which
    all tasks bend. The penalty adds inputs up: bring inputs in different units to one scale first,
    for example by a ``StandardScaler``.

    Parameters
    ----------
    alpha : float, default=1.0
        Weight of the penalty, ≥ 0; 0 interpolates. Losses are sums over samples and tasks.
        Ignored when `n_knots` is given.
    n_knots : int or None, default=None
        For one input: ask for at most this many knots instead of giving `alpha`. The penalised fits
        from ``alpha_max`` downwards propose the knots, a run of neighbouring data points counting
        as one; knots then move between data points as long as that lowers the loss, and the network
        is fitted to them without penalty.
    loss : {"squared", "huber", "logistic", "quantile"} or Loss, default="squared"
        How a prediction is compared with its label.
    skip : {"affine", "constant"}, default="affine"
        The part of the network that is not penalised: A x + c, or c alone.
    tol : float, default=1e-6
        Relative duality gap to reach.
    max_iter : int or None, default=None
        Limit on the solver's rounds; None lets the solver choose.
    time_limit : float or None, default=None
        Seconds after which the best network so far is taken, with an honest certificate.
    random_state : int, Generator or None, default=0
        Seed of the search for neurons where the inputs are too many for an exact one.

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
        Rounds of the solver (all fits together with `n_knots`).
    alpha_ : float
        The `alpha` used; with `n_knots` that of the fit which proposed the knots.
    n_features_in_ : int
        The number of inputs, d.
    feature_names_in_ : ndarray of shape (d,)
        Only when `X` was a data frame with text for column names.

    See Also
    --------
    mtrelu.solve : The same fit as a function.

    References
    ----------
    Nakhleh, Shenouda, Nowak: The Effects of Multi-Task Learning on ReLU Neural Network Functions,
    arXiv:2410.21696, equations [2], [3], [9], [12].

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
        skip: str = "affine",
        tol: float = 1e-6,
        max_iter: int | None = None,
        time_limit: float | None = None,
        random_state: Any = 0,
    ) -> None:
        self.alpha = alpha
        self.n_knots = n_knots
        self.loss = loss
        self.skip = skip
        self.tol = tol
        self.max_iter = max_iter
        self.time_limit = time_limit
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (N, d)
            Inputs, in any order; equal inputs are allowed where `alpha` > 0. A vector (N,) is one
            input.
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

        Warns
        -----
        ConvergenceWarning
            If the fit ended before `tol` was reached: by `max_iter` or `time_limit`, or by
            rounding, for an `alpha` near zero.
        """
        inputs, labels = self._data(X, y)
        if self.n_knots is not None:
            self._fit_knots(inputs, labels, sample_weight)
            return self
        solution = solve(
            inputs,
            labels,
            self.alpha,
            loss=self.loss,
            skip=self.skip,
            tol=self.tol,
            sample_weight=sample_weight,
            max_iter=self.max_iter,
            time_limit=self.time_limit,
            random_state=self.random_state,
        )
        self._solution: Solution | None = solution
        self.network_ = solution.network
        self.certificate_: Certificate | None = solution.certificate
        self.status_ = solution.status
        self.dual_gap_ = float(solution.certificate.gap)
        self.n_iter_ = int(solution.n_iter)
        self.alpha_ = float(self.alpha)
        warn_of_limit(solution.certificate)
        return self

    def _fit_knots(self, inputs: np.ndarray, labels: np.ndarray, sample_weight: Any) -> None:
        n_knots: Any = self.n_knots  # which may be anything
        if isinstance(n_knots, bool) or not isinstance(n_knots, Integral) or n_knots < 0:
            raise InvalidInputError(
                f"n_knots must be a whole number of knots, 0 or more; got {n_knots!r}. "
                "Leave it out (None) to choose the fit by alpha."
            )
        if inputs.shape[1] != 1 or self.skip != "affine":
            raise InvalidInputError(
                f"n_knots={n_knots} asks for knots, which exist for one input and an affine skip "
                f"connection only; X has {inputs.shape[1]} columns and skip is {self.skip!r}. "
                "Leave n_knots out (None) and choose the fit by alpha."
            )
        fit = fit_knots(
            inputs,
            labels,
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

    @property
    def knots_(self) -> np.ndarray:
        """Where the slopes change, ascending, shape (K,); only for one input."""
        check_is_fitted(self)
        if self.n_features_in_ != 1:
            raise AttributeError(
                f"knots_ exists for one input only; this model has {self.n_features_in_}, and its "
                "neurons are in network_."
            )
        return self.network_.knots()

    def optimal_range(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """How far apart the predictions of two optimal networks can be.

        Parameters
        ----------
        X : array-like of shape (M, d)
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
        low, high = self._solution.optimal_set().range(self._inputs(X, reset=False))
        return self._as_fitted(low), self._as_fitted(high)
