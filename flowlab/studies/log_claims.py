"""The claims about the log: the mission's own statements first, then what the store promises."""

from __future__ import annotations

from typing import Final

from flowlab.studies import append_claims, log_laws, read_claims
from flowlab.studies.claim import EXACTLY_ZERO, Bound, Claim, Reliability

_MISSION: Final = "the mission of flowlab"
_STORE: Final = "the design of the store"

MISSION_CLAIMS: Final = (
    Claim(
        name="log.append_constant",
        statement="An append is O(1), but for the first after opening: on a large log it takes the "
        "calls of a small one, and its bytes but for the digits of larger numbers.",
        source=_MISSION,
        reliability=Reliability.ASSERTED,
        measure=append_claims.append_is_constant,
        gate=Bound(at_most=1.05),
        aim=Bound(at_most=1),
    ),
    Claim(
        name="log.range_logarithmic",
        statement="Reading a range of 100 events touches at most O(log n) of the log.",
        source=_MISSION,
        reliability=Reliability.ASSERTED,
        measure=read_claims.range_read_is_logarithmic,
        gate=Bound(at_most=1),
    ),
    Claim(
        name="log.metadata_share",
        statement="Causal metadata costs 20 to 30 % of the rest of the log.",
        source=_MISSION,
        reliability=Reliability.ASSERTED,
        measure=log_laws.metadata_share,
        gate=Bound(at_least=0.2, at_most=0.3),
        restatement="A stored vector clock costs more with every agent and passes 30 % between 4 "
        "and 64 agents; an event that names its causes costs less than the clocks of 4 agents, "
        "whatever their number.",
    ),
    Claim(
        name="log.no_conflicts",
        statement="An append-only log has no write conflicts.",
        source=_MISSION,
        reliability=Reliability.ASSERTED,
        measure=log_laws.conflicts,
        gate=EXACTLY_ZERO,
        restatement="Appends to different streams never conflict; of those decided on one head of "
        "one stream exactly one is kept, and each of the others is told.",
    ),
    Claim(
        name="log.readers",
        statement="Readers never block, and never see a state that was not: no read is wrong while "
        "another process appends and seals.",
        source=_MISSION,
        reliability=Reliability.PROVED,
        measure=log_laws.readers,
        gate=EXACTLY_ZERO,
    ),
    Claim(
        name="log.delta",
        statement="The sealed part is a Delta table: deltalake and Polars read each version equal.",
        source=_STORE,
        reliability=Reliability.PROVED,
        measure=log_laws.delta,
        gate=EXACTLY_ZERO,
    ),
    Claim(
        name="log.bulk",
        statement="A large log is appended, queried and verified without a problem.",
        source=_STORE,
        reliability=Reliability.PROVED,
        measure=append_claims.bulk_and_verify,
        gate=EXACTLY_ZERO,
    ),
)

COST_CLAIMS: Final = (
    Claim(
        name="log.syncs",
        statement="A committed append costs exactly one sync of data, and none of a directory.",
        source=_STORE,
        reliability=Reliability.PROVED,
        measure=append_claims.syncs,
        gate=Bound(at_most=1, at_least=1),
    ),
    Claim(
        name="log.group_commit",
        statement="Of sixteen callers that append at the same time, four or more share a sync.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=append_claims.group_commit,
        gate=Bound(at_most=0.25),
        aim=Bound(at_most=0.125),
    ),
    Claim(
        name="log.append",
        statement="One durable append takes at most 1.25 times what appending and syncing its "
        "bytes takes.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=append_claims.append_against_fsync,
        gate=Bound(at_most=1.25),
        aim=Bound(at_most=1),
    ),
    Claim(
        name="log.batch",
        statement="A durable commit of 1 000 events is 4 times as fast as that of eventsourcing on "
        "SQLite.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=append_claims.batch_against_eventsourcing,
        gate=Bound(at_least=4),
        aim=Bound(at_least=8),
    ),
    Claim(
        name="log.bytes",
        statement="Sealed events take at most 0.09 of the bytes of their JSON lines.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=read_claims.bytes_against_json,
        gate=Bound(at_most=0.09),
        aim=Bound(at_most=0.07),
    ),
    Claim(
        name="log.stream",
        statement="A stream of 100 events out of 1 000 000 takes at most 4 times what SQLite's "
        "unique index takes, decoding included.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=read_claims.stream_against_sqlite,
        gate=Bound(at_most=4),
        aim=Bound(at_most=1.5),
    ),
    Claim(
        name="log.sealed",
        statement="Python events to sealed Parquet, against the inserts of eventsourcing.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=append_claims.sealed_against_eventsourcing,
        aim=Bound(at_least=2),
    ),
    Claim(
        name="log.metadata_bytes",
        statement="All columns but the payload, in bytes an event, on a process-like log.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=read_claims.metadata_bytes,
        aim=Bound(at_most=20),
    ),
    Claim(
        name="log.aggregate",
        statement="A count by agent and type over the whole log, against SQLite.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=read_claims.aggregate_against_sqlite,
        aim=Bound(at_least=20),
    ),
    Claim(
        name="log.import",
        statement="Importing histories into a store, against parsing them as JSON.",
        source=_STORE,
        reliability=Reliability.MEASURED,
        measure=read_claims.import_against_parsing,
    ),
)

LOG_CLAIMS: Final[tuple[Claim, ...]] = MISSION_CLAIMS + COST_CLAIMS
