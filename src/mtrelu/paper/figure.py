"""What a figure of the paper is made of, and the list of those that can be made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mtrelu.displays._style import new_figure
from mtrelu.paper.claim import Claim, Finding
from mtrelu.validation import InvalidInputError

__all__ = ["NAMES", "Data", "Figure", "Progress", "Settings", "canvas", "figure", "plain"]

Data = dict[str, Any]
Settings = Mapping[str, Any]
Progress = Callable[[int, int], None]

NAMES = (
    "fig1",
    "fig2",
    "fig3",
    "fig4",
    "fig5",
    "fig6",
    "fig7",
    "fig8",
    "fig9",
    "fig10",
    "theorem41",
    "univariate",
    "uniqueness",
    "training_optimum",
    "depth",
)
"""The figures, each a module of this folder with a `Figure` called FIGURE; in the report's order.
"""


@dataclass(frozen=True)
class Figure:
    """A figure or statement of the paper: how it is measured, drawn and judged.

    Attributes
    ----------
    name, title : str
        What the command line calls it, and a heading.
    description : str
        What the paper shows, and what is done here.
    caption : str
        What the picture shows.
    claims : tuple of Claim
        What it says.
    quick, full : mapping
        Settings for a look and for the record, as JSON has them.
    measure : callable
        ``measure(settings, n_seeds, progress, kept)`` returns what was measured, as a dictionary of
        JSON's types. ``progress`` is called with how much is done and how much there is; ``kept``
        is a file that the module may use to go on after an interruption.
    draw : callable
        ``draw(data)`` returns a matplotlib figure, from what was stored alone.
    trains : bool
        Whether networks are trained, which takes PyTorch; their settings then have a ``device``.
    """

    name: str
    title: str
    description: str
    caption: str
    claims: tuple[Claim, ...]
    quick: Settings
    full: Settings
    measure: Callable[[Settings, int, Progress, Path], Data]
    draw: Callable[[Data], Any]
    trains: bool = False

    def settings(self, full: bool, device: str = "cpu") -> Settings:
        """Return the settings of one of the two scales."""
        scale = self.full if full else self.quick
        return {**scale, "device": device} if self.trains else scale

    def findings(self, data: Data) -> list[Finding]:
        """Judge all claims."""
        return [claim.judge(data) for claim in self.claims]


def figure(name: str) -> Figure:
    """Return a figure by its name.

    Raises
    ------
    InvalidInputError
        There is none of that name; the message lists them.

    Examples
    --------
    >>> figure("fig1").title
    'Figure 1: two optimal functions of a single task'
    """
    if name not in NAMES:
        raise InvalidInputError(
            f"{name!r} is no figure that can be reproduced; choose among {', '.join(NAMES)}."
        )
    found: Figure = import_module(f"mtrelu.paper.{name}").FIGURE
    return found


def canvas(size: tuple[float, float]) -> Any:
    """Return an empty matplotlib figure of that size in inches, of which pyplot knows nothing.

    Examples
    --------
    >>> canvas((3.0, 2.0))
    <Figure size 300x200 with 0 Axes>
    """
    from matplotlib.figure import Figure as Picture

    return new_figure(Picture(), size)


def plain(value: Any) -> Any:
    """Return what JSON can hold: arrays become lists, NaN null, infinity the string "inf".

    Examples
    --------
    >>> plain({"a": np.array([1.0, np.nan]), "b": (np.True_, np.inf)})
    {'a': [1.0, None], 'b': [True, 'inf']}
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
