"""Multi-task shallow ReLU networks, fitted to certified global optimality.

Examples
--------
>>> import mtrelu
>>> solution = mtrelu.solve([0, 1, 2, 3], [[0, 1], [1, 1], [1, 0], [0, 2]], alpha=0.1)
>>> solution.status
<Status.CERTIFIED: 'certified'>
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mtrelu.api import Solution as Solution
    from mtrelu.api import certify as certify
    from mtrelu.api import solve as solve
    from mtrelu.certificate import Certificate as Certificate
    from mtrelu.conversion import as_network as as_network
    from mtrelu.estimators.classifier import ReLUClassifier as ReLUClassifier
    from mtrelu.estimators.cv import ReLURegressorCV as ReLURegressorCV
    from mtrelu.estimators.features import NeuronFeatures as NeuronFeatures
    from mtrelu.estimators.learned_kernel import LearnedKernelRidge as LearnedKernelRidge
    from mtrelu.estimators.regressor import ReLURegressor as ReLURegressor
    from mtrelu.export.onnx_file import to_onnx as to_onnx
    from mtrelu.export.pytorch import to_torch as to_torch
    from mtrelu.export.table import coefficient_table as coefficient_table
    from mtrelu.export.table import network_from_table as network_from_table
    from mtrelu.io.model import load_model as load_model
    from mtrelu.io.model import save_model as save_model
    from mtrelu.io.network import load_network as load_network
    from mtrelu.io.network import save_network as save_network
    from mtrelu.kernels.infinite_task import InfiniteTaskKernel as InfiniteTaskKernel
    from mtrelu.kernels.neuron import NeuronKernel as NeuronKernel
    from mtrelu.kernels.sobolev import SobolevKernel as SobolevKernel
    from mtrelu.knot_removal import remove_knot as remove_knot
    from mtrelu.losses import HuberLoss as HuberLoss
    from mtrelu.losses import LogisticLoss as LogisticLoss
    from mtrelu.losses import Loss as Loss
    from mtrelu.losses import QuantileLoss as QuantileLoss
    from mtrelu.losses import SquaredLoss as SquaredLoss
    from mtrelu.network import ReLUNetwork as ReLUNetwork
    from mtrelu.neuron_reduction import reduce_neurons as reduce_neurons
    from mtrelu.optimal_polytope import OptimalPolytope as OptimalPolytope
    from mtrelu.optimal_set import OptimalSet as OptimalSet
    from mtrelu.path import AlphaPath as AlphaPath
    from mtrelu.path import alpha_path as alpha_path
    from mtrelu.problem import Problem as Problem
    from mtrelu.problem import alpha_from_weight_decay as alpha_from_weight_decay
    from mtrelu.problem import alpha_max as alpha_max
    from mtrelu.regime.leave_task_out import LeaveTaskOut as LeaveTaskOut
    from mtrelu.regime.leave_task_out import leave_task_out as leave_task_out
    from mtrelu.regime.quantities import KernelRegime as KernelRegime
    from mtrelu.solvers.gradient.result import Training as Training
    from mtrelu.solvers.gradient.training import train as train
    from mtrelu.solvers.interpolation import Interpolant as Interpolant
    from mtrelu.solvers.interpolation import Verdict as Verdict
    from mtrelu.solvers.interpolation import interpolate as interpolate
    from mtrelu.status import Status as Status
    from mtrelu.validation import InvalidInputError as InvalidInputError
    from mtrelu.validation import MissingExtraError as MissingExtraError

# Public names and their rooms.  A name is imported when it is first used, so that `import mtrelu`
# costs nothing and the command line answers at once.
_ROOMS = {
    "AlphaPath": "path",
    "Certificate": "certificate",
    "HuberLoss": "losses",
    "InfiniteTaskKernel": "kernels.infinite_task",
    "Interpolant": "solvers.interpolation",
    "InvalidInputError": "validation",
    "KernelRegime": "regime.quantities",
    "LearnedKernelRidge": "estimators.learned_kernel",
    "LeaveTaskOut": "regime.leave_task_out",
    "LogisticLoss": "losses",
    "Loss": "losses",
    "MissingExtraError": "validation",
    "NeuronFeatures": "estimators.features",
    "NeuronKernel": "kernels.neuron",
    "OptimalPolytope": "optimal_polytope",
    "OptimalSet": "optimal_set",
    "Problem": "problem",
    "QuantileLoss": "losses",
    "ReLUClassifier": "estimators.classifier",
    "ReLUNetwork": "network",
    "ReLURegressor": "estimators.regressor",
    "ReLURegressorCV": "estimators.cv",
    "SobolevKernel": "kernels.sobolev",
    "Solution": "api",
    "SquaredLoss": "losses",
    "Status": "status",
    "Training": "solvers.gradient.result",
    "Verdict": "solvers.interpolation",
    "alpha_from_weight_decay": "problem",
    "alpha_max": "problem",
    "alpha_path": "path",
    "as_network": "conversion",
    "certify": "api",
    "coefficient_table": "export.table",
    "interpolate": "solvers.interpolation",
    "leave_task_out": "regime.leave_task_out",
    "load_model": "io.model",
    "load_network": "io.network",
    "network_from_table": "export.table",
    "reduce_neurons": "neuron_reduction",
    "remove_knot": "knot_removal",
    "save_model": "io.model",
    "save_network": "io.network",
    "solve": "api",
    "to_onnx": "export.onnx_file",
    "to_torch": "export.pytorch",
    "train": "solvers.gradient.training",
}

__all__ = sorted(_ROOMS)


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'mtrelu' has no attribute {name!r}")
    value = getattr(import_module(f"mtrelu.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_ROOMS]
