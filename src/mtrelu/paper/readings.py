"""How words of the paper are read as numbers: one reading a word, for all figures alike.

Each is a `Claim` that lacks its sentence and its place. The numbers do not come from what was
measured: they are those of a picture in print (one hundredth of its height is about a line's width,
one tenth anybody sees), of the rule by which training stops, and of rounding.
"""

from __future__ import annotations

import math
from functools import partial

from mtrelu.paper.claim import Claim

VISIBLE = 0.01
PLAIN = 0.1
SETTLED = 1e-2
"""The stationarity at which `mtrelu.train` takes a network to be settled, its default."""
NEAR = SETTLED**2
"""About how much higher than the stationary point's the objective then is, relative."""

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
    tolerance=NEAR,
    limit=VISIBLE,
    reason="A network that is stationary up to 1e-2, where training stops, has an objective above "
    "the stationary point by about the square, 1e-4; one per cent more than the optimum is more "
    "than it.",
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
