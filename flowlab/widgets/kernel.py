"""What a view asks of the kernel: payloads, and the causal order where the view lacks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from flowlab.causality import KIND_LABELS, CausalOrder
from flowlab.errors import InvalidArgumentError
from flowlab.widgets.content import Content

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN_BYTES: Final = 65_536
"""Bytes of a payload that a view is sent."""
MAX_LISTED: Final = 200
"""Causes and effects that a view is sent."""


class Kernel:
    """Answers a view's questions."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def answer(self, question: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """Return the answer to a question, and its buffers.

        Raises:
            InvalidArgumentError: there is no such question.
            NotFoundError: there is no such row.
        """
        order = self._content.order
        named = [name for name in ("row", "first", "second") if name in question]
        match question.get("flowlab"), [order.row(question[name]) for name in named]:
            case "about", [row]:
                return self._about(row, whole=bool(question.get("order")))
            case "relate", [first, second]:
                word = order.relation(first, second)
                return {"word": word, "path": causal_path(order, first, second)}, []
            case "critical", [row]:
                by = "time" if question.get("kind") == "time" else "events"
                return {"rows": order.critical_path(row, by=by).rows.tolist()}, []
        message = f"a view asked {question!r:.80}; expected about, relate or critical, of rows"
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
        order, lanes = self._content.order, self._content.lanes
        past, future = (self._marks(rows) for rows in (order.past(row), order.future(row)))
        inside = past.copy()
        inside[row] = True
        graph = order.graph
        answer |= {
            "clock": np.bincount(lanes.codes[inside], minlength=len(lanes.names)).tolist(),
            "causes": _listed(order, np.arange(graph.into[row], graph.into[row + 1]), graph.cause),
            "effects": _listed(order, np.flatnonzero(graph.cause == row), graph.effect),
        }
        return answer, [np.packbits(m, bitorder="little").tobytes() for m in (past, future)]

    def _marks(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        marks = np.zeros(len(self._content.log), bool)
        marks[rows] = True
        return marks


def _listed(
    order: CausalOrder, edges: NDArray[np.int64], ends: NDArray[np.int32]
) -> list[dict[str, Any]]:
    kinds = order.graph.kind
    return [
        {"row": int(ends[edge]), "kind": KIND_LABELS[kinds[edge]]} for edge in edges[:MAX_LISTED]
    ]


def causal_path(order: CausalOrder, one: int, other: int) -> list[int]:
    """Return a shortest way along causes between two rows, both included; empty if there is none.

    Example:
        >>> from flowlab.events import EventLog
        >>> order = CausalOrder(EventLog.from_text("A: a1 send>m a2 | B: recv<m b1"))
        >>> causal_path(order, 4, 0), causal_path(order, 2, 4)
        ([0, 1, 3, 4], [])
    """
    word = order.relation(one, other)
    if word == "same":
        return [one]
    if word == "concurrent":
        return []
    first, last = (one, other) if word == "before" else (other, one)
    graph = order.graph
    within = np.zeros(graph.size, bool)
    within[order.future(first)] = True
    within[first] = True
    after: dict[int, int] = {last: -1}
    ring = [last]
    while first not in after:
        following = []
        for row in ring:
            for cause in graph.cause[graph.into[row] : graph.into[row + 1]].tolist():
                if within[cause] and cause not in after:
                    after[cause] = row
                    following.append(cause)
        ring = following
    rows = [first]
    while rows[-1] != last:
        rows.append(after[rows[-1]])
    return rows
