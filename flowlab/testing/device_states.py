"""What a device can hold after a power failure: the states of a model, named by how they arise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from flowlab.testing.file_system import BLOCK_BYTES, FileSystem, Part, Write

SMALL_WRITE_BYTES: Final = 64
"""Writes up to here are torn at each byte."""

MAX_DEVICE_STATES: Final = 64
"""States of one boundary that are looked at, unless another limit is given."""

LEAST_STATES: Final = 2
"""What is looked at whatever the limit: a process's death, and only what was synced."""

EVERYTHING: Final = "process death"
SYNCED: Final = "only synced"


@dataclass(frozen=True, slots=True)
class DeviceState:
    """One state of the device.

    Args:
        kind: "process death" (all that was called is there), "only synced", "torn" (the last
            unsynced write ends early), "alone" (one unsynced call is there without the others),
            "missing" (all but one), "zeroed" (a file has grown, and holds zeros there), "holed" (a
            write lacks its first block), "some" (any of them, drawn).
        applied: the pending calls that reached the device.
        parts: those of them that did so in part.
    """

    kind: str
    applied: frozenset[int] = frozenset()
    parts: Mapping[int, Part] = field(default_factory=dict)

    @property
    def power_failed(self) -> bool:
        """Whether it takes a power failure to get here."""
        return self.kind != EVERYTHING

    def key(self, system: FileSystem) -> int:
        """Return a number that is equal for equal contents of the device.

        What a process's death leaves may be what a power failure leaves too: then it is both.
        """
        tree = system.tree(self.applied, self.parts)
        contents = tuple((name, content) for name, (_, content) in tree.items())
        return hash((self.power_failed, contents))


def device_states(
    system: FileSystem, *, limit: int = MAX_DEVICE_STATES, seed: int = 0
) -> tuple[list[DeviceState], int]:
    """Return states that a device can be in, each content once, and how many were left out.

    Args:
        system: the model.
        limit: at most so many; those after a process's death and without all that was not synced
            are always among them, the others are drawn.
        seed: of what is drawn.
    """
    generator = np.random.default_rng(seed)
    found: dict[int, DeviceState] = {}
    for state in _all_states(system, generator):
        found.setdefault(state.key(system), state)
    states = list(found.values())
    if len(states) <= limit:
        return states, 0
    others = generator.permutation(len(states) - LEAST_STATES)[: limit - LEAST_STATES]
    kept = [*range(LEAST_STATES), *sorted(LEAST_STATES + int(place) for place in others)]
    return [states[place] for place in kept], len(states) - len(kept)


def _all_states(system: FileSystem, source: np.random.Generator) -> Iterator[DeviceState]:
    everything = system.numbers()
    yield DeviceState(EVERYTHING, everything)
    yield DeviceState(SYNCED)
    yield DeviceState("all", everything)
    writes = [change for change in system.pending if isinstance(change, Write)]
    if writes:
        yield from _torn(system, writes[-1], everything, source)
    for change in system.pending:
        yield DeviceState("alone", frozenset({change.number}))
        yield DeviceState("missing", everything - {change.number})
    for write in writes:
        for kind, part in (("zeroed", Part(blank="new")), ("holed", Part(blank="first"))):
            if kind == "holed" and len(write.data) <= BLOCK_BYTES:
                continue
            for applied in (everything, frozenset({write.number})):
                yield DeviceState(kind, applied, {write.number: part})
    ordered = sorted(everything)
    for _ in ordered:
        drawn = source.random(len(ordered)) < source.random()
        yield DeviceState(
            "some", frozenset(n for n, is_in in zip(ordered, drawn, strict=True) if is_in)
        )


def _torn(
    system: FileSystem, write: Write, everything: frozenset[int], source: np.random.Generator
) -> Iterator[DeviceState]:
    size = len(write.data)
    cuts = set(range(1, size))
    if size > SMALL_WRITE_BYTES:
        used = len(write.data.rstrip(b"\0"))
        near = {1, size // 2, size - 1, used // 2, used - 1, used}
        cuts = {cut for cut in near if 0 < cut < size}
        cuts |= {int(cut) for cut in source.integers(1, max(used, 2), 4)}
    same_file = frozenset(
        change.number
        for change in system.pending
        if isinstance(change, Write) and change.node == write.node
    )
    for cut in sorted(cuts):
        for applied in (everything, same_file):
            yield DeviceState("torn", applied, {write.number: Part(cut)})
