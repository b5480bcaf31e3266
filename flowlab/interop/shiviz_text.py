"""The text of a ShiViz log: its executions, and in each the lines that have a vector clock."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.interop.decoding import as_integer, clean
from flowlab.interop.trace import unused

GROUPS: Final = ("host", "clock", "event")
NEVER: Final = "(?!)"
"""A delimiter that no line matches: the file is one execution, whatever its texts look like."""
_SEPARATOR: Final = re.compile(r"^=== *(?P<trace>.*?) *===\s*$")
_HEAD: Final = re.compile(r"^(?P<host>\S+)\s+(?P<clock>\{.*\})\s*$")
_BROKEN: Final = re.compile(r'^(?P<host>\S+)\s+(?P<clock>\{\s*["\'].*)$')
_CLOCK_AMID: Final = re.compile(
    r"(?P<host>[^\s/\]]+)\]?\s+(?P<clock>\{[^{}]*\})\s+(?P<event>\S.*)$"
)
_CLOCK_LAST: Final = re.compile(r"^(?P<event>.*\S)\s+(?P<host>\S+)\s+(?P<clock>\{[^{}]*\})\s*$")
_STATE: Final = re.compile(r"^(?:State )?\d+: <(?P<event>.*?)(?: line \d+.*)?>\s*$")
_VARIABLE: Final = re.compile(r"^/\\ (?P<name>\w+) = (?P<value>.*)$")
_COMMENT: Final = re.compile(r"^\s*(#|//|%|--|;)")
_MAX_TICK: Final = 2**62


@dataclass(frozen=True, slots=True)
class Line:
    """One logged event.

    Args:
        number: its line in the file.
        host: who logged it.
        clock: its vector clock; None where it cannot be read.
        text: what happened.
        timestamp: when, as it is written; empty where the log has none.
    """

    number: int
    host: str
    clock: dict[str, int] | None
    text: str
    timestamp: str = ""


def executions(text: str, pattern: str | None = None) -> Iterator[tuple[str | None, list[Line]]]:
    """Yield each execution's name (None before the first separator) and its events.

    Args:
        text: of the file. A first line that is a regular expression is obeyed, and so is a
            second one, which parts executions.
        pattern: a regular expression that goes before all that.

    Raises:
        InvalidArgumentError: the pattern is no regular expression, or lacks a group.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    given = None if pattern is None else compile_pattern(pattern)
    header, separator, first = _header(lines)
    for name, start, part in _parts(lines[first:], separator, first + 1):
        shape = given or header
        yield name, list(_events(part, start) if shape is None else _by(shape, part, start))


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a user's regular expression; named groups may be spelled `(?<host>...)` too.

    Raises:
        InvalidArgumentError: it is no regular expression, or lacks one of the groups.
    """
    try:
        compiled = re.compile(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", pattern), re.MULTILINE)
    except re.error as error:
        message = f"the pattern is no regular expression: {error}"
        raise InvalidArgumentError(message) from error
    missing = set(GROUPS) - set(compiled.groupindex)
    if missing:
        message = f"the pattern lacks the named groups {sorted(missing)}"
        raise InvalidArgumentError(message)
    return compiled


def _header(lines: list[str]) -> tuple[re.Pattern[str] | None, re.Pattern[str], int]:
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    if not re.search(r"\(\?P?<(?:host|clock|event)>", lines[first]):
        return None, _SEPARATOR, 0
    try:
        header = compile_pattern(lines[first])
    except InvalidArgumentError:
        return None, _SEPARATOR, first + 1
    second = lines[first + 1].strip() if first + 1 < len(lines) else ""
    if second and "{" not in second:
        try:
            parted = re.compile(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", second))
        except re.error:
            return header, _SEPARATOR, first + 1
        return header, parted, first + 2
    return header, _SEPARATOR, first + 1


def _parts(
    lines: list[str], separator: re.Pattern[str], first: int
) -> Iterator[tuple[str | None, int, list[str]]]:
    name: str | None = None
    part: list[str] = []
    used: set[str] = set()
    for number, line in enumerate(lines, first):
        match = separator.search(line)
        if match is None:
            part.append(line)
            continue
        yield name, number - len(part), part
        found = match.groupdict().get("trace") or (match.groups() or ("",))[0] or ""
        name = unused(clean(found.strip()) or "execution", used)
        part = []
    yield name, first + len(lines) - len(part), part


def _by(pattern: re.Pattern[str], lines: list[str], first: int) -> Iterator[Line]:
    text = "\n".join(lines)
    timed = "timestamp" in pattern.groupindex
    number, at = first, 0
    for match in pattern.finditer(text):
        number += text.count("\n", at, match.start())
        at = match.start()
        yield Line(
            number,
            match["host"] or "",
            _clock(match["clock"] or ""),
            (match["event"] or "").strip(),
            (match["timestamp"] or "").strip() if timed else "",
        )


def _events(lines: list[str], first: int) -> Iterator[Line]:
    if any(line.lstrip().startswith("/\\ Clock =") for line in lines):
        yield from _states(lines, first)
        return
    filled = [(first + i, line) for i, line in enumerate(lines) if line.strip()]
    heads = [_head(line) for _, line in filled]
    if any(heads):
        yield from _pairs(filled, heads)
        return
    for number, line in filled:
        match = _CLOCK_AMID.search(line) or _CLOCK_LAST.match(line)
        clock = _clock(match["clock"]) if match else None
        if match and clock is not None:
            yield Line(number, match["host"], clock, match["event"].strip())


def _head(line: str) -> tuple[str, dict[str, int]] | None:
    match = _HEAD.match(line)
    clock = _clock(match["clock"]) if match else None
    return (match["host"], clock) if match and clock is not None else None


def _pairs(
    filled: list[tuple[int, str]], heads: list[tuple[str, dict[str, int]] | None]
) -> Iterator[Line]:
    """Yield events of two lines, whose text stands after the clock, or before it."""
    first = next((at for at, (_, line) in enumerate(filled) if not _COMMENT.match(line)), 0)
    step = -1 if heads[first] is None else 1
    texts = {
        at + step
        for at, head in enumerate(heads)
        if head and 0 <= at + step < len(heads) and heads[at + step] is None
    }
    for at, ((number, line), head) in enumerate(zip(filled, heads, strict=True)):
        if head is not None:
            text = filled[at + step][1].strip() if at + step in texts else ""
            yield Line(number, *head, text)
        elif at not in texts and (broken := _BROKEN.match(line)):
            yield Line(number, broken["host"], None, line.strip())


def _states(lines: list[str], first: int) -> Iterator[Line]:
    action, number, values = "", first, dict[str, str]()
    for place, line in enumerate([*lines, "State 0: <end>"], first):
        state = _STATE.match(line)
        if state:
            if "Clock" in values and "Host" in values:
                yield Line(number, values["Host"].strip('"'), _clock(values["Clock"]), action)
            action, number, values = state["event"], place, {}
            continue
        variable = _VARIABLE.match(line.strip())
        if variable:
            values[variable["name"]] = variable["value"].strip()


def _clock(text: str) -> dict[str, int] | None:
    try:
        value: Any = json.loads(text.strip())
        if isinstance(value, str):
            value = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    ticks = {host: _tick(tick) for host, tick in value.items()}
    known = {host: tick for host, tick in ticks.items() if tick is not None}
    return known if len(known) == len(ticks) else None


def _tick(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    tick = as_integer(value)
    return tick if tick is not None and 0 <= tick < _MAX_TICK else None
