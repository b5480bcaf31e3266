"""The virtual world: agents, a network and faults, in virtual time, a pure function of the seed."""

from __future__ import annotations

from flowlab.simulation.agenda import Decision
from flowlab.simulation.agent import Agent, Resource
from flowlab.simulation.campaign import Campaign
from flowlab.simulation.context import AgentContext
from flowlab.simulation.difference import Difference, diff
from flowlab.simulation.distribution import (
    MAX_DELAY_NS,
    MAX_EMPIRICAL_VALUES,
    MAX_SIGMA,
    Constant,
    Distribution,
    Empirical,
    Exponential,
    LogNormal,
    Shifted,
    Uniform,
    as_distribution,
    distribution_from_json,
)
from flowlab.simulation.draws import bits, key_of, uniform
from flowlab.simulation.fault_source import DEFAULT_HORIZON_NS, FaultSource, kinds_of_run
from flowlab.simulation.faults import FAULT_KINDS, FAULT_PRESETS, Faults, Partitions, as_faults
from flowlab.simulation.injection import (
    TRANSIENT_ERROR,
    CrashAfter,
    CrashBefore,
    Delay,
    DelayedWrite,
    DiskFault,
    Drop,
    Duplicate,
    Fail,
    Hang,
    LostWrite,
    PartitionWindow,
    SegmentFault,
    Skew,
    Slow,
    TornWrite,
    TransitFault,
)
from flowlab.simulation.inputs import Cancel, Chances, Signal, Start
from flowlab.simulation.locks import HeldLock
from flowlab.simulation.network import Network
from flowlab.simulation.partition_windows import PartitionWindows
from flowlab.simulation.run import Run, Stuck, Violation
from flowlab.simulation.scenario import Scenario, scenario
from flowlab.simulation.schedule import Entry, RandomScheduler, Schedule, Scheduler
from flowlab.simulation.simulate import simulate
from flowlab.simulation.simulate_many import simulate_many
from flowlab.simulation.world import World

__all__ = [
    "DEFAULT_HORIZON_NS",
    "FAULT_KINDS",
    "FAULT_PRESETS",
    "MAX_DELAY_NS",
    "MAX_EMPIRICAL_VALUES",
    "MAX_SIGMA",
    "TRANSIENT_ERROR",
    "Agent",
    "AgentContext",
    "Campaign",
    "Cancel",
    "Chances",
    "Constant",
    "CrashAfter",
    "CrashBefore",
    "Decision",
    "Delay",
    "DelayedWrite",
    "Difference",
    "DiskFault",
    "Distribution",
    "Drop",
    "Duplicate",
    "Empirical",
    "Entry",
    "Exponential",
    "Fail",
    "FaultSource",
    "Faults",
    "Hang",
    "HeldLock",
    "LogNormal",
    "LostWrite",
    "Network",
    "PartitionWindow",
    "PartitionWindows",
    "Partitions",
    "RandomScheduler",
    "Resource",
    "Run",
    "Scenario",
    "Schedule",
    "Scheduler",
    "SegmentFault",
    "Shifted",
    "Signal",
    "Skew",
    "Slow",
    "Start",
    "Stuck",
    "TornWrite",
    "TransitFault",
    "Uniform",
    "Violation",
    "World",
    "as_distribution",
    "as_faults",
    "bits",
    "diff",
    "distribution_from_json",
    "key_of",
    "kinds_of_run",
    "scenario",
    "simulate",
    "simulate_many",
    "uniform",
]
