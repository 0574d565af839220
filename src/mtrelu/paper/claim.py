"""A claim of the paper: what is said, what is measured, how far it may be off, and the verdict."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Claim", "Finding", "Verdict"]

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\*|\d+)\]")


class Verdict(enum.Enum):
    """What measuring says about a claim; a closed list."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "cannot be decided here"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper that numbers can contradict.

    The tolerance is part of the definition and stands before anything is measured; a claim is
    judged by its definition and the stored data alone.

    Attributes
    ----------
    name : str
        Short name.
    sentence : str
        What is claimed, in our words.
    place : str
        Where the paper says so; starts with "follows from", "beyond the paper" or "a check" if it
        does not.
    quantity : str
        What is measured, in words and with its unit.
    source : str
        Where in the data the numbers are, such as ``"draws[*].gap"``; ``[*]`` stands for every
        entry of a list. True counts as 1 and false as 0; null is a case that could not be decided.
    sense : {"at most", "at least"}
        On which side of the tolerance every number has to be.
    tolerance : float
        In the unit of the quantity.
    reason : str
        Why this tolerance.
    limit : float, optional
        A word such as "similar" has no sharp edge. Where the sentence has one, the claim holds up
        to the tolerance and is refuted beyond the limit; what is in between cannot be decided. By
        default the tolerance is the limit.

    Examples
    --------
    >>> claim = Claim(
    ...     "zero", "Costs agree.", "Section 3", "relative difference", "draws[*].off",
    ...     "at most", 1e-12, "Rounding of a few operations.",
    ... )
    >>> finding = claim.judge({"draws": [{"off": 0.0}, {"off": 1e-15}]})
    >>> finding.verdict.value, finding.measured, finding.where
    ('holds', 1e-15, 'draws[1].off')
    >>> claim.judge({"draws": [{"off": 1.0}, {"off": None}]}).verdict.value
    'does not hold'
    >>> claim.judge({"draws": [{"off": 0.0}, {"off": None}]}).verdict.value
    'cannot be decided here'
    >>> from dataclasses import replace
    >>> replace(claim, limit=0.1).judge({"draws": [{"off": 0.05}]}).verdict.value
    'cannot be decided here'
    """

    name: str
    sentence: str
    place: str
    quantity: str
    source: str
    sense: Literal["at most", "at least"]
    tolerance: float
    reason: str
    limit: float | None = None

    @property
    def of_the_paper(self) -> bool:
        """Whether the paper says so."""
        return not self.place.startswith(("follows from", "beyond the paper", "a check"))

    def judge(self, data: Any) -> Finding:
        """Compare every number with the tolerance and the limit.

        One number beyond the limit refutes the claim. Otherwise one that is missing, or between
        tolerance and limit, leaves it open, and so does having nothing to measure.

        Parameters
        ----------
        data : dict or list
            What the figure measured, as JSON has it: infinity is the string ``"inf"``.

        Returns
        -------
        Finding

        Raises
        ------
        LookupError
            The data have no such place.
        """
        cases = [(where, _number(value)) for where, value in _at(data, self.source)]
        known = [(where, value) for where, value in cases if not math.isnan(value)]
        sign = 1.0 if self.sense == "at most" else -1.0
        limit = self.tolerance if self.limit is None else self.limit
        violating = sum(sign * value > sign * limit for _, value in known)
        within = sum(sign * value <= sign * self.tolerance for _, value in known)
        where, measured = max(known, key=lambda case: sign * case[1], default=(None, None))
        if violating:
            verdict = Verdict.FAILS
        elif not known or within < len(cases):
            verdict = Verdict.OPEN
        else:
            verdict = Verdict.HOLDS
        n = len(cases)
        return Finding(self, verdict, measured, where, n, violating, n - within - violating)


@dataclass(frozen=True)
class Finding:
    """A claim with its verdict.

    Attributes
    ----------
    claim : Claim
        The definition.
    verdict : Verdict
        The judgement.
    measured : float or None
        The worst number; None if there is none.
    where : str or None
        Its place in the data.
    n_cases, n_violating, n_open : int
        How many numbers were looked at, refute the claim, and leave it open.
    """

    claim: Claim
    verdict: Verdict
    measured: float | None
    where: str | None
    n_cases: int
    n_violating: int
    n_open: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, the claim's definition included."""
        plain = asdict(self) | {
            "verdict": self.verdict.value,
            "of_the_paper": self.claim.of_the_paper,
        }
        if self.measured is not None and math.isinf(self.measured):
            plain["measured"] = str(self.measured)
        return plain


def _at(data: Any, source: str, where: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that a source names, with its own place."""
    if not source:
        yield where, data
        return
    step = _STEP.match(source)
    if step is None:
        raise LookupError(f"{source!r} is not a place in data; write, for example, draws[*].gap")
    name, index = step.groups()
    rest = source[step.end() :]
    if name is not None:
        yield from _at(data[name], rest, f"{where}.{name}" if where else name)
    else:
        for i in range(len(data)) if index == "*" else (int(index),):
            yield from _at(data[i], rest, f"{where}[{i}]")


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
