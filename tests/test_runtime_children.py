"""Children whose code runs in other processes: only one writes, and histories are the same."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from pooled_children import EVERY, asks, give, leaf, root

from flowlab import errors
from flowlab.errors import FlowlabError, InvalidArgumentError
from flowlab.runtime import Runtime
from flowlab.runtime.child_pool import Answer, PooledExecution
from flowlab.store import EventStore
from flowlab.workflow import WorkflowContext, workflow

EXPECTED = [sum(range(n % 5)) for n in range(10)] + ["done"]


def runtime_on(store: EventStore, children: int | None = 2) -> Runtime:
    return Runtime(store, EVERY, activities=[give], where={"give": "inline"}, children=children)


def pids(runtime: Runtime) -> list[int]:
    pool = runtime._host.pool
    assert pool is not None
    found = [pid for process in pool._processes.values() for pid in process._processes]
    assert found
    return found


def test_a_history_is_the_same_with_children_in_other_processes_and_without(
    tmp_path: Path,
) -> None:
    digests = []
    for children in (None, 2):
        with EventStore(tmp_path / f"{children}") as store:
            assert runtime_on(store, children).run(root, 10, id="w") == EXPECTED
            assert store.verify().ok
            digests.append(store.log().history_digest)
    assert digests[0] == digests[1]


def test_a_process_that_dies_takes_nothing_along_and_a_restart_goes_on_in_others(
    tmp_path: Path,
) -> None:
    async def begin(store: EventStore) -> None:
        async with runtime_on(store) as runtime:
            handle = await runtime.start(asks, "listens", id="w")
            assert isinstance(runtime.handle("child")._instance.execution, PooledExecution)
            for pid in pids(runtime):
                os.kill(pid, signal.SIGKILL)
            await runtime.raise_event("child", "other", 0)
            assert handle.status == "open"

    async def go_on(store: EventStore) -> Any:
        async with runtime_on(store) as runtime:
            await runtime.recover()
            for pid in pids(runtime):
                os.kill(pid, signal.SIGKILL)
            await runtime.raise_event("child", "go", "gone")
            return await runtime.handle("w").result()

    with EventStore(tmp_path) as store:
        asyncio.run(begin(store))
        assert asyncio.run(go_on(store)) == "gone"
        assert store.verify().ok


def test_code_that_kills_its_process_every_time_is_given_up_and_others_go_on(
    tmp_path: Path,
) -> None:
    async def whole(store: EventStore) -> None:
        async with runtime_on(store, 1) as runtime:
            await runtime.start(asks, "deadly", id="w")
            child = runtime.handle("child")
            with pytest.raises(InvalidArgumentError, match="died 3 times"):
                await child.result()
            other = await runtime.start(leaf, 3, id="other")
            assert await other.result() == 3

    with EventStore(tmp_path) as store:
        asyncio.run(whole(store))


@pytest.mark.parametrize("kind", ["NonDeterminismError", "LimitError", "FlowlabError"])
def test_an_error_of_another_process_keeps_its_kind_and_its_words(kind: str) -> None:
    with pytest.raises(getattr(errors, kind), match="differs"):
        Answer(None, (kind, "it differs")).unpacked()
    assert issubclass(getattr(errors, kind), FlowlabError)


def test_what_another_process_would_not_find_is_refused(tmp_path: Path) -> None:
    @workflow
    async def local(ctx: WorkflowContext, _: Any) -> None:
        await ctx.sleep(1)

    with EventStore(tmp_path) as store:
        with pytest.raises(InvalidArgumentError, match="at the top level of a module"):
            Runtime(store, local, children=2)
        for count in (0, "two"):
            with pytest.raises(InvalidArgumentError, match="how many processes"):
                Runtime(store, leaf, children=count)  # type: ignore[arg-type]
