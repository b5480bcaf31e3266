"""The claims about the store at size: what grows and what does not, and what holds meanwhile."""

from __future__ import annotations

from typing import Final

from flowlab.studies import (
    store_clusterings,
    store_damage,
    store_faults,
    store_growth,
    store_kills,
    store_layouts,
    store_readers,
    store_speed,
    store_writers,
)
from flowlab.studies.claim import EXACTLY_ZERO, Bound, Claim, Reliability

_MISSION: Final = "the mission of flowlab"
_STORE: Final = "the design of the store"

STORE_CLAIMS: Final = (
    Claim(
        name="store.boundaries",
        statement="Whatever stops at whichever boundary between two changes of the disk, nothing "
        "acknowledged is lost, nothing is there twice, and nothing is half there.",
        source=_STORE,
        reliability=Reliability.PROVED,
        measure=store_faults.boundaries,
        gate=EXACTLY_ZERO,
    ),
    Claim(
        name="store.kills",
        statement="A process that SIGKILL ends at any named boundary, 200 times and at least five "
        "times at each, has lost nothing that it had acknowledged.",
        source=_STORE,
        reliability=Reliability.PROVED,
        measure=store_kills.kills,
        gate=EXACTLY_ZERO,
    ),
    Claim(
        name="store.damage",
        statement="Every flipped bit and every cut of a small file of each kind, and its loss, is "
        "told by an error or a warning of the store, or changes no answer.",
        source=_STORE,
        reliability=Reliability.PROVED,
        measure=store_damage.damage,
        gate=EXACTLY_ZERO,
    ),
    Claim(
        name="store.writers",
        statement="Append-only logs have no write conflicts.",
        source=_MISSION,
        reliability=Reliability.ASSERTED,
        measure=store_writers.writers,
        gate=EXACTLY_ZERO,
        restatement="Appends to different streams do not conflict, though their commits take turns "
        "by one lock and the writers by epochs; of two that expect one version of a stream, one is "
        "refused and told so. Every acknowledged append is there once, in order.",
    ),
    Claim(
        name="store.bulk",
        statement="An Arrow table becomes durable, sorted, sealed files at 45 % or more of the "
        "speed of one raw durable Parquet write of the same rows, encodings and row groups.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=store_speed.bulk_against_raw,
        gate=Bound(at_least=0.45),
        aim=Bound(at_least=0.55),
    ),
    Claim(
        name="store.append_growth",
        statement="An append takes the system calls and bytes of one to a log of 1 000 events, but "
        "for the digits of larger numbers, however large the log is.",
        source=_MISSION,
        reliability=Reliability.ASSERTED,
        measure=store_growth.append_growth,
        gate=Bound(at_most=1.05),
        aim=Bound(at_most=1),
    ),
    Claim(
        name="store.first_append",
        statement="The first append after opening takes at most 4 x log2 n reads and writes, and "
        "16 KiB x log2 n bytes beside the 2 MiB of its tail file.",
        source=_STORE,
        reliability=Reliability.PROVED,
        measure=store_growth.first_append_growth,
        gate=Bound(at_most=1),
    ),
    Claim(
        name="store.read_growth",
        statement="Reading 100 events touches at most log2 n footers, log2 n row groups and "
        "16 KiB x log2 n bytes, cold or warm.",
        source=_MISSION,
        reliability=Reliability.ASSERTED,
        measure=store_growth.read_growth,
        gate=Bound(at_most=1),
    ),
    Claim(
        name="store.stream_growth",
        statement="A stream of 100 events takes at most 1.4 times as long to read in a log of ten "
        "times the events.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=store_growth.stream_growth,
        gate=Bound(at_most=1.4),
        aim=Bound(at_most=1.15),
    ),
    Claim(
        name="store.pinned_readers",
        statement="No read of a snapshot is wrong while another process appends, seals, compacts "
        "and vacuums.",
        source=_STORE,
        reliability=Reliability.PROVED,
        measure=store_readers.pinned_readers,
        gate=EXACTLY_ZERO,
    ),
    Claim(
        name="store.agent_range",
        statement="One agent's time range, a tenth of a segment's events, takes at most 0.2 times "
        "as long to read with the clustering by agent as without.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=store_clusterings.agent_range,
        gate=Bound(at_most=0.2),
        aim=Bound(at_most=0.12),
    ),
    Claim(
        name="store.layouts",
        statement="A count over a folder for each workflow, against 16 sorted hash buckets.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=store_layouts.layouts,
    ),
    Claim(
        name="store.uncompacted",
        statement="A count by agent and type over many files and a full tail, against the same "
        "compacted.",
        source=_STORE,
        reliability=Reliability.ASSERTED,
        measure=store_speed.uncompacted_aggregation,
        aim=Bound(at_most=1.5),
    ),
    Claim(
        name="store.opening",
        statement="Opening a store of 1 000 commits for reading, to its first snapshot.",
        source=_STORE,
        reliability=Reliability.ASSERTED,
        measure=store_growth.opening,
        aim=Bound(at_most=100),
    ),
    Claim(
        name="store.memory",
        statement="The most memory of a process that imports the largest log in pieces and "
        "compacts it.",
        source=_STORE,
        reliability=Reliability.ASSERTED,
        measure=store_speed.growing_memory,
        aim=Bound(at_most=2_000),
    ),
)
"""What is said of growth is measured to 1 000 000 events, and with `--full` to 10 000 000."""
