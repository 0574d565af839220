"""How words of the paper are read as numbers: one reading a word, for all figures alike.

Each is a `Claim` that lacks its sentence and its place. The numbers do not come from what was
measured: they are those of a picture in print (one hundredth of its height is about a line's width,
one tenth anybody sees), of the rule by which training stops, and of rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from mtrelu.paper.claim import Claim

VISIBLE = 0.01
PLAIN = 0.1
SETTLED = 1e-2
"""The stationarity up to which a network counts as settled: where `mtrelu.train` stops. Near a
stationary point its objective is above that of the point by about the square, relative."""
REST = 1e-4
"""The stationarity down to which training is carried on if it can be, so that what is left of the
descent is far below `CERTIFIED`."""
CERTIFIED = 1e-6
"""The relative gap up to which `mtrelu` calls a network optimal, its default tolerance."""

SAME = partial(
    Claim,
    sense="at most",
    tolerance=VISIBLE,
    limit=PLAIN,
    reason="The paper shows pictures and calls them similar, identical or recovered, without a "
    "number. One hundredth of the height is a line's width in print; one tenth anybody sees.",
)
DIFFERENT = partial(
    Claim,
    sense="at least",
    tolerance=PLAIN,
    limit=VISIBLE,
    reason="The paper shows pictures and calls them different, without a number. One tenth of the "
    "height anybody sees; less than one hundredth is within a line's width in print.",
)
CONVERGED = partial(
    Claim,
    sense="at most",
    tolerance=SETTLED,
    limit=10 * SETTLED,
    reason="The paper does not say how convergence was seen. The tolerance is the stationarity at "
    "which training stops by default; at ten times as much the objective is above the stationary "
    "point by about its square, one per cent.",
)
MINIMAL = partial(
    Claim,
    sense="at most",
    tolerance=CERTIFIED,
    limit=VISIBLE,
    reason="The paper names no precision. The tolerance is that up to which the library calls a "
    "network optimal; what costs one per cent more than the optimum is not.",
)
ABOUT = partial(
    Claim,
    sense="at most",
    tolerance=math.log2(1.25),
    limit=1.0,
    reason="The paper gives one rounded number for one draw that it does not print. A quarter more "
    "or less is still about it; twice as many or half are not.",
)
NOT_ZERO = partial(
    Claim,
    sense="at least",
    tolerance=2.0**-23,
    reason="The paper's networks are trained in single precision, where less is rounding.",
)


def agreed(values: Sequence[float], limit: float) -> float | None:
    """Return the largest of several ways to measure; None if the limit is between them.

    What the paper does not define is measured in every way that comes to mind, and decides nothing
    where these disagree.

    Examples
    --------
    >>> agreed([0.2, 0.4], limit=1.0), agreed([2.0, 1.5], limit=1.0), agreed([0.2, 2.0], limit=1.0)
    (0.4, 2.0, None)
    """
    within = [value <= limit for value in values]
    return max(values) if all(within) or not any(within) else None
