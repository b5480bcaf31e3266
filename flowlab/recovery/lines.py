"""Recovery lines of agents that exchange messages: consistency, Z-paths, and the domino effect.

Interval k of an agent follows its checkpoint k; checkpoint 0 is its initial state. A global
checkpoint names one checkpoint of each agent, and is consistent if no message is received before it
and sent after it. An agent whose state is intact may also stand at its volatile state, which counts
as one checkpoint more.

Sources: Netzer and Xu, IEEE TPDS 6(2), 1995; Elnozahy et al., ACM Computing Surveys 34(3), 2002.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowlab.errors import InvalidArgumentError
from flowlab.events import counted

if TYPE_CHECKING:
    from flowlab.events import EventLog

Line = dict[str, int]
"""A checkpoint of each agent, by number."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message between two agents, and the intervals in which they sent and received it.

    Args:
        sender: an agent.
        sent_in: the interval of the sender.
        receiver: another agent.
        received_in: the interval of the receiver.
    """

    sender: str
    sent_in: int
    receiver: str
    received_in: int


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which checkpoints agents took, and which messages they exchanged.

    Args:
        checkpoints: of each agent, how many it took besides its initial state.
        messages: that were sent and received.

    Raises:
        InvalidArgumentError: a message is of no agent, or of an interval that is not there.

    Example:
        >>> pattern = Pattern({"a": 1, "b": 1}, (Message("a", 1, "b", 0),))
        >>> pattern.is_consistent({"a": 1, "b": 1}), pattern.is_consistent({"a": 1, "b": 0})
        (False, True)
        >>> pattern.recovery_line(failed=["a"])
        {'a': 1, 'b': 0}
    """

    checkpoints: Mapping[str, int]
    messages: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        for message in self.messages:
            ends = ((message.sender, message.sent_in), (message.receiver, message.received_in))
            for agent, interval in ends:
                if not 0 <= interval <= self.checkpoints.get(agent, -1):
                    known = self.checkpoints.get(agent)
                    what = "it is no agent" if known is None else f"its intervals are 0 to {known}"
                    text = f"{message} names interval {interval} of {agent!r}: {what}"
                    raise InvalidArgumentError(text)

    def __repr__(self) -> str:
        return (
            f"Pattern({counted(len(self.checkpoints), 'agent')}, "
            f"{counted(len(self.messages), 'message')})"
        )

    @property
    def now(self) -> Line:
        """The line at which every agent stands at its volatile state."""
        return {agent: count + 1 for agent, count in self.checkpoints.items()}

    def is_consistent(self, line: Mapping[str, int]) -> bool:
        """Say whether no message is received before a line and sent after it.

        Agents that the line leaves out are not looked at.
        """
        self._check(line)
        return not any(_is_orphan(message, line) for message in self.messages)

    def recovery_line(
        self, *, failed: Iterable[str] = (), start: Mapping[str, int] | None = None
    ) -> Line:
        """Return the latest consistent line at or before a start.

        It is unique, since the later of two consistent lines, agent by agent, is consistent.

        Args:
            failed: agents that have lost their volatile state, and begin at their last checkpoint.
            start: a checkpoint of each agent; by default the volatile state of those that have not
                failed.
        """
        line = dict(self.now if start is None else start)
        if missing := [agent for agent in self.checkpoints if agent not in line]:
            text = f"start has no checkpoint of {missing}; name one of each agent"
            raise InvalidArgumentError(text)
        self._check(line)
        for agent in failed:
            self._check({agent: 0})
            line[agent] = min(line[agent], self.checkpoints[agent])
        changed = True
        while changed:
            changed = False
            for message in self.messages:
                if _is_orphan(message, line):
                    # Nothing of the interval in which it was received may be kept.
                    line[message.receiver] = message.received_in
                    changed = True
        return line

    def rollback(self, failed: Iterable[str]) -> Line:
        """Return how many checkpoint intervals each agent loses, the volatile one included.

        Where failures of one agent take others back again and again, to their initial states, that
        is the domino effect.

        Example:
            >>> there = [Message("a", k, "b", k) for k in range(3)]
            >>> back = [Message("b", k, "a", k + 1) for k in range(2)]
            >>> Pattern({"a": 2, "b": 2}, (*there, *back)).rollback(["a"])
            {'a': 1, 'b': 1}
        """
        line = self.recovery_line(failed=failed)
        return {agent: now - line[agent] for agent, now in self.now.items()}

    def has_z_path(self, source: tuple[str, int], target: tuple[str, int]) -> bool:
        """Say whether a Z-path leads from one local checkpoint to another, or to itself.

        It is a chain of messages: the first is sent after the source, each next one is sent in the
        same or a later interval than the one in which the previous was received (possibly before
        that receipt), and the last is received before the target.
        """
        self._check(dict([source]))
        self._check(dict([target]))
        reached = self._reached(*source)
        return reached.get(target[0], target[1]) < target[1]

    def is_useless(self, agent: str, checkpoint: int) -> bool:
        """Say whether a local checkpoint is in no consistent global one: a Z-cycle goes through it.

        Example:
            >>> crossing = (Message("b", 0, "a", 0), Message("a", 1, "b", 0))
            >>> Pattern({"a": 1, "b": 0}, crossing).is_useless("a", 1)
            True
        """
        return self.has_z_path((agent, checkpoint), (agent, checkpoint))

    def can_be_extended(self, part: Mapping[str, int]) -> bool:
        """Say whether checkpoints of some agents belong to one consistent global checkpoint.

        They do if and only if no Z-path joins any of them to any, itself included.
        """
        self._check(part)
        for source in part.items():
            reached = self._reached(*source)
            if any(reached.get(agent, place) < place for agent, place in part.items()):
                return False
        return True

    def _reached(self, agent: str, checkpoint: int) -> Line:
        """Return the earliest interval of each agent in which a Z-path's last message arrives."""
        by_sender: dict[str, list[Message]] = {}
        for message in self.messages:
            by_sender.setdefault(message.sender, []).append(message)
        reached: Line = {}
        todo = [(agent, checkpoint)]
        while todo:
            sender, least = todo.pop()
            for message in by_sender.get(sender, ()):
                known = reached.get(message.receiver)
                if message.sent_in >= least and (known is None or message.received_in < known):
                    reached[message.receiver] = message.received_in
                    todo.append((message.receiver, message.received_in))
        return reached

    def _check(self, line: Mapping[str, int]) -> None:
        for agent, number in line.items():
            most = self.checkpoints.get(agent)
            if most is None:
                message = f"{agent!r} is no agent of the pattern; expected {list(self.checkpoints)}"
                raise InvalidArgumentError(message)
            if not 0 <= number <= most + 1:
                message = f"checkpoint {number} of {agent!r} is not there; expected 0 to {most + 1}"
                raise InvalidArgumentError(message)


