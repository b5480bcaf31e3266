"""What a diagram costs, and how near its order of lanes is to the best of all."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import permutations
from typing import Final

import numpy as np

from flowlab.events import EventLog
from flowlab.figures import space_time
from flowlab.figures.lane_order import count_crossings, order_lanes
from flowlab.figures.layout import lay_out, name_column
from flowlab.figures.scene import Scene, read_scene
from flowlab.figures.window import choose_window
from flowlab.scenarios import SCENARIOS
from flowlab.simulation import simulate
from flowlab.studies.claim import Measurement
from flowlab.studies.measuring import SEED, Scale, Spread

EVENTS: Final = 500
"""Of the diagram: 22 trips of a plan, each with its compensations where it fails."""
_TRIPS: Final = 22
_MS: Final = 1_000
_LANES: Final = 8
_LARGE: Final = 100_000


def diagram_drawn(scale: Scale) -> Measurement:
    """Draw a log of 500 events whole, from the log to the SVG and its text, in CPU time.

    The log is of 22 trips under no faults, 27 lanes. Causes, calls and lane order are part of it.
    """
    log = _trips()
    spread = _cpu_ms(lambda: space_time(log), scale)
    return Measurement(
        spread.median,
        spread.low,
        spread.high,
        "ms CPU",
        spread.count,
        {"events": str(len(log)), "SVG": f"{len(space_time(log).svg) / _MS:.0f} kB"},
    )


def diagram_laid_out(scale: Scale) -> Measurement:
    """Lay the same log's scene out: lanes, tracks, bars and anchors in pixels, in CPU time."""
    scene = _scene(_trips())
    names = name_column([scene])
    spread = _cpu_ms(
        lambda: lay_out(scene, left=names + 36, right=1160, top=74, names=names), scale
    )
    beside = {"events": str(len(scene.at)), "lanes": str(len(scene.lanes))}
    beside |= {"bars": str(len(scene.bars)), "arrows": str(len(scene.links))}
    return Measurement(spread.median, spread.low, spread.high, "ms CPU", spread.count, beside)


def crossings_against_best(scale: Scale) -> Measurement:
    """Count crossings in the order found and in the best of all orders, over random traffic.

    Each of the logs has up to 8 agents (6 at a small scale) that send each other up to 60
    messages, uniformly; every order of the lanes is tried.
    """
    most = _LANES if scale.events >= _LARGE else _LANES - 2
    drawn = random.Random(SEED)  # noqa: S311 - a workload, seeded
    found, best, given = [], [], []
    for _ in range(scale.blocks):
        lanes = drawn.randint(3, most)
        arrows = []
        for _ in range(drawn.randint(4, 60)):
            sender, receiver = drawn.sample(range(lanes), 2)
            sent = drawn.randint(0, 100)
            arrows.append((sender, sent, receiver, sent + drawn.randint(1, 20)))
        told = np.array(arrows, float)
        given.append(count_crossings(told, np.arange(lanes)))
        found.append(_crossings(told, order_lanes(arrows, [0] * lanes)))
        best.append(min(_crossings(told, order) for order in permutations(range(lanes))))
    ratios = [ours / least for ours, least in zip(found, best, strict=True) if least]
    beside = {
        "in all": f"{sum(found)} found, {sum(best)} the best, {sum(given)} as given",
        "the best itself": f"{sum(a == b for a, b in zip(found, best, strict=True))} of "
        f"{len(best)} logs",
        "the worst": f"{max(ratios, default=1.0):.2f} x",
    }
    value = sum(found) / max(1, sum(best))
    spread = Spread.of(ratios or [1.0])
    return Measurement(value, spread.low, spread.high, "x", len(best), beside)


def _crossings(arrows: np.ndarray, order: tuple[int, ...]) -> int:
    rank = np.empty(len(order), np.int64)
    rank[list(order)] = np.arange(len(order))
    return count_crossings(arrows, rank)


def _trips() -> EventLog:
    return simulate(SCENARIOS["trip"], seed=2, trips=_TRIPS).log


def _scene(log: EventLog) -> Scene:
    window = choose_window(log, axis="auto", lanes="auto", detail="activities", limit=2_000)
    return read_scene(window)


def _cpu_ms(call: Callable[[], object], scale: Scale) -> Spread:
    call()
    taken = []
    for _ in range(scale.rounds(15)):
        begin = time.process_time()
        call()
        taken.append((time.process_time() - begin) * _MS)
    return Spread.of(taken)
