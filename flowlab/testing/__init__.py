"""For tests of what is built on a store: disks that fail, and a driver through every boundary."""

from __future__ import annotations

from flowlab.testing.boundaries import BoundaryReport, DiskState, every_boundary
from flowlab.testing.crash_disk import Call, CrashDisk, restarted
from flowlab.testing.device_states import MAX_DEVICE_STATES, DeviceState, device_states
from flowlab.testing.faulty_disk import Fault, FaultyDisk, Stopped
from flowlab.testing.file_system import FileSystem

__all__ = [
    "MAX_DEVICE_STATES",
    "BoundaryReport",
    "Call",
    "CrashDisk",
    "DeviceState",
    "DiskState",
    "Fault",
    "FaultyDisk",
    "FileSystem",
    "Stopped",
    "device_states",
    "every_boundary",
    "restarted",
]
