"""Causal graphs in the forms of others: networkx, DOT and Mermaid, safe whatever names hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

import networkx as nx

from flowlab.causality.graph import KIND_LABELS, LANE, CausalGraph, read_graph
from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import EventId, EventLog, grouped

MAX_DRAWN_EVENTS: Final = 2_000
"""Most events in a text that somebody else's program shall lay out."""
_MAX_LABEL_CHARS: Final = 60
_NODE_COLUMNS: Final = (
    "workflow_id sequence agent_id event_type name time_ns coordination_id step_id"
).split()
_DOT_STYLES: Final = {
    "lane": 'color="#8a8f98"',
    "message": 'color="#0b5fae"',
    "assumed": 'color="#0b5fae", style="dotted"',
    "fault": 'color="#b3261e", style="dashed"',
}
_MERMAID_PLAIN: Final = re.compile(r"[A-Za-z0-9 _.,()/-]")
_MERMAID_BLANK: Final = "#8203;"
"""A space of no width: Mermaid refuses an empty label."""
_MERMAID_END: Final = re.compile(r"\bend\b", re.IGNORECASE)


def to_networkx(log: EventLog) -> nx.DiGraph[EventId]:
    """Return a log's causal graph as a `networkx.DiGraph`.

    A node is an event's id and has its columns as attributes (those that are null left out) and
    its row in the log as `row`. An edge leads from cause to effect; `kind` is the word of the
    relation `edges`, and several of one pair are joined: "message+lane". What would close a cycle
    is left out, as in `read_graph`. All attributes are texts and numbers, which every format of
    networkx can write.

    Example:
        >>> graph = to_networkx(EventLog.from_text("A: send>m | B: <m"))
        >>> [(a.workflow_id, b.workflow_id, kind) for a, b, kind in graph.edges(data="kind")]
        [('@A', '@B', 'message')]
    """
    graph = read_graph(log)
    ids = [
        EventId(*row)
        for row in zip(
            *(log.table.column(name).to_pylist() for name in EventId._fields), strict=True
        )
    ]
    built: nx.DiGraph[EventId] = nx.DiGraph()
    columns = [log.table.column(name).to_pylist() for name in _NODE_COLUMNS]
    for row, values in enumerate(zip(*columns, strict=True)):
        told = zip(_NODE_COLUMNS, values, strict=True)
        if ids[row] not in built:
            built.add_node(ids[row], row=row, **{k: v for k, v in told if v is not None})
    for cause, effect, kinds in _edges(graph):
        built.add_edge(ids[cause], ids[effect], kind=kinds)
    return built


def to_dot(log: EventLog, *, limit: int = MAX_DRAWN_EVENTS) -> str:
    """Return a log's causal graph in Graphviz' language: a cluster for each lane.

    Every name is a quoted text, and is cut where it is long.

    Raises:
        LimitError: the log has more than `limit` events.

    Example:
        >>> print(to_dot(EventLog.from_text("A: a >m | B: <m")))
        digraph log {
          rankdir=LR; node [shape=box, fontsize=10];
          subgraph cluster_0 { label="A"; n0; n1; }
          subgraph cluster_1 { label="B"; n2; }
          n0 [label="a"];
          n1 [label="m"];
          n2 [label="m"];
          n0 -> n1 [label="lane", color="#8a8f98"];
          n1 -> n2 [label="message", color="#0b5fae"];
        }
    """
    _admit(log, limit)
    graph = read_graph(log)
    lines = ["digraph log {", "  rankdir=LR; node [shape=box, fontsize=10];"]
    for lane, name in enumerate(_lane_names(graph)):
        own = graph.lane_rows[graph.lane_start[lane] : graph.lane_start[lane + 1]].tolist()
        nodes = " ".join(f"n{row};" for row in own)
        lines.append(f"  subgraph cluster_{lane} {{ label={_dot(name)}; {nodes} }}")
    lines += [f"  n{row} [label={_dot(label)}];" for row, label in enumerate(_labels(log))]
    for cause, effect, kinds in _edges(graph):
        style = _DOT_STYLES.get(kinds.split("+")[0], 'color="#1d2126"')
        lines.append(f"  n{cause} -> n{effect} [label={_dot(kinds)}, {style}];")
    return "\n".join([*lines, "}"])


