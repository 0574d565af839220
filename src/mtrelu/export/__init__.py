"""Networks taken elsewhere: PyTorch modules, ONNX files, tables of coefficients, and back."""

from mtrelu.export.onnx_file import to_onnx
from mtrelu.export.pytorch import to_torch
from mtrelu.export.table import coefficient_table, network_from_table

__all__ = ["coefficient_table", "network_from_table", "to_onnx", "to_torch"]
