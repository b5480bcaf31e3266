"""What the claims of simulation compare with: SimPy, written in three ways."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from flowlab.errors import MissingDependencyError
from flowlab.studies.peers import PEERS_EXTRA
from flowlab.studies.saga_simpy import CallbackSagas, ColumnSagas, ProcessSagas
from flowlab.studies.saga_workload import SECOND_NS, SagaWorkload


@dataclass(frozen=True, slots=True)
class SagaOutcome:
    """What a peer made of a workload; peers that agree give equal outcomes.

    Args:
        completion_ns: the sum of the times at which the sagas ended.
        logical_events: 4 for each call and 2 for each saga.
        last_ns: when the last saga ended.
        timed_out: calls whose timer fired before the reply; the workload is such that none does.
        cpu_s: the processor time of the run, the peer's own preparation included, the drawing of
            the workload not; no part of equality.
    """

    completion_ns: int
    logical_events: int
    last_ns: int
    timed_out: int = 0
    cpu_s: float = field(default=0.0, compare=False, repr=False)

    @property
    def completion_s(self) -> float:
        """The sum of the times at which the sagas ended, in seconds."""
        return self.completion_ns / SECOND_NS

    @property
    def events_per_cpu_s(self) -> float:
        """Logical events for each second of processor time."""
        return self.logical_events / self.cpu_s


@contextmanager
def collector(*, frozen: bool) -> Iterator[None]:
    """Run with the cyclic collector on, as a library is shipped, or frozen and off.

    Either way the garbage of before is collected first, what is left then is out of the collector's
    sight, so that it has to do with the run's own objects alone, as in a process of its own; and it
    is afterwards as it was.
    """
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    (gc.disable if frozen else gc.enable)()
    try:
        yield
    finally:
        gc.unfreeze()
        (gc.enable if was_on else gc.disable)()


Style = Literal["callbacks", "columns", "process"]

STYLES: Final[dict[Style, str]] = {
    "callbacks": "bare timeouts with callbacks, an object for each call and agent",
    "columns": "bare timeouts with callbacks, columns of plain numbers instead of objects",
    "process": "a process for each saga, bare timeouts for each delay",
}
"""The ways in which the peer is written; the first is how its experts write it."""


def simpy_run(
    workload: SagaWorkload, *, style: Style = "callbacks", frozen: bool = False
) -> SagaOutcome:
    """Simulate a workload with SimPy.

    In no style are there resources: a mailbox is a deque, and a timer that is cancelled stays in
    SimPy's heap, since SimPy takes nothing out of it. Nothing is recorded. The run ends with the
    last saga; timers that are left are not waited for.

    Args:
        workload: what is simulated.
        style: one of `STYLES`.
        frozen: the cyclic collector is frozen and off while it runs; as shipped, it is on.

    Raises:
        MissingDependencyError: SimPy is not installed.

    Example:
        >>> simpy_run(SagaWorkload.of(agents=10, sagas=100))
        SagaOutcome(completion_ns=6524174423832, logical_events=2128, last_ns=118035533700,
                    timed_out=0)
    """
    try:
        from simpy import Environment  # noqa: PLC0415 - a peer
    except ImportError as error:
        message = f"this claim compares with the library simpy: {PEERS_EXTRA}"
        raise MissingDependencyError(message) from error
    begin = {"callbacks": CallbackSagas, "columns": ColumnSagas, "process": ProcessSagas}[style]
    with collector(frozen=frozen):
        began = time.process_time()
        env = Environment()
        world = begin(env, workload)
        env.run(until=world.over)
        seconds = time.process_time() - began
    return SagaOutcome(world.completion_ns, world.events, int(env.now), world.timed_out, seconds)
