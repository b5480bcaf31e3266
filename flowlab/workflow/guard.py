"""What a workflow's code may not reach for while it runs: the world, clocks and common chance.

The interpreter's audit events show files, sockets, processes and threads. Clocks and chance raise
none, so their functions are replaced while some workflow runs, by ones that refuse that workflow's
thread and let every other pass.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from threading import get_ident
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from flowlab.errors import NonDeterminismError
from flowlab.workflow.guard_blocks import Blocks
from flowlab.workflow.guard_rules import GUARD_RULES, place_of
from flowlab.workflow.history import History

if TYPE_CHECKING:
    from flowlab.events import Event
    from flowlab.workflow.execution import Execution

    Advance = Callable[[Execution, Iterable[Event]], tuple[Event, ...]]

AUDITED: Final[dict[str, str]] = {
    **dict.fromkeys(
        "open os.listdir os.scandir os.remove os.rename os.mkdir os.rmdir os.link os.symlink "
        "os.truncate os.utime os.chmod os.chown os.chflags os.lockf os.walk os.fwalk os.chdir "
        "os.getxattr os.setxattr os.listxattr os.removexattr glob.glob glob.glob/2 shutil.copyfile "
        "shutil.copymode shutil.copystat shutil.copytree shutil.move shutil.rmtree shutil.chown "
        "shutil.make_archive shutil.unpack_archive tempfile.mkstemp tempfile.mkdtemp "
        "pathlib.Path.glob pathlib.Path.rglob mmap.__new__ fcntl.fcntl fcntl.flock fcntl.ioctl "
        "fcntl.lockf msvcrt.locking sqlite3.connect winreg.OpenKey builtins.input".split(),
        "a file",
    ),
    **dict.fromkeys(
        "subprocess.Popen os.system os.exec os.fork os.forkpty os.spawn os.posix_spawn os.kill "
        "os.killpg os.startfile pty.spawn webbrowser.open signal.pthread_kill".split(),
        "a process",
    ),
    **dict.fromkeys("_thread.start_new_thread _thread.start_joinable_thread".split(), "a thread"),
    **dict.fromkeys("os.putenv os.unsetenv".split(), "the environment"),
    **dict.fromkeys(["time.sleep"], "a clock"),
    **dict.fromkeys(
        "socket.__new__ socket.connect socket.bind socket.getaddrinfo socket.gethostbyname "
        "socket.gethostbyaddr socket.gethostname socket.getnameinfo socket.getservbyname "
        "socket.sendto socket.sendmsg urllib.Request http.client.connect http.client.send "
        "ftplib.connect smtplib.connect imaplib.open poplib.connect nntplib.connect "
        "telnetlib.Telnet.open".split(),
        "a socket",
    ),
}
"""The audit events that are refused, and what each reaches for."""

INSTEAD: Final[dict[str, str]] = {
    what: GUARD_RULES[rule].instead
    for what, rule in (
        ("a file", "file"),
        ("a process", "process"),
        ("a socket", "network"),
        ("a thread", "thread"),
        ("the environment", "environment"),
        ("a clock", "clock"),
        ("chance", "chance"),
    )
}
"""What to write instead: what the rule of the source check says."""

HARMLESS: Final = frozenset(
    "IPython _frozen_importlib _frozen_importlib_external bdb coverage debugpy importlib ipykernel "
    "linecache logging pdb pydevd traceback tokenize warnings weakref zipimport".split()
)
"""Modules that may reach out on a workflow's behalf: imports, logging, and tools that look on."""

_AT_HAND: Final = (list, tuple, History)

_running: dict[int, Execution] = {}
_found: dict[int, NonDeterminismError] = {}
_blocks: Final = Blocks(lambda what, saw: _refuse(what, saw, "blocked call"), _running)
_armed: set[int] = set()
_installed: list[bool] = []
_off: list[bool] = []


