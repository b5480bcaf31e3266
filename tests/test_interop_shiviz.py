"""Logs with vector clocks in every shape that tools write, clean and damaged."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from flowlab.errors import InvalidArgumentError
from flowlab.events import EventLog
from flowlab.interop import export_log, import_log

Logged = tuple[str, dict[str, int], str]


def world(seed: int, hosts: int = 4, steps: int = 60) -> list[Logged]:
    """Return events of hosts that send each other messages, with their clocks."""
    chance = random.Random(seed)
    names = [f"n{i}" for i in range(hosts)]
    clocks: dict[str, dict[str, int]] = {name: {} for name in names}
    sent: list[dict[str, int]] = []
    events = []
    for step in range(steps):
        host = chance.choice(names)
        if sent and chance.random() < 0.4:
            for other, tick in chance.choice(sent).items():
                clocks[host][other] = max(tick, clocks[host].get(other, 0))
        clocks[host][host] = clocks[host].get(host, 0) + 1
        events.append((host, dict(clocks[host]), f"step {step} on {host}"))
        if chance.random() < 0.4:
            sent.append(dict(clocks[host]))
    return events


def clock_first(events: list[Logged]) -> str:
    return "".join(f"{host} {json.dumps(clock)}\n{text}\n" for host, clock, text in events)


def text_first(events: list[Logged]) -> str:
    return "".join(f"{text}\n{host} {json.dumps(clock)}\n" for host, clock, text in events)


def actor(events: list[Logged]) -> str:
    return "".join(
        f"[INFO] [akka://system/user/{host}] {json.dumps(clock)} {text}\n"
        for host, clock, text in events
    )


def one_line(events: list[Logged]) -> str:
    return "".join(f"{text} at {host} {json.dumps(clock)}\n" for host, clock, text in events)


def checker(events: list[Logged]) -> str:
    return "TLC2 Version 2.16\nState 1: <Init line 1, col 1 of module M>\n/\\ x = 1\n\n" + "".join(
        f"State {number}: <{text}(<<1, 2>>) line 3, col 5 to line 4, col 2 of module M>\n"
        f"/\\ Host = {host}\n/\\ Clock = {json.dumps(json.dumps(clock))}\n/\\ x = (n :> 1)\n\n"
        for number, (host, clock, text) in enumerate(events, 2)
    )


def with_header(events: list[Logged]) -> str:
    return r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)" + "\n\n\n" + clock_first(events)


def with_header_text_first(events: list[Logged]) -> str:
    return r"(?<event>.*)\n(?<host>\S*) (?<clock>{.*})" + "\n\n" + text_first(events)


def commented(events: list[Logged]) -> str:
    return "# made by hand\n// twice\n" + clock_first(events)


def windows(events: list[Logged]) -> str:
    return "\ufeff" + clock_first(events).replace("\n", "\r\n")


def spaced(events: list[Logged]) -> str:
    return "\n" + text_first(events).replace("}\n", "}  \n\n")


SHAPES = [
    clock_first,
    text_first,
    actor,
    one_line,
    checker,
    with_header,
    with_header_text_first,
    commented,
    windows,
    spaced,
]


def read(tmp_path: Path, text: str, **options: str) -> EventLog:
    path = tmp_path / "x.log"
    path.write_text(text, encoding="utf-8", newline="")
    report = import_log(path, **options)  # type: ignore[arg-type]
    assert report.failed == []
    assert report.log is not None
    return report.log


def past_of(log: EventLog) -> dict[tuple[str, int], set[tuple[str, int]]]:
    """Return each event's past, by the edges alone."""
    before: dict[tuple[str, int], list[tuple[str, int]]] = {
        (flow, place): []
        for flow, place in log.sql("SELECT workflow_id, sequence FROM events").rows()
    }
    query = "SELECT cause_workflow_id, cause_sequence, workflow_id, sequence FROM edges"
    for flow, place, to_flow, to_place in log.sql(query).rows():
        before[to_flow, to_place].append((flow, place))
    past: dict[tuple[str, int], set[tuple[str, int]]] = {}
    while len(past) < len(before):
        ready = [e for e in before if e not in past and all(c in past for c in before[e])]
        assert ready, "the order has a cycle"
        for event in ready:
            past[event] = {c for cause in before[event] for c in (cause, *past[cause])}
    return past


def past_by_clocks(events: list[Logged]) -> dict[tuple[str, int], set[tuple[str, int]]]:
    return {
        (f"@{host}", clock[host]): {
            (f"@{other}", theirs[other])
            for other, theirs, _ in events
            if theirs[other] <= clock.get(other, 0) and (other, theirs) != (host, clock)
        }
        for host, clock, _ in events
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", ["as it was", "shuffled"])
def test_every_shape_gives_the_order_of_its_clocks(
    tmp_path: Path, shape: object, order: str
) -> None:
    # A first line with a regular expression, which ShiViz itself asks for, was taken for an
    # event's text, and so was every comment: all texts stood one event too late.
    events = world(7)
    written = random.Random(1).sample(events, len(events)) if order == "shuffled" else events
    log = read(tmp_path, shape(written))  # type: ignore[operator]

    assert past_of(log) == past_by_clocks(events)
    assert log.anomalies.num_rows == 0
    named = log.sql("SELECT agent_id, agent_sequence, name FROM events").rows()
    said = {(host, tick): name for host, tick, name in named}
    assert all(said[host, clock[host]].startswith(text) for host, clock, text in events[:40])
    (path,) = export_log(log, "shiviz", tmp_path / "out")
    back = import_log(path).log
    assert back is not None
    assert back.digest == log.digest


def test_a_header_s_second_line_parts_the_executions(tmp_path: Path) -> None:
    shape = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)"
    text = f"{shape}\n^--- (?<trace>.*) ---$\n--- one ---\n{clock_first(world(1))}--- two ---\n"
    log = read(tmp_path, text + clock_first(world(2, steps=9)))

    runs = log.sql("SELECT run_id, count(*) FROM events GROUP BY 1 ORDER BY 1").rows()
    assert runs == [("x/one", 60), ("x/two", 9)]


