"""The claims about what recovery costs, and whether the law tells it beforehand."""

from __future__ import annotations

import math
import shutil
import statistics
from typing import Final

from flowlab.store import EventStore
from flowlab.studies import recovery_states
from flowlab.studies.claim import Bound, Claim, Measurement, Reliability
from flowlab.studies.measuring import Scale, Spread, duration, workplace
from flowlab.studies.recovery_cells import WHOLE_EVENTS, Cell
from flowlab.studies.recovery_fit import Errors
from flowlab.studies.recovery_optimum import optimum
from flowlab.studies.recovery_process import Watched, scheme_of
from flowlab.studies.recovery_states import disk_bytes
from flowlab.studies.recovery_study import RecoveryStudy, once
from flowlab.studies.recovery_workload import Shape, history, take_checkpoints

_LAW: Final = "the law of recovery"
BAND: Final = 1.05 + math.sqrt(1.05**2 - 1.0)
"""By what factor an interval may be off N* before what it changes costs 5 % more."""


def _beside(found: RecoveryStudy) -> dict[str, str]:
    def told(errors: Errors) -> str:
        parts = (errors.median, errors.p90, errors.worst)
        return "median {:.1%}, 90th percentile {:.1%}, worst {:.1%}".format(*parts) + (
            f" of {errors.count}"
        )

    beside = {"all": told(found.errors)}
    typical = RecoveryStudy.of(found.rows, clock=found.clock, statistic="median")
    beside["by the medians instead, fitted to medians"] = told(typical.errors)
    beside |= {scheme: told(errors) for scheme, errors in found.by_scheme.items()}
    beside |= {f"fitted, {name}": repr(costs) for name, costs in found.costs.items()}
    worst = max(found.judged, key=lambda one: one.error)
    beside["worst"] = repr(worst)
    apart = found.between
    beside["processes"] = (
        f"{max(len(one.processes) for one in found.judged)} measure a cell; of the median one the "
        f"slowest is {apart.median:.1%} above the quickest, of a quarter more than {apart.high:.1%}"
    )
    beside["repetitions"] = f"within a process the median is {found.noise:.1%} above the least"
    return beside


def prediction(scale: Scale) -> Measurement:
    """Kill a process at work on each store of the grid, recover it in a fresh one, and compare.

    What each scheme costs is fitted from other runs. Measured is, from opening the store to the
    last workflow's being ready, the least of several processes with several recoveries each, here
    and where costs are fitted. The value is the median relative error.
    """
    found = once(scale)
    spread = Spread.of([one.error for one in found.judged])
    return Measurement(
        spread.median, spread.low, spread.high, "of the time", spread.count, _beside(found)
    )


def worst_prediction(scale: Scale) -> Measurement:
    """The largest relative error of the same grid; see `prediction`."""
    found = once(scale)
    worst = found.errors.worst
    return Measurement(
        worst, found.errors.p90, worst, "of the time", found.errors.count, _beside(found)
    )


def best_interval_measured(scale: Scale) -> Measurement:
    """Measure checkpoints and recoveries at seven intervals around N*, crashes spread evenly.

    N* comes from the calibration of the grid, at the pace at which its streams are checkpointed and
    recovered between the intervals. The value is the least of the curve through all that was
    measured, over N*; its quartiles are those of resampled rounds.
    """
    found = optimum(scale, once(scale).costs)
    curve, n_star = found.curve, found.n_star
    low, high = found.interval
    beside = {"N*": f"{n_star:,.0f} events; recoveries took {found.pace:.2f} times as calibrated"}
    beside |= {"p": f"{found.p:g}", "90 % of resampled rounds": f"{low:.2f} to {high:.2f}"}
    for point in found.points:
        beside[f"every {point.every:,}"] = (
            f"{point.cost(found.p) * 1e6:.3g} us an event (a checkpoint "
            f"{duration(point.snapshot_s)}, a recovery {duration(point.recovery_s)})"
        )
    beside["curve"] = (
        f"a checkpoint takes {duration(curve.snapshot_s)} and {curve.growth_s * 1e9:.0f} ns for "
        f"each event between two, a recovery {duration(curve.load_s)} and "
        f"{curve.replay_s * 1e6:.2f} us an event; a measured cost is off it by {found.misfit:.1%} "
        "at most"
    )
    beside["cost at N* above the least measured"] = f"{found.regret:.1%}"
    return Measurement.ratio(found.ratio, beside)


