"""What is known of one world besides its events: how it came to be."""

from __future__ import annotations

from typing import Any

import msgspec


class RunInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The metadata of a run: one simulation, one imported trace, one fork.

    Args:
        namespace: the experiment, campaign, course or tenant.
        run_id: the world; empty for what the runtime executes live.
        clock: `"wall"` or `"virtual"`.
        scenario: the scenario's name, or the format that it was imported from.
        seed: the seed, where there is one.
        parameters, faults: JSON objects.
        code_digest: what code made it.
        created_ns: when, in nanoseconds since 1970 (0 where unknown).
        version: the flowlab version, or the format version of the import.
        agents: the lanes, in the order to draw them.
        source: the file below the folder given to the import, with its suffix.
        attributes: anything else, JSON (an importer keeps what its export needs).

    Example:
        >>> RunInfo(run_id="seed-7", scenario="trip", seed=7)
        RunInfo('default', 'seed-7', scenario='trip')
    """

    namespace: str = "default"
    run_id: str = ""
    clock: str = "wall"
    scenario: str = ""
    seed: int | None = None
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    faults: dict[str, Any] = msgspec.field(default_factory=dict)
    code_digest: str = ""
    created_ns: int = 0
    version: str = ""
    agents: tuple[str, ...] = ()
    source: str = ""
    attributes: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, run_id)."""
        return (self.namespace, self.run_id)

    def __repr__(self) -> str:
        return f"RunInfo({self.namespace!r}, {self.run_id!r}, scenario={self.scenario!r})"
