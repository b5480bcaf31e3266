"""One world that has run: its log, its final states, and what was wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Final

from flowlab.errors import InvalidArgumentError, InvalidEventError
from flowlab.events.wording import counted

if TYPE_CHECKING:
    from flowlab.events import EventLog, LogSink, RunInfo
    from flowlab.simulation.agenda import Decision
    from flowlab.simulation.locks import HeldLock
    from flowlab.simulation.recipe import Recipe
    from flowlab.simulation.schedule import Entry
    from flowlab.simulation.twin import Moment

_DEFECTS: Final = frozenset(
    {
        "AttributeError",
        "InvalidArgumentError",
        "InvalidEventError",
        "NameError",
        "PlanError",
        "TypeError",
        "UnboundLocalError",
    }
)
MAX_SHOWN: Final = 5
MAX_RESULT_CHARS: Final = 80
"""So much of a result stands in the table of a run."""


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold.

    Example:
        >>> Violation("no_charge_without_seat", "trip-1 was charged and has no seat")
        Violation(invariant='no_charge_without_seat', message='trip-1 was charged and has no seat')
    """

    invariant: str
    message: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """A workflow that did not end, and its wait-for chain.

    Args:
        workflow_id: the workflow.
        chain: what it waits for, what became of that, what that waits for, and so on; where they
            wait for one another, the chain ends with the cycle.

    Example:
        >>> print(Stuck("trip-1", ("charge by bank", "bank has crashed and is not back")))
        trip-1 waits for charge by bank; bank has crashed and is not back
    """

    workflow_id: str
    chain: tuple[str, ...]

    @property
    def waits_for(self) -> str:
        """The chain in words."""
        return "; ".join(self.chain)

    def __str__(self) -> str:
        return f"{self.workflow_id} waits for {self.waits_for}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Run:
    """One world from its beginning to its end: a pure function of scenario, seed, parameters.

    Attributes:
        recipe: what it was made of; `twin` changes one thing in it.
        run_id: names it in a store.
        statuses, results: of each workflow, by id.
        states: the cells of each agent and each resource at the end, by name.
        violations: the invariants that do not hold.
        stuck: the workflows that did not end.
        locks: the semantic locks that are still held, the ones of workflows that have ended too.
        stopped: the limit that ended the world; empty where it ended by itself. Of the limits
            `max_turn` alone is one of the wall clock: where code did not come back is told by
            time, and not by the seed.
        faults: the ids of the faults that happened, in the order in which they did.
        end_ns: the virtual time of the last event.
        event_count: of the log.
    """

    recipe: Recipe
    run_id: str
    statuses: Mapping[str, str]
    results: Mapping[str, Any]
    states: Mapping[str, Mapping[str, Any]]
    violations: tuple[Violation, ...] = ()
    stuck: tuple[Stuck, ...] = ()
    locks: tuple[HeldLock, ...] = ()
    stopped: str = ""
    faults: tuple[str, ...] = ()
    end_ns: int = 0
    event_count: int = 0
    make_log: Callable[[], EventLog] = field(kw_only=True)

    @property
    def seed(self) -> int:
        """The seed of all its draws."""
        return self.recipe.seed

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of its scenario."""
        return self.recipe.parameters

    @property
    def log(self) -> EventLog:
        """Everything that happened."""
        return self.make_log()

    @property
    def digest(self) -> str:
        """Of the log."""
        return self.log.digest

    @property
    def ok(self) -> bool:
        """Whether every invariant holds, and every workflow ended, and none by a defect of code."""
        return not (self.violations or self.stuck or self.stopped or self.defects)

    @property
    def defects(self) -> tuple[str, ...]:
        """The workflows that failed because their code is wrong, each with its error.

        Those are the errors that Python and flowlab raise where something is used as it must not
        be: a name that does not exist, a saga with two pivots. What agents and workflows raise
        themselves is business, and no defect.
        """
        found = []
        for name, status in self.statuses.items():
            result = self.results[name]
            error = result.get("error") if status == "failed" and isinstance(result, dict) else None
            if isinstance(error, dict) and error.get("type") in _DEFECTS:
                found.append(f"{name}: {error['type']}: {error.get('message', '')}")
        return tuple(found)

    def twin(
        self,
        *,
        without: str | Iterable[str] = (),
        at: Moment | None = None,
        choose: Entry | str | None = None,
        faults: Any = None,
        **parameters: Any,
    ) -> Run:
        """Run the same world again with one thing changed; with nothing, it is the same run.

        Whatever is drawn is drawn as before: draws are keyed by names, and nothing depends on how
        many were made. So before the change has an effect, both are the same event by event.

        Args:
            without: the id of a fault that is not to happen, or several; `faults` lists them.
            at: an event; with `choose`, an entry of the agenda that was pending when it happened
                (`choices` lists them): that comes first, and what made the event waits for it.
            choose: the entry, or its id.
            faults: what may go wrong instead; "none" for nothing.
            parameters: of the scenario, with other values; `network` and `retry` as in `simulate`.

        Raises:
            NotFoundError: the fault did not happen in this run, or the entry was not pending; the
                message lists the nearest.
            InvalidArgumentError: a parameter is unknown.
        """
        from flowlab.simulation.twin import twin_of  # noqa: PLC0415

        return twin_of(
            self, without=without, at=at, choose=choose, faults=faults, parameters=parameters
        )

    def choices(self, at: Moment) -> Decision:
        """Return what could have happened when an event did: the entries that were pending.

        Args:
            at: an event of the log, or its place in it: ("trip-1", 5).

        Raises:
            NotFoundError: the run has no such event.
        """
        from flowlab.simulation.twin import decision_at  # noqa: PLC0415

        return decision_at(self, at)

    def save(self, store: LogSink) -> object:
        """Append the log, with the run's metadata, to a store (or any `LogSink`).

        Raises:
            InvalidArgumentError: the store has this run already.
        """
        try:
            return self.log.save(store)
        except InvalidEventError:
            refuse_known(store, self.log.runs[0].namespace, [self.run_id])
            raise

    def __repr__(self) -> str:
        parts = [repr(self.run_id), counted(self.event_count, "event")]
        for status in sorted(set(self.statuses.values())):
            count = sum(found == status for found in self.statuses.values())
            parts.append(f"{count} {status}")
        if self.faults:
            parts.append(counted(len(self.faults), "fault"))
        if self.violations:
            parts.append(counted(len(self.violations), "violation"))
        if self.stopped:
            parts.append(f"stopped at {self.stopped.partition(':')[0]}")
        return f"Run({', '.join(parts)})"

    def __str__(self) -> str:
        lines = [repr(self)]
        lines += [f"violated: {v.invariant}: {v.message}" for v in self.violations[:MAX_SHOWN]]
        lines += [f"stuck: {stuck}" for stuck in self.stuck[:MAX_SHOWN]]
        lines += [
            f"held: {lock}, which is {self.statuses.get(lock.owner, 'no workflow')}"
            for lock in self.locks[:MAX_SHOWN]
        ]
        lines += [f"defect: {defect}" for defect in self.defects[:MAX_SHOWN]]
        if self.stopped:
            lines.append(f"stopped: {self.stopped}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        ended = [
            (name, f"{status}: {result}" if (result := self._result(name)) else status)
            for name, status in self.statuses.items()
        ]
        parts: list[tuple[str, list[tuple[str, str]]]] = [
            (
                "violated",
                [(v.invariant, v.message) for v in self.violations],
            ),
            (
                "stuck",
                [(s.workflow_id, f"waits for {s.waits_for}") for s in self.stuck],
            ),
            ("held", [(lock.owner, str(lock)) for lock in self.locks]),
            ("stopped", [("", self.stopped)] if self.stopped else []),
            ("workflow", ended),
            ("fault", [(fault.partition(":")[0], fault) for fault in self.faults]),
        ]
        rows = []
        for what, found in parts:
            shown = [(what, *row) for row in found[:MAX_SHOWN]]
            more = len(found) - len(shown)
            rows += [*shown, (what, "", f"and {more} more")] if more else shown
        # Notebooks align every cell to the right, which suits numbers alone.
        body = "".join(
            "<tr>"
            + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row)
            + "</tr>"
            for row in rows
        )
        return f"<table><caption>{escape(repr(self))}</caption><tbody>{body}</tbody></table>"

    def _result(self, workflow_id: str) -> str:
        """Return what a workflow came to, in as many characters as a table has room for."""
        result = self.results.get(workflow_id)
        error = result.get("error") if isinstance(result, dict) else None
        if isinstance(error, dict) and self.statuses[workflow_id] == "failed":
            result = error.get("message", error)
        text = "" if result is None else str(result)
        return text if len(text) <= MAX_RESULT_CHARS else text[: MAX_RESULT_CHARS - 1] + "…"


def refuse_known(store: LogSink, namespace: str, run_ids: Iterable[str]) -> None:
    """Refuse runs that a store has already; a sink that does not tell its runs has none.

    Raises:
        InvalidArgumentError: it has one of them.
    """
    runs: Iterable[RunInfo] = getattr(store, "runs", ())
    known = {run.run_id for run in runs if run.namespace == namespace}
    there = next((run_id for run_id in run_ids if run_id in known), None) if known else None
    if there is not None:
        path = getattr(store, "path", "")
        message = (
            f"the store{f' {path}' if path else ''} has the run {there!r} already. A run is named "
            "by its scenario, seed, faults and parameters: give other seeds, another namespace, or "
            "another store; to tell worlds apart, declare them with @scenario"
        )
        raise InvalidArgumentError(message)
