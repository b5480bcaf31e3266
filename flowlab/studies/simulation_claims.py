"""The claims about simulation: what it costs, and what holds of every world."""

from __future__ import annotations

from functools import partial
from typing import Final

from flowlab.studies import simulation_laws, simulation_speed
from flowlab.studies.claim import EXACTLY_ZERO, Bound, Claim, Reliability

_DESIGN: Final = "the design of the simulation"
_RETRIES: Final = "the retry policies of Temporal"
_GATES: Final = {10: 1.5, 1_000: 2.0, 10_000: 2.5}


def _events(agents: int, gate: float) -> Claim:
    return Claim(
        name=f"simulation.events.{agents}",
        statement=f"With {agents:,} agents a CPU second of flowlab gives {gate:g} times the "
        "logical events of a CPU second of SimPy, with equal completion times: history, messages, "
        "reads, writes and new values recorded and encoded, where SimPy records nothing.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=partial(simulation_speed.events_against_simpy, agents),
        gate=Bound(at_least=gate),
        aim=Bound(at_least=3),
    )


COST_CLAIMS: Final = (
    *(_events(agents, gate) for agents, gate in _GATES.items()),
    Claim(
        name="simulation.memory",
        statement="A saga in flight takes at most 3 kB at 10 000 agents, the log aside.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=simulation_speed.memory_in_flight,
        gate=Bound(at_most=3_000),
        aim=Bound(at_most=2_000),
    ),
    Claim(
        name="simulation.worlds",
        statement="Two cores simulate, check by invariants and save to a store at least 3 000 "
        "worlds a second, of about 45 events and under at least five kinds of fault.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=simulation_speed.worlds_a_second,
        gate=Bound(at_least=3_000),
        aim=Bound(at_least=10_000),
    ),
)

LAW_CLAIMS: Final = (
    Claim(
        name="simulation.digests",
        statement="A world has one digest, whatever the process, its hash seed and the order in "
        "which agents are registered: the golden one, for every scenario of the library.",
        source=_DESIGN,
        reliability=Reliability.PROVED,
        measure=simulation_laws.digests_everywhere,
        gate=EXACTLY_ZERO,
    ),
    Claim(
        name="simulation.ends",
        statement="Without faults every workflow of every scenario of the library ends.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=simulation_laws.ends_without_faults,
        gate=EXACTLY_ZERO,
    ),
    Claim(
        name="simulation.healing",
        statement="With faults that heal at least 99 % of the workflows of every scenario end, and "
        "each that does not is listed with what it waits for.",
        source=_DESIGN,
        reliability=Reliability.ASSERTED,
        measure=simulation_laws.ends_when_faults_heal,
        gate=Bound(at_least=0.99),
    ),
    Claim(
        name="simulation.retries",
        statement="Before retry k a simulated workflow waits min(maximum_interval, "
        "initial_interval * backoff_coefficient^(k-1)) of virtual time.",
        source=_RETRIES,
        reliability=Reliability.PROVED,
        measure=simulation_laws.retry_delays,
        gate=EXACTLY_ZERO,
    ),
    Claim(
        name="simulation.twins",
        statement="A twin with nothing changed is the same run.",
        source=_DESIGN,
        reliability=Reliability.PROVED,
        measure=simulation_laws.twins_with_nothing_changed,
        gate=EXACTLY_ZERO,
    ),
    Claim(
        name="simulation.executors",
        statement="A campaign has one digest, whether it runs in this process, in threads or in "
        "other processes.",
        source=_DESIGN,
        reliability=Reliability.PROVED,
        measure=simulation_laws.executors_agree,
        gate=Bound(at_least=1, at_most=1),
    ),
)

SIMULATION_CLAIMS: Final[tuple[Claim, ...]] = COST_CLAIMS + LAW_CLAIMS
