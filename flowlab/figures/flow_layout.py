"""From a drawing to pixels: a lane for each agent, a column for each step of the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from flowlab.workflow.plan_drawing import Drawing, DrawnEdge, DrawnNode

HIGH: Final = 28.0
"""The height of a box."""
_GAP: Final = 14.0
_PAD: Final = 20.0
_LEAST, _MOST = 118.0, 190.0
_NARROW: Final = 64.0
_BETWEEN: Final = 34.0
_SMALL: Final = frozenset({"start", "end", "fork", "join", "decision", "merge", "barrier"})
_BACK: Final = frozenset({"compensates", "undoes"})
_NOBODY: Final = "the plan"
_OUTSIDE: Final = "outside"

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class FlowLane:
    """A lane in pixels; nobody's lane holds what belongs to no agent."""

    name: str
    top: float
    height: float
    is_nobody: bool

    @property
    def bottom(self) -> float:
        """Where the next lane begins."""
        return self.top + self.height


@dataclass(frozen=True, slots=True)
class FlowNode:
    """A node in pixels: its middle, and half its width and height. `fails`: it tells a failure."""

    drawn: DrawnNode
    x: float
    y: float
    half: float
    tall: float
    fails: bool = False

    def meets(self, a: Point, b: Point) -> bool:
        """Say whether a straight way between two points, upright or level, leads through it."""
        left, right = sorted((a[0], b[0]))
        top, bottom = sorted((a[1], b[1]))
        return (
            left < self.x + self.half + 3
            and right > self.x - self.half - 3
            and top < self.y + self.tall + 3
            and bottom > self.y - self.tall - 3
        )


@dataclass(frozen=True, slots=True)
class FlowEdge:
    """An arrow in pixels: the corners of its way, and whether it goes back."""

    drawn: DrawnEdge
    way: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class FlowLayout:
    """A whole picture in pixels, except its words."""

    lanes: tuple[FlowLane, ...]
    nodes: tuple[FlowNode, ...]
    edges: tuple[FlowEdge, ...]
    width: float

    @property
    def bottom(self) -> float:
        """The lower edge of the last lane."""
        return self.lanes[-1].bottom if self.lanes else 0.0


def lay_out_flow(drawing: Drawing, *, left: float, width: float, top: float) -> FlowLayout:
    """Give every node its lane and column, and every arrow a way that leads through no node.

    The column of a node is the longest way to it; an arrow that would close a circle goes back.
    """
    columns = _columns(drawing)
    lane_of = _lanes_of(drawing)
    names = list(dict.fromkeys(lane_of[node.node_id] for node in drawing.nodes))
    names.sort(key=lambda name: name not in {_NOBODY, _OUTSIDE})
    cells: dict[tuple[str, int], list[DrawnNode]] = {}
    failing = {edge.target for edge in drawing.edges if edge.kind == "fails"}
    # What fails stands above, so that the way back to what it undoes is short.
    for node in sorted(drawing.nodes, key=lambda node: node.node_id not in failing):
        cells.setdefault((lane_of[node.node_id], columns[node.node_id]), []).append(node)
    middles, step, right = _measured(cells, left + 20, width - 20)
    lanes, y = [], top
    for name in names:
        most = max(len(found) for (lane, _), found in cells.items() if lane == name)
        height = most * HIGH + (most - 1) * _GAP + 2 * _PAD
        lanes.append(FlowLane(name, y, height, name in {_NOBODY, _OUTSIDE}))
        y += height
    placed: dict[str, FlowNode] = {}
    for (name, column), found in cells.items():
        lane = next(lane for lane in lanes if lane.name == name)
        used = len(found) * HIGH + (len(found) - 1) * _GAP
        first = lane.top + (lane.height - used) / 2 + HIGH / 2
        for place, node in enumerate(found):
            half = 7.0 if node.kind in _SMALL else (step - _BETWEEN) / 2
            at = first + place * (HIGH + _GAP)
            tall = 9.0 if node.kind in _SMALL else HIGH / 2
            fails = node.node_id in failing
            placed[node.node_id] = FlowNode(node, middles[column], at, half, tall, fails)
    nodes = [placed[node.node_id] for node in drawing.nodes]
    edges = [
        FlowEdge(edge, _way(edge, placed[edge.source], placed[edge.target], nodes, lanes))
        for edge in drawing.edges
    ]
    return FlowLayout(tuple(lanes), tuple(nodes), tuple(edges), max(right + 20, min(width, 640.0)))


