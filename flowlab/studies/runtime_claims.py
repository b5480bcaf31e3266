"""The claims about recovery for real: what kills leave, and what a durable step costs."""

from __future__ import annotations

from typing import Final

from flowlab.studies import runtime_boundaries, runtime_kills, runtime_speed
from flowlab.studies.claim import EXACTLY_ZERO, Bound, Claim, Reliability

_RUNTIME: Final = "the design of the durable host"

RUNTIME_CLAIMS: Final = (
    Claim(
        name="recovery.kills",
        statement="A runtime that SIGKILL ends at any named boundary, at least five times at each, "
        "and 500 times at random times, has lost nothing that it had acknowledged, and names each "
        "effect in the log before it repeats it; results and states are those without kills.",
        source=_RUNTIME,
        reliability=Reliability.PROVED,
        measure=runtime_kills.kills,
        gate=EXACTLY_ZERO,
    ),
    Claim(
        name="recovery.boundaries",
        statement="Whatever stops a workflow at whichever boundary between two changes of the disk,"
        " another runtime goes on to the same end, with nothing acknowledged lost and no effect "
        "repeated without being named.",
        source=_RUNTIME,
        reliability=Reliability.PROVED,
        measure=runtime_boundaries.boundaries,
        gate=EXACTLY_ZERO,
    ),
    Claim(
        name="recovery.steps",
        statement="A sequential workflow takes its durable steps, one sync a step, at 60 % or more "
        "of the rate of bare append and fdatasync of equal bytes.",
        source=_RUNTIME,
        reliability=Reliability.ASSERTED,
        measure=runtime_speed.durable_steps,
        gate=Bound(at_least=0.6),
        aim=Bound(at_least=0.8),
    ),
    Claim(
        name="recovery.resume",
        statement="A workflow of 200 steps is taken up in 10 ms.",
        source=_RUNTIME,
        reliability=Reliability.ASSERTED,
        measure=runtime_speed.resume,
        aim=Bound(at_most=10),
    ),
    Claim(
        name="recovery.grown",
        statement="What a workflow writes is linear in what its steps return, however large its "
        "state has grown.",
        source=_RUNTIME,
        reliability=Reliability.PROVED,
        measure=runtime_speed.grown,
        gate=Bound(at_most=1.5),
    ),
)
