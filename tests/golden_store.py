"""Makes a golden store: a small store of one format, and beside it what a reader must find in it.

    python tests/golden_store.py NAME

makes `tests/golden/NAME/` and refuses where that is there already: what is committed is never made
again, since its bytes are what an older flowlab wrote.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from flowlab.errors import FlowlabError
from flowlab.events import ANOMALY_SCHEMA, Cause, CauseKind, Cell, Event, EventLog, RunInfo
from flowlab.store import EventStore, Layout, Projection, Snapshot, projection

GOLDEN: Final = Path(__file__).parent / "golden"
KEYS: Final = (
    "/",
    "/workflows/w",
    "/workflows/w/events/2..4",
    "/workflows/w/events/agent_actions",
    "/workflows/*",
    "/agents/bob/events",
    "/coordination/plan%2F1/actions",
    "/coordination/plan%2F1/actions/pay",
    "/namespaces/a%20b%2F%C3%BC/",
    "/namespaces/a%20b%2F%C3%BC/workflows/trip%2F1%20%25",
    "/runs/seed=7/workflows/v",
    "/runs/seed=7/workflows/@x",
)
QUERIES: Final = (
    "SELECT namespace, run_id, workflow_id, sequence, position FROM events ORDER BY position",
    "SELECT namespace, run_id, workflow_id, status FROM workflows ORDER BY ALL",
    "SELECT namespace, run_id, count(*) FROM edges GROUP BY ALL ORDER BY ALL",
    "SELECT run_id, name, status FROM activities ORDER BY ALL",
    "SELECT run_id, count(*) FROM messages GROUP BY ALL ORDER BY ALL",
    "SELECT workflow_id, kind, detail FROM anomalies ORDER BY ALL",
    "SELECT run_id, events FROM runs ORDER BY ALL",
)


@projection(life="inline", initial={})
def by_type(counts: dict[str, int], event: Event) -> dict[str, int]:
    return {**counts, event.event_type: counts.get(event.event_type, 0) + 1}


@projection(life="async", by="workflow", initial=0, on=["A", "ActivityScheduled"])
def calls(count: int, _: Event) -> int:
    return count + 1


VIEWS: Final = (by_type, calls)


def fill(root: Path, *, layout: Layout | None = None, views: tuple[Projection, ...] = ()) -> None:
    """Write each kind of content twice over: sealed from a tail, in bulk, and left in the tail."""
    awkward = {"namespace": "a b/ü"}
    with EventStore(root, layout=layout or Layout(buckets=4)) as store:
        store.register(*views)
        first = Event.of(
            "TransactionCommitted",
            name="é\0",
            payload={"n": [1.5, None], "ü": 2**70},
            reads=(),
            writes=(Cell("o", "k"), Cell("", "ü")),
            coordination_id="plan/1",
            step_id="pay",
            follows_lane=False,
            generation=3,
        )
        second = Event.of("Signaled", agent_id="bob", payload=b"\xff\0", time_ns=-7)
        store.append("trip/1 %", [first, second], idempotency_key="k1", **awkward)
        store.append("w", Event.of("WorkflowStarted", agent_id="bob"))
        asked = Event.of("ActivityScheduled", name="pay", coordination_id="plan/1", step_id="pay")
        done = Event.of("ActivityCompleted", name="pay", causes=(Cause("w", 2, CauseKind.MESSAGE),))
        store.append("w", [asked, done], idempotency_key="pay")
        store.record_run(RunInfo(run_id="seed=7", scenario="replaced"))
        store.seal()
        store.append("w", [Event.of("A", schema_version=1)] * 3)
        store.append("%", Event.of("B", causes=()), namespace="%", run_id="100 %")
        store.append("..", Event.of("of a later version", payload={"new": True}))
        store.seal()
        store.append_log(_bulk())
        store.append("w", Event.of("WorkflowCompleted", payload=[]), idempotency_key="end")
        store.append("trip/1 %", [second, first], **awkward)
        store.record_run(RunInfo(run_id="late", attributes={"a": {}}))
        store.append("u", [Event.of("E", causes=(Cause("w", 5, CauseKind.ASSUMED),))] * 2)


def _bulk() -> EventLog:
    log = EventLog.from_events(
        [
            Event.of(
                "MessageSent" if flow == "v" else "MessageReceived",
                workflow_id=flow,
                sequence=n,
                run_id="seed=7",
                time_ns=n,
                agent_id="x",
                causes=(Cause("v", n, CauseKind.MESSAGE),) if flow == "@x" else (),
            )
            for n in range(1, 4)
            for flow in ("v", "@x")
        ],
        runs=[RunInfo(run_id="seed=7", parameters={"p": 0.5}, agents=("x",), seed=-1)],
    )
    damage = {
        "namespace": "default",
        "run_id": "seed=7",
        "workflow_id": "v",
        "sequence": 1,
        "kind": "dangling",
        "detail": "names 'z'/9",
        "ref_workflow_id": "z",
        "ref_sequence": None,
        "source": "trace.json",
    }
    return EventLog(log.table, log.runs, pa.Table.from_pylist([damage], ANOMALY_SCHEMA))


def _levels(root: Path) -> None:
    fill(root, layout=Layout.of("day", "namespace", "workflow", "agent_bucket:2"))


def _compacted(root: Path) -> None:
    fill(root)
    with EventStore(root) as store:
        store.compact(full=True)
        store.append("u", Event.of("Signaled"))


def _truncated(root: Path) -> None:
    fill(root)
    with EventStore(root) as store:
        store.truncate("w", upto=3)
        store.append("w", Event.of("Signaled"))
        store.compact(full=True)
        store.truncate({"u": 2, "..": 1}, discard=True)


def _archived(root: Path) -> None:
    fill(root)
    with EventStore(root) as store:
        store.archive(upto=10)
        store.vacuum(retain=0)
        store.append("u", Event.of("Signaled"))


def _clustered(root: Path) -> None:
    fill(root)
    with EventStore(root) as store:
        store.seal()
        store.cluster()
        done = Event.of(
            "ActivityCompleted", agent_id="bob", coordination_id="plan/1", step_id="pay"
        )
        store.append("w", done)


def _projected(root: Path) -> None:
    fill(root, views=VIEWS)
    with EventStore(root) as store:
        store.register(*VIEWS)
        store.catch_up()
        store.append("w", Event.of("A"))
        store.checkpoint("w", b"state of w", at=3, causality={"agent_clock": {"bob": 1}})
        store.seal()
        store.checkpoint("w", bytes(range(256)), savepoint=True, origin="test")


FILLS: Final[dict[str, Callable[[Path], None]]] = {
    "format-1": fill,
    "format-2": fill,
    "format-2-levels": _levels,
    "format-2-compacted": _compacted,
    "format-2-truncated": _truncated,
    "format-2-archived": _archived,
    "format-2-clustered": _clustered,
    "format-2-projected": _projected,
}
OF_FORMAT_2: Final = (
    "SELECT workflow_id, base, position, archive FROM truncations ORDER BY ALL",
    "SELECT workflow_id, checkpoint, savepoint, bytes, path FROM checkpoints ORDER BY 1, 2",
)


def rows(log: EventLog) -> list[dict[str, Any]]:
    """Return every column of every event as JSON values, in order of position."""
    found = sorted(log.table.to_pylist(), key=lambda row: row["position"])
    for row in found:
        row["payload"] = None if row["payload"] is None else row["payload"].hex()
    return found


def told(snapshot: Snapshot) -> dict[str, Any]:
    """Return what a snapshot says besides its events, as JSON values."""
    log = snapshot.log()
    readable = [key for key in KEYS if _holds(snapshot, key)]
    return {
        "digest": log.digest,
        "history_digest": log.history_digest,
        "runs": [msgspec.to_builtins(run) for run in snapshot.runs],
        "anomalies": snapshot.anomalies.to_pylist(),
        "keys": {key: positions(snapshot.read(key)) for key in readable},
        "queries": {text: json.loads(snapshot.sql(text).write_json()) for text in QUERIES},
    }


def positions(log: EventLog) -> list[int]:
    """Return the positions of a log's events, in its order."""
    found: list[int] = log.table.column("position").to_pylist()
    return found


