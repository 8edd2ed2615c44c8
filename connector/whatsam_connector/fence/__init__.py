"""The hard fence: a kernel timer that kills this process at a deadline, whatever else in it still works.

Called by the engine child (before it opens any database) and by the supervisor process for itself.
"""

from whatsam_connector.fence.kernel_timer import FenceError, KernelTimer, boottime

__all__ = ["FenceError", "KernelTimer", "boottime"]