def pattern_of(log: EventLog) -> Pattern:
    """Return the pattern of a log of one run: agents, their checkpoints, and causes between them.

    An agent's event `CheckpointTaken` ends an interval; every cause in another lane is a message.

    Example:
        >>> from flowlab.events import EventLog
        >>> log = EventLog.from_text("A: a1 send>m a2 | B: recv<m b1")
        >>> pattern_of(log)
        Pattern(2 agents, 1 message)
    """
    places: dict[tuple[str, int], tuple[str, int]] = {}
    counts: dict[str, int] = {}
    messages = []
    rows = sorted(log, key=lambda event: (event.agent_id, event.agent_sequence))
    for event in rows:
        number = counts.setdefault(event.agent_id, 0)
        places[event.workflow_id, event.sequence] = (event.agent_id, number)
        if event.event_type == "CheckpointTaken":
            counts[event.agent_id] = number + 1
    for event in rows:
        receiver, received_in = places[event.workflow_id, event.sequence]
        for cause in event.causes:
            found = places.get((cause.workflow_id, cause.sequence))
            if found is not None and found[0] != receiver:
                messages.append(Message(*found, receiver, received_in))
    return Pattern(counts, tuple(messages))


def _is_orphan(message: Message, line: Mapping[str, int]) -> bool:
    sender, receiver = line.get(message.sender), line.get(message.receiver)
    if sender is None or receiver is None:
        return False
    return message.received_in < receiver and message.sent_in >= sender
