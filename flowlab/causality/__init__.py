"""What caused what: the exact order of a log's events, and what follows from it."""

from flowlab.causality.exports import to_dot, to_mermaid, to_networkx
from flowlab.causality.graph import KIND_LABELS, LANE, CausalGraph, Horizon, read_graph

__all__ = [
    "KIND_LABELS",
    "LANE",
    "CausalGraph",
    "Horizon",
    "read_graph",
    "to_dot",
    "to_mermaid",
    "to_networkx",
]
