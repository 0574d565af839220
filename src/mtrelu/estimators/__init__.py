"""The scikit-learn face of mtrelu."""

from mtrelu.estimators.regressor import ReLURegressor

__all__ = ["ReLURegressor"]
