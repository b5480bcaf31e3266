"""How deep each event stands in the causal order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flowlab.causality import CausalGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray


def causal_depth(graph: CausalGraph) -> NDArray[np.int32]:
    """Return the length of the longest chain of causes before each row.

    Example:
        >>> from flowlab.causality import read_graph
        >>> from flowlab.events import EventLog
        >>> causal_depth(read_graph(EventLog.from_text("A: a1 send>m a2 | B: recv<m b1"))).tolist()
        [0, 1, 2, 2, 3]
    """
    causes, into = graph.cause.tolist(), graph.into.tolist()
    depth = [0] * graph.size
    for row in graph.order.tolist():
        first, last = into[row], into[row + 1]
        if first < last:
            depth[row] = 1 + max([depth[cause] for cause in causes[first:last]])
    return np.asarray(depth, np.int32)
