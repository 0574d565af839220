"""Kernels whose ridge regression the networks are, or come close to (section 4 of the paper).

Every kernel here is fixed: it has nothing left to fit. It works as ``kernel=`` in scikit-learn's
``KernelRidge``, ``SVR`` and ``GaussianProcessRegressor``, alone or in sums and products with other
Gaussian-process kernels.
"""

from mtrelu.kernels.infinite_task import InfiniteTaskKernel
from mtrelu.kernels.neuron import NeuronKernel
from mtrelu.kernels.sobolev import SobolevKernel

__all__ = ["InfiniteTaskKernel", "NeuronKernel", "SobolevKernel"]
