"""How claims are measured: scales, alternating blocks, spreads, counts of calls."""

from __future__ import annotations

import gc
import os
import stat
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from flowlab.errors import MissingDependencyError

SEED: Final = 20_260_101


def _untold(_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Scale:
    """How much a measurement does.

    Args:
        events: of the large log.
        blocks: how often ours and the peer's take turns.
        repeats: measurements in a block.
        folder: where the files of a measurement go; None is the system's temporary folder.
        largest: events of the largest log by which growth is measured.
        tell: is told of each part of a long measurement.
    """

    events: int = 1_000_000
    blocks: int = 15
    repeats: int = 40
    folder: Path | None = None
    largest: int = 1_000_000
    tell: Callable[[str], object] = field(default=_untold, compare=False, repr=False)

    def rounds(self, most: int) -> int:
        """Return how many slow measurements: the blocks, bounded."""
        return min(self.blocks, most)


QUICK: Final = Scale(events=20_000, blocks=3, repeats=10, largest=20_000)
"""Proves that every measurement runs; its figures mean little."""
FULL: Final = Scale(blocks=60, repeats=60, largest=10_000_000)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some numbers, and their quartiles.

    Example:
        >>> Spread.of([1.0, 2.0, 3.0, 4.0, 100.0])
        Spread(median=3.0, low=2.0, high=4.0, count=5)
    """

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one number."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high, len(values))


@dataclass(frozen=True, slots=True)
class Race:
    """What alternating blocks of several contestants took.

    Args:
        seconds: of each contestant, the median of one call in each block.
    """

    seconds: dict[str, list[float]]

    def ratio(self, ours: str, peer: str) -> Spread:
        """Return the spread of ours/peer, block by block: the machine's drift cancels out."""
        pairs = zip(self.seconds[ours], self.seconds[peer], strict=True)
        return Spread.of([mine / theirs for mine, theirs in pairs])

    def shown(self, name: str, calls: int = 1) -> str:
        """Return a contestant's median time of one call, for people."""
        return duration(statistics.median(self.seconds[name]) / calls)


def race(
    contestants: dict[str, Callable[[int], object]], *, blocks: int, repeats: int, warm: int = 3
) -> Race:
    """Time contestants in alternating blocks of one process.

    Each contestant is a function of a running number that never repeats; what it prepares outside
    the clock, it prepares before. The order turns from block to block. The cyclic collector stands
    still.
    """
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    number = 0
    for name in names:
        for _ in range(warm):
            contestants[name](number)
            number += 1
    gc.collect()
    gc.disable()
    try:
        for block in range(blocks):
            for name in names[block % len(names) :] + names[: block % len(names)]:
                call, times = contestants[name], []
                for _ in range(repeats):
                    began = time.perf_counter()
                    call(number)
                    times.append(time.perf_counter() - began)
                    number += 1
                seconds[name].append(statistics.median(times))
    finally:
        gc.enable()
    return Race(seconds)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long a call took, in seconds, and its result."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def duration(seconds: float) -> str:
    """Write a duration for people.

    Example:
        >>> duration(0.00012), duration(0.0042), duration(3.21)
        ('120 us', '4.20 ms', '3.21 s')
    """
    if seconds < 1e-3:  # noqa: PLR2004 - a size
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


@contextmanager
def workplace(scale: Scale) -> Iterator[Path]:
    """Lend a folder that is gone afterwards; that in which it lies is made, where it is missing."""
    if scale.folder is not None:
        scale.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="flowlab-check-", dir=scale.folder) as folder:
        yield Path(folder)


@contextmanager
def counted_syncs() -> Iterator[Counter[str]]:
    """Count what the process asks of the device, whoever asks: `data` and `directory` syncs."""
    found: Counter[str] = Counter()
    real = [(os, name) for name in ("fsync", "fdatasync") if hasattr(os, name)]
    if sys.platform == "darwin":
        import fcntl  # noqa: PLC0415 - absent on Windows

        real.append((fcntl, "fcntl"))
    calls = [(module, name, getattr(module, name)) for module, name in real]

    def counting(call: Callable[..., Any]) -> Callable[..., Any]:
        def sync(descriptor: int, *command: Any) -> Any:
            if not command or command[0] == _FULL_FSYNC:
                kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "data"
                found[kind] += 1
            return call(descriptor, *command)

        return sync

    for module, name, call in calls:
        setattr(module, name, counting(call))
    try:
        yield found
    finally:
        for module, name, call in calls:
            setattr(module, name, call)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a call asked of the operating system.

    Args:
        reads, writes: system calls.
        bytes_read, bytes_written: that they moved, from the page cache or not.
    """

    reads: int
    writes: int
    bytes_read: int
    bytes_written: int

    @property
    def calls(self) -> int:
        """All of them."""
        return self.reads + self.writes

    @property
    def bytes(self) -> int:
        """In both directions."""
        return self.bytes_read + self.bytes_written


def counted_traffic(call: Callable[[], object]) -> Traffic:
    """Count the reads and writes of this process during a call, those of libraries included.

    Raises:
        MissingDependencyError: the system does not count them; Linux does.
    """
    try:
        empty = _traffic(lambda: None)
        found = _traffic(call)
    except OSError as error:
        message = "this claim counts system calls in /proc/self/io, which Linux has: measure there"
        raise MissingDependencyError(message) from error
    return Traffic(*(count - own for count, own in zip(found, empty, strict=True)))


def _traffic(call: Callable[[], object]) -> tuple[int, ...]:
    with Path("/proc/self/io").open("rb", buffering=0) as counters:

        def read() -> dict[str, int]:
            counters.seek(0)
            lines = counters.read(4_096).decode().splitlines()
            return {name: int(count) for name, _, count in (line.partition(": ") for line in lines)}

        before = read()
        call()
        after = read()
    return tuple(after[name] - before[name] for name in ("syscr", "syscw", "rchar", "wchar"))


_FULL_FSYNC: Final = 51
"""F_FULLFSYNC of macOS, which has no other call that reaches the device."""
_SYSTEM: Final = frozenset({"posix", "nt", "fcntl", "msvcrt", "io", "_io"})


def counted_calls(call: Callable[[], object]) -> Counter[str]:
    """Count the function calls that this thread makes: `work` in all, `system` to the OS.

    Unlike a time, a count is the same on every machine of one Python version.
    """
    found: Counter[str] = Counter()

    def note(_frame: Any, event: str, argument: Any) -> None:
        if event == "c_call":
            found["work"] += 1
            found["system"] += getattr(argument, "__module__", None) in _SYSTEM
        elif event == "call":
            found["work"] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return found
