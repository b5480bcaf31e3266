"""The picture of a plan or a choreography: a lane for each agent, and time from left to right."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.events import EventLog
from flowlab.figures import theme
from flowlab.figures.figure import Figure
from flowlab.figures.flow_layout import FlowLayout, lay_out_flow
from flowlab.figures.flow_marks import draw_state_legend, draw_states
from flowlab.figures.flow_signs import draw_edge, draw_legend, draw_node, draw_words
from flowlab.figures.flow_states import Executed, lines_of, read_executed
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


def flow(
    plan: Drawable,
    *,
    executed: EventLog | None = None,
    workflow_id: str | None = None,
    upto: int | None = None,
    title: str | None = None,
    width: int = 1200,
) -> Figure:
    """Draw a plan or a choreography: who does what, what follows from what, and what undoes it.

    With `executed`, it is the graph of one run of a plan: each node done, failed, compensated,
    skipped or running, and the compensation chain with its steps numbered.

    Args:
        plan: a `Plan`, a `Choreography`, or anything with `drawing()`.
        executed: a log that holds the history of a run of the plan.
        workflow_id: of that run, where the log holds several.
        upto: the last event of the history that counts, by its sequence; by default all do.
        title: of the picture; the plan's name by default.
        width: in pixels, at least 480; a long plan is wider.

    Raises:
        InvalidArgumentError: it is nothing that can be drawn, the width is too small, or the log
            holds several workflows and none is named.
        NotFoundError: the log has no such workflow.
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
    if executed is None:
        return Figure(_draw(laid, name, None), f"{clean(name)}\n{plan}", name)
    told = read_executed(drawing, executed, workflow_id=workflow_id, upto=upto)
    lines = [clean(name), *lines_of(told, drawing)]
    return Figure(_draw(laid, name, told), "\n".join(lines), name)


def _draw(laid: FlowLayout, title: str, executed: Executed | None) -> str:
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
    if executed is not None:
        parts += draw_states(laid, executed)
    parts += [draw_words(edge) for edge in laid.edges]
    legend, height = draw_legend(laid, left=30, right=right, top=laid.bottom + 10)
    if executed is not None:
        more, height = draw_state_legend(
            executed, left=30, right=right, top=laid.bottom + 10, below=height
        )
        legend += more
    total = round(laid.bottom + height + 24)
    agents = sum(not lane.is_nobody for lane in laid.lanes)
    steps = sum(node.drawn.kind == "step" for node in laid.nodes)
    subtitle = f"{plural(steps, 'step')} by {plural(agents, 'agent')}"
    if executed is not None:
        subtitle += f"; {executed.workflow_id}: {executed.outcome}"
    return sheet([*parts, *legend], title=title, subtitle=subtitle, width=width, height=total)
