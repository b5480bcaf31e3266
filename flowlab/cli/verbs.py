"""The verbs, in the order of `--help`."""

from __future__ import annotations

from typing import Final

from flowlab.cli import (
    causal,
    claims,
    determinism,
    differences,
    executing,
    law,
    logs,
    pages,
    replaying,
    sourcing,
    stores,
    upkeep,
    worlds,
)
from flowlab.cli.verb import Verb

VERBS: Final[tuple[Verb, ...]] = (
    *logs.VERBS,
    *stores.VERBS,
    *upkeep.VERBS,
    *sourcing.VERBS,
    *pages.VERBS,
    *differences.VERBS,
    *causal.VERBS,
    *claims.VERBS,
    *worlds.VERBS,
    *determinism.VERBS,
    *executing.VERBS,
    *replaying.VERBS,
    *law.VERBS,
)
