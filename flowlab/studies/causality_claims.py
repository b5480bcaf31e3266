"""The claims about causality: what the exact order costs, and what holds of it."""

from __future__ import annotations

from typing import Final

from flowlab.studies import causality_mining, causality_pictures, causality_speed, causality_view
from flowlab.studies.claim import Bound, Claim, Reliability

_DESIGN: Final = "the design of the causal order"

ORDER_CLAIMS: Final = (
    Claim(
        name="causality.build",
        statement="The exact order of 1 000 000 events of 100 agents is built from their log in at "
        "most 1 s, without a compiler.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_speed.build,
        gate=Bound(at_most=1.0),
        aim=Bound(at_most=0.5),
    ),
    Claim(
        name="causality.build_compiled",
        statement="With the optional compiler it is built in at most 0.1 s.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_speed.build_compiled,
        gate=Bound(at_most=0.1),
        aim=Bound(at_most=0.05),
    ),
    Claim(
        name="causality.pair",
        statement="Whether one event happened before another is answered in at most 1.5 us.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_speed.one_pair,
        gate=Bound(at_most=1.5),
    ),
    Claim(
        name="causality.pairs",
        statement="Of a million pairs at once it is answered in at most 80 ns each.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_speed.many_pairs,
        gate=Bound(at_most=80),
    ),
    Claim(
        name="causality.past_prefixes",
        statement="The causal past of an event of 1 000 000 is given as prefixes of chains in at "
        "most 0.1 ms.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_speed.past_as_prefixes,
        gate=Bound(at_most=0.1),
    ),
    Claim(
        name="causality.past_rows",
        statement="It is given as an array of rows in at most 3 ms.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_speed.past_as_rows,
        gate=Bound(at_most=3),
    ),
    Claim(
        name="causality.saga_memory",
        statement="The order of 1 000 000 events of more than 20 000 sagas takes at most 2 GB, the "
        "process and the log with it.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_speed.saga_memory,
        gate=Bound(at_most=2),
    ),
    Claim(
        name="causality.saga_query",
        statement="There, whether one event happened before another is answered in at most 10 us.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_speed.saga_query,
        gate=Bound(at_most=10),
    ),
    Claim(
        name="causality.blocks",
        statement="Pairs of uniform traffic among 10 000 agents are compared in batches, without "
        "the clocks of all.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_speed.blocked_batches,
    ),
    Claim(
        name="causality.graphs",
        statement="A causal past is the ancestors that a graph library finds, in a fraction of its "
        "time.",
        source="the documentation of rustworkx and networkx",
        reliability=Reliability.ASSERTED,
        measure=causality_speed.against_graphs,
    ),
)

MINING_CLAIMS: Final = (
    Claim(
        name="causality.dfg",
        statement="The directly-follows graph of a log, with equal frequencies, takes at most a "
        "fifth of the CPU time of pm4py.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_mining.dfg_against_pm4py,
        aim=Bound(at_most=0.2),
    ),
    Claim(
        name="causality.variants",
        statement="Its variants by recorded order, equal in number and size, take at most a fifth "
        "of the CPU time of pm4py.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_mining.variants_against_pm4py,
        aim=Bound(at_most=0.2),
    ),
)

PICTURE_CLAIMS: Final = (
    Claim(
        name="causality.diagram_laid_out",
        statement="A diagram of 500 events is laid out in 5 ms of CPU time.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_pictures.diagram_laid_out,
        aim=Bound(at_most=5),
    ),
    Claim(
        name="causality.diagram_drawn",
        statement="It is drawn, from the log to its SVG and its text, in 60 ms of CPU time.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_pictures.diagram_drawn,
        aim=Bound(at_most=60),
    ),
    Claim(
        name="causality.crossings",
        statement="The order of the lanes has few more crossings than the best of all orders.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_pictures.crossings_against_best,
    ),
)

VIEW_CLAIMS: Final = (
    Claim(
        name="causality.view",
        statement="The live view has 100 000 events, aggregated, on screen within 0.5 s of their "
        "transfer.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_view.on_screen,
        gate=Bound(at_most=0.5),
    ),
    Claim(
        name="causality.view_past",
        statement="The past of a selected event, of 1 000 000 that the kernel holds, is told "
        "within 0.1 s.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=causality_view.past_from_kernel,
        gate=Bound(at_most=0.1),
    ),
)

CAUSALITY_CLAIMS: Final = ORDER_CLAIMS + VIEW_CLAIMS + MINING_CLAIMS + PICTURE_CLAIMS
