"""A watch over code that never comes back: it is left, and its world is stopped and reported.

All else in a world is bounded by what it writes and by its virtual time. Code that loops without
writing anything has neither, so its bound is the clock on the wall.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread, get_ident
from types import FrameType
from typing import Final

from flowlab.simulation.call import Call
from flowlab.simulation.conversation import Conversation
from flowlab.simulation.driver import Driver
from flowlab.simulation.server import Server
from flowlab.workflow.guard_rules import place_of
from flowlab.workflow.handles import NeverBack

LOOK_S: Final = 1.0
"""Between two looks at what runs; a shorter limit is looked after more often."""
_LOOKS: Final = 4
_INSIST_S: Final = 0.02
_JOIN_S: Final = 1.0
_HOSTS: Final = tuple(
    f"{Path(__file__).parent.parent / room}{os.sep}" for room in ("simulation", "workflow")
)
"""Where code is that carries out the code of others."""
_LIBRARY: Final = f"{Path(os.__file__).parent}{os.sep}"


class Turn:
    """Code that runs in a thread, as the watch sees it.

    Args:
        limit_s: how long it may be without progress.
        progress: what is another value whenever the code has come back.
        who: says whose code it is, given the frames of its thread, the innermost first.

    Attributes:
        told: why it was stopped; empty unless it was.
    """

    __slots__ = ("_for_s", "_progress", "_seen", "_who", "limit_s", "thread", "told")

    def __init__(
        self, limit_s: float, progress: Callable[[], object], who: Callable[[list[FrameType]], str]
    ) -> None:
        self.limit_s = limit_s
        self.thread = get_ident()
        self.told = ""
        self._progress = progress
        self._who = who
        self._seen: object = None
        self._for_s = 0.0

    def __repr__(self) -> str:
        return f"Turn({self.limit_s:g} s)"

    def look(self, after_s: float) -> bool:
        """Say whether it has been without progress for too long.

        Looks are counted and not a clock read, so that a process that was suspended is not late.
        """
        if self.told:
            return True
        seen = self._progress()
        if seen != self._seen:
            self._seen, self._for_s = seen, 0.0
            return False
        self._for_s += after_s
        if self._for_s < self.limit_s:
            return False
        frames = _frames_of(self.thread)
        if not frames or any(frame.f_trace is not None for frame in frames):
            return False  # a debugger has it
        self.told = (
            f"max_turn: {self._who(frames)} has not come back for {self.limit_s:g} s, at "
            f"{_place(frames)}. Let it end; or, if it is only slow, give it longer: "
            "World(max_turn=...), None for no limit. That is time on the wall: on another machine "
            "the world may end elsewhere"
        )
        return True


class Watch:
    """Looks about once a second at the code that runs in the worlds of this process.

    Its thread begins with a world, and ends when it has seen none for a look.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._turns: dict[int, list[Turn]] = {}
        self._sooner = Event()
        self._again_s = LOOK_S
        self._watches = False
        self._thread: Thread | None = None

    def __repr__(self) -> str:
        return f"Watch({sum(map(len, self._turns.values()))} turns)"

    def enter(self, turn: Turn) -> None:
        """Begin to watch over a turn; of one thread the innermost is looked at."""
        often_s = _often_s(turn)
        with self._lock:
            self._turns.setdefault(turn.thread, []).append(turn)
            begins, self._watches = not self._watches, True
            if begins or often_s < self._again_s:
                self._again_s = often_s
                self._sooner.set()
        if begins:
            try:
                self._thread = Thread(target=self._run, name="flowlab-watch", daemon=True)
                self._thread.start()
            except RuntimeError:  # where there are no threads nothing is watched
                self._watches, self._thread = False, None

    def end(self) -> None:
        """End the thread now: left to the end of the process, it would hold what that frees."""
        with self._lock:
            self._turns.clear()
            thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            self._sooner.set()
            thread.join(_JOIN_S)

    def leave(self, turn: Turn) -> None:
        """Let a turn go; after this nothing is raised in it any more.

        What was raised before strikes in here at the latest: whoever raises it holds the lock, and
        the interpreter looks after each call of C, that which lets the lock go among them.
        """
        with self._lock:
            turns = self._turns.get(turn.thread, [])
            if turn in turns:
                turns.remove(turn)
                if not turns:
                    del self._turns[turn.thread]

    def _run(self) -> None:
        while True:
            waited_s = self._again_s
            if self._sooner.wait(waited_s):
                waited_s = 0.0  # it was woken: no time has passed for those that were there
                self._sooner.clear()
            with self._lock:
                if not self._turns and (waited_s or self._thread is None):
                    self._watches = False
                    return
                try:
                    self._look(waited_s)
                except Exception:
                    self._watches = False  # it ends here and is told; the next world has another
                    raise

    def _look(self, waited_s: float) -> None:
        """Look at every turn, and stop what is late; say in how many seconds to look again."""
        self._again_s = LOOK_S
        for turns in self._turns.values():
            turn = turns[-1]
            late = turn.look(waited_s)
            self._again_s = min(self._again_s, _INSIST_S if late else _often_s(turn))
            if late:
                # Code may swallow it: so once more, until it strikes where nothing catches it.
                _raise_in(turn.thread)


