"""The one place where the store meets the wall clock, and the identity of this boot and process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

# Bound once: while workflows run, other functions stand under these names, which take longer.
wall_ns: Final[Callable[[], int]] = time.time_ns
"""Returns the wall time in nanoseconds since 1970."""
monotonic_s: Final[Callable[[], float]] = time.monotonic
"""A clock for timeouts, in seconds."""


def boot_ns() -> int:
    """Return the time since the machine started, which nobody sets; 0 where none is known."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return 0 if clock is None else time.clock_gettime_ns(clock)


def sleep_s(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


@cache
def boot_id() -> int:
    """Return a number that changes when the machine restarts, or 0 where none is known.

    What a process wrote is in the page cache until then, so a durable watermark of another boot
    says less than the files themselves.
    """
    try:
        if sys.platform == "linux":
            text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        elif sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - a constant command
        else:
            return 0
    except (OSError, subprocess.SubprocessError):
        return 0
    return zlib.crc32(text.strip().encode()) or 1


@cache
def process_space() -> int:
    """Return the number of the space in which process ids are given, 0 where there is only one.

    A process of another container may run under this boot and not be seen from here.
    """
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


_own_id = [os.getpid()]
if hasattr(os, "register_at_fork"):
    # Every append asks which process this is: a list tells it sooner than the system does.
    os.register_at_fork(after_in_child=lambda: _own_id.__setitem__(0, os.getpid()))


def process_id() -> int:
    """Return this process's id."""
    return _own_id[0]


def random_salt() -> int:
    """Return 64 random bits, by which frames of different files are told apart."""
    return int.from_bytes(os.urandom(8), "little")


@cache
def own_start() -> int:
    """Return when this process began, in ticks of this boot."""
    return process_started(process_id())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=own_start.cache_clear)


def process_started(pid: int) -> int:
    """Return when a process began, in ticks of this boot; 0 where none of that id is running.

    Where the system does not tell times, a process that is there has 1.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        pass
    if sys.platform == "linux":
        return 0
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return 0
    except OSError:
        return 1
    return 1
