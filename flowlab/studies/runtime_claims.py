"""The claims about recovery for real: what kills leave, and what a durable step costs."""

from __future__ import annotations

from typing import Final

from flowlab.studies import runtime_boundaries, runtime_kills
from flowlab.studies.claim import EXACTLY_ZERO, Claim, Reliability

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
)
