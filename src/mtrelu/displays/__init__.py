"""Pictures of a fit, in the style of scikit-learn's displays; matplotlib is loaded to draw."""

from mtrelu.displays._style import PANELS, task_names
from mtrelu.displays.certificate import CertificateDisplay
from mtrelu.displays.coefficients import CoefficientDisplay
from mtrelu.displays.curves import FittedCurvesDisplay
from mtrelu.displays.dual import DualFunctionDisplay
from mtrelu.displays.dual_line import DualLineDisplay
from mtrelu.displays.path import PathDisplay
from mtrelu.displays.range_width import RangeWidthDisplay
from mtrelu.displays.selection import SelectionDisplay
from mtrelu.displays.surface import SurfaceDisplay

__all__ = [
    "PANELS",
    "CertificateDisplay",
    "CoefficientDisplay",
    "DualFunctionDisplay",
    "DualLineDisplay",
    "FittedCurvesDisplay",
    "PathDisplay",
    "RangeWidthDisplay",
    "SelectionDisplay",
    "SurfaceDisplay",
    "task_names",
]
