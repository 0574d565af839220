# ruff: noqa: D102  (the methods of a loss are documented once, in Loss)
"""Losses of one label and one prediction: value, gradient and conjugate.

A loss ℓ(y, z) is convex in the prediction z. Problems add it up over samples and tasks. The *dual
variable* of an entry is p = −∂ℓ/∂z, which for the squared loss is the residual y − z.

To add a loss, subclass `Loss` as a frozen dataclass, fill in its methods, and add it to
``_LOSSES``; `tests/test_losses.py` then checks it against numerical suprema and differences.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from mtrelu.validation import FloatArray, InvalidInputError

# A dual variable that leaves its interval by rounding alone counts as sitting on the bound.
_ROUNDING = 8 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Loss(ABC):
    """A convex loss ℓ(y, z) of a label y and a prediction z, elementwise on arrays.

    All methods take float64 arrays that broadcast against each other and return float64 arrays.

    Attributes
    ----------
    name : str
        Short name, as accepted by `make_loss`.
    smoothness : float
        Lipschitz constant of the gradient in z; infinite when ℓ has kinks.
    strictly_convex : bool
        True when ℓ is strictly convex in z for every label, so that optimal predictions are unique.
    piecewise_quadratic : bool
        True when the slope that `dual_fit` returns is constant.
    of_residual : bool
        True when ℓ(y, z) depends on y − z only, so that labels may be shifted.

    Examples
    --------
    >>> loss = make_loss("huber")
    >>> round(float(loss.value(0.0, 3.0)), 6), loss.config()
    (3.13875, {'name': 'huber', 'delta': 1.35})
    """

    name: ClassVar[str]
    smoothness: ClassVar[float]
    strictly_convex: ClassVar[bool]
    piecewise_quadratic: ClassVar[bool]
    of_residual: ClassVar[bool]

    @abstractmethod
    def value(self, y: FloatArray, z: FloatArray) -> FloatArray:
        """Return ℓ(y, z)."""

    @abstractmethod
    def gradient(self, y: FloatArray, z: FloatArray) -> FloatArray:
        """Return ∂ℓ/∂z, at a kink the subgradient nearest to zero."""

    @abstractmethod
    def conjugate(self, y: FloatArray, q: FloatArray) -> FloatArray:
        """Return ℓ*(y, q) = sup_z qz − ℓ(y, z); infinite outside its domain.

        A ``q`` that is outside the domain by rounding alone is taken to be on its boundary.
        """

    @abstractmethod
    def dual_bounds(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the interval of dual variables p for which ℓ*(y, −p) is finite; it contains 0."""

    @abstractmethod
    def dual_fit(self, y: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the prediction that a dual variable inside its bounds stands for.

        Parameters
        ----------
        y : ndarray
            Labels.
        p : ndarray
            Dual variables strictly inside `dual_bounds`.

        Returns
        -------
        z : ndarray
            −c′(p), where c(p) = ℓ*(y, −p).
        slope : ndarray
            c″(p) >= 0, the rate at which z falls as p grows.
        """

    def prediction_radius(self, y: FloatArray, z: FloatArray, gap: FloatArray) -> FloatArray:
        """Bound how far z can be from an optimal prediction z*.

        Parameters
        ----------
        y, z : ndarray
            Labels and predictions.
        gap : ndarray
            Upper bound on ℓ(y, z) − ℓ(y, z*) − ℓ′(y, z*)(z − z*). A duality gap divided by the
            sample weight is one, because the rest of the objective is convex.

        Returns
        -------
        ndarray
            Upper bound on abs(z − z*); infinite where none can be given.
        """
        return np.full(np.broadcast_shapes(np.shape(y), np.shape(z), np.shape(gap)), np.inf)

    def check_labels(self, Y: FloatArray, name: str = "Y") -> None:
        """Raise `InvalidInputError` when a label is not one that this loss can take."""
        return None

    def config(self) -> dict[str, Any]:
        """Return the name and the parameters, as `make_loss` accepts them and JSON stores them."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class SquaredLoss(Loss):
    """Half the squared error, ℓ(y, z) = ½(y − z)².

    Examples
    --------
    >>> SquaredLoss().value(np.array([1.0]), np.array([4.0]))
    array([4.5])
    """

    name: ClassVar[str] = "squared"
    smoothness: ClassVar[float] = 1.0
    strictly_convex: ClassVar[bool] = True
    piecewise_quadratic: ClassVar[bool] = True
    of_residual: ClassVar[bool] = True

    def value(self, y: FloatArray, z: FloatArray) -> FloatArray:
        residual = np.subtract(y, z)
        return 0.5 * residual * residual

    def gradient(self, y: FloatArray, z: FloatArray) -> FloatArray:
        return np.subtract(z, y)

    def conjugate(self, y: FloatArray, q: FloatArray) -> FloatArray:
        return np.multiply(q, y + 0.5 * np.asarray(q))

    def dual_bounds(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.full(np.shape(y), -np.inf), np.full(np.shape(y), np.inf)

    def dual_fit(self, y: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        z = np.subtract(y, p)
        return z, np.ones_like(z)

    def prediction_radius(self, y: FloatArray, z: FloatArray, gap: FloatArray) -> FloatArray:
        radius = np.sqrt(2.0 * np.asarray(gap))
        return np.broadcast_to(radius, np.broadcast_shapes(np.shape(y), np.shape(z), radius.shape))


@dataclass(frozen=True)
class HuberLoss(Loss):
    """Squared error near the label, absolute error far from it.

    ℓ(y, z) = ½r² for abs(r) <= δ, else δ·abs(r) − ½δ², where r = y − z.

    Parameters
    ----------
    delta : float
        Where the loss turns from square to absolute, in the units of the labels; > 0.

    Examples
    --------
    >>> HuberLoss(delta=1.0).gradient(np.zeros(3), np.array([-3.0, 0.5, 3.0]))
    array([-1. ,  0.5,  1. ])
    """

    delta: float = 1.35

    name: ClassVar[str] = "huber"
    smoothness: ClassVar[float] = 1.0
    strictly_convex: ClassVar[bool] = False
    piecewise_quadratic: ClassVar[bool] = True
    of_residual: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.delta) and self.delta > 0):
            raise InvalidInputError(
                f"delta of the Huber loss is {self.delta}, but it is the width of its square part; "
                "pass a finite delta > 0, about 1.35 times the scale of the noise."
            )

    def value(self, y: FloatArray, z: FloatArray) -> FloatArray:
        size = np.abs(np.subtract(y, z))
        square_part = np.minimum(size, self.delta)
        return square_part * (size - 0.5 * square_part)

    def gradient(self, y: FloatArray, z: FloatArray) -> FloatArray:
        return np.clip(np.subtract(z, y), -self.delta, self.delta)

    def conjugate(self, y: FloatArray, q: FloatArray) -> FloatArray:
        inside = _within(q, -self.delta, self.delta, _ROUNDING * self.delta)
        return np.where(np.isnan(inside), np.inf, inside * (y + 0.5 * inside))

    def dual_bounds(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.full(np.shape(y), -self.delta), np.full(np.shape(y), self.delta)

    def dual_fit(self, y: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        z = np.subtract(y, p)
        return z, np.ones_like(z)

    def prediction_radius(self, y: FloatArray, z: FloatArray, gap: FloatArray) -> FloatArray:
        # Once z* is in a linear part the divergence stops growing: at ½(δ − |r|)², or at 0.
        room = np.maximum(self.delta - np.abs(np.subtract(y, z)), 0.0)
        return np.where(gap < 0.5 * room * room, np.sqrt(2.0 * np.asarray(gap)), np.inf)


@dataclass(frozen=True)
class LogisticLoss(Loss):
    """Cross-entropy of a label in [0, 1] and a logit, ℓ(y, z) = log(1 + eᶻ) − yz.

    Examples
    --------
    >>> LogisticLoss().gradient(np.array([0.0, 1.0]), np.zeros(2))
    array([ 0.5, -0.5])
    """

    name: ClassVar[str] = "logistic"
    smoothness: ClassVar[float] = 0.25
    strictly_convex: ClassVar[bool] = True
    piecewise_quadratic: ClassVar[bool] = False
    of_residual: ClassVar[bool] = False

    def value(self, y: FloatArray, z: FloatArray) -> FloatArray:
        y, z = np.asarray(y), np.asarray(z)
        # Two non-negative terms, so that nothing cancels however confident the prediction is.
        tail = np.log1p(np.exp(-np.abs(z)))
        against, towards = np.maximum(-z, 0.0) + tail, np.maximum(z, 0.0) + tail
        return np.asarray(y * against + (1.0 - y) * towards)

    def gradient(self, y: FloatArray, z: FloatArray) -> FloatArray:
        # sigmoid(z) - y would round a confident, correct prediction to a gradient of zero.
        return np.subtract(1.0, y) * _sigmoid(z) - y * _sigmoid(np.negative(z))

    def conjugate(self, y: FloatArray, q: FloatArray) -> FloatArray:
        y, q = np.asarray(y), np.asarray(q)
        inside = _within(q, -y, 1.0 - y, _ROUNDING)
        probability = np.clip(np.where(np.isnan(inside), 0.0, y + inside), 0.0, 1.0)
        complement = np.clip(np.where(np.isnan(inside), 1.0, (1.0 - y) - inside), 0.0, 1.0)
        negative_entropy = _x_log_x(probability, complement) + _x_log_x(complement, probability)
        return np.where(np.isnan(inside), np.inf, negative_entropy)

    def dual_bounds(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        y = np.asarray(y, dtype=np.float64)
        return y - 1.0, y + 0.0

    def dual_fit(self, y: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        probability = np.subtract(y, p)
        complement = np.subtract(1.0, y) + p
        return np.log(probability) - np.log(complement), 1.0 / (probability * complement)

    def prediction_radius(self, y: FloatArray, z: FloatArray, gap: FloatArray) -> FloatArray:
        from scipy.special import gammaincinv

        # The curvature s falls no faster than e^-distance, so at distance r the divergence is at
        # least s(z) times the integral of t e^-t from 0 to r, which inverts in closed form.
        curvature = _sigmoid(z) * _sigmoid(np.negative(z))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.asarray(gap) / curvature
        radius = np.where(share < 1.0, gammaincinv(2.0, np.fmin(share, 1.0)), np.inf)
        return np.broadcast_to(radius, np.broadcast_shapes(np.shape(y), radius.shape))

    def check_labels(self, Y: FloatArray, name: str = "Y") -> None:
        if Y.size and (Y.min() < 0.0 or Y.max() > 1.0):
            index = tuple(int(i) for i in np.argwhere((Y < 0.0) | (Y > 1.0))[0])
            raise InvalidInputError(
                f"{name} has the label {Y[index]} at row {index[0]}, but the logistic loss needs "
                "labels in [0, 1]; encode classes as 0 and 1, or choose another loss."
            )


@dataclass(frozen=True)
class QuantileLoss(Loss):
    """Pinball loss, whose best constant is a quantile of the labels.

    ℓ(y, z) = q·(y − z) for z <= y, else (1 − q)·(z − y).

    Parameters
    ----------
    quantile : float
        Which quantile q to fit, strictly between 0 and 1; 0.5 is the median.

    Examples
    --------
    >>> QuantileLoss(quantile=0.9).value(np.array([1.0, 1.0]), np.array([0.0, 2.0]))
    array([0.9, 0.1])
    """

    quantile: float = 0.5

    name: ClassVar[str] = "quantile"
    smoothness: ClassVar[float] = math.inf
    strictly_convex: ClassVar[bool] = False
    piecewise_quadratic: ClassVar[bool] = True
    of_residual: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0.0 < self.quantile < 1.0:
            raise InvalidInputError(
                f"quantile of the quantile loss is {self.quantile}, but it must be strictly "
                "between 0 and 1; pass 0.5 for the median."
            )

    def value(self, y: FloatArray, z: FloatArray) -> FloatArray:
        residual = np.subtract(y, z)
        return np.maximum(self.quantile * residual, (self.quantile - 1.0) * residual)

    def gradient(self, y: FloatArray, z: FloatArray) -> FloatArray:
        residual = np.subtract(y, z)
        return np.where(
            residual > 0, -self.quantile, np.where(residual < 0, 1.0 - self.quantile, 0.0)
        )

    def conjugate(self, y: FloatArray, q: FloatArray) -> FloatArray:
        inside = _within(q, -self.quantile, 1.0 - self.quantile, _ROUNDING)
        return np.where(np.isnan(inside), np.inf, inside * y)

    def dual_bounds(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.full(np.shape(y), self.quantile - 1.0), np.full(np.shape(y), self.quantile)

    def dual_fit(self, y: FloatArray, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        z = np.broadcast_to(np.asarray(y), np.broadcast_shapes(np.shape(y), np.shape(p))).copy()
        return z, np.zeros_like(z)


_LOSSES: dict[str, type[Loss]] = {
    cls.name: cls for cls in (SquaredLoss, HuberLoss, LogisticLoss, QuantileLoss)
}


def make_loss(loss: str | Mapping[str, Any] | Loss) -> Loss:
    """Return the loss that a name, a stored configuration or a loss object stands for.

    Parameters
    ----------
    loss : str, mapping or Loss
        ``"squared"``, ``"huber"``, ``"logistic"`` or ``"quantile"`` with default parameters; or
        what `Loss.config` returned; or a loss, which is returned as it is.

    Returns
    -------
    Loss

    Raises
    ------
    InvalidInputError
        Unknown name or parameters.

    Examples
    --------
    >>> make_loss({"name": "quantile", "quantile": 0.9})
    QuantileLoss(quantile=0.9)
    """
    if isinstance(loss, Loss):
        return loss
    config = dict(loss) if isinstance(loss, Mapping) else {"name": loss}
    name = config.pop("name", None)
    if not isinstance(name, str) or name not in _LOSSES:
        known = ", ".join(repr(known) for known in _LOSSES)
        raise InvalidInputError(
            f"loss is {loss!r}, which is not a known loss; pass one of {known}, "
            "or a Loss object such as HuberLoss(delta=2.0)."
        )
    try:
        return _LOSSES[name](**config)
    except TypeError:
        raise InvalidInputError(
            f"loss is {loss!r}, but the {name} loss does not take the parameters "
            f"{sorted(config)}; see {_LOSSES[name].__name__}."
        ) from None


def _within(q: FloatArray, lo: Any, hi: Any, slack: float) -> FloatArray:
    """Return q clipped to [lo, hi], and NaN where it is outside by more than ``slack``."""
    inside = (q >= lo - slack) & (q <= hi + slack)
    return np.where(inside, np.clip(q, lo, hi), np.nan)


def _sigmoid(z: FloatArray) -> FloatArray:
    """Return 1 / (1 + e^-z) without overflow, to full relative accuracy."""
    tail = np.exp(-np.abs(z))
    return np.where(np.asarray(z) >= 0, 1.0, tail) / (1.0 + tail)


def _x_log_x(x: FloatArray, complement: FloatArray) -> FloatArray:
    """Return x log x, where ``complement`` is 1 − x to full relative accuracy."""
    near_one = x > 0.5
    logarithm = np.where(
        near_one,
        np.log1p(-np.where(near_one, complement, 0.0)),
        np.log(np.where(near_one | (x == 0.0), 1.0, x)),
    )
    return x * logarithm