def _measured(
    cells: Mapping[tuple[str, int], list[DrawnNode]], left: float, right: float
) -> tuple[dict[int, float], float, float]:
    """Return the middle of each column, the width of one with boxes, and where the last ends."""
    boxes = {
        place for (_, place), found in cells.items() if any(n.kind not in _SMALL for n in found)
    }
    columns = sorted({column for _, column in cells})
    room = right - left - _NARROW * (len(columns) - len(boxes))
    step = min(max(room / max(len(boxes), 1), _LEAST), _MOST)
    middles, x = {}, left
    for column in columns:
        wide = step if column in boxes else _NARROW
        middles[column] = x + wide / 2
        x += wide
    return middles, step, x


def _lanes_of(drawing: Drawing) -> dict[str, str]:
    """Return who each node belongs to: an event to who emits it."""
    found = {node.node_id: node.agent or _NOBODY for node in drawing.nodes}
    events = {node.node_id for node in drawing.nodes if node.kind == "event"}
    for event in events:
        found[event] = _OUTSIDE
    agents = {node.node_id: node.agent for node in drawing.nodes}
    for edge in reversed(drawing.edges):
        emitter = agents[edge.source]
        if edge.target in events and emitter is not None and edge.kind in {"emits", "fails"}:
            found[edge.target] = emitter
    return found


def _columns(drawing: Drawing) -> dict[str, int]:
    """Return the column of each node: the longest way to it, without what closes a circle."""
    following: dict[str, list[str]] = {node.node_id: [] for node in drawing.nodes}
    for edge in drawing.edges:
        if edge.kind not in _BACK:
            following[edge.source].append(edge.target)
    order = _order(following)
    columns = dict.fromkeys(following, 0)
    rank = {node: place for place, node in enumerate(order)}
    for node in order:
        for target in following[node]:
            if rank[target] > rank[node]:
                columns[target] = max(columns[target], columns[node] + 1)
    for edge in drawing.edges:
        if edge.kind == "compensates":
            columns[edge.source] = columns[edge.target]
    return columns


def _order(following: dict[str, list[str]]) -> list[str]:
    """Return the nodes so that each comes before what follows from it, circles aside."""
    order: list[str] = []
    seen: set[str] = set()
    for root, first in following.items():
        stack = [] if root in seen else [(root, iter(first))]
        seen.add(root)
        while stack:
            node, left = stack[-1]
            child = next((target for target in left if target not in seen), None)
            if child is None:
                order.append(node)
                stack.pop()
            else:
                seen.add(child)
                stack.append((child, iter(following[child])))
    return order[::-1]


def _way(
    edge: DrawnEdge,
    source: FlowNode,
    target: FlowNode,
    nodes: Sequence[FlowNode],
    lanes: Sequence[FlowLane],
) -> tuple[Point, ...]:
    """Return the first of the ways that leads through no other node, else the first of all."""
    if edge.kind == "compensates" and source.x == target.x:
        down = 1 if source.y > target.y else -1
        return (
            (source.x, source.y - down * source.tall),
            (target.x, target.y + down * target.tall),
        )
    back = target.x <= source.x
    ways = _ways_back(source, target, lanes) if back else _ways_on(source, target, lanes)
    others = [node for node in nodes if node is not source and node is not target]
    for way in ways:
        legs = list(pairwise(way))
        if not any(node.meets(a, b) for node in others for a, b in legs):
            return way
    return ways[0]


def _ways_on(
    source: FlowNode, target: FlowNode, lanes: Sequence[FlowLane]
) -> list[tuple[Point, ...]]:
    out, into = (source.x + source.half, source.y), (target.x - target.half, target.y)
    if source.y == target.y:
        ways: list[tuple[Point, ...]] = [(out, into)]
    else:
        near, far = source.x + _room(source), target.x - _room(target)
        ways = [
            (out, (far, source.y), (far, target.y), into),
            (out, (near, source.y), (near, target.y), into),
        ]
    near, far = source.x + _room(source), target.x - _room(target)
    for y in _channels(lanes):
        ways.append((out, (near, source.y), (near, y), (far, y), (far, target.y), into))
    return ways


def _room(node: FlowNode) -> float:
    return node.half + (_BETWEEN / 2 if node.half > 7 else 22.0)


def _ways_back(
    source: FlowNode, target: FlowNode, lanes: Sequence[FlowLane]
) -> list[tuple[Point, ...]]:
    ways: list[tuple[Point, ...]] = []
    for up in (1, -1):
        out = (source.x, source.y - up * source.tall)
        for y in sorted(_channels(lanes), key=lambda y: abs(y - target.y)):
            side = 1 if y > target.y else -1
            into = (target.x, target.y + side * target.tall)
            if (y < out[1]) == (up == 1):
                ways.append((out, (source.x, y), (target.x, y), into))
    return ways or [((source.x, source.y), (target.x, target.y))]


def _channels(lanes: Sequence[FlowLane]) -> list[float]:
    """Return the lines between lanes, along which there are no nodes."""
    return [lane.bottom for lane in lanes]
