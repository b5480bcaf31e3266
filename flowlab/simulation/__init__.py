"""The virtual world: agents, a network and faults, in virtual time, a pure function of the seed."""

from __future__ import annotations

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
from flowlab.simulation.faults import FAULT_KINDS, FAULT_PRESETS, Faults, Partitions, as_faults
from flowlab.simulation.network import Network

__all__ = [
    "FAULT_KINDS",
    "FAULT_PRESETS",
    "MAX_DELAY_NS",
    "MAX_EMPIRICAL_VALUES",
    "MAX_SIGMA",
    "Constant",
    "Distribution",
    "Empirical",
    "Exponential",
    "Faults",
    "LogNormal",
    "Network",
    "Partitions",
    "Shifted",
    "Uniform",
    "as_distribution",
    "as_faults",
    "bits",
    "distribution_from_json",
    "key_of",
    "uniform",
]