def to_mermaid(
    log: EventLog,
    *,
    kind: Literal["sequence", "flow"] = "sequence",
    limit: int = MAX_DRAWN_EVENTS,
) -> str:
    """Return a log as a diagram in Mermaid's language, as GitHub draws it.

    Args:
        log: the log.
        kind: "sequence" is a sequence diagram: one order of the events that agrees with their
            causes, each cause on another lane an arrow. "flow" is a flowchart of the causal graph,
            and says no more than the log does.
        limit: the most events.

    Raises:
        InvalidArgumentError: there is no such kind.
        LimitError: the log has more events.

    Example:
        >>> print(to_mermaid(EventLog.from_text("A: a >order | B: <order")))
        sequenceDiagram
          participant l0 as A
          participant l1 as B
          Note over l0: a
          Note over l0: order
          l0->>l1: order
    """
    if kind not in {"sequence", "flow"}:
        message = f'{kind!r} is no kind of diagram; there are "sequence" and "flow"'
        raise InvalidArgumentError(message)
    _admit(log, limit)
    graph = read_graph(log)
    labels = [_mermaid(label) for label in _labels(log)]
    lines = _sequence(graph, labels) if kind == "sequence" else _flow(graph, labels)
    return "\n".join(lines)


def _sequence(graph: CausalGraph, labels: list[str]) -> Iterator[str]:
    yield "sequenceDiagram"
    if not graph.size:
        yield "  participant l0 as no events"
    for lane, name in enumerate(_lane_names(graph)):
        yield f"  participant l{lane} as {_mermaid(name)}"
    lanes = graph.lane.tolist()
    for row in graph.order.tolist():
        edges = range(graph.into[row], graph.into[row + 1])
        causes = dict.fromkeys(
            lanes[graph.cause[edge]] for edge in edges if lanes[graph.cause[edge]] != lanes[row]
        )
        for lane in causes:
            yield f"  l{lane}->>l{lanes[row]}: {labels[row]}"
        if not causes:
            yield f"  Note over l{lanes[row]}: {labels[row]}"


def _flow(graph: CausalGraph, labels: list[str]) -> Iterator[str]:
    yield "flowchart LR"
    for lane, name in enumerate(_lane_names(graph)):
        yield f'  subgraph l{lane}["{_mermaid(name)}"]'
        own = graph.lane_rows[graph.lane_start[lane] : graph.lane_start[lane + 1]].tolist()
        for row in own:
            yield f'    n{row}["{labels[row]}"]'
        yield "  end"
    for cause, effect, kinds in _edges(graph):
        yield f"  n{cause} {'-->' if kinds == 'lane' else '-.->'} n{effect}"


def _edges(graph: CausalGraph) -> Iterator[tuple[int, int, str]]:
    """Yield each pair (cause, effect) once, with the words of its kinds; effects in row order."""
    found: dict[tuple[int, int], list[str]] = {}
    for cause, effect, kind in zip(
        graph.cause.tolist(), graph.effect.tolist(), graph.kind.tolist(), strict=True
    ):
        word = KIND_LABELS[kind] if 0 <= kind <= LANE else str(kind)
        found.setdefault((cause, effect), []).append(word)
    for (cause, effect), words in found.items():
        yield cause, effect, "+".join(dict.fromkeys(words))


def _labels(log: EventLog) -> Iterator[str]:
    """Yield what each event is called: its name, or else its type."""
    names = log.table.column("name").to_pylist()
    for name, event_type in zip(names, log.table.column("event_type").to_pylist(), strict=True):
        yield name or event_type


def _admit(log: EventLog, limit: int) -> None:
    if len(log) > limit:
        message = (
            f"the log has {grouped(len(log))} events, and at most {grouped(limit)} are written "
            "into one picture; take a part of it (log.filter), or raise limit="
        )
        raise LimitError(message)


def _line(text: str) -> str:
    """Return a text of one line, printable and not too long."""
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    return line if len(line) <= _MAX_LABEL_CHARS else f"{line[: _MAX_LABEL_CHARS - 1]}…"


def _dot(text: str) -> str:
    escaped = _line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _mermaid(text: str) -> str:
    """Return a text in which every sign that Mermaid might read is a numbered entity."""
    line = _line(text)
    reserved = {word.start() for word in _MERMAID_END.finditer(line)}
    safe = "".join(
        sign
        if at not in reserved and (_MERMAID_PLAIN.fullmatch(sign) or _is_foreign_letter(sign))
        else f"#{ord(sign)};"
        for at, sign in enumerate(line)
    )
    return safe if safe.strip() else _MERMAID_BLANK


def _is_foreign_letter(sign: str) -> bool:
    return sign.isalnum() and not sign.isascii()


def _lane_names(graph: CausalGraph) -> list[str]:
    """Return what each lane is called: its agent, and its run where there are several."""
    names = zip(graph.lanes.world.tolist(), graph.lanes.ids, strict=True)
    if len(graph.worlds) < 2:  # noqa: PLR2004
        return [name for _, name in names]
    return [f"{graph.worlds[world][1]}: {name}" for world, name in names]