def test_a_timestamp_in_the_pattern_is_the_event_s_time(tmp_path: Path) -> None:
    text = '1600000000000000005 a {"a": 1}\nx\n? a {"a": 2}\ny\n'
    pattern = r"(?<timestamp>\S+) (?<host>\S+) (?<clock>{.*})\n(?<event>.*)"
    log = read(tmp_path, text, pattern=pattern)

    times = log.sql("SELECT time_ns FROM events ORDER BY sequence").rows()
    assert times == [(1600000000000000005,), (0,)]
    assert log.sql("SELECT kind, sequence FROM anomalies").rows() == [("time", 2)]
    (path,) = export_log(log, "shiviz", tmp_path / "out")
    back = import_log(path).log
    assert back is not None
    assert back.digest == log.digest


def test_a_text_with_braces_is_no_clock(tmp_path: Path) -> None:
    # "Sent {x}" has the outline of a host and its clock, and took the place of the next event.
    log = read(tmp_path, 'a {"a": 1}\nSent {x}\na {"a": 2}\nb {not: json}\n')

    names = log.sql("SELECT name FROM events ORDER BY sequence").rows()
    assert names == [("Sent {x}",), ("b {not: json}",)]


def test_a_clock_that_cannot_be_read_is_damage_and_not_silence(tmp_path: Path) -> None:
    text = 'a {"a": 1}\nx\na {"a": 2,}\ny\na {"a": 3}\nz\na {"a": -1}\nw\n'
    log = read(tmp_path, text)

    assert log.sql("SELECT name FROM events ORDER BY sequence").rows() == [("x",), ("z",)]
    found = log.sql("SELECT kind, detail FROM anomalies ORDER BY ALL").rows()
    assert [kind for kind, _ in found] == ["gap", "unreadable_clock", "unreadable_clock"]
    assert ["line 3" in detail or "line 7" in detail for _, detail in found[1:]] == [True, True]


def test_a_cycle_takes_nothing_from_the_events_after_it(tmp_path: Path) -> None:
    # Everything that followed a cycle lost its causes with it.
    text = (
        'a {"a": 1, "b": 1}\nx\nb {"b": 1, "a": 1}\ny\n'
        'a {"a": 2, "b": 1}\nsend\nc {"c": 1, "a": 2, "b": 1}\nreceive\n'
    )
    log = read(tmp_path, text)

    edges = log.sql(
        "SELECT cause_workflow_id, cause_sequence, workflow_id, sequence FROM edges ORDER BY ALL"
    ).rows()
    assert edges == [("@a", 1, "@a", 2), ("@a", 2, "@c", 1)]
    kinds = log.sql("SELECT kind, workflow_id FROM anomalies ORDER BY ALL").rows()
    assert kinds == [("cycle", "@a"), ("cycle", "@b")]


def test_lines_end_only_where_lines_end(tmp_path: Path) -> None:
    # A line separator of Unicode inside a text cut the event in two.
    log = read(tmp_path, 'a {"a": 1}\nbefore\u2028after\x0band\x85on\na {"a": 2}\ny\n')

    texts = [event.data["text"] for event in log.sorted()]
    assert texts == ["before\u2028after\x0band\x85on", "y"]


def test_what_the_format_cannot_hold_is_refused_by_name(tmp_path: Path) -> None:
    pattern = r"(?<host>[^|]+)\|(?<clock>{.*})\|(?<event>[^|]*)\|"
    log = read(tmp_path, 'a b|{"a b": 1}|one|', pattern=pattern)
    (path,) = export_log(log, "shiviz", tmp_path / "out")
    back = import_log(path).log
    assert back is not None
    assert back.digest == log.digest

    for text in ('a|{"a": 1}|one\ntwo|', 'a {b|{"a {b": 1}|one|'):
        with pytest.raises(InvalidArgumentError, match="cannot"):
            export_log(read(tmp_path, text, pattern=pattern), "shiviz", tmp_path / "out")


@pytest.mark.parametrize("payloads", ["hash", "drop"])
def test_hidden_texts_are_no_names(tmp_path: Path, payloads: str) -> None:
    # The event's text is its payload; hashing that left the words standing in its name.
    log = read(tmp_path, 'a {"a": 1}\nSECRET\n', payloads=payloads)

    assert "SECRET" not in str(log.table.to_pylist())
