"""How an open store executes commands: load, decide, append at the version that was decided on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from flowlab.errors import (
    ConcurrencyError,
    InvalidArgumentError,
    InvalidEventError,
    NotFoundError,
)
from flowlab.events import Event, as_event, counted
from flowlab.events.wording import brief, error_facts
from flowlab.store.admission import Batch, NoEvents
from flowlab.store.aggregate import Aggregate
from flowlab.store.aggregate_states import Known, folded
from flowlab.store.group_commit import AppendResult, Request
from flowlab.store.layout import Stream
from flowlab.store.position_read import stream_events
from flowlab.store.reading import StoreReading
from flowlab.store.tail_reader import KeyUse
from flowlab.store.versions import check_batch

DEFAULT_RETRIES: Final = 16
"""How often a command is decided again by default, because somebody else has appended."""
MAX_SHOWN: Final = 3
"""Events that the repr of a result names."""
_COMMANDS: Final = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class ExecuteResult:
    """What a command has come to.

    Args:
        workflow_id: the stream.
        version: its head after the command.
        events: what was decided, as committed; empty where nothing was to happen. A repeated result
            leaves out what has been truncated since.
        conflicts: how often it was decided again, since somebody else had appended.
        repeated: the idempotency key had been used for this command: this is its first result.
    """

    workflow_id: str
    version: int
    events: tuple[Event, ...]
    conflicts: int = 0
    repeated: bool = False

    def __repr__(self) -> str:
        again = ", repeated" if self.repeated else ""
        told = f", {counted(self.conflicts, 'conflict')}" if self.conflicts else ""
        what = ", ".join(event.event_type for event in self.events[:MAX_SHOWN]) or "nothing"
        more = ", ..." if len(self.events) > MAX_SHOWN else ""
        return f"ExecuteResult({self.workflow_id!r} at {self.version}: {what}{more}{told}{again})"


class StoreCommands(StoreReading):
    """Commands to aggregates of an open store."""

    def execute(
        self,
        aggregate: Aggregate,
        id: str,  # noqa: A002 - the word of the field
        command: Any,
        *,
        idempotency_key: str | None = None,
        retries: int = DEFAULT_RETRIES,
        workflow_id: str | None = None,
        namespace: str = "default",
        run_id: str = "",
    ) -> ExecuteResult:
        """Execute a command: load the aggregate, decide, append; the events are durable on return.

        The append expects the version that was decided on. Where somebody else has appended
        meanwhile, what is new is loaded and the command decided again. What `decide` raises is
        raised as it is, after it has seen the newest state, and nothing is written.

        Args:
            aggregate: the kind.
            id: which one; its stream is `"{name}-{id}"`.
            command: whatever `decide` takes.
            idempotency_key: the same command under the same key is executed once only, by
                whichever process and however much later: then the first result comes back,
                `repeated`. The command must be a JSON value, or a dataclass of such.
            retries: how often it may be decided again.
            workflow_id: the stream, where it has another name.
            namespace: of the stream.
            run_id: of the stream, empty for the live one.

        Raises:
            ConcurrencyError: others have appended more often than `retries`; nothing was written.
            InvalidArgumentError: the key was used for another command, or the store is open for
                reading only.
            InvalidEventError: what `decide` returned is no events, or `evolve` cannot take them.
            ProjectionError: an inline projection refuses what was decided.
            TruncatedError: events that the state needs are gone.
            FencedError: another process has taken over the store; open it again, and repeat.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> from flowlab import Event, EventStore, aggregate
            >>> def decide(balance, amount):
            ...     return Event.of("Deposited", payload=amount) if amount else ()
            >>> account = aggregate(
            ...     name="account", initial=0, decide=decide,
            ...     evolve=lambda balance, event: balance + event.data,
            ... )
            >>> with TemporaryDirectory() as folder, EventStore(folder) as store:
            ...     print(store.execute(account, "ada", 5, idempotency_key="order-1"))
            ...     print(store.execute(account, "ada", 5, idempotency_key="order-1"))
            ...     print(store.execute(account, "ada", 0), store.state(account, "ada"))
            ExecuteResult('account-ada' at 1: Deposited)
            ExecuteResult('account-ada' at 1: Deposited, repeated)
            ExecuteResult('account-ada' at 1: nothing) 5
        """
        self._check_writable()
        stream = _stream_of(aggregate, id, workflow_id, namespace, run_id)
        if type(retries) is not int or retries < 0:
            message = f"retries is {retries!r}; expected an int from 0"
            raise InvalidArgumentError(message)
        key = None
        if idempotency_key is not None:
            self._check_key(idempotency_key)
            key = (idempotency_key, _fingerprint(aggregate, command))
        # Threads that would decide on the same state take turns: all but one would have to again.
        with self._states.turn(stream):
            if key is not None and (use := self._key_use(stream, key[0])) is not None:
                return self._repeated(stream, key, use)
            return self._decided(aggregate, stream, command, key, retries)

    def state(
        self,
        aggregate: Aggregate,
        id: str,  # noqa: A002 - the word of the field
        *,
        at: int | None = None,
        workflow_id: str | None = None,
        namespace: str = "default",
        run_id: str = "",
    ) -> Any:
        """Return the state of an aggregate, now or after one of its events.

        Args:
            aggregate: the kind.
            id: which one.
            at: the sequence of the last event in it, 0 for the initial state.
            workflow_id: the stream, where it has another name.
            namespace: of the stream.
            run_id: of the stream, empty for the live one.

        Raises:
            NotFoundError: its stream has no such event.
            TruncatedError: events that the state needs are gone.
        """
        stream = _stream_of(aggregate, id, workflow_id, namespace, run_id)
        snapshot = self.snapshot()
        known = self._states.load(snapshot, aggregate, stream, at=at)
        if at is not None and known.version != at:
            message = f"{stream[2]!r} has no event {at!r}: it is at version {known.version}"
            raise NotFoundError(message)
        if at is None:
            self._states.keep(aggregate, stream, known)
        return known.state()

    def save_state(
        self,
        aggregate: Aggregate,
        id: str,  # noqa: A002 - the word of the field
        *,
        workflow_id: str | None = None,
        namespace: str = "default",
        run_id: str = "",
    ) -> int:
        """Save the state of an aggregate now, whatever its policy; return its version.

        Before a truncation of its stream this keeps what the events that go have made of it.

        Args:
            aggregate: the kind.
            id: which one.
            workflow_id: the stream, where it has another name.
            namespace: of the stream.
            run_id: of the stream, empty for the live one.

        Raises:
            InvalidArgumentError: the state is no JSON value.
        """
        self._check_writable()
        stream = _stream_of(aggregate, id, workflow_id, namespace, run_id)
        known = self._states.load(self.snapshot(), aggregate, stream)
        if known.version:
            self._states.save(aggregate, stream, known)
        return known.version

    # -- inside -------------------------------------------------------------------------------

    def _decided(
        self,
        kind: Aggregate,
        stream: Stream,
        command: Any,
        key: tuple[str, bytes] | None,
        retries: int,
    ) -> ExecuteResult:
        known = self._states.cached(kind, stream)
        newest = known is None
        conflicts = 0
        while True:
            if known is None:
                known = self._states.load(self.snapshot(), kind, stream)
            try:
                events = _events(kind, kind.decide(known.state(), command), stream)
            except Exception:
                if newest or (found := self._newer(kind, stream, known)) is None:
                    raise
                known, newest, conflicts = found, True, conflicts + 1
                continue
            if not events and key is None:
                if not newest and (found := self._newer(kind, stream, known)) is not None:
                    known, newest, conflicts = found, True, conflicts + 1
                    continue
                self._states.keep(kind, stream, known)
                return ExecuteResult(stream[2], known.version, (), conflicts)
            _check_evolves(kind, known, events)
            batch = Batch(stream, events) if events else NoEvents(stream)
            if isinstance(batch, Batch):
                check_batch(batch, self._files.upcasts)
            try:
                request = Request(batch, known.version, *(key or (None, None)))
                result = self._writer.submit(request)
            except ConcurrencyError as error:
                conflicts += 1
                if conflicts > retries:
                    message = (
                        f"the command was decided {counted(conflicts, 'time')}, and each time "
                        f"somebody else had appended to {stream[2]!r}; nothing was written: try "
                        f"again, or allow more retries ({error})"
                    )
                    raise ConcurrencyError(message) from error
                known, newest = self._newer(kind, stream, known), True
                continue
            return self._settled(kind, stream, known, result, conflicts)

    def _newer(self, kind: Aggregate, stream: Stream, known: Known) -> Known | None:
        """Return the state with what is new in the log, None where nothing is."""
        found = self._states.advanced(self.snapshot(), kind, stream, known)
        if found.version == known.version:
            return None
        self._states.keep(kind, stream, found)
        return found

    def _settled(
        self, kind: Aggregate, stream: Stream, known: Known, result: AppendResult, conflicts: int
    ) -> ExecuteResult:
        snapshot = self.snapshot()
        events = stream_events(
            snapshot, stream, first=result.first_sequence, last=result.last_sequence
        )
        if not result.repeated:
            # From the log's own events: what is kept is what anybody else would load.
            after = self._states.advanced(snapshot, kind, stream, known, at=result.last_sequence)
            self._states.keep(kind, stream, after)
            self._states.save_due(kind, stream, known.version, after)
        return ExecuteResult(
            stream[2], result.last_sequence, tuple(events), conflicts, result.repeated
        )

    def _key_use(self, stream: Stream, key: str) -> KeyUse | None:
        """Return what a key of a stream was used for, as far as that is durable."""
        state, view = self._pin()
        if view is not None:
            use = view.buffer.keys.get((stream, key))
            if use is not None:
                return use
        return self._metadata.written(state).keys.get((stream, key))

    def _repeated(self, stream: Stream, key: tuple[str, bytes], use: KeyUse) -> ExecuteResult:
        if use.fingerprint != key[1]:
            message = (
                f"idempotency key {key[0]!r} of stream {stream[2]!r} was used for another command "
                f"(sequences {use.first_sequence} to {use.last_sequence}); use a new key for a "
                "new command"
            )
            raise InvalidArgumentError(message)
        events = stream_events(
            self.snapshot(), stream, first=use.first_sequence, last=use.last_sequence
        )
        return ExecuteResult(stream[2], use.last_sequence, tuple(events), repeated=True)


def _stream_of(
    kind: object,
    name: str,
    workflow_id: str | None,
    namespace: str,
    run_id: str,
) -> Stream:
    if not isinstance(kind, Aggregate):
        message = f"{brief(kind)} is no aggregate; declare it with @aggregate"
        raise InvalidArgumentError(message)
    return namespace, run_id, kind.stream(name) if workflow_id is None else workflow_id


def _fingerprint(kind: Aggregate, command: Any) -> bytes:
    try:
        encoded = _COMMANDS.encode([kind.name, type(command).__qualname__, command])
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        message = (
            f"the command is {brief(command)}; under an idempotency key it must be a JSON value, "
            f"or a dataclass of such, so that it is known again: {error}"
        )
        raise InvalidArgumentError(message) from error
    return hashlib.sha256(encoded).digest()


def _events(kind: Aggregate, decided: Any, stream: Stream) -> list[Event]:
    """Return what a decision gave as events of a stream, in a list."""
    if decided is None:
        return []
    if isinstance(decided, (Event, Mapping)):
        decided = [decided]
    try:
        return [as_event(cast("Any", event)) for event in decided]
    except (TypeError, InvalidEventError) as error:
        message = (
            f"decide of {kind.name!r} gave {brief(decided)} for {stream[2]!r}; expected an event, "
            f"several in a list, or none: {error}"
        )
        raise InvalidEventError(message) from error


def _check_evolves(kind: Aggregate, known: Known, events: list[Event]) -> None:
    """Check that the state can take what was decided, before it is written for good.

    Raises:
        InvalidEventError: it cannot.
    """
    drafts = [
        event.replace(sequence=known.version + place) for place, event in enumerate(events, 1)
    ]
    try:
        folded(kind, known.state(), drafts)
    except Exception as error:
        facts = error_facts(error)
        message = (
            f"evolve of {kind.name!r} cannot take what decide gave ({brief(events)}): "
            f"{facts['type']}: {facts['message']}; nothing was written"
        )
        raise InvalidEventError(message) from error
