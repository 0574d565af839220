"""Section 4 of the paper: with many tasks, every single task is fitted by a kernel method.

`quantities` has everything that Theorem 4.1 and Lemma 4.2 speak about, for any network;
`leave_task_out` fits a task over neurons that were learned without it.
"""

from mtrelu.regime.leave_task_out import LeaveTaskOut, leave_task_out
from mtrelu.regime.quantities import KernelRegime

__all__ = ["KernelRegime", "LeaveTaskOut", "leave_task_out"]
