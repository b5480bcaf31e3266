"""ShiViz logs: events with vector clocks, in and out."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import networkx as nx

from flowlab.errors import ImportFormatError, InvalidArgumentError
from flowlab.events import Cause, CauseKind, Event, EventLog, RunInfo, encode_payload
from flowlab.interop.decoding import clean, parse_time_ns, short_text
from flowlab.interop.shiviz_clocks import derive
from flowlab.interop.shiviz_text import NEVER, Line, executions
from flowlab.interop.trace import Source, Trace

SCENARIO: Final = "shiviz"
_SEPARATES: Final = re.compile(r"^===.*===\s*$")
_LIKE_A_HEAD: Final = re.compile(r"^\S+\s+\{.*\}\s*$")
_LIKE_A_START: Final = re.compile(r"\(\?P?<|^\s*(#|//|%|--|;)")
_SHAPE: Final = r"^(?<host>.*?) (?<clock>\{.*\})\n(?<event>.*)"
_TIMED: Final = r"\n(?<timestamp>.*)"
Place = tuple[str, int]


def looks_like(text: str) -> bool:
    """Say whether a text has events with vector clocks."""
    return any(line.clock is not None for _, lines in executions(text) for line in lines)


def decode(text: str, source: Source, *, pattern: str | None = None) -> list[Trace]:
    """Read a log; each execution in it is a run.

    Args:
        text: the log. Where its first line is a regular expression, that is the shape of its
            events, and the second line, if it is not empty, parts the executions.
        source: where it stands.
        pattern: a regular expression with the groups host, clock and event, and timestamp where
            there is one, matched anywhere and over several lines; without it, the shapes built
            in are tried.

    Raises:
        ImportFormatError: no event was found.
        InvalidArgumentError: the pattern lacks a group.
    """
    traces = []
    for name, lines in executions(text, pattern):
        if all(line.clock is None for line in lines):
            continue
        info = RunInfo(
            namespace=source.namespace,
            run_id=source.run_id if name is None else f"{source.run_id}/{name}",
            clock="virtual",
            scenario=SCENARIO,
            source=source.name,
            attributes={} if name is None else {"execution": name},
        )
        trace = Trace(info)
        _Reader(trace, lines, reveal=source.reveal).read()
        traces.append(trace)
    if not traces:
        message = (
            "no event with a vector clock was found; give a pattern with the groups host, clock "
            "and event, as in --pattern '(?P<host>\\S+) (?P<clock>{.*})\\n(?P<event>.*)'"
        )
        raise ImportFormatError(message)
    return traces


class _Reader:
    """Turns lines with clocks into events whose causes give the clocks' order."""

    def __init__(self, trace: Trace, lines: list[Line], *, reveal: bool) -> None:
        self._trace = trace
        self._reveal = reveal
        self._hosts: dict[str, list[_Tick]] = {}
        unread: list[tuple[str, int]] = []
        for line in lines:
            host = clean(line.host) or "host"
            if line.clock is None:
                unread.append((host, line.number))
                continue
            tick = _Tick(line, line.clock, line.clock.get(line.host, 0))
            self._hosts.setdefault(host, []).append(tick)
        for host, own in self._hosts.items():
            own.sort(key=lambda tick: tick.tick)
            self._check_ticks(host, own)
        for host, number in unread:
            # It is no event, since its place is unknown; it stands after the host's own.
            detail = f"line {number}: a clock that cannot be read; the line is no event"
            self._damage(host, len(self._hosts.get(host, [])) + 1, "unreadable_clock", detail)

    def read(self) -> None:
        for own in self._hosts.values():
            for place, tick in reversed(list(enumerate(own, 1))):
                tick.place = place
        self._logged = {host: [tick.tick for tick in own] for host, own in self._hosts.items()}
        causes: dict[Place, list[tuple[str, int, int]]] = {}
        for host, own in self._hosts.items():
            seen: dict[str, int] = {}
            for tick in own:
                causes[host, tick.place] = self._causes(host, tick, seen)
                for other, count in tick.clock.items():
                    if count < seen.get(other, 0):
                        detail = f"line {tick.line.number}: entry {other!r} falls to {count}"
                        self._damage(host, tick.place, "clock_decreases", detail)
                    seen[other] = max(count, seen.get(other, 0))
        self._break_cycles(causes)
        for host, own in self._hosts.items():
            for tick in own:
                self._trace.events.append(self._event(host, tick, causes[host, tick.place]))
        info = self._trace.info
        self._trace.info = RunInfo(
            namespace=info.namespace,
            run_id=info.run_id,
            clock=info.clock,
            scenario=info.scenario,
            source=info.source,
            attributes=info.attributes,
            agents=tuple(self._hosts),
        )

    def _check_ticks(self, host: str, own: list[_Tick]) -> None:
        last = 0
        for place, tick in enumerate(own, 1):
            number = tick.line.number
            if not tick.tick:
                self._damage(host, place, "no_own_entry", f"line {number}: {host!r} is absent")
            elif tick.tick == last:
                detail = f"line {number}: tick {last} stands twice"
                self._damage(host, place, "duplicate_tick", detail)
            elif tick.tick != last + 1:
                detail = f"line {number}: tick {tick.tick} follows {last}"
                self._damage(host, place, "gap", detail)
            last = tick.tick

    def _causes(self, host: str, tick: _Tick, seen: dict[str, int]) -> list[tuple[str, int, int]]:
        found: list[tuple[str, int, int]] = []
        for other, count in sorted(tick.clock.items()):
            if other == tick.line.host or count <= seen.get(other, 0):
                continue
            logged = self._logged.get(other, [])
            at = bisect_left(logged, count)
            if at < len(logged) and logged[at] == count:
                found.append((other, at + 1, CauseKind.MESSAGE))
                continue
            detail = f"line {tick.line.number}: {other!r} tick {count} was never logged"
            self._damage(host, tick.place, "never_logged", detail, ref=(f"@{other}", count))
            if at and logged[at - 1] > seen.get(other, 0):
                earlier = bisect_left(logged, logged[at - 1])
                found.append((other, earlier + 1, CauseKind.ASSUMED))
        # What another cause already follows from says nothing new.
        ticks = [self._hosts[other][place - 1] for other, place, _ in found]
        kept = [
            item
            for item, own in zip(found, ticks, strict=True)
            if not any(
                peer is not own and peer.clock.get(own.line.host, 0) >= own.tick for peer in ticks
            )
        ]
        return kept or found

    def _break_cycles(self, causes: dict[Place, list[tuple[str, int, int]]]) -> None:
        """Leave out what would put an event before itself, and nothing else."""
        graph = nx.DiGraph()
        for (host, place), items in causes.items():
            if place > 1:
                graph.add_edge((host, place - 1), (host, place))
            graph.add_edges_from(((other, at), (host, place)) for other, at, _ in items)
        for ring in nx.strongly_connected_components(graph):
            members: list[Place] = sorted(ring) if len(ring) > 1 else []
            for key in members:
                for other, at, _ in causes[key]:
                    if (other, at) in ring:
                        detail = f"{other!r}/{at} would come before and after it"
                        self._damage(key[0], key[1], "cycle", detail, ref=(f"@{other}", at))
                causes[key] = [item for item in causes[key] if item[:2] not in ring]

    def _event(self, host: str, tick: _Tick, causes: list[tuple[str, int, int]]) -> Event:
        line = tick.line
        payload: dict[str, Any] = {"clock": tick.clock, "host": line.host, "text": line.text}
        time_ns = None
        if line.timestamp:
            payload["timestamp"] = line.timestamp
            time_ns = parse_time_ns(line.timestamp)
            if time_ns is None:
                detail = f"line {line.number}: its timestamp cannot be read"
                self._damage(host, tick.place, "time", detail)
        return Event(
            namespace=self._trace.info.namespace,
            run_id=self._trace.info.run_id,
            workflow_id=f"@{host}",
            sequence=tick.place,
            agent_id=host,
            agent_sequence=tick.tick,
            event_type="MarkerRecorded",
            name=short_text(line.text) if self._reveal else "",
            time_ns=time_ns or 0,
            causes=tuple(Cause(f"@{other}", at, kind) for other, at, kind in causes),
            payload=encode_payload(payload),
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


@dataclass(slots=True)
class _Tick:
    """A line, its clock, its host's own entry there, and its place among the host's lines."""

    line: Line
    clock: dict[str, int]
    tick: int
    place: int = 0


def encode(log: EventLog, info: RunInfo) -> str:
    """Return a run as a ShiViz log.

    One that was imported from ShiViz comes back with an equal digest. Of any other run the clocks
    are derived from the causes, and what comes back has the same causal order. A log whose hosts
    or texts the plain shape cannot tell apart begins with a line that says its shape, as ShiViz
    itself reads it.

    Raises:
        InvalidArgumentError: a host or a text that the format cannot hold.
        LimitError: the derived clocks would be too large.
    """
    rows = _recorded(log) if info.scenario == SCENARIO else None
    if rows is None:
        rows = derive(log)
    lines = list(_heading(rows))
    timed = any("timestamp" in row for row in rows)
    for row in rows:
        clock = json.dumps(row["clock"], ensure_ascii=False)
        lines += [f"{row['host']} {clock}", row["text"]]
        if timed:
            lines.append(row.get("timestamp", ""))
    return "\n".join(lines) + "\n"


def _recorded(log: EventLog) -> list[dict[str, Any]] | None:
    """Return host, clock and text of each event as they were imported; None where one has none."""
    rows = []
    for event in sorted(log, key=lambda event: (event.agent_id, event.sequence)):
        data: Any = event.data
        if not isinstance(data, dict) or not {"clock", "host", "text"} <= set(data):
            return None
        if "\n" in data["host"] or " {" in data["host"] or not data["host"]:
            message = f"host {data['host']!r} cannot be told from a clock in a ShiViz log"
            raise InvalidArgumentError(message)
        if "\n" in data["text"]:
            message = f"{event!r} has a text of several lines, which a ShiViz log cannot hold"
            raise InvalidArgumentError(message)
        rows.append(data)
    return rows


def _heading(rows: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    separates = timed = told = False
    for row in rows:
        separates |= bool(_SEPARATES.match(row["text"]) or _SEPARATES.match(row["host"]))
        told |= bool(_LIKE_A_HEAD.match(row["text"]) or re.search(r"\s", row["host"]))
        told |= row["text"].startswith("/\\ Clock")
        told |= bool(_LIKE_A_START.search(f"{row['host']} {' '.join(row['clock'])}"))
        timed |= "timestamp" in row
    if not (separates or timed or told):
        return ()
    return (_SHAPE + (_TIMED if timed else ""), NEVER if separates else "")
