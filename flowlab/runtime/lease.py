"""A lease on a store: whoever runs its workflows says so again and again, and a standby watches."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import msgspec

from flowlab.errors import FencedError, InvalidArgumentError
from flowlab.events import Event
from flowlab.events.vocabulary import WORLD_STREAM
from flowlab.store import EventStore
from flowlab.store.clock import monotonic_s, process_id, random_salt
from flowlab.store.files import Disk
from flowlab.workflow import SECOND, Duration, as_ns
from flowlab.workflow.names import shortened

if TYPE_CHECKING:
    from flowlab.runtime.runtime import Runtime

FILE: Final = "runtime.lease"
"""The file of a store that says who runs its workflows."""
RENEWALS: Final = 3
"""How often a lease is renewed while it lasts."""
LOOKS: Final = 8
"""How often a standby looks in the time of a lease."""
SHORTEST_NS: Final = SECOND // 100
LONGEST_NS: Final = 24 * 3600 * SECOND
DEFAULT_NS: Final = 10 * SECOND


class LeaseRecord(msgspec.Struct, frozen=True):
    """What the file of a lease says.

    Args:
        holder: names one runtime, of all that ever were.
        counter: rises with every renewal.
        lease_ns: how long after the last one it still counts.
        released: whether the holder has given it up.
    """

    holder: str
    counter: int
    lease_ns: int
    released: bool = False


def as_lease_ns(lease: Duration) -> int:
    """Return the length of a lease in nanoseconds.

    Raises:
        InvalidArgumentError: it is below 10 ms or above a day.

    Example:
        >>> as_lease_ns(5 * SECOND)
        5000000000
    """
    found = as_ns(lease, "lease")
    if not SHORTEST_NS <= found <= LONGEST_NS:
        message = f"a lease of {found} ns; expected 10 ms to a day, as a timedelta or nanoseconds"
        raise InvalidArgumentError(message)
    return found


class Lease:
    """The lease of one runtime on its store.

    No clock of another machine is trusted: a holder only counts, and whoever watches measures with
    a clock of its own. What keeps two runtimes from writing is not this, but the epoch of the
    store.

    Args:
        root: of the store.
        disk: of the store.
        lease_ns: how long it lasts.
    """

    __slots__ = ("_counter", "_disk", "_holder", "_path", "_renewed_s", "lease_ns")

    def __init__(self, root: Path, disk: Disk, lease_ns: int) -> None:
        self.lease_ns = lease_ns
        self._path = root / FILE
        self._disk = disk
        self._holder = f"{process_id()}-{random_salt():016x}"
        self._counter = 0
        self._renewed_s = monotonic_s()

    def __repr__(self) -> str:
        return f"Lease({self.lease_ns / SECOND:g} s, renewed {max(0, self._counter - 1)} times)"

    @classmethod
    def on(cls, store: EventStore, lease: Duration) -> Self:
        """Return a lease on a store."""
        return cls(store.path, store.disk, as_lease_ns(lease))

    def take(self) -> None:
        """Say that this runtime holds the store now, whoever did before.

        Raises:
            OSError: it cannot be written.
        """
        for left in self._path.parent.glob(f"{FILE}-*.new"):
            with suppress(OSError):
                self._disk.remove(left)
        self._write()

    def renew(self) -> None:
        """Say it once more.

        Raises:
            FencedError: another runtime holds it, or it could not be renewed for its whole length.
        """
        try:
            record = parse(read_raw(self._path))
        except OSError as error:
            self._not_renewed(error)
            return
        if record is not None and record.holder != self._holder:
            message = (
                "another runtime has taken over this store, since this one did not renew its lease "
                f"of {self.lease_ns / SECOND:g} s in time: it may have been stopped or overloaded; "
                "workflows go on there"
            )
            raise FencedError(message)
        try:
            self._write()
        except OSError as error:
            self._not_renewed(error)

    def release(self) -> None:
        """Give it up, if it is still held: a standby need not wait then."""
        with suppress(OSError):  # a standby waits for the lease to lapse, instead
            record = parse(read_raw(self._path))
            if record is not None and record.holder == self._holder:
                self._write(released=True)

    def _not_renewed(self, error: OSError) -> None:
        if monotonic_s() - self._renewed_s < self.lease_ns / SECOND:
            return
        message = (
            f"the lease of {self.lease_ns / SECOND:g} s could not be renewed ({error}), so a "
            "standby may take over; make room or mend the folder, and start a new runtime"
        )
        raise FencedError(message) from error

    def _write(self, *, released: bool = False) -> None:
        self._counter += 1
        record = LeaseRecord(self._holder, self._counter, self.lease_ns, released)
        scratch = self._path.with_name(f"{FILE}-{self._holder}.new")
        with suppress(FileNotFoundError):
            self._disk.remove(scratch)
        descriptor = self._disk.open_rw(scratch, create=True)
        try:
            self._disk.write_at(descriptor, msgspec.json.encode(record), 0)
        finally:
            os.close(descriptor)
        self._disk.rename(scratch, self._path)
        self._renewed_s = monotonic_s()


def read_raw(path: Path) -> bytes:
    """Return what the file of a lease holds, empty where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def parse(raw: bytes) -> LeaseRecord | None:
    """Return what a lease says, None where it is torn or there is none."""
    try:
        return msgspec.json.decode(raw, type=LeaseRecord)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class Standby:
    """Waits beside a running runtime, and goes on with its workflows once it has stopped.

    It takes over when the lease of the other one is released, or when its counter has not changed
    for one whole lease by this process's own clock: within a lease and a quarter of the last
    renewal, plus the time to open the store and to replay what is unfinished. It then fences the
    older one by the store's epoch, so that whatever it still had in memory is refused by name
    (`FencedError`), and recovers everything unfinished. Several standbys may watch one store; where
    two take over at once, the epoch lets one of them go on.

    Args:
        path: of the store, which need not be there yet.
        runtime: makes the runtime on the opened store; give it a `lease` as the older one has.
        lease: how long nothing must change where no lease says its length.
        open_store: opens the store; `EventStore` by default.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from flowlab import Runtime, workflow
        >>> @workflow
        ... async def greet(ctx, name):
        ...     return f"hello {name}"
        >>> async def watch(folder):
        ...     with EventStore(folder) as store:
        ...         async with Runtime(store, greet, lease=SECOND) as older:
        ...             await older.start(greet, "Ada", id="greet-1")
        ...     async with Standby(folder, lambda store: Runtime(store, greet)) as standby:
        ...         runtime = await standby.take_over()
        ...         handle = await runtime.start(greet, id="greet-1")
        ...         return await handle.result()
        >>> with TemporaryDirectory() as folder:
        ...     asyncio.run(watch(folder))
        'hello Ada'
    """

    def __init__(
        self,
        path: str | Path,
        runtime: Callable[[EventStore], Runtime],
        *,
        lease: Duration = DEFAULT_NS,
        open_store: Callable[[Path], EventStore] = EventStore,
    ) -> None:
        if not callable(runtime):
            message = (
                f"runtime is {shortened(runtime)}; expected a function that makes one: "
                "lambda store: Runtime(store, workflows, ...)"
            )
            raise InvalidArgumentError(message)
        self._path = Path(path)
        self._make = runtime
        self._lease_ns = as_lease_ns(lease)
        self._open = open_store
        self.store: EventStore | None = None
        self.runtime: Runtime | None = None

    def __repr__(self) -> str:
        state = "watches" if self.runtime is None else "has taken over"
        return f"Standby({self._path.name!r}, {state})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def take_over(self) -> Runtime:
        """Wait until the lease has lapsed or is released; return a runtime that has recovered all.

        A workflow that cannot go on here (its code is missing, or does not fit its history) is
        named by a RuntimeWarning, and all others go on.

        Raises:
            FencedError: another standby was quicker.
        """
        if self.runtime is not None:
            return self.runtime
        await self.lapse()
        self.store = self._open(self._path)
        marker = Event.of("MarkerRecorded", name="taken_over", payload={"lease_ns": self._lease_ns})
        # The first commit takes the store's epoch: from here on the older one writes nothing.
        self.store.append(WORLD_STREAM, [marker])
        self.runtime = self._make(self.store)
        await self.runtime.__aenter__()
        _, refused = await self.runtime.resume_all()
        for workflow_id, error in refused.items():
            message = f"{workflow_id!r} does not go on with the standby, as others do: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        return self.runtime

    async def lapse(self) -> None:
        """Wait until nobody holds the store."""
        seen, since_s = read_raw(self._path / FILE), monotonic_s()
        while True:
            record = parse(seen)
            if record is not None and record.released:
                return
            lease_ns = self._lease_ns if record is None else record.lease_ns
            await asyncio.sleep(lease_ns / LOOKS / SECOND)
            found, now_s = read_raw(self._path / FILE), monotonic_s()
            if found != seen:
                seen, since_s = found, now_s
            elif now_s - since_s >= lease_ns / SECOND:
                return

    async def close(self) -> None:
        """Stop the runtime that has taken over, and close its store."""
        if self.runtime is not None:
            await self.runtime.close()
        if self.store is not None:
            self.store.close()
