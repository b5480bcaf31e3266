"""The picture of a plan or a choreography: a lane for each agent, and time from left to right."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.figures import theme
from flowlab.figures.figure import Figure
from flowlab.figures.flow_layout import Flow, lay_out_flow
from flowlab.figures.flow_signs import draw_edge, draw_legend, draw_node, draw_words
from flowlab.figures.sheet import sheet
from flowlab.figures.space_time import MIN_WIDTH
from flowlab.figures.svg import line, rect, text
from flowlab.figures.text import clean, plural, wrap
from flowlab.workflow.plan_drawing import Drawing

MAX_NODES: Final = 400
"""Nodes of one picture; a plan of more is no picture, but its text still is one."""

NAMES: Final = 112.0
_TOP: Final = 66.0


@runtime_checkable
class Drawable(Protocol):
    """What says itself what its picture shows: a plan, a choreography."""

    def drawing(self) -> Drawing:
        """Return nodes and edges."""
        ...


def flow(plan: Drawable, *, title: str | None = None, width: int = 1200) -> Figure:
    """Draw a plan or a choreography: who does what, what follows from what, and what undoes it.

    Args:
        plan: a `Plan`, a `Choreography`, or anything with `drawing()`.
        title: of the picture; the plan's name by default.
        width: in pixels, at least 480; a long plan is wider.

    Raises:
        InvalidArgumentError: it is nothing that can be drawn, or the width is too small.
        LimitError: it has more than `MAX_NODES` nodes.

    Example:
        >>> from flowlab.workflow import Plan, Step
        >>> flow(Plan(Step("charge", agent="bank", kind="pivot"), name="pay"))
        Figure('pay')
    """
    if not isinstance(plan, Drawable) or isinstance(plan, type):
        message = f"flow draws a Plan or a Choreography; got {plan!r}"
        raise InvalidArgumentError(message)
    if width < MIN_WIDTH:
        message = f"width is {width}; expected at least {MIN_WIDTH}"
        raise InvalidArgumentError(message)
    drawing = plan.drawing()
    if len(drawing.nodes) > MAX_NODES:
        message = (
            f"the picture would have {len(drawing.nodes)} nodes, more than MAX_NODES = "
            f"{MAX_NODES}; print the plan, whose text is a tree"
        )
        raise LimitError(message)
    name = str(getattr(plan, "name", "plan")) if title is None else title
    laid = lay_out_flow(drawing, left=20 + NAMES, width=width, top=_TOP)
    return Figure(_draw(laid, name), f"{clean(name)}\n{plan}", name)


def _draw(laid: Flow, title: str) -> str:
    width, right = laid.width, laid.width - 20
    parts: list[str] = []
    for place, lane in enumerate(laid.lanes):
        fill = theme.BAND if place % 2 == 0 else theme.PANEL
        parts.append(rect(20, lane.top, right - 20, lane.height, fill=fill))
        middle = lane.top + lane.height / 2 + 4
        shown = wrap(clean(lane.name), 13, NAMES - 22)
        for number, words in enumerate(shown):
            y = middle + 16 * number - 8 * (len(shown) - 1)
            weight, fill = (400, theme.MUTED) if lane.is_nobody else (600, theme.INK)
            parts.append(text(30, y, words, size=13, weight=weight, fill=fill))
        parts.append(line(20, lane.bottom, right, lane.bottom, stroke=theme.GRID))
    # Where the way of a failure begins as that of a success does, the latter is on top.
    ways = sorted(laid.edges, key=lambda edge: edge.drawn.kind != "fails")
    parts += [draw_edge(edge) for edge in ways]
    parts += [draw_node(node) for node in laid.nodes]
    parts += [draw_words(edge) for edge in laid.edges]
    legend, height = draw_legend(laid, left=30, right=right, top=laid.bottom + 10)
    total = round(laid.bottom + height + 24)
    agents = sum(not lane.is_nobody for lane in laid.lanes)
    steps = sum(node.drawn.kind == "step" for node in laid.nodes)
    subtitle = f"{plural(steps, 'step')} by {plural(agents, 'agent')}"
    return sheet([*parts, *legend], title=title, subtitle=subtitle, width=width, height=total)
