"""`ReLUClassifier`: classes by the best shallow ReLU network for the logistic loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import expit, log_expit, logsumexp
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import assert_all_finite, check_is_fitted, column_or_1d

from mtrelu.estimators.base import (
    CertifiedEstimator,
    column_names,
    entry_weights,
    one_line,
    warn_of_limit,
)
from mtrelu.problem import Problem
from mtrelu.validation import FloatArray, InvalidInputError, as_alpha, as_labels

_NAMED = 3  # classes, in messages


class ReLUClassifier(ClassifierMixin, CertifiedEstimator):
    """Classes separated by the best shallow ReLU network of any width, neurons shared.

    Minimises Σ log(1 + e^z) − y z + alpha · Σ‖v_k‖‖w_k‖ [12] over all networks of d inputs, and
    says how far the network found can be from the global optimum. Each output z is the logit of one
    class: two classes take one output, more take one a class, each against the rest, and several
    labels a sample take one a label. All outputs share their neurons. The penalty adds inputs up:
    bring inputs in different units to one scale first, for example by a ``StandardScaler``.

    Parameters
    ----------
    alpha : float, default=1.0
        Weight of the penalty, > 0. Losses are sums over samples and classes.
    skip : {"constant", "affine"}, default="constant"
        The part of the network that is not penalised: c alone, or A x + c. Where classes can be
        separated by a line (a plane, …), a free A x would grow for ever and there is no optimum;
        with a constant there always is one. If they cannot, ``"affine"`` lets the decision
        function be linear at no cost, and with one input the fit takes time in proportion to N.
    tol : float, default=1e-6
        Relative duality gap to reach.
    max_iter : int or None, default=None
        Limit on the solver's rounds; None lets the solver choose.
    time_limit : float or None, default=None
        Seconds after which the best network so far is taken, with an honest certificate.
    random_state : int, Generator or None, default=0
        Seed of the search for neurons where the inputs are too many for an exact one.
    task_weight : array-like of shape (T,) or None, default=None
        Weight of each output's loss, > 0, in the order of `classes_`; by default all count alike.
    nan_policy : {"raise", "omit"}, default="raise"
        With several labels a sample, what to do with labels that are NaN: refuse them, or leave
        them out and fit each label to the samples that have it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, ascending. With several labels a sample their names, if `y` was a data frame
        with text for column names, else their positions.
    network_ : ReLUNetwork
        The fitted network; its outputs are the logits.
    certificate_ : Certificate
        How far `network_` can be from the global optimum.
    status_ : Status
        What the certificate amounts to.
    dual_gap_ : float
        Absolute duality gap of `network_`.
    n_iter_ : int
        Rounds of the solver.
    alpha_ : float
        The `alpha` used.
    n_features_in_ : int
        The number of inputs, d.
    feature_names_in_ : ndarray of shape (d,)
        Only when `X` was a data frame with text for column names.

    See Also
    --------
    ReLURegressor : The same for numbers.

    Notes
    -----
    The certificate speaks of the loss that is minimised, in which each class is separated from the
    rest. For three classes or more the probabilities of `predict_proba` are those of the single
    outputs, divided by their sum, as in scikit-learn's ``OneVsRestClassifier``: not those of a
    softmax, and what is proved of the outputs is not proved of the quotients.

    References
    ----------
    Nakhleh, Shenouda, Nowak: The Effects of Multi-Task Learning on ReLU Neural Network Functions,
    arXiv:2410.21696, equation [12].

    Examples
    --------
    >>> from mtrelu import ReLUClassifier
    >>> X = [[1.0], [2.0], [3.0], [4.0], [5.0], [6.0]]
    >>> model = ReLUClassifier(alpha=0.1).fit(X, ["low", "low", "high", "high", "low", "low"])
    >>> model.predict([[1.5], [3.5]]), model.status_.name
    (array(['low', 'high'], dtype='<U4'), 'CERTIFIED')
    >>> model.predict_proba([[3.5]]).round(2)
    array([[0.9, 0.1]])
    """

    _stored: ClassVar[tuple[str, ...]] = (*CertifiedEstimator._stored, "classes_", "_kind")

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        skip: str = "constant",
        tol: float = 1e-6,
        max_iter: int | None = None,
        time_limit: float | None = None,
        random_state: Any = 0,
        task_weight: Any = None,
        nan_policy: str = "raise",
    ) -> None:
        self.alpha = alpha
        self.skip = skip
        self.tol = tol
        self.max_iter = max_iter
        self.time_limit = time_limit
        self.random_state = random_state
        self.task_weight = task_weight
        self.nan_policy = nan_policy

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (N, d)
            Inputs, in any order. A vector (N,) is one input.
        y : array-like of shape (N,) or (N, T)
            The class of each sample, text or numbers; or, with two columns or more, which of T
            labels it has, 0 or 1 (with ``nan_policy="omit"`` NaN where that is not known).
        sample_weight : array-like of shape (N,), optional
            Weight of each sample's loss, ≥ 0.

        Returns
        -------
        ReLUClassifier
            The fitted estimator itself.

        Raises
        ------
        InvalidInputError
            If an argument cannot be used; with an affine skip, if a class can be separated from
            the rest without neurons. The message says which, why and what to try.

        Warns
        -----
        ConvergenceWarning
            If the fit ended before `tol` was reached: by `max_iter` or `time_limit`, or by
            rounding, for an `alpha` near zero.
        """
        self._refuse_no_labels(y)
        inputs = self._inputs(X, reset=True)
        if as_alpha(self.alpha) == 0.0:
            raise InvalidInputError(
                "alpha is 0, but without a penalty the logistic loss of classes that neurons can "
                "separate has no minimum; pass alpha > 0."
            )
        self._kind, self.classes_ = _classes(y, len(inputs), self.nan_policy)
        problem = self._make_problem(inputs, y, float(self.alpha), sample_weight)
        self._refuse_absent(problem)
        if problem.skip == "affine":
            self._refuse_separable(problem)
        self._fit_network(problem)
        if self.certificate_ is not None:
            warn_of_limit(self.certificate_)
        return self

    def decision_function(self, X: Any) -> FloatArray:
        """Return the logits, the outputs of the network.

        Parameters
        ----------
        X : array-like of shape (M, d)
            Inputs.

        Returns
        -------
        ndarray of shape (M,) or (M, n_classes), float64
            With two classes that of ``classes_[1]``; else one column a class or label. Where one is
            positive, its class is likelier than not.
        """
        check_is_fitted(self)
        return self._as_decision(self.network_(self._inputs(X, reset=False)))

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest class of each sample, or the labels that are likelier than not.

        Parameters
        ----------
        X : array-like of shape (M, d)
            Inputs.

        Returns
        -------
        ndarray of shape (M,) or (M, T)
            Entries of `classes_`; with several labels a sample 0 and 1.
        """
        decision = self.decision_function(X)
        if self._kind == "multilabel":
            return np.asarray((decision > 0).astype(np.int64))
        if self._kind == "binary":
            return np.asarray(self.classes_[(decision > 0).astype(np.int64)])
        return np.asarray(self.classes_[decision.argmax(axis=1)])

    def predict_proba(self, X: Any) -> FloatArray:
        """Return the probability of each class or label.

        Parameters
        ----------
        X : array-like of shape (M, d)
            Inputs.

        Returns
        -------
        ndarray of shape (M, n_classes), float64
            Columns in the order of `classes_`; rows add up to one, save with several labels a
            sample. For three classes or more see the notes of the class.
        """
        decision = self.decision_function(X)
        if self._kind == "binary":
            return np.column_stack([expit(-decision), expit(decision)])
        if self._kind == "multilabel":
            return np.asarray(expit(decision))
        return np.exp(_log_shares(decision))

    def predict_log_proba(self, X: Any) -> FloatArray:
        """Return the logarithm of `predict_proba`, which does not round to −∞.

        Parameters
        ----------
        X : array-like of shape (M, d)
            Inputs.

        Returns
        -------
        ndarray of shape (M, n_classes), float64
        """
        decision = self.decision_function(X)
        if self._kind == "binary":
            return np.column_stack([log_expit(-decision), log_expit(decision)])
        if self._kind == "multilabel":
            return np.asarray(log_expit(decision))
        return _log_shares(decision)

    def optimal_range(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """Return the least and the greatest logit among all globally optimal networks.

        No fit of these data with this penalty, whatever its seed or its solver, can be optimal and
        have a decision function outside this range: where it contains 0, the optimum leaves open
        which side of the decision a sample is on. A warning says where the range is not proved: it
        is then that of the optimal networks that are known, and others may still differ.

        Parameters
        ----------
        X : array-like of shape (M, d)
            Inputs.

        Returns
        -------
        low, high : ndarray of shape (M,) or (M, n_classes), float64
            The smallest and the largest value of `decision_function` over all globally optimal
            networks; infinite where nothing holds them.

        Warns
        -----
        UserWarning
            If the verdict on these networks is open, so that the range is not proved.

        Raises
        ------
        InvalidInputError
            If the model was loaded from a file without its data.
        """
        low, high = self._optimal_range(X)
        return self._as_decision(low), self._as_decision(high)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _as_decision(self, outputs: FloatArray) -> FloatArray:
        return outputs[:, 0] if self._kind == "binary" else outputs

    def _problem(self, X: Any, y: Any, sample_weight: Any = None) -> Problem:
        """What `fit` solves for these data, at `alpha_`; the fitted estimator stays as it is."""
        check_is_fitted(self)
        return self._make_problem(self._inputs(X, reset=False), y, self.alpha_, sample_weight)

    def _make_problem(
        self, inputs: FloatArray, y: Any, alpha: float, sample_weight: Any
    ) -> Problem:
        labels = self._encoded(y)
        return Problem.make(
            inputs,
            labels,
            alpha,
            loss="logistic",
            skip=self.skip,
            sample_weight=entry_weights(sample_weight, self.task_weight, labels.shape),
            nan_policy=self.nan_policy,
        )

    def _encoded(self, y: Any) -> FloatArray:
        """One column of 0 and 1 an output, for the classes of the fit."""
        values = np.asarray(y)
        if self._kind == "multilabel":
            return as_labels(y, len(values), name="y", nan_policy=self.nan_policy)
        known = np.isin(values.ravel(), self.classes_)
        if not known.all():
            raise InvalidInputError(
                f"y has {_name(values.ravel()[~known][0])}, which is none of the classes of the "
                f"fit, {_named(self.classes_)}; pass samples of these only."
            )
        columns = values.reshape(-1, 1) == self.classes_
        return np.asarray(columns[:, 1:] if self._kind == "binary" else columns, dtype=np.float64)

    def _refuse_absent(self, problem: Problem) -> None:
        """Every output needs samples with 0 and with 1, else its constant grows for ever."""
        with_one, with_zero = (
            (problem.used & (problem.Y == value)).any(axis=0) for value in (1.0, 0.0)
        )
        for t in np.flatnonzero(~(with_one & with_zero)):
            if self._kind == "multilabel":
                every = "every" if with_one[t] else "no"
                raise InvalidInputError(
                    f"y has the label {_name(self.classes_[t])} on {every} sample that counts, so "
                    "there is nothing to tell apart; leave that column out."
                )
            other = self._kind == "binary" and not with_one[t]
            raise InvalidInputError(
                f"the class {_name(self.classes_[t + other])} has no sample with positive weight, "
                "or only it has, so there is nothing to tell apart; leave its samples out, or "
                "change sample_weight."
            )

    def _refuse_separable(self, problem: Problem) -> None:
        """Say which class an affine function separates from the rest, if one does."""
        names = self.classes_[1:] if self._kind == "binary" else self.classes_
        for t, name in enumerate(names):
            rows = np.flatnonzero(problem.used[:, t])
            single = replace(
                problem,
                X=problem.X[rows],
                Y=problem.Y[rows, t : t + 1],
                sample_weight=problem.row_weight[rows],
            )
            try:
                single.affine_fit()
            except InvalidInputError:
                raise InvalidInputError(
                    f"the class {_name(name)} is separated from the rest by an affine function, "
                    'which skip="affine" leaves free to grow for ever, so there is no optimum; '
                    'pass skip="constant", with which there always is one.'
                ) from None


def _classes(y: Any, n_samples: int, nan_policy: str) -> tuple[str, np.ndarray]:
    """What kind of labels these are, and the classes."""
    try:
        values = np.asarray(y)
        if values.ndim == 2 and values.shape[1] > 1 and nan_policy == "omit":
            labels = as_labels(values, n_samples, name="y", nan_policy=nan_policy)
            values = np.where(np.isnan(labels), 0.0, labels)  # of no account
        assert_all_finite(values, input_name="y")
        check_classification_targets(values)
        kind = type_of_target(values, input_name="y")
        if not kind.startswith("multi") or kind == "multiclass":
            values = column_or_1d(values, warn=True)
            classes = np.unique(values)
    except (ValueError, TypeError) as error:
        raise InvalidInputError(
            f"y cannot be used: {one_line(error).rstrip('.')}; pass one class a sample, all text "
            "or all whole numbers, or one column of 0 and 1 a label."
        ) from None
    if len(values) != n_samples:
        raise InvalidInputError(
            f"y has {len(values)} rows, but X has {n_samples}; inconsistent numbers of samples: "
            "pass one class, or one row of labels, a sample."
        )
    if kind.startswith("multi") and kind != "multiclass":
        if not np.isin(values, (0, 1)).all():
            raise InvalidInputError(
                "y has several columns and entries other than 0 and 1; several labels a sample "
                "are one column of 0 and 1 each. For several classes fit one classifier a column."
            )
        names = column_names(y)
        return "multilabel", np.arange(values.shape[1]) if names is None else names
    if len(classes) < 2:
        raise InvalidInputError(
            f"y has one class only, {_named(classes)}, so there is nothing to tell apart; pass "
            "samples of at least two classes."
        )
    return ("binary" if len(classes) == 2 else "multiclass"), classes


def _log_shares(decision: FloatArray) -> FloatArray:
    """Logarithm of each sigmoid divided by the sum of the row, (M, n_classes)."""
    logs = log_expit(decision)
    return np.asarray(logs - logsumexp(logs, axis=1, keepdims=True))


def _name(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


def _named(classes: np.ndarray) -> str:
    shown = ", ".join(_name(value) for value in classes[:_NAMED])
    return shown + (", ..." if len(classes) > _NAMED else "")
