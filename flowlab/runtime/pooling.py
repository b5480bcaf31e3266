"""How a host lets children run in other processes within a turn, and keeps their order."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Future
from typing import TYPE_CHECKING

from flowlab.errors import FlowlabError, InvalidArgumentError, NotFoundError
from flowlab.events import Event
from flowlab.events.vocabulary import TERMINAL_STATUS
from flowlab.runtime.child_pool import TRIES, Answer, ChildPool, PooledExecution
from flowlab.runtime.hosting import Hosting
from flowlab.runtime.instance import Instance
from flowlab.runtime.recording import check_sizes
from flowlab.runtime.scheme import Executing, Process, execution_of, newest_generation
from flowlab.store import EventStore
from flowlab.workflow import Workflow

if TYPE_CHECKING:
    from flowlab.events import Cause
    from flowlab.runtime.processes import Carried


class Pooling(Hosting):
    """The children of a host whose code is in other processes.

    In a turn they run side by side, and what they ask for is written in the order in which they
    were told: so a history is the same as without other processes.
    """

    pool: ChildPool | None
    _store: EventStore
    _namespace: str
    _seed: object
    _running: dict[str, tuple[Instance, Future[Answer]]]

    def runs_elsewhere(self, process: Carried, parent: Cause | None) -> bool:
        """Say whether a workflow is a child whose code runs in another process."""
        return (
            self.pool is not None
            and parent is not None
            and isinstance(process, Workflow)
            and process.state is None
        )

    def _execution(
        self, process: Process, workflow_id: str, parent: Cause | None
    ) -> Executing | PooledExecution:
        if isinstance(process, Workflow) and self.runs_elsewhere(process, parent):
            return PooledExecution(process, workflow_id)
        return execution_of(process, workflow_id, seed=self._seed)

    def ready(self, workflow_id: str) -> None:
        """Wait until a workflow has taken what it was told in this turn."""
        while workflow_id in self._running:
            self._collect()

    def collect_all(self) -> None:
        """Wait until every workflow has, and all that follows from it."""
        self._settle()
        while self._running:
            self._collect()
            self._settle()

    def _tell_elsewhere(
        self, instance: Instance, execution: PooledExecution, told: list[Event]
    ) -> None:
        self.ready(instance.workflow_id)
        assert self.pool is not None
        generation = instance.standing.generation
        anew = bool(told) and told[0].event_type == "WorkflowStarted"
        future = self.pool.submit(execution, generation, told, anew=anew)
        if told:
            execution.head = told[-1].sequence
            if told[-1].event_type in TERMINAL_STATUS:
                return  # it is let go there, and asks for nothing more
        self._running[instance.workflow_id] = (instance, future)

    def _collect(self) -> None:
        """Take what the one that was told first has asked for."""
        workflow_id = next(iter(self._running))
        instance, future = self._running.pop(workflow_id)
        try:
            drafts = self._drafts(instance, future)
            check_sizes(workflow_id, drafts)
        except FlowlabError as error:
            self._give_up_on(instance, error)
            return
        if drafts:
            self._go_on(instance, self._ask_for(instance, drafts))

    def _drafts(self, instance: Instance, future: Future[Answer]) -> list[Event]:
        assert self.pool is not None
        assert isinstance(instance.execution, PooledExecution)
        for _ in range(TRIES):
            try:
                drafts = future.result().unpacked()
            except BrokenExecutor:
                self.pool.replace(instance.workflow_id)
                drafts = None
            if drafts is not None:
                return drafts
            history = self._history(instance.workflow_id)
            generation = instance.standing.generation
            future = self.pool.submit(instance.execution, generation, history, anew=True)
        message = (
            f"the process that runs {instance.workflow_id!r} died {TRIES} times; its code may kill "
            "it or want more memory than there is: start the runtime without children=... to see"
        )
        raise InvalidArgumentError(message)

    def _history(self, workflow_id: str) -> list[Event]:
        """Return the newest generation of a history, with what this turn has added."""
        mine = [event for event in self.recording.events if event.workflow_id == workflow_id]
        begins = [n for n, event in enumerate(mine) if event.event_type == "WorkflowStarted"]
        if begins:
            return mine[begins[-1] :]
        try:
            stream = (self._namespace, "", workflow_id)
            return newest_generation(self._store.snapshot(), stream) + mine
        except NotFoundError:
            return mine
