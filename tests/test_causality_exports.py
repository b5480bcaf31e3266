"""Causal graphs for others: what they hold, and that no name in a log is ever read as a command."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import networkx as nx
import pytest
from causal_logs import edges_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store_bulk import logs

from flowlab.causality import read_graph, to_dot, to_mermaid, to_networkx
from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import Cause, EventLog
from flowlab.interop import export_log, import_log

NASTY = [
    "<script>alert(1)</script>", '"]; evil', "a\\", 'a\\"', "end", "END of it", "#quot;", "#59;",
    "a;b", "a:b", "x\ny", "%%{init}%%", "🙂", "{}", "--> b", "", " ", "\u2028", "x" * 10_000,
]  # fmt: skip
QUOTED = r'"(?:[^"\\]|\\\\|\\")*"'
DOT_LINES = [
    r"digraph log \{",
    r"  rankdir=LR; node \[shape=box, fontsize=10\];",
    rf"  subgraph cluster_\d+ \{{ label={QUOTED};( n\d+;)* \}}",
    rf"  n\d+ \[label={QUOTED}\];",
    rf'  n\d+ -> n\d+ \[label={QUOTED}, color="#[0-9a-f]{{6}}"(, style="[a-z]+")?\];',
    r"\}",
]
SAFE = r"(?:[A-Za-z0-9 _.,()/…-]|#\d+;|(?![\x00-\x7f])\w)+"
SEQUENCE_LINES = [
    "sequenceDiagram",
    rf"  participant l\d+ as {SAFE}",
    rf"  Note over l\d+: {SAFE}",
    rf"  l\d+->>l\d+: {SAFE}",
]
FLOW_LINES = [
    "flowchart LR",
    rf'  subgraph l\d+\["{SAFE}"\]',
    rf'    n\d+\["{SAFE}"\]',
    "  end",
    r"  n\d+ (-->|-\.->) n\d+",
]


def named(names: list[str]) -> EventLog:
    """Return a log in which agents and events bear some names, each the cause of the next."""
    return EventLog.from_events(
        {
            "workflow_id": "w",
            "sequence": number,
            "agent_id": name,
            "agent_sequence": number,
            "event_type": "T",
            "name": name,
            "causes": [Cause("w", number - 1)] if number > 1 else [],
        }
        for number, name in enumerate(names, start=1)
    )


@given(logs())
def test_the_networkx_graph_has_the_edges_of_the_log(log: EventLog) -> None:
    graph = to_networkx(log)
    ids = [event.id for event in log]
    edges = {(ids[cause], ids[effect], kind) for cause, effect, kind in edges_of(log)}
    found = {(a, b, k) for a, b, kind in graph.edges(data="kind") for k in kind.split("+")}
    assert found == edges
    assert dict(graph.nodes(data="row")) == {found: row for row, found in enumerate(ids)}


@given(st.lists(st.sampled_from(NASTY) | st.text(max_size=6), min_size=1, max_size=6))
def test_no_name_is_read_as_a_command(names: list[str]) -> None:
    log = named([name or "-" for name in names])
    texts = {
        to_dot(log): DOT_LINES,
        to_mermaid(log): SEQUENCE_LINES,
        to_mermaid(log, kind="flow"): FLOW_LINES,
    }
    for text, shapes in texts.items():
        assert text.isprintable() or "\n" in text
        for line in text.split("\n"):
            assert any(re.fullmatch(shape, line) for shape in shapes), line
            assert (
                not re.search(r"(?i)<script", line.replace(f"label={line}", "")) or "label=" in line
            )
    for text in list(texts)[1:]:
        assert not re.search(r"(?i)\bend\b", text.replace("\n  end", ""))


@given(logs())
def test_dot_and_the_flowchart_draw_each_edge_once(log: EventLog) -> None:
    graph = read_graph(log)
    pairs = set(zip(graph.cause.tolist(), graph.effect.tolist(), strict=True))
    for text in (to_dot(log), to_mermaid(log, kind="flow")):
        drawn = re.findall(r"^  n(\d+) (?:->|-->|-\.->) n(\d+)", text, re.MULTILINE)
        assert len(drawn) == len(pairs)
        assert {(int(a), int(b)) for a, b in drawn} == pairs


@given(logs())
def test_a_sequence_diagram_shows_each_event_and_each_lane_that_caused_it(log: EventLog) -> None:
    graph = read_graph(log)
    arrows = {
        (graph.effect[edge], graph.lane[graph.cause[edge]])
        for edge in range(len(graph.cause))
        if graph.lane[graph.cause[edge]] != graph.lane[graph.effect[edge]]
    }
    text = to_mermaid(log)
    assert len(re.findall("->>", text)) == len(arrows)
    notes = len(log) - len({row for row, _ in arrows})
    assert text.count("Note over") == notes


def test_every_attribute_of_the_networkx_graph_is_a_text_or_a_number(tmp_path: Path) -> None:
    graph = nx.relabel_nodes(to_networkx(EventLog.from_text("A: =b= >m | B: =b= <m")), repr)
    nx.write_graphml(graph, tmp_path / "log.graphml")
    assert nx.is_isomorphic(nx.read_graphml(tmp_path / "log.graphml"), graph)


def test_what_is_too_large_to_lay_out_is_refused_by_its_limit() -> None:
    log = EventLog.from_text("A: " + "a " * 11)
    for write in (to_dot, to_mermaid):
        with pytest.raises(LimitError, match="11 events, and at most 10"):
            write(log, limit=10)
    with pytest.raises(InvalidArgumentError, match="no kind of diagram"):
        to_mermaid(log, kind="pie")  # type: ignore[arg-type]
    empty = EventLog.from_events([])
    assert to_mermaid(empty) == "sequenceDiagram\n  participant l0 as no events"
    assert to_networkx(empty).number_of_nodes() == 0


# -- ShiViz ----------------------------------------------------------------------------------------


def happened(log: EventLog) -> nx.DiGraph[Any]:
    """Return all pairs of events of a run, the former before the latter, from the edges alone."""
    graph = nx.DiGraph()
    places = [(event.workflow_id, event.sequence) for event in log]
    graph.add_nodes_from(places)
    graph.add_edges_from((places[cause], places[effect]) for cause, effect, _ in edges_of(log))
    return nx.transitive_closure_dag(graph)


@settings(max_examples=40)
@given(logs())
def test_any_log_goes_out_to_shiviz_and_comes_back_with_its_causal_order(log: EventLog) -> None:
    for (namespace, run_id), own in itertools.groupby(
        sorted(log, key=lambda e: (e.namespace, e.run_id)), key=lambda e: (e.namespace, e.run_id)
    ):
        # Each event's name tells it from all others.
        events = [e.replace(name=f"{e.workflow_id!r}/{e.sequence}", event_type="T") for e in own]
        events = [e.replace(name=f"#{n}#", event_type="T") for n, e in enumerate(events)]
        part = EventLog.from_events(events)
        with TemporaryDirectory() as folder:
            (path,) = export_log(part, "shiviz", Path(folder) / "out.log", run_id=run_id)
            report = import_log(path, format="shiviz")
        back = report.log
        assert (report.anomalies, len(back)) == (0, len(part))
        names = {(e.workflow_id, e.sequence): e.name.removeprefix("T ") for e in back}
        own_names = {(e.workflow_id, e.sequence): e.name for e in part}
        before = {(own_names[a], own_names[b]) for a, b in happened(part).edges}
        assert {(names[a], names[b]) for a, b in happened(back).edges} == before
        assert namespace


def test_a_lane_whose_events_overlap_is_several_hosts_in_shiviz(tmp_path: Path) -> None:
    log = EventLog.from_text('~A: a1 a2<m | B: b1>m | "<x {y": c<m')
    (path,) = export_log(log, "shiviz", tmp_path / "out.log")
    assert path.read_text().splitlines()[-8:] == [
        'A {"A": 1}',
        "MarkerRecorded a1",
        'B {"B": 1}',
        "MessageSent b1",
        'A/2 {"B": 1, "A/2": 1}',
        "MessageReceived a2",
        '<x (y {"B": 1, "<x (y": 1}',
        "MessageReceived c",
    ]
