"""Durable steps of other engines on SQLite, in one process, as their documentation shows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypedDict

from flowlab.errors import MissingDependencyError
from flowlab.studies.peers import PEERS_EXTRA

Steps = Callable[[int], object]
"""Takes so many steps, one after the other, each durable before the next."""

_MISSING: Final = f"this claim compares with the library {{}}: {PEERS_EXTRA}"
_RECURSION_SPARE: Final = 10


@contextmanager
def dbos_steps(folder: Path) -> Iterator[Steps]:
    """Yield what takes steps with DBOS: a workflow whose every step is recorded.

    Raises:
        MissingDependencyError: the library is not installed.
    """
    try:
        from dbos import DBOS  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(_MISSING.format("dbos")) from error

    DBOS(
        config={
            "name": "steps",
            "system_database_url": f"sqlite:///{folder / 'dbos.sqlite'}",
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )

    @DBOS.step()  # type: ignore[untyped-decorator, unused-ignore]
    def step(value: int) -> int:
        return value

    @DBOS.workflow()  # type: ignore[untyped-decorator, unused-ignore]
    def steps(count: int) -> int:
        return sum(step(1) for _ in range(count))

    DBOS.launch()
    try:
        yield steps
    finally:
        DBOS.destroy(destroy_registry=True)


class _Left(TypedDict):
    left: int
    total: int


@contextmanager
def langgraph_steps(folder: Path) -> Iterator[Steps]:
    """Yield what takes steps with LangGraph: a node that is its own successor, synced each time.

    Raises:
        MissingDependencyError: the library is not installed.
    """
    try:
        from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: PLC0415
        from langgraph.graph import END, START, StateGraph  # noqa: PLC0415
    except ImportError as error:
        names = "langgraph and langgraph-checkpoint-sqlite"
        raise MissingDependencyError(_MISSING.format(names)) from error

    def step(state: dict[str, int]) -> dict[str, int]:
        return {"left": state["left"] - 1, "total": state["total"] + 1}

    graph: Any = StateGraph(_Left)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if state["left"] else END)
    database = sqlite3.connect(folder / "langgraph.sqlite", check_same_thread=False)
    with closing(database):
        ready = graph.compile(checkpointer=SqliteSaver(database))
        runs = 0

        def steps(count: int) -> object:
            nonlocal runs
            runs += 1
            return ready.invoke(
                {"left": count, "total": 0},
                {
                    "configurable": {"thread_id": f"run-{runs}"},
                    "recursion_limit": count + _RECURSION_SPARE,
                },
                durability="sync",
            )

        yield steps


STEP_PEERS: Final[dict[str, Callable[[Path], AbstractContextManager[Steps]]]] = {
    "DBOS on SQLite": dbos_steps,
    "LangGraph on SQLite, in sync mode": langgraph_steps,
}
"""What a durable step is compared with, by the words of the claims."""
