"""Programs that break determinism, each in one way, and programs that look as if they did."""

from __future__ import annotations

from dataclasses import dataclass

from guard_innocent import INNOCENT

HEAD = """\
from flowlab.workflow import activity, workflow
"""


@dataclass(frozen=True)
class Planted:
    """A program with one violation.

    Args:
        what: the violation, for people.
        code: the module; its workflow is `program`.
        rule: of the source check that sees it; empty where none does.
        running: the mean that refuses it while it runs; empty where none does.
        runs: the mean of the trial runs that sees it; empty where it does no harm there.
    """

    what: str
    code: str
    rule: str = ""
    running: str = ""
    runs: str = ""


def table() -> str:
    """Return the table of docs/determinism.md."""
    rows = ["| planted | source check | while it runs | trial runs |", "|---|---|---|---|"]
    rows += [
        f"| {row.what} | {row.rule or '-'} | {row.running or '-'} | {row.runs or '-'} |"
        for row in PLANTED
    ]
    return "\n".join([*rows, "", *(f"- {what}" for what in INNOCENT)]) + "\n"


BLOCKED, AUDIT = "blocked call", "audit hook"
SECOND, HASH, CLOCK = "second run", "another hash seed", "shifted clock"
PROCESS, BESIDE, ORDER = "another process", "side by side", "another order"

BY_CHANCE = "by chance"
"""What the trial runs see or not, as memory happens to be laid out."""

