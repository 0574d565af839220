"""`NeuronFeatures`: the neurons of the best shallow ReLU network, as features for another model."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from mtrelu.estimators.base import CertifiedEstimator, entry_weights, some_alpha, warn_of_limit
from mtrelu.losses import Loss
from mtrelu.problem import Problem
from mtrelu.validation import FloatArray, as_labels


class NeuronFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, CertifiedEstimator):
    """Inputs as the neurons of the best network of all tasks see them, (w_k·x + b_k)₊.

    `fit` finds the neurons of the network that minimises Σ loss + alpha · Σ‖v_k‖‖w_k‖ [12] over all
    networks of any width; `transform` evaluates them. With one input these are hinges at the knots
    that the tasks share. The penalty adds inputs up: bring inputs in different units to one scale
    first, for example by a ``StandardScaler``.

    Parameters
    ----------
    alpha : float or None, default=None
        Weight of the penalty, ≥ 0: the larger it is, the fewer neurons there are. Losses are sums
        over samples and tasks. By default a twentieth of (an estimate of) the least penalty that
        leaves none.
    loss : {"squared", "huber", "logistic", "quantile"} or Loss, default="squared"
        How an output of the network is compared with its label.
    skip : {"affine", "constant"}, default="affine"
        The part of the network that is not penalised, A x + c or c alone. It is not among the
        features: add the inputs themselves by a ``FeatureUnion`` if the next model needs them.
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
        The network that the neurons are from, with ‖w_k‖ = 1: with the features H = transform(X),
        its outputs are ``H @ network_.v + X @ network_.A.T + network_.c``.
    certificate_ : Certificate
        How far `network_` can be from the global optimum.
    status_ : Status
        What the certificate amounts to.
    dual_gap_ : float
        Absolute duality gap of `network_`.
    n_iter_ : int
        Rounds of the solver.
    alpha_ : float
        The penalty of the fit.
    n_features_in_ : int
        The number of inputs, d.
    feature_names_in_ : ndarray of shape (d,)
        Only when `X` was a data frame with text for column names.

    See Also
    --------
    ReLURegressor : Predictions of the same network.
    mtrelu.kernels.neuron.NeuronKernel : The kernel that these features make, each by its strength.

    References
    ----------
    Nakhleh, Shenouda, Nowak: The Effects of Multi-Task Learning on ReLU Neural Network Functions,
    arXiv:2410.21696, equation [12].

    Examples
    --------
    >>> import numpy as np
    >>> from mtrelu import NeuronFeatures
    >>> x = np.arange(6.0)[:, None]
    >>> features = NeuronFeatures(alpha=0.1).fit(x, np.abs(x - 2.0))
    >>> features.transform([[1.0], [4.0]])
    array([[0.],
           [2.]])
    >>> features.get_feature_names_out()
    array(['neuronfeatures0'], dtype=object)
    """

    def __init__(
        self,
        alpha: float | None = None,
        *,
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
        self.loss = loss
        self.skip = skip
        self.tol = tol
        self.max_iter = max_iter
        self.time_limit = time_limit
        self.random_state = random_state
        self.nan_policy = nan_policy
        self.task_weight = task_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find the neurons.

        Parameters
        ----------
        X : array-like of shape (N, d)
            Inputs, in any order. A vector (N,) is one input.
        y : array-like of shape (N,) or (N, T)
            Labels, one column per task.
        sample_weight : array-like of shape (N,) or (N, T), optional
            Weight of each sample's loss, or of each label's, ≥ 0.

        Returns
        -------
        NeuronFeatures
            The fitted transformer itself.

        Raises
        ------
        InvalidInputError
            If an argument cannot be used; the message says which, why and what to try.

        Warns
        -----
        UserWarning
            If the optimal network has no neurons, so that there are no features.
        ConvergenceWarning
            If the fit ended before `tol` was reached: by `max_iter` or `time_limit`, or by
            rounding, for an `alpha` near zero.
        """
        self._refuse_no_labels(y)
        inputs = self._inputs(X, reset=True)
        labels = as_labels(y, len(inputs), name="y", nan_policy=self.nan_policy)
        problem = Problem.make(
            inputs,
            labels,
            1.0 if self.alpha is None else self.alpha,
            loss=self.loss,
            skip=self.skip,
            sample_weight=entry_weights(sample_weight, self.task_weight, labels.shape),
            nan_policy=self.nan_policy,
        )
        if self.alpha is None:
            problem = replace(problem, alpha=some_alpha(problem, self.random_state))
        self._fit_network(problem)
        self.network_ = self.network_.unit_norm().pruned()
        if self.network_.n_neurons == 0:
            warnings.warn(
                f"The network has no neurons for alpha={self.alpha_:.3g}, so there are no "
                "features: alpha is mtrelu.alpha_max(X, y) or more, or the labels are affine in "
                "the inputs.",
                UserWarning,
                stacklevel=2,
            )
        if self.certificate_ is not None:
            warn_of_limit(self.certificate_)
        return self

    def transform(self, X: Any) -> FloatArray:
        """Evaluate the neurons.

        Parameters
        ----------
        X : array-like of shape (M, d)
            Inputs.

        Returns
        -------
        ndarray of shape (M, K), float64
            (w_k·x + b_k)₊ with ‖w_k‖ = 1, in the units of the inputs: the distance from the
            hyperplane where the neuron bends, on its active side.
        """
        check_is_fitted(self)
        inputs = self._inputs(X, reset=False)
        return np.maximum(inputs @ self.network_.w.T + self.network_.b, 0.0)

    @property
    def _n_features_out(self) -> int:
        return self.network_.n_neurons

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags
