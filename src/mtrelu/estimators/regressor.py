"""`ReLURegressor`: the best shallow ReLU network for many tasks, as a scikit-learn estimator."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self

from mtrelu.estimators.base import PenalisedRegressor, warn_of_limit
from mtrelu.estimators.knots import fit_knots
from mtrelu.losses import Loss
from mtrelu.problem import Problem
from mtrelu.status import Status
from mtrelu.validation import FloatArray, InvalidInputError


class ReLURegressor(PenalisedRegressor):
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
    nan_policy : {"raise", "omit"}, default="raise"
        What to do with NaN in `y`: refuse it, or fit each task to the samples where it has a label.
    task_weight : array-like of shape (T,) or None, default=None
        Weight of each task's loss, > 0; by default all count alike.

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
    task_names_ : ndarray of shape (T,)
        Only when `y` was a data frame or a series with text for names.

    See Also
    --------
    ReLURegressorCV : The same with `alpha` chosen by cross-validation.
    ReLUClassifier : Classes instead of numbers.
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

    A label is missing, which concerns its own task only:

    >>> Y[3, 1] = np.nan
    >>> model = ReLURegressor(alpha=0.1, nan_policy="omit").fit(x[:, None], Y)
    >>> model.status_.name, model.predict([[4.0]]).round(1)
    ('CERTIFIED', array([[8., 4.]]))
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
        nan_policy: str = "raise",
        task_weight: Any = None,
    ) -> None:
        self.alpha = alpha
        self.n_knots = n_knots
        self.loss = loss
        self.skip = skip
        self.tol = tol
        self.max_iter = max_iter
        self.time_limit = time_limit
        self.random_state = random_state
        self.nan_policy = nan_policy
        self.task_weight = task_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (N, d)
            Inputs, in any order; equal inputs are allowed where `alpha` > 0. A vector (N,) is one
            input.
        y : array-like of shape (N,) or (N, T)
            Labels, one column per task.
        sample_weight : array-like of shape (N,) or (N, T), optional
            Weight of each sample's loss, or of each label's, ≥ 0.

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
        inputs, labels = self._data(X, y, self.nan_policy)
        if self.n_knots is not None:
            self._fit_knots(self._make_problem(inputs, labels, 1.0, sample_weight))
            return self
        self._fit_network(self._make_problem(inputs, labels, self.alpha, sample_weight))
        if self.certificate_ is not None:
            warn_of_limit(self.certificate_)
        return self

    def _fit_knots(self, problem: Problem) -> None:
        n_knots: Any = self.n_knots  # which may be anything
        if isinstance(n_knots, bool) or not isinstance(n_knots, Integral) or n_knots < 0:
            raise InvalidInputError(
                f"n_knots must be a whole number of knots, 0 or more; got {n_knots!r}. "
                "Leave it out (None) to choose the fit by alpha."
            )
        if problem.n_inputs != 1 or self.skip != "affine":
            raise InvalidInputError(
                f"n_knots={n_knots} asks for knots, which exist for one input and an affine skip "
                f"connection only; X has {problem.n_inputs} columns and skip is {self.skip!r}. "
                "Leave n_knots out (None) and choose the fit by alpha."
            )
        fit = fit_knots(problem, int(n_knots), tol=self.tol, max_iter=self.max_iter)
        self._solution = None
        self.network_ = fit.network
        self.certificate_ = None
        self.status_ = Status.UNCERTIFIED
        self.dual_gap_ = float("nan")
        self.n_iter_ = fit.n_iter
        self.alpha_ = fit.alpha

    def _optimal_range(self, X: Any) -> tuple[FloatArray, FloatArray]:
        if self.n_knots is not None and hasattr(self, "network_"):
            raise InvalidInputError(
                "optimal_range describes all networks that are optimal for one alpha; this model "
                f"was fitted with n_knots={self.n_knots}. Fit with alpha={self.alpha_:.6g} instead."
            )
        return super()._optimal_range(X)