PLANTED = [
    Planted(
        "the order of a set decides the order of calls",
        """
@workflow
async def program(ctx, value):
    for city in {"oslo", "bergen", "turku", "visby", "kiel", "riga"}:
        await ctx.call_activity("book", city)
""",
        "set order",
        "",
        HASH,
    ),
    Planted(
        "a list made of a set is sent away",
        """
def places(value) -> set[str]:
    return {f"place-{n}" for n in range(8)}


@workflow
async def program(ctx, value):
    return list(places(value) | {"home"})
""",
        "set order",
        "",
        HASH,
    ),
    Planted(
        "the first of a set is taken",
        """
@workflow
async def program(ctx, value):
    left = set("abcdefgh")
    return left.pop()
""",
        "set order",
        "",
        HASH,
    ),
    Planted(
        "a counter in a global variable",
        """
count = 0


@workflow
async def program(ctx, value):
    global count
    count += 1
    return count
""",
        "global",
        "",
        SECOND,
    ),
    Planted(
        "a list of the module is appended to",
        """
SEEN = []


def remember(value):
    SEEN.append(value)
    return len(SEEN)


@workflow
async def program(ctx, value):
    return remember(value)
""",
        "global",
        "",
        SECOND,
    ),
    Planted(
        "a dict of the module is changed under another name",
        """
@workflow
async def program(ctx, value):
    table = TOTALS
    table["runs"] = table.get("runs", 0) + 1
    return table["runs"]


TOTALS = {}
""",
        "global",
        "",
        SECOND,
    ),
    Planted(
        "a dict is read that another function changes",
        """
RATES = {"eur": 1}


@activity
def refresh(value):
    RATES["eur"] += 1
    return RATES["eur"]


@workflow
async def program(ctx, value):
    await ctx.call_activity(refresh, ctx.random().random())
    return RATES["eur"]
""",
        "global",
        "",
        PROCESS,
    ),
    Planted(
        "a variable of the function around it",
        """
def make():
    tries = 0

    @workflow
    async def counting(ctx, value):
        nonlocal tries
        tries += 1
        return await ctx.call_activity("try", tries)

    return counting


program = make()
""",
        "closure",
        "",
        SECOND,
    ),
    Planted(
        "a list captured from the function around it",
        """
def make():
    queue = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]

    @workflow
    async def draining(ctx, value):
        return queue.pop()

    return draining


program = make()
""",
        "closure",
        "",
        SECOND,
    ),
    Planted(
        "an object that two workflows share",
        """
class Desk:
    def __init__(self):
        self.letters = []

    def empty(self):
        self.letters = []

    def add(self, letter):
        self.letters.append(letter)
        return len(self.letters)


DESK = Desk()


@workflow
async def writer(ctx, value):
    return DESK.add("w")


@workflow
async def program(ctx, value):
    DESK.empty()
    DESK.add("a")
    await ctx.call_activity("read", 1)
    return DESK.add("b")
""",
        "shared object",
        "",
        BESIDE,
    ),
    Planted(
        "a counter in a class",
        """
class Order:
    made = 0

    def __init__(self, what):
        Order.made += 1
        self.number = Order.made


@workflow
async def program(ctx, value):
    return Order(value).number
""",
        "global",
        "",
        SECOND,
    ),
    Planted(
        "a generator that goes on from run to run",
        """
def numbers():
    number = 0
    while True:
        number += 1
        yield number


NUMBERS = numbers()


@workflow
async def program(ctx, value):
    return next(NUMBERS)
""",
        "global",
        "",
        SECOND,
    ),
    Planted(
        "a lambda that keeps what it is given in a list",
        """
kept = []
keep = lambda value: kept.append(value) or len(kept)


@workflow
async def program(ctx, value):
    return keep(value)
""",
        "global",
        "",
        SECOND,
    ),
    Planted(
        "a default that is one list for all calls",
        """
def gathered(value, into=[]):
    into.append(value)
    return list(into)


@workflow
async def program(ctx, value):
    return gathered(value)
""",
        "mutable default",
        "",
        SECOND,
    ),
    Planted(
        "a list that is appended to when something fails",
        """
FAILURES = []


@workflow
async def program(ctx, value):
    for number in range(20):
        try:
            await ctx.call_activity("try", number)
        except Exception:
            FAILURES.append(number)
    return len(FAILURES)
""",
        "global",
        "",
        ORDER,
    ),
    Planted(
        "a variable of the loop around it",
        """
def make():
    made = []
    for city in ("oslo", "riga"):

        @workflow
        async def visiting(ctx, value):
            return await ctx.call_activity("visit", city)

        made.append(visiting)
    return made


program = make()[0]
""",
        "closure",
    ),
    Planted(
        "time.time",
        """
import time


@workflow
async def program(ctx, value):
    return time.time()
""",
        "clock",
        BLOCKED,
        SECOND,
    ),
    Planted(
        "a clock under another name, in a helper below",
        """
from time import monotonic_ns as tick


@workflow
async def program(ctx, value):
    return stamped(value)


def stamped(value):
    return [value, tick()]
""",
        "clock",
        "",
        SECOND,
    ),
    Planted(
        "datetime.now",
        """
from datetime import datetime


@workflow
async def program(ctx, value):
    return datetime.now().isoformat()
""",
        "clock",
        "",
        SECOND,
    ),
    Planted(
        "the date of today, by a name that is looked up late",
        """
import datetime


@workflow
async def program(ctx, value):
    return str(getattr(datetime.date, "to" + "day")())
""",
        "",
        BLOCKED,
        CLOCK,
    ),
    Planted(
        "a clock that lru_cache keeps",
        """
import time
from functools import lru_cache


@lru_cache
def started():
    return time.time_ns()


@workflow
async def program(ctx, value):
    return started()
""",
        "clock",
        BLOCKED,
        PROCESS,
    ),
    Planted(
        "waiting with time.sleep",
        """
import time


@workflow
async def program(ctx, value):
    time.sleep(0.001)
""",
        "clock",
        BLOCKED,
        "",
    ),
    Planted(
        "random.random",
        """
import random


@workflow
async def program(ctx, value):
    return random.random()
""",
        "chance",
        BLOCKED,
        SECOND,
    ),
    Planted(
        "a generator of chance without a seed",
        """
from random import Random


@workflow
async def program(ctx, value):
    return Random().randrange(10**9)
""",
        "chance",
        "",
        SECOND,
    ),
    Planted(
        "one seeded generator of chance for all runs",
        """
from random import Random

DICE = Random(7)


@workflow
async def program(ctx, value):
    return DICE.randrange(10**9)
""",
        "shared object",
        "",
        SECOND,
    ),
    Planted(
        "uuid4",
        """
from uuid import uuid4


@workflow
async def program(ctx, value):
    return str(uuid4())
""",
        "chance",
        BLOCKED,
        SECOND,
    ),
    Planted(
        "secrets",
        """
import secrets


@workflow
async def program(ctx, value):
    return secrets.token_hex(8)
""",
        "chance",
        BLOCKED,
        SECOND,
    ),
    Planted(
        "os.environ",
        """
import os


@workflow
async def program(ctx, value):
    return os.environ.get("PYTHONHASHSEED")
""",
        "environment",
        BLOCKED,
        HASH,
    ),
    Planted(
        "the process's number",
        """
from os import getpid


@workflow
async def program(ctx, value):
    return getpid()
""",
        "environment",
        "",
        PROCESS,
    ),
    Planted(
        "the platform",
        """
import platform


@workflow
async def program(ctx, value):
    return platform.python_version()
""",
        "environment",
    ),
    Planted(
        "a file that is opened",
        """
@workflow
async def program(ctx, value):
    with open(__file__) as file:
        return len(file.read())
""",
        "file",
        AUDIT,
        "",
    ),
    Planted(
        "a path that is asked",
        """
from pathlib import Path


@workflow
async def program(ctx, value):
    here = Path(__file__).parent
    return (here / "absent").exists()
""",
        "file",
        "",
        "",
    ),
    Planted(
        "os.listdir",
        """
import os


@workflow
async def program(ctx, value):
    return len(os.listdir("."))
""",
        "file",
        AUDIT,
        "",
    ),
    Planted(
        "a socket",
        """
import socket


@workflow
async def program(ctx, value):
    socket.socket().close()
""",
        "network",
        AUDIT,
        "",
    ),
    Planted(
        "a thread",
        """
import threading


@workflow
async def program(ctx, value):
    thread = threading.Thread(target=print)
    thread.start()
    thread.join()
""",
        "thread",
        BLOCKED,
        "",
    ),
    Planted(
        "a subprocess",
        """
import subprocess


@workflow
async def program(ctx, value):
    return subprocess.run(["hostname"], capture_output=True).returncode
""",
        "process",
        AUDIT,
        "",
    ),
    Planted(
        "asyncio.sleep",
        """
import asyncio


@workflow
async def program(ctx, value):
    await asyncio.sleep(0)
    return "slept"
""",
        "foreign await",
        "",
        "",
    ),
    Planted(
        "id of an object",
        """
class Ticket:
    pass


@workflow
async def program(ctx, value):
    return id(Ticket()) % 1_000_003
""",
        "identity",
        "",
        BY_CHANCE,
    ),
    Planted(
        "hash of a text",
        """
@workflow
async def program(ctx, value):
    return hash("a text") % 1_000_003
""",
        "identity",
        "",
        HASH,
    ),
    Planted(
        "what globals() holds by now",
        """
import sys


@workflow
async def program(ctx, value):
    here = globals()
    here[f"run_{len(here)}"] = value
    return len(here)
""",
        "global",
        "",
        SECOND,
    ),
]
"""Programs with a violation each."""

if __name__ == "__main__":
    print(table(), end="")
