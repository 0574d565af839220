"""Pictures of a fit, in the style of scikit-learn's displays; matplotlib is loaded to draw."""

from mtrelu.displays._style import PANELS, task_names
from mtrelu.displays.dual import DualFunctionDisplay
from mtrelu.displays.line import CurvesDisplay, SlopeChangesDisplay
from mtrelu.displays.plane import RangeWidthDisplay, SurfaceDisplay
from mtrelu.displays.selection import SelectionDisplay

__all__ = [
    "PANELS",
    "CurvesDisplay",
    "DualFunctionDisplay",
    "RangeWidthDisplay",
    "SelectionDisplay",
    "SlopeChangesDisplay",
    "SurfaceDisplay",
    "task_names",
]
