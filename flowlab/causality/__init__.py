"""What caused what: the exact order of a log's events, and what follows from it."""

from flowlab.causality.chains import Chains
from flowlab.causality.clocks import MAX_CLOCK_CELLS, CausalityInfo
from flowlab.causality.difference import Reordered, TraceDifference, diff
from flowlab.causality.exports import to_dot, to_mermaid, to_networkx
from flowlab.causality.flows import Flow, directly_causes, directly_follows
from flowlab.causality.graph import KIND_LABELS, LANE, CausalGraph, Edges, Horizon, read_graph
from flowlab.causality.order import CausalOrder
from flowlab.causality.paths import CriticalPath
from flowlab.causality.selecting import EventRef
from flowlab.causality.variants import Variant, Variants, variants

__all__ = [
    "KIND_LABELS",
    "LANE",
    "MAX_CLOCK_CELLS",
    "CausalGraph",
    "CausalOrder",
    "CausalityInfo",
    "Chains",
    "CriticalPath",
    "Edges",
    "EventRef",
    "Flow",
    "Horizon",
    "Reordered",
    "TraceDifference",
    "Variant",
    "Variants",
    "diff",
    "directly_causes",
    "directly_follows",
    "read_graph",
    "to_dot",
    "to_mermaid",
    "to_networkx",
    "variants",
]
