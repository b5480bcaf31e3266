"""What caused what: the exact order of a log's events, and what follows from it."""

from flowlab.causality.chains import Chains, split_chains
from flowlab.causality.clocks import MAX_CLOCK_CELLS, CausalityInfo
from flowlab.causality.conjunctive import Conjunctive
from flowlab.causality.counting import MAX_CUTS
from flowlab.causality.cuts import Cut
from flowlab.causality.difference import Reordered, TraceDifference, diff
from flowlab.causality.exports import to_dot, to_mermaid, to_networkx
from flowlab.causality.facts import CausalFacts, causal_facts
from flowlab.causality.finding import MAX_MATCHES, Matches, find
from flowlab.causality.flows import Flow, directly_causes, directly_follows
from flowlab.causality.graph import (
    KIND_LABELS,
    LANE,
    CausalGraph,
    Edges,
    TruncatedCauses,
    read_graph,
)
from flowlab.causality.horizon import BeforeHorizon, Forgotten, HorizonClock
from flowlab.causality.lattice import Cuts
from flowlab.causality.motif import (
    Motif,
    Part,
    broadcast,
    compensation_chain,
    gather,
    request_reply,
)
from flowlab.causality.order import CausalOrder
from flowlab.causality.paths import CriticalPath
from flowlab.causality.predicates import MAX_CUTS_SEEN, Definitely, Possibly
from flowlab.causality.selecting import EventRef
from flowlab.causality.truncating import truncate
from flowlab.causality.variants import Variant, Variants, variants
from flowlab.causality.world_state import WorldState

__all__ = [
    "KIND_LABELS",
    "LANE",
    "MAX_CLOCK_CELLS",
    "MAX_CUTS",
    "MAX_CUTS_SEEN",
    "MAX_MATCHES",
    "BeforeHorizon",
    "CausalFacts",
    "CausalGraph",
    "CausalOrder",
    "CausalityInfo",
    "Chains",
    "Conjunctive",
    "CriticalPath",
    "Cut",
    "Cuts",
    "Definitely",
    "Edges",
    "EventRef",
    "Flow",
    "Forgotten",
    "HorizonClock",
    "Matches",
    "Motif",
    "Part",
    "Possibly",
    "Reordered",
    "TraceDifference",
    "TruncatedCauses",
    "Variant",
    "Variants",
    "WorldState",
    "broadcast",
    "causal_facts",
    "compensation_chain",
    "diff",
    "directly_causes",
    "directly_follows",
    "find",
    "gather",
    "read_graph",
    "request_reply",
    "split_chains",
    "to_dot",
    "to_mermaid",
    "to_networkx",
    "truncate",
    "variants",
]
