"""Variants: runs or workflows that did the same, whatever the order in which it was recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa

from flowlab.causality.canonical import Search, canonical_order, colours
from flowlab.causality.contents import CONTENT, check_content, content_codes, content_hashes
from flowlab.causality.graph import read_graph
from flowlab.causality.piece_reduction import reduce_pieces
from flowlab.causality.pieces import (
    PieceGraph,
    Pieces,
    own_names,
    piece_graph,
    pieces,
    recorded_order,
)
from flowlab.errors import InvalidArgumentError
from flowlab.events import EventLog, counted

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

MAX_SHOWN: Final = 20
"""Variants of a table in a notebook."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Variant:
    """One way in which things went.

    Args:
        digest: of its form: equal for equal variants of any log.
        members: (namespace, run_id, workflow_id) of each piece, in the order of the log; the
            workflow_id of a run is None.
        events: how many events each of them has.
        share: its part of all pieces.
    """

    digest: str
    members: tuple[tuple[str, str, str | None], ...]
    events: int
    share: float
    _log: EventLog
    _rows: NDArray[np.int32]

    @property
    def count(self) -> int:
        """How many pieces are of this variant."""
        return len(self.members)

    @property
    def representative(self) -> EventLog:
        """The events of its first member."""
        namespace, run_id, _ = self.members[0]
        runs = tuple(run for run in self._log.runs if run.key == (namespace, run_id))
        return EventLog(self._log.table.take(pa.array(np.sort(self._rows))), runs)

    @property
    def first(self) -> str:
        """The name of its first member: of its workflow, or else of its run."""
        _, run_id, workflow_id = self.members[0]
        return run_id if workflow_id is None else workflow_id

    def __repr__(self) -> str:
        return f"Variant({self.digest[:12]}, {self.count} x {counted(self.events, 'event')})"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Variants:
    """The variants of a log, the most frequent first; of equally many, the one first in the log.

    Args:
        by: what the pieces are.
        groups: the variants.
        left_out: events that belong to no piece.
    """

    by: str
    groups: tuple[Variant, ...]
    left_out: int

    @property
    def pieces(self) -> int:
        """How many runs or workflows there are."""
        return sum(variant.count for variant in self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[Variant]:
        return iter(self.groups)

    def __getitem__(self, place: int) -> Variant:
        return self.groups[place]

    def to_polars(self) -> pl.DataFrame:
        """Return a row for each variant: its place, digest, count, share, events, first member."""
        import polars as pl  # noqa: PLC0415

        return pl.DataFrame(
            {
                "variant": range(1, len(self) + 1),
                "digest": [variant.digest[:12] for variant in self],
                "count": [variant.count for variant in self],
                "share": [variant.share for variant in self],
                "events": [variant.events for variant in self],
                "run_id": [variant.members[0][1] for variant in self],
                "workflow_id": [variant.members[0][2] for variant in self],
            },
            schema={"variant": pl.Int64, "digest": pl.String, "count": pl.Int64,
                    "share": pl.Float64, "events": pl.Int64, "run_id": pl.String,
                    "workflow_id": pl.String},
        )  # fmt: skip

    def members(self) -> pl.DataFrame:
        """Return a row for each run or workflow: what it is, and its variant's place and digest."""
        import polars as pl  # noqa: PLC0415

        rows = [
            (*member, place, variant.digest[:12])
            for place, variant in enumerate(self, start=1)
            for member in variant.members
        ]
        names = ["namespace", "run_id", "workflow_id"]
        schema = {**dict.fromkeys(names, pl.String), "variant": pl.Int64, "digest": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row").sort(names)

    def __repr__(self) -> str:
        if not self.groups:
            return f"Variants(no {self.by}s)"
        share = f"the first is {self.groups[0].share:.1%}"
        parts = [counted(self.pieces, self.by), counted(len(self), "variant"), share]
        return f"Variants({', '.join(parts)})"

    def _repr_html_(self) -> str:
        left, right = ' style="text-align:left"', ' style="text-align:right"'
        names = {"variant": right, "count": right, "share": right, "events": right, "first": left}
        head = "".join(f"<th{side}>{name}</th>" for name, side in names.items())
        body = []
        for place, variant in enumerate(self.groups[:MAX_SHOWN], start=1):
            cells = (place, variant.count, f"{variant.share:.1%}", variant.events, variant.first)
            sides = zip(cells, names.values(), strict=True)
            body.append("".join(f"<td{side}>{escape(str(cell))}</td>" for cell, side in sides))
        shown = f"{len(body)} of {counted(len(self), 'variant')} shown"
        rows = "".join(f"<tr>{cells}</tr>" for cells in body)
        return (
            f"<table><caption>{escape(repr(self))}: {shown}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )


def variants(
    log: EventLog,
    *,
    by: Literal["run", "workflow"] = "workflow",
    content: Sequence[str] = CONTENT,
    order: Literal["causal", "recorded"] = "causal",
) -> Variants:
    """Group the runs or workflows of a log by what they did.

    Two pieces are of one variant if their events correspond one to one so that those that
    correspond have the same content, and one event comes before another in one piece exactly if it
    does in the other: they are equal up to trace equivalence. Before means by causes within the
    piece; in which order concurrent events were recorded, or when, makes no variant.

    Args:
        log: any log.
        by: "workflow" takes the events of each workflow: its history, and what agents did that
            name it as their coordination. "run" takes whole runs.
        content: the columns in which events have to agree. An agent or coordination that bears the
            workflow's own name is no difference between two workflows.
        order: "recorded" groups by the sequence in which events were recorded instead, as process
            mining does: concurrency then makes variants of its own.

    Raises:
        InvalidArgumentError: `by`, `content` or `order` is none of these.
        LimitError: a piece has so many equal concurrent events that no form was found for it.

    Example:
        >>> log = EventLog.from_text('''
        ... === one ===
        ... A: >a >b | B: <a work | C: <b
        ... === two ===
        ... A: >a@1 >b@2 | C: <b@3 | B: <a@9 work@10
        ... === three ===
        ... A: >a >b | B: <a | C: <b
        ... ''')
        >>> found = variants(log, by="run")
        >>> found, [variant.count for variant in found]
        (Variants(3 runs, 2 variants, the first is 66.7%), [2, 1])
    """
    if not isinstance(log, EventLog):
        message = f"got {log!r:.80}; variants are those of a log: of a run, take run.log"
        raise InvalidArgumentError(message)
    if order not in {"causal", "recorded"}:
        message = f"got order={order!r}; events are compared in 'causal' or in 'recorded' order"
        raise InvalidArgumentError(message)
    content = check_content(content)
    parts = pieces(log.table, by)
    forms = (_causal if order == "causal" else _recorded)(log, parts, content)
    groups: dict[bytes, list[int]] = {}
    for piece, form in enumerate(forms.keys):
        groups.setdefault(form, []).append(piece)
    chosen = sorted(groups.values(), key=lambda own: (-len(own), own[0]))
    total = max(1, len(parts.names))
    return Variants(
        by,
        tuple(
            Variant(
                forms.digest(own[0]),
                tuple(parts.names[piece] for piece in own),
                len(forms.rows(own[0])),
                len(own) / total,
                log,
                forms.rows(own[0]),
            )
            for own in chosen
        ),
        int(np.count_nonzero(parts.code < 0)),
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Forms:
    """Each piece in its canonical order.

    Args:
        keys: of each piece, bytes that are equal for equal pieces of this log.
        order: the rows in the log, piece by piece.
        start: where each piece begins, and the end.
        hashes: of each row in `order`, 64 bits of its content.
        edges: of each piece, its edges in the numbers of the order; none where that is all.
    """

    keys: list[bytes]
    order: NDArray[np.int32]
    start: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    edges: list[bytes]

    def rows(self, piece: int) -> NDArray[np.int32]:
        """Return the rows of a piece."""
        return self.order[self.start[piece] : self.start[piece + 1]]

    def digest(self, piece: int) -> str:
        """Return what tells a piece's form from others, in any log."""
        own = self.hashes[self.start[piece] : self.start[piece + 1]]
        return sha256(own.astype("<u8").tobytes() + b"\0" + self.edges[piece]).hexdigest()


def _causal(log: EventLog, parts: Pieces, content: Sequence[str]) -> _Forms:
    codes, labels = content_codes(log.table, content, own_names(parts, content))
    bits = content_hashes(labels)
    trimmed = reduce_pieces(piece_graph(read_graph(log), parts), log)
    colour = colours(trimmed, bits[codes[trimmed.rows]])
    return _forms(in_canonical_order(trimmed, colour, parts), codes, bits)


def _recorded(log: EventLog, parts: Pieces, content: Sequence[str]) -> _Forms:
    codes, labels = content_codes(log.table, content, own_names(parts, content))
    rows = recorded_order(log.table, parts).astype(np.int32)
    start = np.zeros(len(parts.names) + 1, np.int64)
    np.cumsum(np.bincount(parts.code[rows], minlength=len(parts.names)), out=start[1:])
    none = np.zeros(0, np.int32)
    form = PieceGraph(rows, start, parts.code[rows], none, none)
    return _forms(form, codes, content_hashes(labels))


def in_canonical_order(
    trimmed: PieceGraph, colour: NDArray[np.uint64], parts: Pieces
) -> PieceGraph:
    """Return the pieces with the events of each in its canonical order, given their colours."""
    order, tied = canonical_order(trimmed, colour)
    if tied.any():
        _break_ties(trimmed, colour, order, np.flatnonzero(tied), parts)
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    cause, effect = number[trimmed.cause], number[trimmed.effect]
    sort = np.lexsort((cause, effect))
    return PieceGraph(trimmed.rows[order], trimmed.start, trimmed.piece, cause[sort], effect[sort])


def _break_ties(
    trimmed: PieceGraph,
    colour: NDArray[np.uint64],
    order: NDArray[np.int64],
    tied: NDArray[np.int64],
    parts: Pieces,
) -> None:
    """Put the events of each tied piece into its canonical order, in place."""
    bounds = np.searchsorted(trimmed.effect, trimmed.start)
    known: dict[tuple[Any, ...], list[int]] = {}
    for piece in tied.tolist():
        first, last = int(trimmed.start[piece]), int(trimmed.start[piece + 1])
        causes: list[list[int]] = [[] for _ in range(last - first)]
        for edge in range(int(bounds[piece]), int(bounds[piece + 1])):
            causes[int(trimmed.effect[edge]) - first].append(int(trimmed.cause[edge]) - first)
        own = colour[first:last]
        ranks = np.unique(own, return_inverse=True)[1].tolist()
        search = Search(_name(parts, piece), causes)
        ranks = search.apart(ranks)
        form, places = search.first(ranks)
        key = (np.sort(own).tobytes(), form)
        if key not in known:
            _, best = search.best(ranks)
            # How the canonical order goes through the one that the first choice gave.
            known[key] = [best[event] for event in np.argsort(places).tolist()]
        moved = np.array(known[key])[places]
        order[first:last] = first + np.argsort(moved)


def _name(parts: Pieces, piece: int) -> str:
    _, run_id, workflow_id = parts.names[piece]
    return f"run {run_id!r}" if workflow_id is None else f"workflow {workflow_id!r}"


def _forms(form: PieceGraph, codes: NDArray[np.int32], bits: NDArray[np.uint64]) -> _Forms:
    own = np.ascontiguousarray(codes[form.rows])
    first = form.start[form.piece[form.effect]] if len(form.effect) else form.effect
    ends = np.stack([form.effect - first, form.cause - first], axis=1).astype("<i4")
    spans = np.searchsorted(form.effect, form.start).tolist()
    bounds = form.start.tolist()
    edges = [ends[begin:end].tobytes() for begin, end in pairwise(spans)]
    keys = [
        own[begin:end].tobytes() + b"|" + edge
        for begin, end, edge in zip(bounds[:-1], bounds[1:], edges, strict=True)
    ]
    return _Forms(keys, form.rows, form.start, bits[own], edges)
