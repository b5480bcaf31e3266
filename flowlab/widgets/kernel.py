"""What a view asks of the kernel: payloads, and the causal order where the view lacks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from flowlab.causality import KIND_LABELS
from flowlab.errors import InvalidArgumentError
from flowlab.widgets.content import Content

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN_BYTES: Final = 65_536
"""Bytes of a payload that a view is sent."""
MAX_LISTED: Final = 200
"""Causes and effects that a view is sent."""


class Order:
    """The causal order of a view's rows, for one question at a time."""

    def __init__(self, content: Content) -> None:
        graph = content.graph
        self._size = graph.size
        self._kind = graph.kind
        self._sides = {
            "causes": _adjacency(graph.size, graph.effect, graph.cause),
            "effects": _adjacency(graph.size, graph.cause, graph.effect),
        }

    def reach(self, row: int, side: str) -> NDArray[np.bool_]:
        """Mark what a row has before it (`causes`) or after it (`effects`), itself not."""
        start, others, _ = self._sides[side]
        marks = np.zeros(self._size, bool)
        marks[row] = True
        ring = np.asarray([row])
        while len(ring):
            found = others[_spans(start[ring], start[ring + 1])]
            found = np.unique(found[~marks[found]])
            marks[found] = True
            ring = found
        marks[row] = False
        return marks

    def neighbours(self, row: int, side: str) -> list[dict[str, Any]]:
        """List a row's immediate causes or effects with their kinds."""
        start, others, edges = self._sides[side]
        span = slice(start[row], min(start[row + 1], start[row] + MAX_LISTED))
        kinds = (KIND_LABELS[kind] for kind in self._kind[edges[span]])
        return [
            {"row": int(other), "kind": kind}
            for other, kind in zip(others[span], kinds, strict=True)
        ]

    def path(self, first: int, second: int) -> list[int]:
        """Return a shortest way along causes from one row to another; empty if there is none."""
        start, others, _ = self._sides["effects"]
        within = self.reach(second, "causes")
        within[second] = True
        before = {first: -1}
        ring = [first] if within[first] else []
        while ring and second not in before:
            following = []
            for row in ring:
                for other in others[start[row] : start[row + 1]].tolist():
                    if within[other] and other not in before:
                        before[other] = row
                        following.append(other)
            ring = following
        if second not in before:
            return []
        rows = [second]
        while rows[-1] != first:
            rows.append(before[rows[-1]])
        return rows[::-1]

    def critical(self, row: int, place: NDArray[Any]) -> list[int]:
        """Return the chain that ends with a row, each preceded by the last of its causes."""
        start, others, _ = self._sides["causes"]
        rows, seen = [row], {row}
        while True:
            causes = others[start[rows[-1]] : start[rows[-1] + 1]].tolist()
            left = [cause for cause in causes if cause not in seen]
            if not left:
                return rows[::-1]
            rows.append(max(left, key=lambda cause: (place[cause], cause)))
            seen.add(rows[-1])


def _adjacency(
    size: int, from_: NDArray[np.int32], to: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    order = np.argsort(from_, kind="stable")
    return np.searchsorted(from_[order], np.arange(size + 1)), to[order], order


def _spans(first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of several spans, one after the other."""
    lengths = last - first
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    shifts: NDArray[np.int64] = np.repeat(first - ends + lengths, lengths)
    return shifts + np.arange(total)


class Kernel:
    """Answers a view's questions; the causal order is made when it is first needed."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._order: Order | None = None

    def answer(self, question: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the answer to a question, and its buffers.

        Raises:
            InvalidArgumentError: there is no such question, or no such row.
        """
        what = question.get("flowlab")
        named = [name for name in ("row", "first", "second") if name in question]
        rows = [self._row(question[name]) for name in named]
        match what, rows:
            case "about", [row]:
                return self._about(row, whole=bool(question.get("order")))
            case "relate", [first, second]:
                return self._relate(first, second), []
            case "critical", [row]:
                along = "time" if question.get("kind") == "time" else "depth"
                return {"rows": self.order.critical(row, self._content.columns[along])}, []
        message = f"a view asked {what!r}; expected about, relate or critical, of rows"
        raise InvalidArgumentError(message)

    @property
    def order(self) -> Order:
        """The causal order."""
        if self._order is None:
            self._order = Order(self._content)
        return self._order

    def _row(self, value: object) -> int:
        if isinstance(value, int) and 0 <= value < len(self._content.log):
            return value
        message = f"row {value!r} is none of a log of {len(self._content.log)} events"
        raise InvalidArgumentError(message)

    def _about(self, row: int, *, whole: bool) -> tuple[dict[str, Any], list[bytes]]:
        payload = self._content.log.table.column("payload")[row].as_py() or b""
        shown = payload[:SHOWN_BYTES]
        answer: dict[str, Any] = {
            "payload": shown.decode("utf-8", "replace"),
            "kept": len(shown),
            "size": len(payload),
        }
        if not whole:
            return answer, []
        past, future = (self.order.reach(row, side) for side in ("causes", "effects"))
        lanes = self._content.lanes
        inside = past.copy()
        inside[row] = True
        clock = np.bincount(lanes.codes[inside], minlength=len(lanes.names))
        answer |= {
            "clock": clock.tolist(),
            "causes": self.order.neighbours(row, "causes"),
            "effects": self.order.neighbours(row, "effects"),
        }
        return answer, [np.packbits(m, bitorder="little").tobytes() for m in (past, future)]

    def _relate(self, first: int, second: int) -> dict[str, Any]:
        if first == second:
            return {"word": "same", "path": [first]}
        for word, ends in (("before", (first, second)), ("after", (second, first))):
            path = self.order.path(*ends)
            if path:
                return {"word": word, "path": path}
        return {"word": "concurrent", "path": []}
