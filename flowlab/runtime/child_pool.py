"""Children in other processes: their code runs there, and whoever writes is here alone."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from typing import Any, Final, NamedTuple

from flowlab import errors
from flowlab.errors import FlowlabError, InvalidArgumentError
from flowlab.events import Event
from flowlab.events.vocabulary import TERMINAL_STATUS
from flowlab.runtime.workers import workers
from flowlab.workflow import Execution, Workflow, armed

MAX_PROCESSES: Final = 1_024
"""Most processes that run children, or activities."""
TRIES: Final = 3
"""How often the process of a child may die in one turn before the child is given up."""


class Place(NamedTuple):
    """Where another process finds the code of a workflow."""

    module: str
    name: str


class Share(NamedTuple):
    """What another process is asked: to let one workflow take events.

    Args:
        place: of its code.
        workflow_id, generation: which workflow.
        seed: of its streams of chance.
        head: the sequence that it is to have taken before.
        anew: whether the events begin with the first of the generation.
        events: what it is to take.
    """

    place: Place
    workflow_id: str
    generation: int
    seed: object
    head: int
    anew: bool
    events: tuple[Event, ...]


class Answer(NamedTuple):
    """What another process has made of it.

    Args:
        drafts: what the workflow asks for; None where the process does not have it.
        error: the kind and the message of why it cannot go on.
    """

    drafts: list[Event] | None
    error: tuple[str, str] | None = None

    def unpacked(self) -> list[Event] | None:
        """Return the drafts.

        Raises:
            FlowlabError: the workflow cannot go on.
        """
        if self.error is not None:
            kind = getattr(errors, self.error[0], FlowlabError)
            raise kind(self.error[1])
        return self.drafts


class PooledExecution:
    """A workflow whose code is in another process.

    Args:
        workflow: its code.
        workflow_id: which it is.

    Attributes:
        head: the last event that it has taken.
    """

    __slots__ = ("head", "place", "workflow", "workflow_id")

    def __init__(self, workflow: Workflow, workflow_id: str) -> None:
        self.workflow = workflow
        self.workflow_id = workflow_id
        self.place = place_of(workflow)
        self.head = -1

    def __repr__(self) -> str:
        return f"PooledExecution({self.workflow_id!r})"


class ChildPool:
    """Processes that keep the code of children, each those of its share of ids.

    A process that dies takes nothing along: what it had is replayed in another one.

    Args:
        count: how many.
        seed: of the workflows' streams of chance.
    """

    __slots__ = ("_count", "_processes", "_seed")

    def __init__(self, count: int, seed: object) -> None:
        self._count = count
        self._seed = seed
        self._processes: dict[int, ProcessPoolExecutor] = {}

    def __repr__(self) -> str:
        return f"ChildPool({self._count})"

    def submit(
        self, execution: PooledExecution, generation: int, events: Sequence[Event], *, anew: bool
    ) -> Future[Answer]:
        """Have a workflow take events."""
        share = Share(
            execution.place,
            execution.workflow_id,
            generation,
            self._seed,
            execution.head,
            anew,
            tuple(events),
        )
        try:
            return self._process(execution.workflow_id).submit(advance_here, share)
        except BrokenExecutor as error:
            broken: Future[Answer] = Future()
            broken.set_exception(error)
            return broken

    def replace(self, workflow_id: str) -> None:
        """Let go of the process of a workflow if it has died; one that is there anew stays."""
        process = self._process(workflow_id)
        try:
            process.submit(int)
        except BrokenExecutor:
            del self._processes[self._slot(workflow_id)]
            process.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.shutdown(wait=False, cancel_futures=True)
        self._processes.clear()

    def _slot(self, workflow_id: str) -> int:
        return zlib.crc32(workflow_id.encode()) % self._count

    def _process(self, workflow_id: str) -> ProcessPoolExecutor:
        slot = self._slot(workflow_id)
        if slot not in self._processes:
            self._processes[slot] = workers(1)
        return self._processes[slot]


def pool_of(count: int | None, processes: Iterable[object], seed: object) -> ChildPool | None:
    """Return a pool in which all of these can run that may be children.

    Raises:
        InvalidArgumentError: another process would not find one, or the count is no number.
    """
    if count is None:
        return None
    if type(count) is not int or not 1 <= count <= MAX_PROCESSES:
        message = (
            f"children is {count!r}; expected how many processes run them, 1 to {MAX_PROCESSES}, "
            "or None: about as many as there are cores"
        )
        raise InvalidArgumentError(message)
    for process in processes:
        if isinstance(process, Workflow) and process.state is None:
            place_of(process)
    return ChildPool(count, seed)


def place_of(workflow: Workflow) -> Place:
    """Return where another process finds a workflow.

    Raises:
        InvalidArgumentError: it does not stand in a module under its function's name.
    """
    place = Place(workflow.body.__module__, workflow.body.__qualname__)
    try:
        same = _at(place) is workflow
    except (ImportError, AttributeError):
        same = False
    if not same:
        message = (
            f"workflow {workflow.name!r} cannot run in another process, which would not find it: "
            f"define it at the top level of a module, as {place.name!r} of {place.module!r}, or "
            "leave out children=..."
        )
        raise InvalidArgumentError(message)
    return place


def _at(place: Place) -> Any:
    found: Any = importlib.import_module(place.module)
    for part in place.name.split("."):
        found = getattr(found, part)
    return found


class _Held(NamedTuple):
    generation: int
    head: int
    execution: Execution


_held: dict[str, _Held] = {}
"""In a process of a pool: the workflows that it has the code of."""


def advance_here(share: Share) -> Answer:
    """Let a workflow take events, in this process."""
    known = _held.pop(share.workflow_id, None)
    if share.anew:
        execution = Execution(_at(share.place), share.workflow_id, seed=share.seed)
    elif known is None or known[:2] != (share.generation, share.head):
        return Answer(None)
    else:
        execution = known.execution
    try:
        with armed():
            drafts = execution.advance(share.events)
    except FlowlabError as error:
        return Answer(None, (type(error).__name__, str(error)))
    head = share.events[-1].sequence if share.events else share.head
    if not (share.events and share.events[-1].event_type in TERMINAL_STATUS):
        _held[share.workflow_id] = _Held(share.generation, head, execution)
    return Answer(list(drafts))