def watched(
    act: Callable[[], object],
    limit_ns: int | None,
    progress: Callable[[], object],
    who: Callable[[list[FrameType]], str],
) -> str:
    """Do something, and leave it when it does not come back.

    Args:
        act: what to do.
        limit_ns: how long it may be without progress, on the wall; None does not watch.
        progress: what is another value whenever its code has come back.
        who: says whose code it is.

    Returns:
        Why it was left; empty where it ended by itself. The watch is off in a thread that is
        traced, and cannot leave a function in C that waits.

    Example:
        >>> watched(lambda: None, 10**9, lambda: 0, lambda frames: "it")
        ''
    """
    if limit_ns is None or sys.gettrace() is not None:
        act()
        return ""
    turn = Turn(limit_ns / 1e9, progress, who)
    try:
        try:
            _here.enter(turn)
            act()
        finally:
            _here.leave(turn)
    except NeverBack:
        # It may have struck on the way out, before the turn was let go.
        _here.leave(turn)
        if not turn.told:
            raise  # it was for a turn around this one
    return turn.told


def whose(frames: list[FrameType]) -> str:
    """Say whose code runs: an agent's, a workflow's, an invariant's.

    Args:
        frames: of a thread that runs a world, the innermost first.
    """
    for frame in frames:
        if not frame.f_code.co_filename.startswith(_HOSTS):
            continue
        known = frame.f_locals
        owner = known.get("self")
        call = owner.call if isinstance(owner, Conversation) else known.get("call")
        if isinstance(owner, (Server, Conversation)) and isinstance(call, Call):
            server = owner.server if isinstance(owner, Conversation) else owner
            return f"handler {call.name!r} of agent {server.name!r}"
        if isinstance(owner, Driver):
            return f"workflow {owner.workflow_id!r}"
        if "invariant" in known:
            return f"invariant {known.get('name')!r}"
    return "the code of the world"


def _frames_of(thread: int) -> list[FrameType]:
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the only way to another thread's
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def _place(frames: list[FrameType]) -> str:
    """Return the innermost line of the code that is carried out, or else the innermost of all."""
    found = frames[0]
    for frame in frames:
        if frame.f_code is watched.__code__:  # behind it is who has asked for the world
            break
        file = frame.f_code.co_filename
        lent = file.startswith(_LIBRARY) and "site-packages" not in file
        if not lent and not file.startswith(_HOSTS):
            found = frame
            break
    return f"{place_of(found.f_code.co_filename, found.f_lineno)} in {found.f_code.co_name}"


def _often_s(turn: Turn) -> float:
    return min(LOOK_S, max(_INSIST_S, turn.limit_s / _LOOKS))


def _raise_in(thread: int) -> None:
    error = ctypes.py_object(NeverBack)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)


def _begin_anew() -> None:
    """Watch anew in a forked process: the thread stayed behind, and its lock may be held."""
    global _here  # noqa: PLW0603 - one for each process
    _here = Watch()


def _end() -> None:
    _here.end()


_here = Watch()
atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
