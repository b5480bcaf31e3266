"""What sagas do to each other, and the six countermeasures: small worlds, each broken and fixed.

A saga has no isolation: between its steps others see what it has done so far. Richardson
(*Microservices Patterns*, section 4.3, after Frank and Zahle, "Semantic ACID properties in
multidatabases", 1998) has six countermeasures. Each has a page here: a world in which its absence
does harm for some seeds, the same world with it, in which it never does, and a query that finds the
harm in the log, in exactly those runs that break the invariant.

Example:
    >>> from flowlab.simulation import simulate
    >>> lost = COUNTERMEASURES["commutative updates"]
    >>> broken, fixed = (simulate(world, seed=0) for world in (lost.broken, lost.fixed))
    >>> [violation.message for violation in broken.violations], fixed.violations
    (['100 - 30 - 30 = 70'], ())
    >>> len(broken.log.sql(lost.query)), len(fixed.log.sql(lost.query))
    (1, 0)
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from flowlab.scenarios.countermeasures.by_value import BY_VALUE
from flowlab.scenarios.countermeasures.commutative_updates import COMMUTATIVE_UPDATES
from flowlab.scenarios.countermeasures.countermeasure import Countermeasure
from flowlab.scenarios.countermeasures.pessimistic_view import PESSIMISTIC_VIEW
from flowlab.scenarios.countermeasures.reread_value import REREAD_VALUE
from flowlab.scenarios.countermeasures.semantic_lock import SEMANTIC_LOCK
from flowlab.scenarios.countermeasures.version_file import VERSION_FILE

__all__ = ["COUNTERMEASURES", "Countermeasure"]

COUNTERMEASURES: Final[Mapping[str, Countermeasure]] = MappingProxyType(
    {
        it.name: it
        for it in (
            SEMANTIC_LOCK,
            COMMUTATIVE_UPDATES,
            PESSIMISTIC_VIEW,
            REREAD_VALUE,
            VERSION_FILE,
            BY_VALUE,
        )
    }
)
"""The countermeasures by name, in the order in which they are told."""
