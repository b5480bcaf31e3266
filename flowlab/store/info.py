"""What a store is, at a glance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from flowlab.events import counted, grouped
from flowlab.store.cluster_log import Clusterings
from flowlab.store.clustering import ClusteringInfo
from flowlab.store.delta import DataFile, TableState
from flowlab.store.files import durability_notes
from flowlab.store.layout import Layout
from flowlab.store.manifest import Manifest
from flowlab.store.tail_reader import TailView


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """The sizes and versions of a store.

    Args:
        path: its folder.
        format: of the files.
        layout: of the sealed files.
        version: of the commit log.
        epoch: of the last writer that committed.
        position: of the last durable event; how many there have been, truncated ones included.
        sealed_events, sealed_files, sealed_bytes: the Parquet part; truncated events count in it
            until a compaction drops them.
        tail_events, tail_bytes: the part that is not sealed yet.
        namespaces: in order.
        runs: how many have metadata.
        anomalies: how many were recorded.
        clusterings: up to where each holds.
        notes: where durability is weaker on this platform, and what readers should know.
    """

    path: str
    format: int
    layout: Layout
    version: int
    epoch: int
    position: int
    sealed_events: int
    sealed_files: int
    sealed_bytes: int
    tail_events: int
    tail_bytes: int
    namespaces: tuple[str, ...]
    runs: int
    anomalies: int
    clusterings: tuple[ClusteringInfo, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"StoreInfo({counted(self.position, 'event')}, {grouped(self.sealed_events)} sealed in "
            f"{counted(self.sealed_files, 'file')}, version {self.version})"
        )

    def __str__(self) -> str:
        sealed = (
            f"{counted(self.sealed_events, 'event')} in {counted(self.sealed_files, 'file')}, "
            f"{grouped(self.sealed_bytes)} bytes"
        )
        tail = f"{counted(self.tail_events, 'event')}, {grouped(self.tail_bytes)} bytes"
        rows = {
            "store": self.path,
            "format": f"{self.format}, {self.layout}, commit version {self.version}, "
            f"writer epoch {self.epoch}",
            "events": grouped(self.position),
            "sealed": sealed,
            "tail": tail,
            "namespaces": ", ".join(map(repr, self.namespaces)) or "none",
            "runs": f"{grouped(self.runs)} with metadata",
            "anomalies": grouped(self.anomalies),
        }
        rows |= {f"by {item.kind}": str(item) for item in self.clusterings}
        lines = [f"{name:<16}{value}" for name, value in rows.items()]
        return "\n".join([*lines, *(f"{'note':<16}{note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def describe(
    root: Path,
    manifest: Manifest,
    state: TableState,
    view: TailView | None,
    *,
    runs: int,
    anomalies: int,
    namespaces: Callable[[DataFile], Iterable[str]],
    clusterings: Clusterings,
) -> StoreInfo:
    """Return the info of a pinned state."""
    spaces = {space for data in state.files for space in namespaces(data)}
    if view is not None:
        spaces |= {stream[0] for stream in list(view.buffer.streams)}
    marks = view.marks() if view is not None else []
    notes = durability_notes()
    if view is not None and view.events:
        notes.append(
            "other programs that read workflows/ as a Delta table see the sealed part only; "
            "flowlab store seal DIR brings it up to date"
        )
    position = state.info.sealed_position
    if view is not None:
        position = view.last_position(position)
    held, damage = clusterings.infos(position)
    notes += damage
    return StoreInfo(
        path=str(root),
        format=manifest.format,
        layout=manifest.layout,
        version=state.version,
        epoch=marks[-1].epoch if marks else state.info.epoch,
        position=position,
        sealed_events=sum(data.rows for data in state.files),
        sealed_files=len(state.files),
        sealed_bytes=sum(data.size for data in state.files),
        tail_events=view.events if view is not None else 0,
        tail_bytes=view.offset if view is not None else 0,
        namespaces=tuple(sorted(spaces)),
        runs=runs,
        anomalies=anomalies,
        clusterings=held,
        notes=tuple(notes),
    )
