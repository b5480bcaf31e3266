"""Programs that look as if they broke determinism, and do not."""

from __future__ import annotations

INNOCENT = {
    "a set in sorted order": """
@workflow
async def program(ctx, value):
    for city in sorted({"oslo", "bergen", "turku", "visby", "kiel", "riga"}):
        await ctx.call_activity("book", city)
""",
    "a set that only answers whether something is in it": """
@workflow
async def program(ctx, value):
    done = set()
    for name in ["a", "b", "a"]:
        if name not in done:
            done.add(name)
            await ctx.call_activity("do", name)
    return len(done)
""",
    "sets of which only sums, extremes and sets are taken": """
@workflow
async def program(ctx, value):
    words = {"to", "be", "or", "not"}
    longest = max(len(word) for word in words)
    return [sum(len(word) for word in words), longest, any(words), len({w[0] for w in words})]
""",
    "chance from ctx": """
@workflow
async def program(ctx, value):
    stops = ["a", "b", "c"]
    ctx.random("route").shuffle(stops)
    return [stops, ctx.random().random()]
""",
    "time and ids from ctx": """
@workflow
async def program(ctx, value):
    await ctx.sleep(1_000_000_000)
    return [ctx.now_ns(), str(ctx.uuid4())]
""",
    "a generator of chance with a seed, made inside": """
import random


@workflow
async def program(ctx, value):
    rng: random.Random = random.Random(7)
    return [rng.random(), rng.choice(["a", "b"])]
""",
    "constants of the module, tables too": """
import re

LIMIT = 3
NAMES = ("a", "b", "c")
PRICES = {"a": 1, "b": 2, "c": 3}
ALLOWED = frozenset({"a", "b"})
WORD = re.compile("[a-z]+")


@workflow
async def program(ctx, value):
    found = [PRICES[name] for name in NAMES[:LIMIT] if name in ALLOWED and WORD.match(name)]
    return found
""",
    "a table that is built while the module loads": """
SQUARES = {}
for number in range(5):
    SQUARES[number] = number * number


@workflow
async def program(ctx, value):
    return [SQUARES[key] for key in range(5)]
""",
    "functions of the module, and one inside": """
def double(number):
    return 2 * number


@workflow
async def program(ctx, value):
    def triple(number):
        return 3 * number

    return [double(2), triple(2), (lambda n: n + 1)(2)]
""",
    "a variable that inner functions share": """
@workflow
async def program(ctx, value):
    done = []
    count = 0

    async def branch(name):
        nonlocal count
        count += 1
        done.append(await ctx.call_activity("do", name))

    await ctx.when_all(branch("a"), branch("b"))
    return [count, sorted(done)]
""",
    "a dict in the order in which it was filled": """
@workflow
async def program(ctx, value):
    table = {name: len(name) for name in ("one", "three", "two")}
    table["four"] = 4
    return [f"{key}={number}" for key, number in table.items()]
""",
    "dataclasses, one frozen for the module": """
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    least: int = 1

    def holds(self, number):
        return number >= self.least


@dataclass
class Cart:
    items: list = field(default_factory=list)

    def add(self, item):
        self.items.append(item)


LIMITS = Limits()


@workflow
async def program(ctx, value):
    cart = Cart()
    cart.add("book")
    return [cart.items, LIMITS.holds(2)]
""",
    "an enumeration": """
from enum import Enum


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@workflow
async def program(ctx, value):
    return [color.value for color in Color]
""",
    "errors that are caught": """
import asyncio
import socket
import subprocess


@workflow
async def program(ctx, value):
    try:
        return await ctx.call_activity("try", value)
    except (socket.timeout, subprocess.CalledProcessError, asyncio.CancelledError):
        return "gone"
    except Exception as error:
        return str(error)
    finally:
        await ctx.call_activity("clean")
""",
    "an activity that does what a workflow may not": """
import time


@activity
def stamp(value):
    return time.time()


@workflow
async def program(ctx, value):
    return await ctx.call_activity(stamp, 1)
""",
    "a saga": """
@workflow
async def program(ctx, value):
    async with ctx.saga() as saga:
        await saga.step("flight", compensation="cancel_flight")
        await saga.step("hotel", compensation="cancel_hotel")
    return "booked"
""",
    "the first of two": """
@workflow
async def program(ctx, value):
    slow, quick = ctx.call_activity("slow"), ctx.sleep(5)
    first = await ctx.when_any(slow, quick)
    return "slow" if first is slow else "quick"
""",
    "branches that meet, and a call that is given up": """
@workflow
async def program(ctx, value):
    async def branch(agent, step):
        found = await ctx.call_activity(step, agent, agent=agent)
        await ctx.barrier("met", ["ann", "bob"], arriving=agent)
        return found

    slow = ctx.call_activity("slow")
    timer = ctx.sleep(1_000_000_000)
    found = await ctx.when_all(branch("ann", "look"), branch("bob", "listen"))
    slow.cancel()
    timer.cancel()
    return found
""",
    "paths that are only put together": """
import os
from pathlib import PurePosixPath


@workflow
async def program(ctx, value):
    return [os.path.join("a", "b"), os.path.splitext("c.txt")[1], str(PurePosixPath("d") / "e")]
""",
    "dates that are only computed with": """
from datetime import date, datetime, timedelta, timezone
import time


@workflow
async def program(ctx, value):
    at = datetime.fromtimestamp(ctx.now_ns() / 1e9, timezone.utc) + timedelta(days=1)
    return [at.isoformat(), date(2024, 2, 29).isoformat(), time.strftime("%Y", time.gmtime(0))]
""",
    "print and logging": """
import logging

log = logging.getLogger(__name__)


@workflow
async def program(ctx, value):
    print("begins")
    log.info("begins with %s", value)
""",
    "a name that only looks like a clock": """
class Clock:
    def __init__(self, now):
        self.time = now


@workflow
async def program(ctx, value):
    time = Clock(ctx.now_ns())
    random = [time.time]
    return random
""",
    "digests, regular expressions and numbers": """
import hashlib
import math
import re


@workflow
async def program(ctx, value):
    digest = hashlib.sha256(b"text").hexdigest()
    return [digest, math.floor(math.pi), re.sub("a", "b", "banana")]
""",
    "a cached function of its argument": """
from functools import lru_cache


@lru_cache(maxsize=None)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


@workflow
async def program(ctx, value):
    return fib(20)
""",
    "a workflow made by a function, with what it was given": """
def make(names, limit=2):
    chosen = list(names)

    @workflow
    async def booking(ctx, value):
        return [await ctx.call_activity("book", name) for name in chosen[:limit]]

    return booking


program = make(["a", "b", "c"])
""",
    "a generator that is made and used inside": """
def pairs(items):
    for place, item in enumerate(items):
        yield [place, item]


@workflow
async def program(ctx, value):
    return list(pairs(["a", "b"]))
""",
}
"""Programs that do the same in every replay."""