def guarded(advance: Advance) -> Advance:
    """Let `Execution.advance` run under the guard, unless the workflow is declared unchecked.

    What the code reached for is raised by `advance`, even if the code caught it itself.
    """

    @wraps(advance)
    def run(execution: Execution, events: Iterable[Event]) -> tuple[Event, ...]:
        if _off or execution.workflow.unchecked:
            return advance(execution, events)
        # A host may give an iterator that reads a file: it is no part of the workflow's code.
        batch = events if isinstance(events, _AT_HAND) else list(events)
        thread = get_ident()
        if thread not in _armed:
            _arm(thread)
            try:
                return run(execution, batch)
            finally:
                _disarm(thread)
        outer = _running.get(thread)
        _running[thread] = execution
        try:
            asked = advance(execution, batch)
        except BaseException:
            if thread in _found:
                raise _found.pop(thread) from None
            raise
        finally:
            if outer is None:
                del _running[thread]
            else:
                _running[thread] = outer
        if _found and thread in _found:
            raise _found.pop(thread)
        return asked

    return run


class _Armed:
    """What `armed` returns: a generator would take longer, and a durable step enters one each."""

    __slots__ = ("_thread",)

    def __enter__(self) -> None:
        thread = get_ident()
        self._thread = None if thread in _armed else thread
        if self._thread is not None:
            _arm(thread)

    def __exit__(self, *_: object) -> None:
        # Of the thread that entered: a runtime may be closed in another, once its loop has stopped.
        if self._thread is not None:
            _disarm(self._thread)


def armed() -> AbstractContextManager[None]:
    """Keep the replacements in place over many calls of `advance`, which makes each cheaper.

    A host enters it once around its loop. It refuses nothing by itself.

    Example:
        >>> with armed():
        ...     pass
    """
    return _Armed()


@contextmanager
def disarmed() -> Iterator[None]:
    """Let workflows reach for anything, to see what comes of it.

    Example:
        >>> with disarmed():
        ...     pass
    """
    _off.append(True)
    try:
        yield
    finally:
        _off.pop()


def _arm(thread: int) -> None:
    if not _installed:
        # A hook stays for the life of the process: it has to be cheap while no workflow runs.
        _installed.append(True)
        sys.addaudithook(_hook)
    _blocks.enter()
    _armed.add(thread)


def _disarm(thread: int) -> None:
    _armed.discard(thread)
    _blocks.leave()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _running and event in AUDITED and get_ident() in _running:
        shown = ", ".join(_short(value) for value in arguments[:1])
        _refuse(AUDITED[event], f"{event}({shown})", "audit hook")


def _refuse(what: str, saw: str, mean: str) -> None:
    thread = get_ident()
    execution = _running[thread]
    place = _place(getattr(execution.workflow.body, "__code__", _RUN).co_filename)
    if place is None:
        return
    message = (
        f"{place}: workflow {execution.workflow.name!r} reaches for {what}: {saw}. A replay would "
        f"find something else there; {INSTEAD[what]}. If that is a false alarm, say why: "
        '@workflow(unchecked="...")'
    )
    error = NonDeterminismError(message, mean=mean)
    _found.setdefault(thread, error)
    raise error


def _place(home: str) -> str | None:
    """Return the place in the code that reaches out; None if a harmless module does it.

    It is the innermost one in the workflow's own file: what a library did there was asked for here.
    """
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - there is no public way
    place = ""
    while frame is not None and frame.f_code is not _RUN:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in HARMLESS or frame.f_code.co_name == "__del__":
            return None
        if not place and frame.f_code.co_filename == home:
            place = place_of(home, frame.f_lineno)
        frame = frame.f_back
    return place or home


def _short(value: object) -> str:
    if not isinstance(value, (str, bytes, int, type(None))):
        return f"<{type(value).__name__}>"
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}..."


_SHOWN_CHARS: Final = 80
_RUN: Final = next(c for c in guarded.__code__.co_consts if getattr(c, "co_name", "") == "run")
