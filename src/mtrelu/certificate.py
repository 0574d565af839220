"""The certificate of a network: what was proved, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from mtrelu.status import Status
from mtrelu.validation import FloatArray, InvalidInputError

_NUMBERS = (
    "primal",
    "dual",
    "gap",
    "relative_gap",
    "violation",
    "tol",
    "alpha",
    "stationarity",
)
_SHOWN = 10  # input weights of a neuron, in words
_STATUS_OF_VALUE = {status.value: status for status in Status}


@dataclass(frozen=True)
class Certificate:
    """What was proved about a network.

    Attributes
    ----------
    primal : float
        Objective of the network [12]; its path norm [3] when ``alpha`` is 0.
    dual : float
        Lower bound on the objective of every network of any width.
    gap : float
        ``primal - dual``, at least 0; includes an allowance for rounding of some 1e-15 of
        ``primal``. Infinite when the objective overflows or, for ``alpha = 0``, when the network
        does not pass through the labels.
    relative_gap : float
        ``gap / max(1e-300, primal)``. At most ``tol`` for a certified network, with one exception:
        where the objective itself is no more than rounding of the labels makes it, no share of it
        means anything, this may be as large as 1, and the status is certified on that ground; see
        `mtrelu.verify.verify`.
    oracle : str
        ``"exact"``, ``"bound"`` or ``"estimate"``: how the dual function was maximised. With
        ``"bound"`` the gap is a proof, but may be larger than it need be; with ``"estimate"`` the
        dual value is not a proof.
    violation : float
        Largest value of the dual function before scaling, or a bound of it, divided by ``alpha``
        (by 1 for ``alpha = 0``); 1 means feasible. For ``alpha = 0`` and one input with an affine
        skip connection the dual variable is known in closed form and this is 1.
    most_violated : tuple or None
        The neuron ``(w, b)``, unit ``w`` of shape (d,), where that value is attained; with
        ``"bound"`` the worst that a search found.
    interpolation_error : float or None
        For ``alpha = 0``: largest ``abs(f(x_i) - y_i)``, divided by the largest absolute label.
    tol : float
        Requested relative gap.
    status : Status
        The conclusion, with advice.
    alpha : float
        Penalty.
    n_samples, n_tasks : int
        Size of the problem that was certified (samples of weight 0 do not count).
    stationarity : float
        How far the network is from stationary in its output weights and skip connection, which
        for fixed neurons are a convex problem; relative, 0 for a stationary network. With P the
        network's own dual variable, unit ‖w_k‖ and q_k = Σ_i p_i (w_k·x_i + b_k)₊, the largest of
        the mean of ‖v_k/‖v_k‖ - q_k/α‖ over the neurons, weighted by what they cost,
        ‖Σ_i p_i‖ / Σ_i ‖p_i‖ and, for an affine skip connection, ‖Σ_i p_i x_iᵀ‖ / Σ_i ‖p_i‖‖x_i‖
        about the centre of the inputs. 0 for ``alpha = 0``, where the labels alone hold the
        network; NaN in files stored before it was computed.
    estimated_relative_gap : float or None
        What ``relative_gap`` would be if the worst neuron that a search found were the worst. No
        proof. Only where the oracle is ``"bound"`` and the proved gap is above ``tol``, or where it
        is ``"estimate"``.

    Examples
    --------
    >>> from mtrelu.network import ReLUNetwork
    >>> from mtrelu.problem import Problem
    >>> from mtrelu.verify import verify
    >>> problem = Problem.make([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], alpha=1.0)
    >>> line = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], [1 / 3])
    >>> certificate = verify(problem, line)
    >>> certificate.status.name, round(certificate.primal, 6), certificate.gap < 1e-14
    ('CERTIFIED', 0.333333, True)
    """

    primal: float
    dual: float
    gap: float
    relative_gap: float
    oracle: str
    violation: float
    most_violated: tuple[FloatArray, float] | None
    interpolation_error: float | None
    tol: float
    status: Status
    alpha: float
    n_samples: int
    n_tasks: int
    stationarity: float
    estimated_relative_gap: float | None

    def in_words(self) -> str:
        """Say what was proved, for readers who do not know the theory.

        Returns
        -------
        str
            A few sentences.

        Examples
        --------
        >>> from mtrelu.network import ReLUNetwork
        >>> from mtrelu.problem import Problem
        >>> from mtrelu.verify import verify
        >>> problem = Problem.make([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], alpha=0.0)
        >>> tent = ReLUNetwork.from_knots([1.0], [[-2.0]], [1.0], [0.0])
        >>> print(verify(problem, tent).in_words())  # doctest: +NORMALIZE_WHITESPACE +ELLIPSIS
        This network scores 2, where lower is better (the score is the size of its weights). It is
        proved that no network of any width that passes through all labels scores below 2...
        """
        score = (
            "the size of its weights"
            if self.alpha == 0
            else f"misfit to the data plus {self.alpha:.6g} times the size of its weights"
        )
        rivals = " that passes through all labels" if self.alpha == 0 else ""
        only_rounding = self.status is Status.CERTIFIED and not self.relative_gap <= self.tol
        words = [
            f"This network scores {self.primal:.6g}, where lower is better (the score is {score})."
        ]
        if only_rounding:
            words.append(
                "That is as small as rounding of the labels in the last digit would make it: the "
                "network is exact, and nothing can be gained."
            )
        elif self.oracle == "estimate":
            words.append(
                f"A search for better networks suggests that none scores below {self.dual:.6g}, "
                "but it did not look everywhere, so this is no proof."
            )
        else:
            words.append(
                f"It is proved that no network of any width{rivals} scores below {self.dual:.6g}"
                + (
                    f", so at most {_share(self.relative_gap)} of the score could still be gained."
                    if self.status is not Status.INFEASIBLE
                    else "."
                )
            )
        if self.estimated_relative_gap is not None and self.oracle == "bound" and not only_rounding:
            words.append(
                "If the worst neuron that a search found is the worst there is, which is likely "
                f"but not proved, the gain is at most {_share(self.estimated_relative_gap)}."
            )
        if self.interpolation_error is not None:
            words.append(
                "Between its curve and the labels there is a difference of at most "
                f"{self.interpolation_error:.1e} of the largest label."
            )
        words.append(self.status.meaning)
        if not only_rounding:  # the gap, which the advice mentions, means nothing then
            words.append(self.status.advice)
        if self.relative_gap > self.tol and self.status not in (
            Status.CERTIFIED,
            Status.INFEASIBLE,
        ):
            words += self._where_to_gain()
        return " ".join(words)

    def in_short(self) -> str:
        """Say the status and how large the gap is, in half a line.

        Returns
        -------
        str

        Examples
        --------
        >>> import mtrelu
        >>> line = mtrelu.solve([0, 1, 2, 3], [0.1, 0.2, 0.3, 0.4], alpha=1)
        >>> line.certificate.in_short()
        'certified, exact up to rounding'
        """
        if self.status is Status.CERTIFIED and not self.relative_gap <= self.tol:
            return f"{self.status.value}, exact up to rounding"
        return f"{self.status.value}, relative gap {self.relative_gap:.1e}"

    def _where_to_gain(self) -> list[str]:
        """Sentences on what the network lacks: better output weights, or another neuron."""
        words = []
        if self.stationarity > max(self.tol, 1e-9):
            words.append(
                "Better output weights for the neurons it has would already help (stationarity "
                f"{self.stationarity:.2g}, where 0 is best)."
            )
        if self.most_violated is not None and self.violation > 1 + self.tol:
            w, b = self.most_violated
            weights = ", ".join(f"{entry:.4g}" for entry in w[:_SHOWN])
            weights += ", ..." if w.size > _SHOWN else ""
            words.append(
                f"Of all neurons to add, one with w = ({weights}) and b = {b:.4g} promises most."
            )
        return words

    def to_dict(self) -> dict[str, Any]:
        """Return the certificate as plain numbers, strings and lists, ready for strict JSON.

        Examples
        --------
        >>> from mtrelu.network import ReLUNetwork
        >>> from mtrelu.problem import Problem
        >>> from mtrelu.verify import verify
        >>> problem = Problem.make([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], alpha=1.0)
        >>> line = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], [1 / 3])
        >>> certificate = verify(problem, line)
        >>> Certificate.from_dict(certificate.to_dict()).status is certificate.status
        True
        """
        plain = asdict(self)
        for key, value in plain.items():
            if isinstance(value, float) and not np.isfinite(value):
                plain[key] = str(value)  # JSON has no infinity
        plain["status"] = self.status.value
        if self.most_violated is not None:
            plain["most_violated"] = [self.most_violated[0].tolist(), self.most_violated[1]]
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Rebuild a certificate from `to_dict`.

        Raises
        ------
        InvalidInputError
            The mapping is not one that `to_dict` made. Those stored before ``stationarity`` and
            ``estimated_relative_gap`` existed get NaN and None.
        """
        try:
            plain = {"stationarity": np.nan, "estimated_relative_gap": None, **plain}
            values = {name: plain[name] for name in cls.__dataclass_fields__}
            for name in _NUMBERS:
                values[name] = float(values[name])
            for name in ("interpolation_error", "estimated_relative_gap"):
                if values[name] is not None:
                    values[name] = float(values[name])
            if values["most_violated"] is not None:
                w, b = values["most_violated"]
                values["most_violated"] = (np.asarray(w, dtype=np.float64), float(b))
            values["status"] = _STATUS_OF_VALUE[values["status"]]
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(
                f"plain is not a stored certificate ({type(error).__name__}: {error}); pass what "
                "Certificate.to_dict returned."
            ) from None
        return cls(**values)


def _share(fraction: float) -> str:
    return f"{100 * fraction:.2g} %" if fraction >= 1e-3 else f"{fraction:.1e}"
