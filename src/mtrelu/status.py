"""What a certificate concludes, and what its reader should do next."""

import enum


class Status(enum.Enum):
    """Conclusion of a certificate; a closed list.

    Attributes
    ----------
    meaning : str
        What was established, in one sentence.
    advice : str
        What to do next.

    Examples
    --------
    >>> Status.CERTIFIED.meaning
    'The network is proved globally optimal to within the requested tolerance.'
    >>> Status("almost").name
    'ALMOST'
    """

    meaning: str
    advice: str

    def __new__(cls, value: str, meaning: str, advice: str) -> "Status":
        """Make a member whose value is a plain word; the sentences are attributes."""
        member = object.__new__(cls)
        member._value_ = value
        member.meaning = meaning
        member.advice = advice
        return member

    CERTIFIED = (
        "certified",
        "The network is proved globally optimal to within the requested tolerance.",
        "Nothing more to do: no network of any width does better by more than the reported gap.",
    )
    ALMOST = (
        "almost",
        "The network is proved close to optimal, but not as close as was requested.",
        "Good enough for most uses. For more digits, solve again with more iterations, or ask for "
        "a larger tol.",
    )
    NOT_OPTIMAL = (
        "not optimal",
        "Optimality could not be proved: the gap is an upper bound of what may still be gained.",
        "The network may be better than its gap suggests, for a gap proves nothing against it. "
        "Compare with mtrelu.solve on the same data, alpha and loss. If it came from there, alpha "
        "is below what float64 resolves for these data: raise alpha, or pass 0.",
    )
    UNCERTIFIED = (
        "uncertified",
        "A search found nothing to gain, but that there is nothing was not proved.",
        "Read it as likely, not as a proof. If a proof is needed, raise time_limit, or use fewer "
        "inputs or samples, where an exact search is affordable.",
    )
    LIMIT_REACHED = (
        "limit reached",
        "The solver stopped at its limit of iterations or time before the tolerance was met.",
        "The gap still bounds what may be gained. Raise max_iter or time_limit, or ask for a "
        "larger tol.",
    )
    INFEASIBLE = (
        "infeasible",
        "With alpha = 0 the network must pass through every label, and it does not.",
        "Compare the interpolation error with the precision of your labels. Use alpha > 0 if the "
        "labels are noisy, or mtrelu.solve with alpha = 0 for an exact interpolant.",
    )
