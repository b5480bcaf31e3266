"""What checkpoints cost where nobody says it: what a store's policies have learned, or a prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from flowlab.errors import CorruptionError, FormatVersionError, InvalidArgumentError
from flowlab.recovery.checkpoint import decode_body
from flowlab.recovery.estimates import Costs, Estimates
from flowlab.recovery.keeping import is_ours
from flowlab.store import Checkpoint, EventStore, Snapshot
from flowlab.store.checkpoints import load

CostsFrom = Literal["given", "learned", "assumed"]
MOST_READ: Final = 16
"""Checkpoints that are looked at, the newest first, for what a policy has learned."""

_TAKEN: Final = f"""
SELECT namespace, run_id, payload_json(payload)->>'workflow_id' AS workflow_id,
       max(position) AS newest
FROM events
WHERE event_type = 'CheckpointTaken' AND payload_json(payload)->>'workflow_id' NOT LIKE '@%'
GROUP BY ALL ORDER BY newest DESC LIMIT {MOST_READ}
"""


@dataclass(frozen=True, slots=True)
class KnownCosts:
    """Costs that nobody has given.

    Args:
        costs: of a checkpoint, a load and the replay of an event.
        source: `learned` by a policy of the store, or `assumed`.
        told: where they come from, in a sentence.
    """

    costs: Costs
    source: CostsFrom
    told: str

    def __repr__(self) -> str:
        return f"KnownCosts({self.source}: {self.costs!r})"


def known_costs(log: object) -> KnownCosts:
    """Return what is known of the costs of checkpoints where a log comes from.

    Args:
        log: a store or a snapshot of one, whose checkpoints may hold what `Lawful()` has learned;
            of anything else nothing is known, and the prior of `Estimates.start()` is assumed.

    Example:
        >>> known_costs(None)
        KnownCosts(assumed: Costs(snapshot 0.001 s, load 0.0003 s, replay 2e-06 s an event))
    """
    snapshot = log.snapshot() if isinstance(log, EventStore) else log
    found = _learned(snapshot) if isinstance(snapshot, Snapshot) else None
    if found is None:
        told = (
            "What a checkpoint costs is assumed, as nobody has given or learned it: the prior of "
            "Estimates.start(), for a small state. Measure it (fit_costs), or recover by Lawful()."
        )
        return KnownCosts(Estimates.start().costs(), "assumed", told)
    checkpoint, learned = found
    told = (
        "What a checkpoint costs is what the policy of the store has learned, as checkpoint "
        f"{checkpoint.id!r} of {checkpoint.stream[2]!r} tells it."
    )
    return KnownCosts(learned.costs(), "learned", told)


def _learned(snapshot: Snapshot) -> tuple[Checkpoint, Estimates] | None:
    """Return the newest estimates that checkpoints of a store hold, and the one that does."""
    rows = snapshot.query(_TAKEN).to_pylist()
    taken = [
        checkpoint
        for row in rows
        for checkpoint in snapshot.checkpoints(
            row["workflow_id"], namespace=row["namespace"], run_id=row["run_id"]
        )
        if is_ours(checkpoint)
    ]
    taken.sort(key=lambda checkpoint: checkpoint.position, reverse=True)
    for checkpoint in taken[:MOST_READ]:
        try:
            body = load(snapshot.files.root.parent, checkpoint).state
            return checkpoint, Estimates.from_json(decode_body(body, where=checkpoint.path).learned)
        except (CorruptionError, FormatVersionError, InvalidArgumentError):
            continue  # one that is damaged, or of a policy that learns nothing, tells nothing
    return None
