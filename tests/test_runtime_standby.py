"""A standby goes on where a runtime has stopped, and what had stopped for a while is fenced."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from leased_process import STEPS, long, runtime_on

import flowlab
from flowlab.errors import FencedError, InvalidArgumentError
from flowlab.runtime import Runtime, Standby
from flowlab.runtime import lease as lease_module
from flowlab.runtime.lease import FILE, RENEWALS, Lease, as_lease_ns, parse, read_raw
from flowlab.store import EventStore
from flowlab.store.files import Disk
from flowlab.workflow import SECOND, WorkflowContext, workflow

SHORT = timedelta(milliseconds=40)
LONG = timedelta(seconds=1)
"""A process that is held up for less loses nothing by it."""


@contextmanager
def running(folder: Path, *, least: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the workflow in another process; go on once it has done so many steps."""
    script = Path(__file__).with_name("leased_process.py")
    env = os.environ | {"PYTHONPATH": str(Path(flowlab.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, str(script), str(folder)], env=env)
    try:
        effects = folder / "effects"
        while not effects.exists() or len(effects.read_text().splitlines()) < least:
            assert process.poll() is None
            sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


async def taken_over(folder: Path) -> Any:
    def runtime(store: EventStore) -> Runtime:
        return runtime_on(store, folder / "effects")

    async with Standby(folder / "store", runtime) as standby:
        here = await standby.take_over()
        return await here.handle("w").result()


def repeated_and_named(folder: Path) -> tuple[set[str], set[str]]:
    keys = [line.split()[0] for line in (folder / "effects").read_text().splitlines()]
    with EventStore(folder / "store") as store:
        assert store.verify().ok
        named = {
            effect["key"]
            for event in store.log().events()
            if event.event_type == "AgentRestarted"
            for effect in event.data["uncertain"]
        }
    return {key for key in keys if keys.count(key) > 1}, named


def test_a_standby_takes_over_from_a_killed_process_and_names_what_it_repeats(
    tmp_path: Path,
) -> None:
    with running(tmp_path, least=5) as process:
        process.send_signal(signal.SIGKILL)
        assert asyncio.run(taken_over(tmp_path)) == sum(range(STEPS))
    repeated, named = repeated_and_named(tmp_path)
    assert repeated <= named


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP")
def test_a_process_that_was_stopped_for_a_while_is_fenced_by_name_and_writes_nothing(
    tmp_path: Path,
) -> None:
    with running(tmp_path, least=5) as process:
        os.kill(process.pid, signal.SIGSTOP)
        assert asyncio.run(taken_over(tmp_path)) == sum(range(STEPS))
        with EventStore(tmp_path / "store") as store:
            digest = store.log().digest
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(timeout=60) == 3
    assert "taken over" in (tmp_path / "fenced").read_text()
    with EventStore(tmp_path / "store") as store:
        assert store.log().digest == digest
    repeated, named = repeated_and_named(tmp_path)
    assert repeated <= named


def renewals(path: Path) -> int:
    record = parse(read_raw(path / FILE))
    return 0 if record is None else record.counter - 1


@workflow
async def wait(ctx: WorkflowContext, _: Any) -> str:
    return str(await ctx.wait_for_event("go"))


def test_while_the_lease_is_renewed_a_standby_waits_and_takes_over_when_it_is_released(
    tmp_path: Path,
) -> None:
    async def both() -> str:
        with EventStore(tmp_path) as store:
            runtime = Runtime(store, wait, lease=LONG)
            await runtime.__aenter__()
            await runtime.start(wait, id="w")
            standby = Standby(tmp_path, lambda other: Runtime(other, wait, lease=LONG))
            taking = asyncio.ensure_future(standby.take_over())
            while renewals(tmp_path) < 2 * RENEWALS:  # noqa: ASYNC110 - the file says it
                await asyncio.sleep(0.02)
            assert not taking.done()
            await runtime.close()
            newer = await asyncio.wait_for(taking, 60)
            handle = newer.handle("w")
            await handle.raise_event("go", "gone")
            result = await handle.result()
            await standby.close()
            return str(result)

    assert asyncio.run(both()) == "gone"


def test_a_workflow_that_cannot_go_on_keeps_no_standby_from_taking_over(tmp_path: Path) -> None:
    """The standby raised what the one had to say, and closed with all the others in it."""

    @workflow
    async def gone(ctx: WorkflowContext, _: Any) -> str:
        return str(await ctx.wait_for_event("go"))

    async def both() -> str:
        with EventStore(tmp_path) as store:
            async with Runtime(store, [gone, wait], lease=LONG) as older:
                await older.start(gone, id="first")
                await older.start(wait, id="second")
        async with Standby(tmp_path, lambda store: Runtime(store, wait), lease=LONG) as standby:
            told = "'first' does not go on with the standby, as others do: .* instance of 'gone'"
            with pytest.warns(RuntimeWarning, match=told):
                runtime = await standby.take_over()
            await runtime.raise_event("second", "go", "went")
            return str(await runtime.handle("second").result())

    assert asyncio.run(both()) == "went"


def test_a_runtime_whose_lease_another_has_taken_stops_even_where_it_has_nothing_to_write(
    tmp_path: Path,
) -> None:
    async def both() -> None:
        with EventStore(tmp_path) as store:
            older = Runtime(store, wait, lease=SHORT)
            await older.__aenter__()
            handle = await older.start(wait, id="w")
            with EventStore(tmp_path) as other:
                async with Runtime(other, wait, lease=SHORT):
                    with pytest.raises(FencedError, match="taken over"):
                        await asyncio.wait_for(handle.result(), 60)
            await older.close()

    asyncio.run(both())


def test_a_standby_without_any_lease_to_watch_waits_for_its_own_length(tmp_path: Path) -> None:
    with EventStore(tmp_path) as store:
        Runtime(store, long, activities={"work": lambda value: value}).run(long, 2, id="w")

    async def alone() -> Any:
        def runtime(store: EventStore) -> Runtime:
            return Runtime(store, long, activities={"work": lambda value: value})

        async with Standby(tmp_path, runtime, lease=SHORT) as standby:
            handle = await (await standby.take_over()).start(long, id="w")
            return await handle.result()

    assert asyncio.run(alone()) == 1


class Full(Disk):
    full = False

    def write_at(self, descriptor: int, data: bytes | memoryview, offset: int) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        super().write_at(descriptor, data, offset)


def _unreadable(_: Path) -> bytes:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("fault", ["full", "unreadable"])
def test_a_lease_that_cannot_be_renewed_is_given_up_after_its_length_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    now_s = [0.0]
    monkeypatch.setattr(lease_module, "monotonic_s", lambda: now_s[0])
    disk = Full()
    lease = Lease(tmp_path, disk, SECOND)
    lease.take()
    with monkeypatch.context() as broken:
        disk.full = fault == "full"
        if fault == "unreadable":
            broken.setattr(lease_module, "read_raw", _unreadable)
        now_s[0] = 0.999
        lease.renew()
        now_s[0] = 1.0
        with pytest.raises(FencedError, match="could not be renewed"):
            lease.renew()
        disk.full = False
    lease.take()
    lease.renew()


def test_a_torn_lease_is_no_sign_of_life_and_a_newer_one_replaces_it(tmp_path: Path) -> None:
    lease = Lease(tmp_path, Disk(), SECOND)
    lease.take()
    whole = read_raw(tmp_path / FILE)
    for length in range(len(whole)):
        assert parse(whole[:length]) is None
    (tmp_path / FILE).write_bytes(whole[:7])
    lease.renew()
    renewed = parse(read_raw(tmp_path / FILE))
    assert renewed is not None
    assert renewed.counter == 2
    assert list(tmp_path.glob("*.new")) == []


@pytest.mark.parametrize("lease", [0, timedelta(days=2)])
def test_a_lease_has_bounds(tmp_path: Path, lease: Any) -> None:
    with EventStore(tmp_path) as store, pytest.raises(InvalidArgumentError, match="10 ms to a day"):
        Runtime(store, wait, lease=lease)


@pytest.mark.parametrize("lease", [timedelta(milliseconds=10), timedelta(days=1)])
def test_a_lease_may_be_as_short_and_as_long_as_its_bounds(lease: timedelta) -> None:
    assert as_lease_ns(lease) == lease // timedelta(microseconds=1) * 1_000


def test_a_standby_that_finds_nothing_to_recover_says_that_it_has_taken_over_and_fences(
    tmp_path: Path,
) -> None:
    async def both() -> None:
        with EventStore(tmp_path) as store:
            store.append("notes", {"event_type": "Written"})
            async with Standby(tmp_path, lambda other: Runtime(other, wait), lease=SHORT) as new:
                await new.take_over()
                with pytest.raises(FencedError):
                    store.append("notes", {"event_type": "Written"})
            with EventStore(tmp_path) as found:
                assert "taken_over" in {event.name for event in found.log().events()}

    asyncio.run(both())
