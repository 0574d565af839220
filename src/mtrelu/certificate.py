"""The certificate of a network: what was proved, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from mtrelu.status import Status
from mtrelu.validation import FloatArray, InvalidInputError

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
        ``gap / max(1e-300, primal)``.
    oracle : str
        ``"exact"``, ``"bound"`` or ``"estimate"``: how the dual function was maximised. With
        ``"estimate"`` the dual value is not a proof.
    violation : float
        Largest value of the dual function before scaling, divided by ``alpha``; 1 means feasible.
        For ``alpha = 0`` the dual variable is known in closed form and this is 1.
    most_violated : tuple or None
        The neuron ``(w, b)``, unit ``w`` of shape (d,), where that value is attained.
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
        words = [
            f"This network scores {self.primal:.6g}, where lower is better (the score is {score})."
        ]
        if self.oracle == "estimate":
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
        if self.interpolation_error is not None:
            words.append(
                "Between its curve and the labels there is a difference of at most "
                f"{self.interpolation_error:.1e} of the largest label."
            )
        if self.status is Status.CERTIFIED and not self.relative_gap <= self.tol:
            words.append(
                "The score is as small as rounding of the labels in the last digit would make it, "
                "so there is nothing left to gain."
            )
        return " ".join([*words, self.status.meaning, self.status.advice])

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
            The mapping is not one that `to_dict` made.
        """
        try:
            values = {name: plain[name] for name in cls.__dataclass_fields__}
            for name in ("primal", "dual", "gap", "relative_gap", "violation", "tol", "alpha"):
                values[name] = float(values[name])
            if values["interpolation_error"] is not None:
                values["interpolation_error"] = float(values["interpolation_error"])
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
