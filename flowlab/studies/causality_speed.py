"""What the causal order costs in processor time: to build, to ask, beside graph libraries."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, Final

import networkx as nx
import numpy as np
import pyarrow as pa

from flowlab.causality import CausalOrder, compiled
from flowlab.causality.blocks import BlockIndex
from flowlab.errors import MissingDependencyError
from flowlab.events import EventLog
from flowlab.studies.causality_workload import AGENTS, sagas, traffic
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import SEED, Scale, Spread, duration, workplace

MANY_AGENTS: Final = 10_000
_PAIRS: Final = 1_000_000
_SINGLE: Final = 20_000


def build(scale: Scale) -> Measurement:
    """Build the order of random traffic by 100 agents from its log, without a compiler."""
    return _build(scale, machine_code=False)


def build_compiled(scale: Scale) -> Measurement:
    """Build it with the loop compiled by numba; the compilation itself stands beside.

    Raises:
        MissingDependencyError: numba is not installed.
    """
    try:
        import numba  # noqa: PLC0415 - the optional compiler is what is measured
    except ImportError as error:
        message = "numba is not installed; pip install 'flowlab[speed]'"
        raise MissingDependencyError(message) from error
    return _build(scale, machine_code=True, beside={"numba": numba.__version__})


def _build(
    scale: Scale, *, machine_code: bool, beside: dict[str, str] | None = None
) -> Measurement:
    log = traffic(scale.events, seed=SEED)
    least = compiled.MIN_COMPILED
    compiled.MIN_COMPILED = 0 if machine_code else sys.maxsize  # type: ignore[misc]
    try:
        first, order = _timed(lambda: _built(log))
        seconds = [_timed(lambda: _built(log))[0] for _ in range(scale.rounds(7))]
    finally:
        compiled.MIN_COMPILED = least  # type: ignore[misc]
    spread = Spread.of(seconds)
    told = {
        "workload": f"{len(log):,} events of {AGENTS} agents, "
        f"{len(order.graph.named):,} messages received",
        "the first time": duration(first),
        "of that the references read": duration(
            statistics.median(_timed(lambda: CausalOrder(log).graph)[0] for _ in range(5))
        ),
        **(beside or {}),
    }
    return Measurement(spread.median, spread.low, spread.high, "s", spread.count, told)


def _built(log: EventLog) -> CausalOrder:
    order = CausalOrder(log)
    _ = order.index
    return order


def one_pair(scale: Scale) -> Measurement:
    """Ask of random pairs, one by one, whether one happened before the other."""
    order = _built(traffic(scale.events, seed=SEED))
    causes, effects = _pairs(len(order), _SINGLE)
    pairs = list(zip(causes.tolist(), effects.tolist(), strict=True))
    samples = []
    for _ in range(scale.rounds(9)):
        began = time.process_time()
        for cause, effect in pairs:
            order.happened_before(cause, effect)
        samples.append((time.process_time() - began) / len(pairs) * 1e6)
    return _figure(samples, "us", {"workload": f"{len(pairs):,} pairs of {len(order):,} events"})


def many_pairs(scale: Scale) -> Measurement:
    """Ask of a million random pairs at once."""
    order = _built(traffic(scale.events, seed=SEED))
    causes, effects = _pairs(len(order), min(_PAIRS, scale.events))
    samples = [
        _timed(lambda: order.happened_before_many(causes, effects))[0] / len(causes) * 1e9
        for _ in range(scale.rounds(9))
    ]
    return _figure(samples, "ns", {"workload": f"{len(causes):,} pairs of {len(order):,} events"})


def past_as_prefixes(scale: Scale) -> Measurement:
    """Ask for causal pasts as a prefix of each chain, of events in the last tenth of the log."""
    order = _built(traffic(scale.events, seed=SEED))
    return _late(scale, order, order.prefix, "prefixes")


def past_as_rows(scale: Scale) -> Measurement:
    """Ask for causal pasts as arrays of rows, of events in the last tenth of the log."""
    order = _built(traffic(scale.events, seed=SEED))
    return _late(scale, order, order.past, "rows")


def _late(scale: Scale, order: CausalOrder, ask: Callable[[int], Any], form: str) -> Measurement:
    rows = np.random.default_rng(SEED).integers(len(order) * 9 // 10, len(order), 50).tolist()
    samples = [
        statistics.median(_timed(partial(ask, row))[0] for row in rows) * 1e3
        for _ in range(scale.rounds(9))
    ]
    sizes = statistics.median(len(order.past(row)) for row in rows)
    told = {"workload": f"pasts of about {sizes:,.0f} of {len(order):,} events, as {form}"}
    return _figure(samples, "ms", told)


def saga_memory(scale: Scale) -> Measurement:
    """Order a log of sagas around 100 agents in a process of its own, and take its peak of memory.

    The process has read the log from a file; numpy, pyarrow and all else it holds count too.
    """
    found = _sagas_elsewhere(scale)
    return Measurement.count(found["bytes"] / 1e9, "GB", found["beside"])


def saga_query(scale: Scale) -> Measurement:
    """Ask, of sagas around 100 agents, for random pairs one by one."""
    found = _sagas_elsewhere(scale)
    return _figure(found["samples"], "us", found["beside"])


def _sagas_elsewhere(scale: Scale) -> dict[str, Any]:
    """Order sagas in a process that has read their log from a file, and done nothing before."""
    context = multiprocessing.get_context("spawn")
    with workplace(scale) as folder:
        file = str(folder / "sagas.arrow")
        with ProcessPoolExecutor(1, mp_context=context) as process:
            process.submit(_write_sagas, file, scale.events).result()
        with ProcessPoolExecutor(1, mp_context=context) as process:
            return process.submit(_order_sagas, file, scale.rounds(9)).result()


def _write_sagas(file: str, events: int) -> None:
    table = sagas(events).table
    with pa.OSFile(file, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _order_sagas(file: str, turns: int) -> dict[str, Any]:
    with pa.OSFile(file) as source:
        log = EventLog(pa.ipc.open_file(source).read_all())
    seconds, order = _timed(lambda: _built(log))
    causes, effects = _pairs(len(order), _SINGLE)
    pairs = list(zip(causes.tolist(), effects.tolist(), strict=True))
    samples = []
    for _ in range(turns):
        began = time.process_time()
        for cause, effect in pairs:
            order.happened_before(cause, effect)
        samples.append((time.process_time() - began) / len(pairs) * 1e6)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    workflows = len(set(log.table.column("coordination_id").unique().to_pylist()) - {None})
    beside = {
        "workload": f"{len(log):,} events, {len(order.chains):,} chains around {AGENTS} agents"
        + (f", {workflows:,} sagas" if workflows else ""),
        "index": type(order.index).__name__,
        "built in": duration(seconds),
        "one past as rows": duration(_timed(lambda: order.past(len(log) // 2))[0]),
    }
    return {
        "bytes": peak * (1 if sys.platform == "darwin" else 1024),
        "samples": samples,
        "beside": beside,
    }


def blocked_batches(scale: Scale) -> Measurement:
    """Compare random pairs of uniform traffic among 10 000 agents, whose clocks fit nowhere."""
    agents = MANY_AGENTS if scale.events >= _PAIRS else 200
    order = CausalOrder(traffic(scale.events, agents=agents, seed=SEED))
    order.index = BlockIndex(order.graph, order.scope, order.joins)  # type: ignore[misc]
    causes, effects = _pairs(len(order), min(_PAIRS, scale.events))
    seconds, known = _timed(lambda: order.happened_before_many(causes, effects))
    told = {
        "workload": f"{len(causes):,} pairs of {len(order):,} events of {agents:,} agents",
        "in all": duration(seconds),
        "happened before": f"{float(np.mean(known)):.1%} of the pairs",
        "clocks over all agents would take": f"{order.joins.cells * 4 / 1e9:.1f} GB",
    }
    return Measurement.count(seconds / len(causes) * 1e6, "us a pair", told)


def against_graphs(scale: Scale) -> Measurement:
    """Compare causal pasts with the ancestors that rustworkx and networkx find.

    Each is given the same edges. The ratio is rustworkx's time for a past over ours, as rows;
    networkx, which needs a gigabyte for a million events, gets a tenth of them.

    Raises:
        MissingDependencyError: rustworkx is not installed.
    """
    try:
        import rustworkx as rx  # noqa: PLC0415 - a peer
    except ImportError as error:
        message = "rustworkx is not installed; pip install 'flowlab[peers]'"
        raise MissingDependencyError(message) from error
    order = _built(traffic(scale.events, seed=SEED))
    edges = list(zip(order.graph.cause.tolist(), order.graph.effect.tolist(), strict=True))
    graph = rx.PyDiGraph()
    graph.add_nodes_from(range(len(order)))
    built, _ = _timed(lambda: graph.add_edges_from_no_data(edges))
    rows = np.random.default_rng(SEED).integers(len(order) * 9 // 10, len(order), 7).tolist()
    ratios, ours, theirs = [], [], []
    for row in rows:
        mine, past = _timed(partial(order.past, row))
        peer, ancestors = _timed(partial(rx.ancestors, graph, row))
        if set(past.tolist()) != ancestors:
            return Measurement.count(0, "x", {"wrong": f"the pasts of row {row} differ"})
        ours.append(mine)
        theirs.append(peer)
        ratios.append(peer / mine)
    small = _built(traffic(max(1, scale.events // 10), seed=SEED))
    pairs = zip(small.graph.cause.tolist(), small.graph.effect.tolist(), strict=True)
    loaded, digraph = _timed(lambda: nx.DiGraph(list(pairs)))
    last = len(small) - 1
    slow, _ = _timed(lambda: nx.ancestors(digraph, last))
    quick, _ = _timed(lambda: small.past(last))
    told = {
        "flowlab": f"{duration(statistics.median(ours))} a past of {len(order):,} events",
        "rustworkx": f"{duration(statistics.median(theirs))}, built in {duration(built)}",
        f"networkx, {len(small):,} events": f"{duration(slow)} against {duration(quick)}, "
        f"built in {duration(loaded)}",
    }
    return Measurement.ratio(Spread.of(ratios), told)


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time that a call took, and its result: everything here is one thread."""
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def _pairs(size: int, count: int) -> tuple[Any, Any]:
    draws = np.random.default_rng(SEED)
    return (
        draws.integers(0, size, count).astype(np.int32),
        draws.integers(0, size, count).astype(np.int32),
    )


def _figure(samples: list[float], unit: str, beside: dict[str, str]) -> Measurement:
    spread = Spread.of(samples)
    return Measurement(spread.median, spread.low, spread.high, unit, spread.count, beside)
