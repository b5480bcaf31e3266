"""The one writer: group commit into the tail, and sealing."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from flowlab.errors import ConcurrencyError, CorruptionError, FlowlabError, LimitError
from flowlab.events import grouped
from flowlab.store.admission import Batch, NoEvents
from flowlab.store.clock import wall_ns
from flowlab.store.commit_log import CommitLog
from flowlab.store.delta import TableState
from flowlab.store.files import Disk
from flowlab.store.frames import MAX_FRAME_BYTES, Commit, Transaction, encode_commit
from flowlab.store.group_commit import AppendResult, GroupCommit, Request, repeated
from flowlab.store.heads import Heads
from flowlab.store.inline import InlineViews
from flowlab.store.layout import Stream
from flowlab.store.role import Role
from flowlab.store.run_check import MAX_RUN_BYTES
from flowlab.store.sealing import Sealer
from flowlab.store.tail import TailWriter, tail_is_begun, tail_numbers, tail_path
from flowlab.store.tail_reader import KeyUse, TailReader, TailView

MAX_TRANSACTION_BYTES: Final = MAX_FRAME_BYTES // 2
T = TypeVar("T")


class Writer:
    """Appends for one open store; threads share its commits, processes take turns by epoch."""

    def __init__(
        self,
        root: Path,
        *,
        role: Role,
        sealer: Sealer,
        log: CommitLog,
        tail: TailReader,
        disk: Disk,
        seal_events: int,
        seal_bytes: int,
    ) -> None:
        self._root = root
        self._role = role
        self._sealer = sealer
        self._log = log
        self._reader = tail
        self._writer = TailWriter(root / "tail", disk, owner=tail.owner)
        self._disk = disk
        self._seal_events = seal_events
        self._seal_bytes = seal_bytes
        self._group = GroupCommit(self._lead)
        self.inline: InlineViews | None = None
        self._heads: Heads | None = None
        self._keys: dict[tuple[Stream, str], KeyUse] = {}
        self._position = 0
        self._last_ns = 0
        self._pending = 0

    def submit(self, request: Request) -> AppendResult:
        """Commit one request, together with whatever other threads have waiting.

        Raises:
            FlowlabError: why it was refused; nothing of it was written.
        """
        return self._group.submit(request)

    def exclusively(self, action: Callable[[Heads, TableState, int, int], T]) -> T:
        """Seal the tail, then run an action under the lock: (heads, state, position, now).

        The action makes its own Delta commit; afterwards the writer looks at the log again.
        """
        with self._group.leader, self._held():
            self._seal()
            before = self._log.latest()
            try:
                result = action(self._need_heads(), before, self._position, self._now())
                self._refresh()
                if self.inline is not None:
                    self.inline.committed(self._position)
            except BaseException as error:
                self._poison_if_committed(before, error)
                raise
            return result

    def beside(self, action: Callable[[TableState], T]) -> T:
        """Run an action under the commit lock that leaves the tail and the role as they are.

        For commits that replace files by others with the same rows: whoever writes goes on.
        """
        with self._group.leader:
            self._writer.check()
            self._role.hold()
            try:
                before = self._log.latest()
                try:
                    return action(before)
                except OSError as error:
                    self._poison_if_committed(before, error)
                    raise
            finally:
                self._role.unlock()

    def head(self, stream: Stream) -> int | None:
        """Return the last sequence of a stream; None where this is not the writer any more."""
        with self._group.leader:
            if self._heads is None or self._writer.is_poisoned or not self._role.is_mine:
                return None
            return self._heads.of(stream)

    def take(self) -> None:
        """Take the role now, and open what the last writer left."""
        with self._group.leader, self._held():
            pass

    def seal(self) -> bool:
        """Move the tail into sealed files; return whether there was anything to move."""
        with self._group.leader, self._held():
            return self._seal()

    def close(self) -> None:
        """Close the files; everything committed is durable already."""
        with self._group.leader:
            if self.inline is not None and not self._writer.is_poisoned:
                self.inline.save(self._position)
            self._writer.poison("the store was closed")
            self._writer.close()
            self._role.close()

    def _poison_if_committed(self, before: TableState, error: BaseException) -> None:
        if self._log.latest().version != before.version:
            self._writer.poison(f"a commit was made, and then failed: {error}")

    # -- inside: everything below runs under the leader's mutex ------------------------------------

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the commit lock; the first time, open what the last writer left."""
        self._hold()
        try:
            yield
        finally:
            self._role.unlock()

    def _hold(self) -> None:
        self._writer.check()
        if self._role.acquire(self._last_epoch):
            try:
                self._open()
            except BaseException:
                self._role.release()
                self._role.unlock()
                raise

    def _last_epoch(self) -> int:
        return self._log.latest().info.epoch

    def _lead(self, waiting: list[Request]) -> None:
        try:
            self._hold()
            try:
                while waiting:
                    waiting = self._commit(waiting)
                if self.inline is not None:
                    self.inline.committed(self._position)
                if self._full():
                    self._seal_or_warn()
            finally:
                self._role.unlock()
        except BaseException as error:
            broken = not isinstance(error, (FlowlabError, OSError))
            if broken:
                self._writer.poison(f"a commit was interrupted by {type(error).__name__}")
            for request in waiting:
                if not request.done:
                    # An interrupt is this thread's; the others learn what it left them with.
                    request.error = self._writer.poisoned() if broken else error
            if broken:
                raise

    def _commit(self, waiting: list[Request]) -> list[Request]:
        """Commit as many requests as one frame takes; return the rest."""
        now_ns = self._now()
        if self.inline is not None:
            self.inline.begin(self._position)
        accepted: list[tuple[Request, AppendResult]] = []
        transactions: list[Transaction] = []
        position, size = self._position, 0
        rest: list[Request] = []
        for number, request in enumerate(waiting):
            most = request.size_bytes + MAX_RUN_BYTES * len(request.runs)
            if size and size + most > MAX_TRANSACTION_BYTES:
                rest = waiting[number:]
                break
            try:
                if request.size_bytes > MAX_TRANSACTION_BYTES:
                    raise _too_large(request)
                found = self._admit(request, position + 1, now_ns)
            except (FlowlabError, OSError) as error:
                request.error = error
                continue
            if isinstance(found, AppendResult):
                # The first use of its key may be in this very commit, and is not durable yet.
                accepted.append((request, found))
                continue
            transactions += found
            first, end = found[0], found[-1]
            more = len(end.ticks) - 1
            position, last = end.first_position + more, end.first_sequence + more
            whole = AppendResult(first.first_sequence, last, first.first_position, position)
            accepted.append((request, whole))
            size += most
        if transactions:
            body = encode_commit(Commit(self._role.epoch, now_ns, transactions))
            meanwhile = accepted[0][0].take_meanwhile() if len(accepted) == 1 else None
            self._writer.write(body, self._position + 1, position, meanwhile=meanwhile)
            self._pending += position - self._position
            self._position, self._last_ns = position, now_ns
        for request, result in accepted:
            request.result = result
        return rest

    def _admit(
        self, request: Request, position: int, now_ns: int
    ) -> list[Transaction] | AppendResult:
        if request.needs is not None:
            request.check_file()
        if request.together:
            return self._admit_together(request, position, now_ns)
        batch = request.batch
        if batch is None:
            empty = msgspec.Raw(b"\x90")
            return [Transaction("", "", "", 0, position, [], empty, runs=request.runs)]
        fingerprint = None
        if request.key is not None:
            fingerprint = request.fingerprint or hashlib.sha256(batch.encoded).digest()
            use = self._keys.get((batch.stream, request.key))
            if use is not None:
                return repeated(use, fingerprint, request.key, batch.stream)
        if request.expected_version is not None:
            self._expect(self._need_heads(), batch.stream, request.expected_version)
        transaction = self._place(request, batch, position, now_ns, fingerprint)
        if request.key is not None and fingerprint is not None:
            first, last = transaction.first_sequence, len(transaction.ticks) - 1
            self._keys[batch.stream, request.key] = KeyUse(
                fingerprint, first, first + last, position, position + last
            )
        return [transaction]

    def _admit_together(self, request: Request, position: int, now_ns: int) -> list[Transaction]:
        """Admit every batch of a request, or none: each may name events of those before it."""
        heads, inline = self._need_heads(), self.inline
        namespace, run_id, _ = request.together[0].stream
        for workflow_id, version in request.expected_versions.items():
            self._expect(heads, (namespace, run_id, workflow_id), version)
        marks = [heads.mark(batch.stream, batch.lanes()) for batch in request.together]
        pending = 0 if inline is None else inline.pending
        placed: list[Transaction] = []
        try:
            for batch in request.together:
                placed.append(self._place(request, batch, position, now_ns, None))
                position += len(batch)
        except BaseException:
            for mark in marks:
                heads.back(mark)
            if inline is not None:
                inline.back(pending)
            raise
        return placed

    @staticmethod
    def _expect(heads: Heads, stream: Stream, version: int) -> None:
        head = heads.of(stream)
        if head != version:
            message = (
                f"stream {stream[2]!r} is at version {head}, not at the expected "
                f"{version}; read what is new, decide again, append again"
            )
            raise ConcurrencyError(message)

    def _place(
        self,
        request: Request,
        batch: Batch | NoEvents,
        position: int,
        now_ns: int,
        fingerprint: bytes | None,
    ) -> Transaction:
        heads = self._need_heads()
        namespace, run_id, workflow_id = stream = batch.stream
        first, ticks, last_ticks = batch.place(heads)
        encoded = msgspec.Raw(batch.encoded)
        key, runs = request.key, request.runs
        placed = Transaction(
            namespace, run_id, workflow_id, first, position, ticks, encoded, key, fingerprint, runs
        )
        if self.inline is not None and self.inline.active:
            self.inline.admit(partial(placed.filled, now_ns))
        heads.advance(stream, first + len(ticks) - 1, last_ticks)
        return placed

    def _now(self) -> int:
        # Commit times never run backwards, so that a time names one place in the log.
        return max(wall_ns(), self._last_ns)

    def _full(self) -> bool:
        return self._pending >= self._seal_events or self._writer.offset >= self._seal_bytes

    def _seal_or_warn(self) -> None:
        try:
            self._seal()
        except OSError as error:
            # The commit that filled the tail is durable: its caller must not be told otherwise.
            self._seal_events *= 2
            self._seal_bytes *= 2
            message = f"sealing failed and will be tried again later: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)

    def _seal(self) -> bool:
        self._writer.check()
        view = self._view()
        if not view.events and not view.runs and not view.buffer.keys:
            return False
        self._sealer.seal(view, self._writer, epoch=self._role.epoch, position=self._position)
        self._pending = 0
        return True

    def _need_heads(self) -> Heads:
        assert self._heads is not None
        return self._heads

    def _view(self) -> TailView:
        view = self._reader.view(self._writer.number)
        assert view is not None
        return view

    def _open(self) -> None:
        """Look at the log as the new holder of the role: sync what the last one left."""
        # Whoever made the newest commit may have been stopped before its directory was synced.
        self._disk.sync_directory(self._log.folder)
        state = self._log.latest()
        number = state.info.tail
        if tail_is_begun(self._root / "tail", number, version=state.version):
            frames = self._writer.resume(number)
        else:
            frames = []
        if not self._writer.is_open:
            self._writer.create(number, first_position=state.info.sealed_position + 1)
        for stale in tail_numbers(self._root / "tail"):
            if stale < number:
                self._disk.remove(tail_path(self._root / "tail", stale))
        last = state.info.sealed_position
        if frames:
            commit = frames[-1].commit()
            ends = [t.first_position + len(t.ticks) - 1 for t in commit.transactions]
            last = max(last, *ends)
        self._writer.publish(last)
        self._refresh()

    def _refresh(self) -> None:
        state = self._log.latest()
        view = self._reader.view(state.info.tail)
        if view is None:
            message = (
                f"tail file {state.info.tail} is missing, and the commit log names it; restore it "
                "from a copy"
            )
            raise CorruptionError(message)
        self._heads = self._sealer.heads(state, view)
        self._keys = self._sealer.keys(state, view)
        self._position = view.last_position(state.info.sealed_position)
        self._pending = view.events
        marks = view.marks()
        last_ns = marks[-1].committed_ns if marks else state.info.committed_ns
        self._last_ns = max(self._last_ns, last_ns)


def _too_large(request: Request) -> LimitError:
    return LimitError(
        f"the events take {grouped(request.size_bytes)} bytes; one append holds at most "
        f"MAX_TRANSACTION_BYTES ({grouped(MAX_TRANSACTION_BYTES)}): split it, or use append_log"
    )
