"""What variants and graphs of kinds cost, beside a library of process mining."""

from __future__ import annotations

import contextlib
import gc
import io
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowlab.causality import directly_causes, directly_follows, variants
from flowlab.errors import MissingDependencyError
from flowlab.events import EventLog
from flowlab.studies.causality_workload import sagas
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import Scale, Spread, duration

_CONTENT: Final = ("event_type", "name")


def dfg_against_pm4py(scale: Scale) -> Measurement:
    """Find the directly-follows graph of sagas' histories in turns with pm4py, in CPU time.

    Both start from tables in memory, flowlab from its Arrow table and pm4py from the frame that it
    wants; both must find the same pairs with the same frequencies.

    Raises:
        MissingDependencyError: pm4py is not installed.
    """
    peer = _peer()
    log = _histories(scale)
    frame = _frame(log)
    ours = directly_follows(log, content=_CONTENT)
    found = ours.to_polars().select("source", "target", "count").rows()
    theirs, _, _ = peer.discover_dfg(frame)
    _agree({(one, other): count for one, other, count in found}, dict(theirs))
    seconds = _in_turns(
        scale,
        {
            "flowlab": lambda: directly_follows(log, content=_CONTENT),
            "with times": lambda: directly_follows(log, content=_CONTENT).times_ns,
            "causes": lambda: directly_causes(log, content=_CONTENT),
            "pm4py": lambda: peer.discover_dfg(frame),
        },
    )
    told = {
        "workload": f"{len(log):,} events, {len(ours)} edges",
        "pm4py": f"{peer.__version__}, {_shown(seconds['pm4py'])}",
        "flowlab": _shown(seconds["flowlab"]),
        "and mean, median and p95": _shown(seconds["with times"]),
        "what causes what": _shown(seconds["causes"]),
    }
    return Measurement.ratio(_ratio(seconds, "flowlab"), told)


def variants_against_pm4py(scale: Scale) -> Measurement:
    """Group sagas' histories by the sequence recorded, in turns with pm4py, in CPU time.

    Both must find groups of the same sizes. What flowlab takes to group by causal order, which
    pm4py cannot, stands beside.

    Raises:
        MissingDependencyError: pm4py is not installed.
    """
    peer = _peer()
    log = _histories(scale)
    frame = _frame(log)
    recorded = variants(log, content=_CONTENT, order="recorded")
    theirs = peer.get_variants(frame)
    _agree(Counter(variant.count for variant in recorded), Counter(map(_count, theirs.values())))
    causal = variants(log, content=_CONTENT)
    seconds = _in_turns(
        scale,
        {
            "flowlab": lambda: variants(log, content=_CONTENT, order="recorded"),
            "causal": lambda: variants(log, content=_CONTENT),
            "pm4py": lambda: peer.get_variants(frame),
        },
    )
    told = {
        "workload": f"{len(log):,} events of {recorded.pieces:,} sagas",
        "pm4py": f"{peer.__version__}, {_shown(seconds['pm4py'])}, {len(theirs):,} variants",
        "flowlab": f"{_shown(seconds['flowlab'])}, {len(recorded):,} variants",
        "by causal order": f"{_shown(seconds['causal'])}, {len(causal):,} variants, "
        f"{_ratio(seconds, 'causal').median:.2f}x",
    }
    return Measurement.ratio(_ratio(seconds, "flowlab"), told)


def _peer() -> Any:
    try:
        # It greets whoever imports it on standard output, which is for answers.
        with contextlib.redirect_stdout(io.StringIO()):
            import pm4py  # noqa: PLC0415 - the peer is what is compared with
    except ImportError as error:
        message = "this claim compares with pm4py, which is not installed: pip install pm4py"
        raise MissingDependencyError(message) from error
    return pm4py


def _histories(scale: Scale) -> EventLog:
    """Return the histories of sagas around 100 agents, about as many events as the scale says."""
    log = sagas(scale.events * 2)
    own = pc.invert(pc.starts_with(log.table.column("workflow_id"), "@"))
    table = log.table.filter(own).slice(0, scale.events)
    # Neither side is given columns in pieces.
    return EventLog(table.combine_chunks(), log.runs)


def _frame(log: EventLog) -> Any:
    """Return the frame that pm4py wants: case, activity, and times in the order recorded."""
    table = log.table
    types, names = table.column("event_type"), table.column("name")
    label = pc.if_else(pc.equal(names, ""), types, pc.binary_join_element_wise(types, names, " "))
    places = pa.array(np.arange(len(log)), pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    names = ["case:concept:name", "concept:name", "time:timestamp"]
    columns = pa.table([table.column("workflow_id"), label, places], names=names)
    # It takes the rows of a case to stand together.
    return columns.to_pandas().sort_values([names[0], names[2]], ignore_index=True)


def _count(cases: Any) -> int:
    return cases if isinstance(cases, int) else len(cases)


def _agree(ours: Any, theirs: Any) -> None:
    """Insist that both sides found the same."""
    assert ours == theirs, "flowlab and pm4py find different answers on one log"


def _in_turns(scale: Scale, contestants: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return the CPU seconds of each in alternating blocks; the cyclic collector stands still."""
    names = list(contestants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for call in contestants.values():
        call()
    gc.collect()
    gc.disable()
    try:
        for block in range(scale.rounds(5)):
            turn = block % len(names)
            for name in names[turn:] + names[:turn]:
                began = time.process_time()
                contestants[name]()
                seconds[name].append(time.process_time() - began)
    finally:
        gc.enable()
    return seconds


def _ratio(seconds: dict[str, list[float]], ours: str) -> Spread:
    pairs = zip(seconds[ours], seconds["pm4py"], strict=True)
    return Spread.of([mine / theirs for mine, theirs in pairs])


def _shown(samples: list[float]) -> str:
    return duration(Spread.of(samples).median)
