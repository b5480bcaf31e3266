"""What a crash left open: which effects may have happened, and which certainly have not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from flowlab.errors import InvalidArgumentError
from flowlab.events import Event
from flowlab.runtime.agents import Agents, Performer
from flowlab.runtime.effect import Effect
from flowlab.runtime.standing import Standing
from flowlab.store import EventStore
from flowlab.store.position_read import stream_events
from flowlab.workflow.handlers import Handler
from flowlab.workflow.names import listed

UNCERTAIN_EFFECT: Final = "UncertainEffect"
"""The type of the error of an effect that is not to be repeated, and may have happened."""

Policy = Literal["repeat", "fail"] | Handler
"""What becomes of an effect that may have happened: handed out once more, failed, or asked for."""

Policies = Mapping[str, Literal["repeat", "fail"] | Performer]
"""By activity, "" for all others; a function is made ready to be called."""

MAX_TIME_NS: Final = 2**63 - 1
_CHUNK: Final = 1_024


def policies_of(uncertain: Policy | Mapping[str, Policy]) -> Policies:
    """Read what a person says is to become of uncertain effects.

    Raises:
        InvalidArgumentError: a policy is neither of the words nor a function.

    Example:
        >>> policies_of({"charge": "fail"})
        {'': 'repeat', 'charge': 'fail'}
    """
    given = uncertain if isinstance(uncertain, Mapping) else {"": uncertain}
    found: dict[str, Literal["repeat", "fail"] | Performer] = {"": "repeat"}
    for activity, policy in given.items():
        if policy == "repeat" or policy == "fail":  # noqa: PLR1714 - so that types narrow
            found[activity] = policy
        elif callable(policy):
            found[activity] = Performer.of(activity or "uncertain", policy)
        else:
            message = (
                f"uncertain of {activity or 'all'!r} is {policy!r}; expected repeat or fail, or a "
                "function of (ctx, value) that finds out: it returns Done(result), Gone(type, "
                "message), or None where it has not happened"
            )
            raise InvalidArgumentError(message)
    return found


@dataclass(frozen=True, slots=True)
class Started:
    """What an agent has begun and has no end of, as its stream tells.

    Args:
        effects: (key, attempt) of each.
        known_ns: from when on the stream tells all: what came before was truncated.
    """

    effects: set[tuple[str, int]]
    known_ns: int

    def may_have(self, effect: Effect, asked_ns: int) -> bool:
        """Say whether an effect, asked for at a time, was begun, or may have been."""
        return (effect.key, effect.attempt) in self.effects or asked_ns < self.known_ns


class Begun:
    """What agents have begun before a runtime came, and have no end of.

    Where many workflows are taken up, each agent's stream is read once, or a few times where later
    ones have asked for something earlier.

    Args:
        store: where the streams are.
        namespace: of them.
    """

    __slots__ = ("_found", "_namespace", "_store")

    def __init__(self, store: EventStore, namespace: str) -> None:
        self._store = store
        self._namespace = namespace
        self._found: dict[str, tuple[int, Started]] = {}

    def __repr__(self) -> str:
        return f"Begun({len(self._found)} agents)"

    def of(self, agent: str, since_ns: int) -> Started:
        """Return what an agent began since a time, and perhaps before it."""
        reach_ns = since_ns
        if agent in self._found:
            known_ns, found = self._found[agent]
            if known_ns <= since_ns:
                return found
            reach_ns -= known_ns - since_ns  # twice as far back: so it is read a few times at most
        found = started_effects(self._store, agent, reach_ns, namespace=self._namespace)
        self._found[agent] = reach_ns, found
        return found


def check_policies(policies: Policies, agents: Agents) -> None:
    """Check that each activity of which it is said what becomes of it is one that somebody does.

    Raises:
        InvalidArgumentError: nobody does; what would become of its effects is then not what was
            meant, and that shows only after a crash.
    """
    if any(lane.anything for lane in agents.lanes.values()):
        return
    known = {*agents.free, *(a for lane in agents.lanes.values() for a in lane.handlers)}
    if strange := sorted(policies.keys() - known - {""}):
        message = (
            f"uncertain names {strange[0]!r}, which nobody carries out; known are {listed(known)}"
        )
        raise InvalidArgumentError(message)


def started_effects(store: EventStore, agent: str, since_ns: int, *, namespace: str) -> Started:
    """Return what an agent began since a time and has no end of.

    It reads the agent's stream from its end.
    """
    ended: set[tuple[str, int, int]] = set()
    begun: set[tuple[str, int]] = set()
    known_ns = MAX_TIME_NS if store.snapshot().bases.base((namespace, "", f"@{agent}")) else 0
    for event in backwards(store, f"@{agent}", namespace=namespace):
        known_ns = min(known_ns, event.time_ns)
        if event.time_ns < since_ns:
            break
        data = event.data if isinstance(event.data, dict) else {}
        what = (str(data.get("key", "")), int(data.get("attempt", 0)), int(data.get("delivery", 1)))
        if event.event_type in {"TransactionCommitted", "TransactionAborted"}:
            ended.add(what)
        elif event.event_type == "MessageReceived" and what not in ended:
            begun.add(what[:2])
    return Started(begun, known_ns)


def backwards(
    store: EventStore, stream: str, *, namespace: str, at_once: int = _CHUNK
) -> Iterable[Event]:
    """Yield what is left of a stream from its end, so many read at once."""
    snapshot = store.snapshot()
    base = snapshot.bases.base((namespace, "", stream))
    last = snapshot.head(stream, namespace=namespace)
    while last > base:
        first = max(base + 1, last - at_once + 1)
        yield from reversed(
            stream_events(snapshot, (namespace, "", stream), first=first, last=last)
        )
        last = first - 1


def left_open(
    store: EventStore,
    standing: Standing,
    agents: Agents,
    begun: Begun,
    workflow_id: str,
    *,
    namespace: str,
) -> tuple[list[Effect], list[Effect]]:
    """Tell the open effects of a workflow apart: (may have happened, have certainly not).

    An agent's stream says what it had begun. What no agent in particular carries out may have been
    begun as soon as its request was durable.
    """
    named = deliveries(store, workflow_id, namespace=namespace)
    uncertain: list[Effect] = []
    untouched: list[Effect] = []
    requests = standing.effects
    since_ns = min((request.time_ns for request in requests), default=0)
    for request in requests:
        effect = Effect.of(request, standing.keys[request.sequence])
        before = named.get((effect.key, effect.attempt), 0)
        effect = Effect.of(request, effect.key, delivery=1 + before)
        lane, _ = agents.find(effect.agent, effect.activity)
        known = None if lane is None else begun.of(lane.name, since_ns)
        if known is None or before or known.may_have(effect, request.time_ns):
            uncertain.append(effect)
        else:
            untouched.append(effect)
    return uncertain, untouched


def deliveries(store: EventStore, workflow_id: str, *, namespace: str) -> dict[Any, int]:
    """Return how often each (key, attempt) of a workflow was named as uncertain."""
    found: dict[Any, int] = {}
    for event in backwards(store, f"@{workflow_id}", namespace=namespace):
        if event.event_type == "AgentRestarted" and isinstance(event.data, dict):
            for effect in event.data.get("uncertain", ()):
                what = (effect["key"], effect["attempt"])
                found[what] = found.get(what, 0) + 1
    return found
