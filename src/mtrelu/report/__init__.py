"""A fit told to people who do not know the theory: pictures, words and tables in one HTML file."""

from mtrelu.report.base import Report
from mtrelu.report.curves import CurveReport
from mtrelu.report.surfaces import SurfaceReport

__all__ = ["CurveReport", "Report", "SurfaceReport"]
