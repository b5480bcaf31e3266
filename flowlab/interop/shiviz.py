"""ShiViz logs: events with vector clocks, in and out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from flowlab.errors import ImportFormatError, InvalidArgumentError
from flowlab.events import Cause, CauseKind, Event, EventLog, RunInfo, encode_payload
from flowlab.interop.decoding import clean, short_text
from flowlab.interop.trace import Source, Trace

SCENARIO: Final = "shiviz"
_SEPARATOR: Final = re.compile(r"^=== *(.*?) *===\s*$")
_HOST_CLOCK: Final = re.compile(r"^(?P<host>\S+)\s+(?P<clock>\{.*\})\s*$")
_ONE_LINE: Final = re.compile(r"(?P<host>[^\s/\]]+)\]?\s+(?P<clock>\{[^{}]*\})\s+(?P<event>\S.*)$")
_STATE: Final = re.compile(r"^State \d+: <(?P<event>[^>]*?)(?: line \d+.*)?>\s*$")
_VARIABLE: Final = re.compile(r"^/\\ (?P<name>\w+) = (?P<value>.*)$")


@dataclass(frozen=True, slots=True)
class Line:
    """One logged event."""

    number: int
    host: str
    clock: dict[str, int]
    text: str


def looks_like(text: str) -> bool:
    """Say whether a text has events with vector clocks."""
    return any(True for part in _executions(text) for _ in _events(part[1], part[2]))


def decode(text: str, source: Source, *, pattern: str | None = None) -> list[Trace]:
    """Read a log; each execution in it is a run.

    Args:
        text: the log.
        source: where it stands.
        pattern: a regular expression with the groups host, clock and event, matched anywhere and
            over several lines; without it, the shapes built in are tried.

    Raises:
        ImportFormatError: no event was found, or the pattern lacks a group.
    """
    parts = list(_executions(text))
    traces = []
    for name, lines, first in parts:
        events = list(_events(lines, first) if pattern is None else _by(pattern, lines, first))
        if not events:
            continue
        run_id = source.run_id if name is None else f"{source.run_id}/{name}"
        info = RunInfo(
            namespace=source.namespace,
            run_id=run_id,
            clock="virtual",
            scenario=SCENARIO,
            source=source.name,
            attributes={} if name is None else {"execution": name},
        )
        trace = Trace(info)
        _Reader(trace, events).read()
        traces.append(trace)
    if not traces:
        message = (
            "no event with a vector clock was found; give a pattern with the groups host, clock "
            "and event, as in --pattern '(?P<host>\\S+) (?P<clock>{.*})\\n(?P<event>.*)'"
        )
        raise ImportFormatError(message)
    return traces


def _executions(text: str) -> Iterator[tuple[str | None, list[str], int]]:
    name: str | None = None
    lines: list[str] = []
    first = 1
    used: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _SEPARATOR.match(line)
        if match is None:
            lines.append(line)
            continue
        if any(item.strip() for item in lines):
            yield name, lines, first
        name = match[1] or "execution"
        used[name] = used.get(name, 0) + 1
        if used[name] > 1:
            name = f"{name} ({used[name]})"
        lines, first = [], number + 1
    yield name, lines, first


def _by(pattern: str, lines: list[str], first: int) -> Iterator[Line]:
    try:
        compiled = re.compile(pattern, re.MULTILINE)
    except re.error as error:
        message = f"the pattern is no regular expression: {error}"
        raise InvalidArgumentError(message) from error
    missing = {"host", "clock", "event"} - set(compiled.groupindex)
    if missing:
        message = f"the pattern lacks the named groups {sorted(missing)}"
        raise InvalidArgumentError(message)
    text = "\n".join(lines)
    for match in compiled.finditer(text):
        clock = _clock(match["clock"])
        if clock is not None:
            number = first + text.count("\n", 0, match.start())
            yield Line(number, match["host"], clock, (match["event"] or "").strip())


def _events(lines: list[str], first: int) -> Iterator[Line]:
    if any(_STATE.match(line) for line in lines):
        yield from _states(lines, first)
        return
    filled = [(first + i, line) for i, line in enumerate(lines) if line.strip()]
    heads = [_HOST_CLOCK.match(line) for _, line in filled]
    if heads and heads[0] is None and any(heads):
        for (_, text), (number, _), match in zip(filled, filled[1:], heads[1:], strict=False):
            clock = _clock(match["clock"]) if match else None
            if match and clock is not None:
                yield Line(number, match["host"], clock, text.strip())
        return
    if any(heads):
        following = [*filled[1:], (0, "")]
        after = [*heads[1:], None]
        for (number, _), match, (_, text), other in zip(
            filled, heads, following, after, strict=True
        ):
            clock = _clock(match["clock"]) if match else None
            if match and clock is not None:
                yield Line(number, match["host"], clock, "" if other else text.strip())
        return
    for number, line in filled:
        match = _ONE_LINE.search(line)
        clock = _clock(match["clock"]) if match else None
        if match and clock is not None:
            yield Line(number, match["host"], clock, match["event"].strip())


def _states(lines: list[str], first: int) -> Iterator[Line]:
    action, number, values = "", first, dict[str, str]()
    for place, line in enumerate([*lines, "State 0: <end>"], first):
        state = _STATE.match(line)
        if state:
            clock = _clock(values.get("Clock", ""))
            if clock is not None and "Host" in values:
                yield Line(number, values["Host"].strip('"'), clock, action)
            action, number, values = state["event"], place, {}
            continue
        variable = _VARIABLE.match(line.strip())
        if variable:
            values[variable["name"]] = variable["value"].strip()


def _clock(text: str) -> dict[str, int] | None:
    text = text.strip()
    try:
        value = json.loads(text)
        if isinstance(value, str):
            value = json.loads(value)
    except (ValueError, RecursionError):
        return None
    good = isinstance(value, dict) and all(
        isinstance(tick, int) and not isinstance(tick, bool) and 0 <= tick < 2**62
        for tick in value.values()
    )
    return value if good else None


class _Reader:
    """Turns lines with clocks into events whose causes give the clocks' order."""

    def __init__(self, trace: Trace, lines: list[Line]) -> None:
        self._trace = trace
        self._hosts: dict[str, list[Line]] = {}
        for line in lines:
            self._hosts.setdefault(clean(line.host) or "host", []).append(line)
        for host, own in self._hosts.items():
            own.sort(key=lambda line: line.clock.get(line.host, 0))
            self._check_ticks(host, own)

    def read(self) -> None:
        places = {
            host: {line.clock.get(line.host, 0): n for n, line in reversed(list(enumerate(own, 1)))}
            for host, own in self._hosts.items()
        }
        causes: dict[tuple[str, int], list[tuple[str, int, int]]] = {}
        for host, own in self._hosts.items():
            seen: dict[str, int] = {}
            for place, line in enumerate(own, 1):
                causes[host, place] = self._causes(host, place, line, seen, places)
                for other, tick in line.clock.items():
                    if tick < seen.get(other, 0):
                        detail = f"line {line.number}: entry {other!r} falls to {tick}"
                        self._damage(host, place, "clock_decreases", detail)
                    seen[other] = max(tick, seen.get(other, 0))
        self._break_cycles(causes)
        for host, own in self._hosts.items():
            for place, line in enumerate(own, 1):
                self._trace.events.append(self._event(host, place, line, causes[host, place]))
        agents = tuple(self._hosts)
        info = self._trace.info
        self._trace.info = RunInfo(
            namespace=info.namespace,
            run_id=info.run_id,
            clock=info.clock,
            scenario=info.scenario,
            source=info.source,
            attributes=info.attributes,
            agents=agents,
        )

    def _check_ticks(self, host: str, own: list[Line]) -> None:
        last = 0
        for place, line in enumerate(own, 1):
            tick = line.clock.get(line.host, 0)
            if not tick:
                self._damage(host, place, "no_own_entry", f"line {line.number}: {host!r} is absent")
            elif tick == last:
                detail = f"line {line.number}: tick {tick} stands twice"
                self._damage(host, place, "duplicate_tick", detail)
            elif tick != last + 1:
                detail = f"line {line.number}: tick {tick} follows {last}"
                self._damage(host, place, "gap", detail)
            last = max(last, tick)

    def _causes(
        self,
        host: str,
        place: int,
        line: Line,
        seen: dict[str, int],
        places: dict[str, dict[int, int]],
    ) -> list[tuple[str, int, int]]:
        found: list[tuple[str, int, int]] = []
        for other, tick in sorted(line.clock.items()):
            if other == line.host or tick <= seen.get(other, 0) or not tick:
                continue
            ticks = places.get(other, {})
            if tick in ticks:
                found.append((other, ticks[tick], CauseKind.MESSAGE))
                continue
            detail = f"line {line.number}: {other!r} tick {tick} was never logged"
            self._damage(host, place, "never_logged", detail, ref=(f"@{other}", tick))
            earlier = [known for known in ticks if known < tick]
            if earlier and max(earlier) > seen.get(other, 0):
                found.append((other, ticks[max(earlier)], CauseKind.ASSUMED))
        # What another cause already follows from says nothing new.
        kept = []
        for other, at, kind in found:
            tick = self._hosts[other][at - 1].clock.get(self._hosts[other][at - 1].host, 0)
            implied = any(
                peer != other and self._hosts[peer][n - 1].clock.get(other, 0) >= tick
                for peer, n, _ in found
            )
            if not implied:
                kept.append((other, at, kind))
        return kept if kept or not found else found

    def _break_cycles(self, causes: dict[tuple[str, int], list[tuple[str, int, int]]]) -> None:
        waiting: dict[tuple[str, int], int] = {}
        follows: dict[tuple[str, int], list[tuple[str, int]]] = {}
        for (host, place), items in causes.items():
            before = {(other, at) for other, at, _ in items}
            if place > 1:
                before.add((host, place - 1))
            waiting[host, place] = len(before)
            for item in before:
                follows.setdefault(item, []).append((host, place))
        ready = [item for item, count in waiting.items() if not count]
        done = set(ready)
        while ready:
            for item in follows.get(ready.pop(), []):
                waiting[item] -= 1
                if not waiting[item]:
                    ready.append(item)
                    done.add(item)
        for key in causes.keys() - done:
            for other, at, _ in causes[key]:
                if (other, at) not in done:
                    detail = f"{other!r}/{at} would come before and after it"
                    self._damage(*key, "cycle", detail, ref=(f"@{other}", at))
            causes[key] = [item for item in causes[key] if item[:2] in done]

    def _event(
        self, host: str, place: int, line: Line, causes: list[tuple[str, int, int]]
    ) -> Event:
        return Event(
            namespace=self._trace.info.namespace,
            run_id=self._trace.info.run_id,
            workflow_id=f"@{host}",
            sequence=place,
            agent_id=host,
            agent_sequence=line.clock.get(line.host, 0),
            event_type="MarkerRecorded",
            name=short_text(line.text),
            time_ns=0,
            causes=tuple(Cause(f"@{other}", at, kind) for other, at, kind in causes),
            payload=encode_payload({"clock": line.clock, "host": line.host, "text": line.text}),
        )

    def _damage(
        self,
        host: str,
        place: int,
        kind: str,
        detail: str,
        ref: tuple[str, int] | None = None,
    ) -> None:
        self._trace.damage(f"@{host}", place, kind, detail, ref=ref)


def encode(log: EventLog, info: RunInfo) -> str:
    """Return a run as a ShiViz log that imports back with an equal digest.

    Raises:
        InvalidArgumentError: an event has no recorded clock, or a host that the format cannot hold.
    """
    lines = []
    for event in sorted(log, key=lambda event: (event.agent_id, event.sequence)):
        data: Any = event.data
        if not isinstance(data, dict) or not {"clock", "host", "text"} <= set(data):
            message = (
                f"run {info.run_id!r} cannot be exported as shiviz: {event!r} holds no vector "
                "clock (its payload was hashed or dropped, or it comes from another format)"
            )
            raise InvalidArgumentError(message)
        if re.search(r"\s", data["host"]) or not data["host"]:
            message = f"host {data['host']!r} has white space, which a ShiViz log cannot hold"
            raise InvalidArgumentError(message)
        clock = json.dumps(data["clock"], ensure_ascii=False)
        lines.append(f"{data['host']} {clock}\n{data['text']}")
    return "\n".join(lines) + "\n"
