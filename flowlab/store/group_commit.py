"""Group commit: callers that wait at the same time share one commit, led by one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from flowlab.errors import InvalidArgumentError, NotFoundError
from flowlab.events import RunInfo
from flowlab.store.admission import Batch, NoEvents
from flowlab.store.layout import Stream
from flowlab.store.tail_reader import KeyUse


class AppendResult(msgspec.Struct, frozen=True):
    """Where an append put its events.

    Args:
        first_sequence, last_sequence: in the stream.
        first_position, last_position: in the whole log.
        repeated: the idempotency key had been used: nothing new was written.
    """

    first_sequence: int
    last_sequence: int
    first_position: int
    last_position: int
    repeated: bool = False


class Request(msgspec.Struct, eq=False):
    """One append that waits for its commit: to one stream, or `together` to several.

    It is refused where a file that it `needs`, by path and inode, is gone: vacuum, which has the
    lock as a commit has, removes files that no event names. `meanwhile` is called once by the
    thread that submits it: while the device writes, where it leads, or else when it is durable.
    """

    batch: Batch | NoEvents | None
    expected_version: int | None = None
    key: str | None = None
    fingerprint: bytes | None = None
    runs: list[RunInfo] = []
    together: tuple[Batch, ...] = ()
    expected_versions: Mapping[str, int] = {}
    needs: tuple[Path, int] | None = None
    meanwhile: Callable[[], None] | None = None
    result: AppendResult | None = None
    error: BaseException | None = None
    woken: threading.Event | None = None

    def take_meanwhile(self) -> Callable[[], None] | None:
        """Return what its caller does while the device writes, if that is this thread's to do."""
        if self.woken is not None:
            return None
        meanwhile, self.meanwhile = self.meanwhile, None
        return meanwhile

    @property
    def size_bytes(self) -> int:
        """How many bytes its events take."""
        if self.batch is not None:
            return len(self.batch.encoded)
        return sum([len(batch.encoded) for batch in self.together])

    def check_file(self) -> None:
        """Check that the file which its events name is there.

        Raises:
            NotFoundError: it is not.
        """
        if self.needs is None:
            return
        path, inode = self.needs
        try:
            found = path.stat().st_ino
        except FileNotFoundError:
            found = None
        if found != inode:
            message = f"{path} is gone before an event could name it; write it again"
            raise NotFoundError(message)

    @property
    def done(self) -> bool:
        """Whether it was committed or refused."""
        return self.result is not None or self.error is not None


class GroupCommit:
    """The requests that wait, and who commits them.

    The first caller leads: it commits what has come until then, its own request included. Those
    that come meanwhile sleep, and the first of them leads next.

    Attributes:
        leader: held by whoever commits.
    """

    def __init__(self, commit: Callable[[list[Request]], None]) -> None:
        self.leader = threading.Lock()
        self._commit = commit
        self._lock = threading.Lock()
        self._waiting: list[Request] = []
        self._led = False

    def submit(self, request: Request) -> AppendResult:
        """Commit one request, together with whatever other threads have waiting.

        Raises:
            FlowlabError: why it was refused; nothing of it was written.
        """
        try:
            with self._lock:
                if self._led:
                    request.woken = threading.Event()
                self._waiting.append(request)
                self._led = True
            if request.woken is not None:
                # The leader of the moment commits this request too, or hands the lead over to it.
                request.woken.wait()
            if not request.done:
                self._lead(request)
        except BaseException:
            # An interrupted caller takes its request back, and leaves no one waiting for it to
            # lead.
            self._leave(request)
            raise
        if request.error is not None:
            raise request.error
        assert request.result is not None
        if request.meanwhile is not None:
            request.meanwhile()
        return request.result

    def _lead(self, request: Request) -> None:
        taken: list[Request] = []
        try:
            with self.leader:
                with self._lock:
                    taken, self._waiting = self._waiting, []
                self._commit(taken)
        finally:
            with self._lock:
                if self._waiting:
                    if request in self._waiting:
                        self._waiting.remove(request)
                    self._hand_over()
                else:
                    self._led = False
            for other in taken:
                if other.woken is not None:
                    other.woken.set()

    def _leave(self, request: Request) -> None:
        with self._lock:
            if request in self._waiting:
                self._waiting.remove(request)
                if request.woken is None or request.woken.is_set():
                    self._hand_over()

    def _hand_over(self) -> None:
        self._led = bool(self._waiting)
        if self._waiting:
            woken = self._waiting[0].woken
            assert woken is not None
            woken.set()


def repeated(use: KeyUse, fingerprint: bytes, key: str, stream: Stream) -> AppendResult:
    """Return the first result of an idempotency key that comes again.

    Raises:
        InvalidArgumentError: it was used for other events.
    """
    if use.fingerprint != fingerprint:
        message = (
            f"idempotency key {key!r} of stream {stream[2]!r} was used for another batch "
            f"(sequences {use.first_sequence} to {use.last_sequence}); use a new key for new events"
        )
        raise InvalidArgumentError(message)
    return AppendResult(
        use.first_sequence,
        use.last_sequence,
        use.first_position,
        use.last_position,
        repeated=True,
    )