def shown(store: EventStore, **at: int) -> list[int] | str:
    """Return the positions that a state in the past shows, or the error that it is refused with."""
    try:
        return sorted(positions(store.as_of(**at).log()))
    except FlowlabError as error:
        return type(error).__name__


def states(store: EventStore) -> Any:
    """Return the states of the projections as JSON values, or the error that they end in."""
    try:
        store.register(*VIEWS)
        found = {view.name: store.project(view).state for view in VIEWS}
    except FlowlabError as error:
        return type(error).__name__
    return json.loads(json.dumps(found))


def _holds(snapshot: Snapshot, key: str) -> bool:
    try:
        return len(snapshot.read(key)) > 0
    except LookupError:
        return False


def make(folder: Path, fill: Callable[[Path], None]) -> None:
    """Make one golden store, with its content beside it."""
    fill(folder / "store")
    with EventStore(folder / "store", read_only=True) as store:
        now = store.snapshot()
        told_now = told(now)
        lines = [json.dumps(row) for row in rows(now.log())]
        versions = {v: shown(store, version=v) for v in range(now.version + 1)}
        at = {p: shown(store, position=p) for p in range(now.position + 1)}
        views = states(store)
        more = {text: json.loads(store.sql(text).write_json()) for text in OF_FORMAT_2}
        taken = store.latest_checkpoint("w")
        saved = None if taken is None else taken.state.hex()
        told_all = {
            "checkpoint": saved,
            "versions": versions,
            "positions": at,
            "views": views,
            "more": more,
        }
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    expected = {**told_all, **told_now}
    members = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in expected.items())
    text = "{\n" + ",\n".join(members) + "\n}\n"
    (folder / "expected.json").write_text(text, encoding="utf-8")
    for path in (folder / "store" / "tail").glob("*.log"):
        # The zeros up to a tail file's preallocated end say nothing, and are a megabyte.
        data = path.read_bytes().rstrip(b"\0")
        path.write_bytes(data + bytes(-len(data) % 8))


if __name__ == "__main__":
    name = sys.argv[1]
    make_in = GOLDEN / name
    make_in.mkdir()
    make(make_in, FILLS[name])