def storage(scale: Scale) -> Measurement:
    """Write the checkpoints of one history by each scheme, and count bytes and seconds.

    The value is the bytes of whole checkpoints, all that were written, over those of the log.
    """
    whole = scale.events >= WHOLE_EVENTS
    shape = Shape(10_001 if whole else 1_001, every=1_000 if whole else 100, state_bytes=10_000)
    cell = Cell("grid", shape)
    beside = {"history": f"{shape.events:,} events, a state of {shape.state_bytes:,} bytes"}
    ratio = 0.0
    with workplace(scale) as folder:
        with EventStore(folder / "plain") as store:
            store.append_table(history(shape, "books"))
        log = disk_bytes(folder / "plain" / "workflows")
        beside["log"] = f"{log / shape.events:.1f} bytes an event, the savepoints in it"
        for name in ("whole", "delta"):
            shutil.copytree(folder / "plain", folder / name)
            policy = Watched(shape.cycle)
            with EventStore(folder / name) as store:
                scheme = scheme_of(name, cell, policy)
                take_checkpoints(store, ("default", "", "books"), shape, scheme, shape.events)
            written = sum(size for size, _ in policy.written)
            kept = disk_bytes(folder / name / "checkpoints")
            each = statistics.median(seconds for _, seconds in policy.written[1:])
            beside[f"{name}, one each {shape.cycle:,}"] = (
                f"{written / shape.events:.1f} bytes an event written, {kept:,} bytes kept, "
                f"{duration(each)} a checkpoint, {each / shape.cycle * 1e6:.3g} us an event"
            )
            if name == "whole":
                ratio = written / log
    return Measurement(ratio, ratio, ratio, "x", 1, beside)


RECOVERY_COST_CLAIMS: Final = (
    Claim(
        name="recovery.prediction",
        statement="The law, with costs fitted from other runs, tells the time of a recovery to "
        "10 % in the median, over histories, intervals, states, payloads, numbers of workflows and "
        "the schemes of one process; recovery by a pool is told beside.",
        source=_LAW,
        reliability=Reliability.ASSERTED,
        measure=prediction,
        gate=Bound(at_most=0.10),
    ),
    Claim(
        name="recovery.prediction_worst",
        statement="At worst, in that grid, the law is off by 25 %.",
        source=_LAW,
        reliability=Reliability.ASSERTED,
        measure=worst_prediction,
        gate=Bound(at_most=0.25),
    ),
    Claim(
        name="recovery.optimum",
        statement="The interval that costs least when it is measured is within the 5 % band of N*.",
        source=_LAW,
        reliability=Reliability.ASSERTED,
        measure=best_interval_measured,
        gate=Bound(at_least=1.0 / BAND, at_most=BAND),
    ),
    Claim(
        name="recovery.storage",
        statement="Bytes of whole checkpoints, each 1 000 events of a state of 10 kB, over the "
        "bytes of the log.",
        source=_LAW,
        reliability=Reliability.MEASURED,
        measure=storage,
    ),
    Claim(
        name="recovery.state_at",
        statement="The state of an agent after any event of 1 000 000, with a checkpoint each "
        "10 000, from an open store.",
        source=_LAW,
        reliability=Reliability.ASSERTED,
        measure=recovery_states.state_at_far,
        aim=Bound(at_most=25),
    ),
    Claim(
        name="recovery.state_at_near",
        statement="The same with a checkpoint each 1 000.",
        source=_LAW,
        reliability=Reliability.ASSERTED,
        measure=recovery_states.state_at_near,
        aim=Bound(at_most=5),
    ),
    Claim(
        name="recovery.folds",
        statement="Events a second of a plain fold over 1 000 000 events in files.",
        source=_LAW,
        reliability=Reliability.ASSERTED,
        measure=recovery_states.folds,
        aim=Bound(at_least=1_000_000),
    ),
)
