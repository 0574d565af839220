"""`ReLURegressorCV`: `ReLURegressor` with the penalty chosen by cross-validation."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar, Self

from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted

from mtrelu.estimators.base import PenalisedRegressor, entry_weights, one_line, warn_of_limit
from mtrelu.losses import Loss
from mtrelu.selection import ONE_INPUT, SEVERAL_INPUTS, Selection, select_alpha
from mtrelu.validation import FloatArray, InvalidInputError
from mtrelu.verify import refuse_uncertifiable

RULES = ("one_se", "min")


class ReLURegressorCV(PenalisedRegressor):
    """`ReLURegressor` with its penalty chosen by how well it predicts held-out samples.

    The penalties fall from the smallest that leaves no neurons. Each is fitted to all samples but
    those of one fold, in turn, and scored on that fold; the network is then fitted to all samples
    with the penalty that was chosen. Every fit carries a certificate.

    Parameters
    ----------
    alphas : array-like of shape (A,) or None, default=None
        The penalties to try, > 0, in any order. By default `n_alphas` in equal ratios from
        ``alpha_max`` down, over five decades with one input and four with several; with several
        inputs smaller ones are not tried once the held-out loss has risen 5 % above the least.
    n_alphas : int or None, default=None
        How many; not used with `alphas`. By default 26 with one input, 13 with several.
    rule : {"one_se", "min"}, default="one_se"
        Which to choose. ``"one_se"``: the largest whose mean held-out loss is within one standard
        error of the least, the simplest network that the data cannot tell from the best.
        ``"min"``: the one with the least loss.
    cv : int, splitter, iterable or None, default=None
        How samples are held out. A number of folds, ten by default with one input and five with
        several, divides the distinct inputs so that equal ones are held out together; with one
        input the folds take turns between the two ends, so that gaps are scored, and nothing beyond
        the data. Anything else is taken as scikit-learn takes it, for example a ``GroupKFold`` or
        pairs of positions to fit and to hold out.
    n_jobs : int or None, default=None
        How many folds to fit at the same time; None is one, -1 all cores. The result is the same,
        unless `time_limit` intervenes.
    loss : {"squared", "huber", "logistic", "quantile"} or Loss, default="squared"
        How a prediction is compared with its label, in fits and in scores.
    skip : {"affine", "constant"}, default="affine"
        The part of the network that is not penalised: A x + c, or c alone.
    tol : float, default=1e-6
        Relative duality gap to reach. The fits that are only compared stop at 1e-6 with one input
        and 1e-2 with several, or at `tol` if that is larger: held-out losses hardly change below.
    max_iter : int or None, default=None
        Limit on the solver's rounds, for each fit; None lets the solver choose.
    time_limit : float or None, default=None
        Seconds for each fit, after which its best network so far is taken.
    random_state : int, Generator or None, default=0
        Seed of the search for neurons where the inputs are too many for an exact one.
    nan_policy : {"raise", "omit"}, default="raise"
        What to do with NaN in `y`: refuse it, or fit and score each task on the samples where it
        has a label.
    task_weight : array-like of shape (T,) or None, default=None
        Weight of each task's loss, > 0; by default all count alike.

    Attributes
    ----------
    alpha_ : float
        The penalty chosen.
    alphas_ : ndarray of shape (A,)
        Those tried, falling.
    cv_losses_ : ndarray of shape (A, F)
        Held-out loss of each of them in each fold, per label.
    cv_gaps_ : ndarray of shape (A, F)
        Certified relative duality gap of each of these fits.
    n_held_out_ : ndarray of shape (F,), int
        Held-out samples in each fold.
    network_ : ReLUNetwork
        The network fitted to all samples.
    certificate_ : Certificate
        How far `network_` can be from the global optimum for `alpha_`.
    status_ : Status
        What the certificate amounts to.
    dual_gap_ : float
        Absolute duality gap of `network_`.
    n_iter_ : int
        Rounds of the solver in the last fit.
    n_features_in_ : int
        The number of inputs, d.
    feature_names_in_ : ndarray of shape (d,)
        Only when `X` was a data frame with text for column names.
    task_names_ : ndarray of shape (T,)
        Only when `y` was a data frame or a series with text for names.

    See Also
    --------
    ReLURegressor : For a given penalty, or a given number of knots.
    mtrelu.selection.select_alpha : The choice as a function.
    mtrelu.alpha_path : Networks for many penalties, without a choice.

    Notes
    -----
    Losses are sums, so a fold is fitted with `alpha` times the share of the weight that it keeps:
    the balance of loss and penalty is that of the fit to all samples. In a fold each fit starts
    from the neurons of the one before.

    References
    ----------
    Nakhleh, Shenouda, Nowak: The Effects of Multi-Task Learning on ReLU Neural Network Functions,
    arXiv:2410.21696, equations [9], [12].

    Examples
    --------
    >>> import numpy as np
    >>> from mtrelu import ReLURegressorCV
    >>> rng = np.random.default_rng(0)
    >>> x = np.linspace(0.0, 1.0, 40)
    >>> Y = np.abs(x - 0.5)[:, None] * [1.0, -2.0] + 0.02 * rng.standard_normal((40, 2))
    >>> model = ReLURegressorCV(n_alphas=10, cv=4).fit(x[:, None], Y)
    >>> model.cv_losses_.shape, model.status_.name
    ((10, 4), 'CERTIFIED')
    >>> bool(model.alphas_[-1] < model.alpha_ < model.alphas_[0])
    True
    """

    _stored: ClassVar[tuple[str, ...]] = (
        *PenalisedRegressor._stored,
        "alphas_",
        "cv_losses_",
        "cv_gaps_",
        "n_held_out_",
    )

    def __init__(
        self,
        alphas: Any = None,
        *,
        n_alphas: int | None = None,
        rule: str = "one_se",
        cv: Any = None,
        n_jobs: int | None = None,
        loss: str | Loss = "squared",
        skip: str = "affine",
        tol: float = 1e-6,
        max_iter: int | None = None,
        time_limit: float | None = None,
        random_state: Any = 0,
        nan_policy: str = "raise",
        task_weight: Any = None,
    ) -> None:
        self.alphas = alphas
        self.n_alphas = n_alphas
        self.rule = rule
        self.cv = cv
        self.n_jobs = n_jobs
        self.loss = loss
        self.skip = skip
        self.tol = tol
        self.max_iter = max_iter
        self.time_limit = time_limit
        self.random_state = random_state
        self.nan_policy = nan_policy
        self.task_weight = task_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose the penalty and fit the network.

        Parameters
        ----------
        X : array-like of shape (N, d)
            Inputs, in any order. A vector (N,) is one input.
        y : array-like of shape (N,) or (N, T)
            Labels, one column per task.
        sample_weight : array-like of shape (N,) or (N, T), optional
            Weight of each sample's loss, or of each label's, ≥ 0, in fits and in scores.

        Returns
        -------
        ReLURegressorCV
            The fitted estimator itself.

        Raises
        ------
        InvalidInputError
            If an argument cannot be used; the message says which, why and what to try.

        Warns
        -----
        ConvergenceWarning
            If the last fit ended before `tol` was reached: by `max_iter` or `time_limit`, or by
            rounding, for an alpha near zero. The gaps of the others are in `cv_gaps_`.
        """
        inputs, labels = self._data(X, y, self.nan_policy)
        if self.rule not in RULES:
            raise InvalidInputError(
                f"rule is {self.rule!r}, which is not known; choose one of {', '.join(RULES)}."
            )
        problem = self._make_problem(inputs, labels, 1.0, sample_weight)
        refuse_uncertifiable(problem, self.tol)
        plan = ONE_INPUT if problem.n_inputs == 1 else SEVERAL_INPUTS
        n_folds, folds = self._folds(inputs, labels)
        found = select_alpha(
            inputs,
            labels,
            self.alphas,
            n_alphas=self.n_alphas,
            rule=self.rule,
            loss=self.loss,
            skip=self.skip,
            sample_weight=entry_weights(sample_weight, self.task_weight, labels.shape),
            nan_policy=self.nan_policy,
            n_folds=n_folds,
            folds=folds,
            tol=max(plan.tol, self.tol),
            max_iter=self.max_iter,
            time_limit=self.time_limit,
            random_state=self.random_state,
            n_jobs=self.n_jobs,
        )
        self.alphas_ = found.alphas
        self.cv_losses_ = found.scores
        self.cv_gaps_ = found.relative_gaps
        self.n_held_out_ = found.n_held_out
        self._fit_network(replace(problem, alpha=found.alpha))
        if self.certificate_ is not None:
            warn_of_limit(self.certificate_)
        return self

    @property
    def selection_(self) -> Selection:
        """How each penalty predicted held-out samples, for ``mtrelu.displays``."""
        check_is_fitted(self)
        return Selection(
            self.alpha_, self.alphas_, self.cv_losses_, self.n_held_out_, self.cv_gaps_
        )

    def _folds(self, inputs: FloatArray, labels: FloatArray) -> tuple[int | None, Any]:
        """A number of folds, or the folds that a splitter or the user makes."""
        if self.cv is None:
            return None, None
        if isinstance(self.cv, Integral):
            return int(self.cv), None
        targets = labels[:, 0] if self._labels_are_1d else labels
        try:
            return None, list(check_cv(self.cv).split(inputs, targets))
        except (ValueError, TypeError) as error:
            raise InvalidInputError(
                f"cv cannot be used: {one_line(error).rstrip('.')}; pass a number of folds, a "
                "splitter of scikit-learn, or pairs of positions to fit and to hold out."
            ) from None
