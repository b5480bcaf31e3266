"""The rules of the source check, and the names of the standard library that break them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from flowlab.errors import InvalidArgumentError
from flowlab.workflow.guard_blocks import CLOCKS, CLOCKS_WITHOUT_ARGUMENT


@dataclass(frozen=True, slots=True)
class GuardRule:
    """One rule of the source check.

    Args:
        name: what findings carry.
        refused: a workflow that breaks it is not accepted; otherwise it is warned of.
        instead: what to write.
    """

    name: str
    refused: bool
    instead: str


_ACTIVITY: Final = "let an activity do it: await ctx.call_activity(...)"
GUARD_RULES: Final[dict[str, GuardRule]] = {
    rule.name: rule
    for rule in (
        GuardRule("clock", True, "the time is ctx.now_ns(), and waiting is await ctx.sleep(...)"),
        GuardRule("chance", True, "draw from ctx.random(name), and take ids from ctx.uuid4()"),
        GuardRule("environment", True, "take it from the input, or let an activity read it"),
        GuardRule("file", True, _ACTIVITY),
        GuardRule("network", True, _ACTIVITY),
        GuardRule("process", True, _ACTIVITY),
        GuardRule("thread", True, "ctx.when_all runs branches side by side"),
        GuardRule("foreign await", True, "await what ctx gives: ctx.sleep, ctx.when_all, ..."),
        GuardRule("set order", False, "put sorted(...) around it, or keep a dict or a list"),
        GuardRule("identity", False, "compare by value, or digest the content (hashlib)"),
        GuardRule("global", False, "keep it in a local variable, the input or an activity"),
        GuardRule("closure", False, "hand it in as input, or make it inside the workflow"),
        GuardRule("shared object", False, "make it inside the workflow, or freeze it"),
        GuardRule("mutable default", False, "default to None, and make it in the body"),
    )
}
"""The rules by name. What the world answers is refused; what may be harmless is warned of."""


def place_of(file: str, line: int) -> str:
    """Return a place in code; a cell of a notebook is no file that a reader could open.

    Example:
        >>> place_of("trip.py", 7), place_of("/tmp/ipykernel_123/4567.py", 7)
        ('trip.py:7', 'cell:7')
    """
    return f"{'cell' if _CELL.search(file) else file}:{line}"


_CELL: Final = re.compile(r"ipykernel_\d+[/\\]")


@dataclass(frozen=True, slots=True)
class Finding:
    """A place in the code that a replay may not do again.

    Args:
        rule: the name of a rule of `GUARD_RULES`.
        file, line: where.
        saw: what is there.

    Example:
        >>> print(Finding("clock", "trip.py", 7, "time.time"))
        trip.py:7: clock: time.time; the time is ctx.now_ns(), and waiting is await ctx.sleep(...)
    """

    rule: str
    file: str
    line: int
    saw: str

    def __post_init__(self) -> None:
        if self.rule not in GUARD_RULES:
            message = f"{self.rule!r} is no rule; rules are {', '.join(GUARD_RULES)}"
            raise InvalidArgumentError(message)

    @property
    def refused(self) -> bool:
        """Whether a workflow with it is not accepted."""
        return GUARD_RULES[self.rule].refused

    def __str__(self) -> str:
        instead = GUARD_RULES[self.rule].instead
        return f"{place_of(self.file, self.line)}: {self.rule}: {self.saw}; {instead}"


def _names(prefix: str, names: str) -> list[str]:
    return [f"{prefix}{name}" for name in names.split()]


ALWAYS: Final[dict[str, str]] = {
    **dict.fromkeys(
        [f"time.{name}" for name in CLOCKS]
        + _names("datetime.", "datetime.now datetime.utcnow datetime.today date.today")
        + _names("pandas.Timestamp.", "now today utcnow"),
        "clock",
    ),
    **dict.fromkeys(
        ["uuid.uuid1", "uuid.uuid4", "os.urandom", "os.getrandom", "random.SystemRandom"], "chance"
    ),
    **dict.fromkeys(
        _names(
            "os.",
            "environ environb getenv getenvb putenv unsetenv getpid getppid getcwd getcwdb uname "
            "cpu_count getlogin getuid getgid getloadavg times sysconf sched_getaffinity name "
            "get_terminal_size process_cpu_count",
        )
        + _names(
            "sys.",
            "argv path modules platform getrefcount stdin flags executable getsizeof orig_argv",
        )
        + ["os.path.expanduser", "os.path.expandvars", "pathlib.Path.home", "pathlib.Path.cwd"],
        "environment",
    ),
    **dict.fromkeys(
        _names(
            "os.",
            "system popen fork forkpty kill killpg posix_spawn posix_spawnp execv execve execvp "
            "execvpe execl execle execlp execlpe spawnl spawnle spawnv spawnve abort _exit wait "
            "waitpid startfile",
        ),
        "process",
    ),
    **dict.fromkeys(["builtins.id", "builtins.hash"], "identity"),
    "builtins.globals": "global",
    **dict.fromkeys(["builtins.open", "builtins.input", "io.open", "io.open_code"], "file"),
}
"""Names that may not be used at all, and the rule that each breaks."""

PREFIXES: Final[dict[str, str]] = {
    "random": "chance",
    "secrets": "chance",
    "numpy.random": "chance",
    **dict.fromkeys(["platform", "locale", "getpass", "pwd", "sysconfig", "site"], "environment"),
    **dict.fromkeys(
        "tempfile shutil glob sqlite3 fileinput mmap fcntl dbm shelve os".split(), "file"
    ),
    **dict.fromkeys(
        "socket ssl http urllib.request requests httpx aiohttp ftplib smtplib imaplib poplib "
        "socketserver xmlrpc select selectors urllib3 webbrowser openai anthropic".split(),
        "network",
    ),
    **dict.fromkeys("subprocess multiprocessing signal pty".split(), "process"),
    **dict.fromkeys("threading _thread concurrent.futures queue sched".split(), "thread"),
    **dict.fromkeys("asyncio trio anyio curio".split(), "foreign await"),
}
"""Modules that may not be used, but for what `HARMLESS_NAMES` and the classes in them allow."""

HARMLESS_NAMES: Final = frozenset(
    _names(
        "os.",
        "path sep altsep pathsep linesep curdir pardir extsep devnull fspath PathLike fsencode "
        "fsdecode strerror",
    )
    + _names(
        "os.path.",
        "join split splitext splitdrive basename dirname normpath normcase isabs commonpath "
        "commonprefix relpath sep",
    )
    + _names("random.", "Random")
    + _names("numpy.random.", "Generator RandomState SeedSequence PCG64")
    + _names("http.", "HTTPStatus HTTPMethod")
    + _names("glob.", "escape")
    + _names("signal.", "Signals")
)
"""Names of such modules that only compute."""

WITHOUT_ARGUMENT: Final[dict[str, tuple[str, int]]] = {
    **dict.fromkeys([f"time.{name}" for name in CLOCKS_WITHOUT_ARGUMENT], ("clock", 1)),
    "time.strftime": ("clock", 2),
    "random.Random": ("chance", 1),
    "numpy.random.default_rng": ("chance", 1),
    "numpy.random.RandomState": ("chance", 1),
    "builtins.vars": ("global", 1),
}
"""What is harmless exactly if it is called with so many arguments."""

FILE_METHODS: Final = frozenset(
    "open read_text read_bytes write_text write_bytes exists is_file is_dir iterdir glob rglob "
    "walk stat lstat mkdir rmdir unlink rename replace touch symlink_to hardlink_to chmod resolve "
    "samefile owner group expanduser absolute is_symlink readlink".split()
)
"""Methods of a `pathlib.Path` that ask the disk."""

MUTATORS: Final = frozenset(
    "append appendleft extend extendleft insert pop popleft popitem remove clear sort reverse add "
    "discard update setdefault rotate difference_update intersection_update put put_nowait "
    "symmetric_difference_update __setitem__ __delitem__ __setattr__ subtract".split()
)
"""Methods that change what they are called on."""

ORDER_FREE: Final = frozenset(
    _names("builtins.", "sorted len sum any all min max set frozenset bool isinstance type")
)
"""Functions that give the same for any order of what they are given."""

ORDERED: Final = frozenset(
    [
        *_names("builtins.", "list tuple enumerate zip map filter iter next str repr format"),
        *_names("itertools.", "accumulate chain cycle islice product"),
        "builtins.dict.fromkeys",
        "functools.reduce",
        "json.dumps",
    ]
)
"""Functions that give something else for another order."""


def rule_of(dotted: str) -> str | None:
    """Return the rule that using a name breaks, if it breaks one.

    Example:
        >>> rule_of("time.time"), rule_of("os.path.join"), rule_of("os.listdir"), rule_of("math.pi")
        ('clock', None, 'file', None)
    """
    if dotted in ALWAYS:
        return ALWAYS[dotted]
    if dotted in HARMLESS_NAMES or dotted in WITHOUT_ARGUMENT:
        return None
    parts = dotted.split(".")
    if parts[-1].endswith(("Error", "Exception", "Warning", "timeout", "Empty", "Full")):
        return None
    # The longest first: os.environ.get is of the environment, not a file.
    for length in range(len(parts) - 1, 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in ALWAYS:
            return ALWAYS[prefix]
        if prefix in HARMLESS_NAMES and prefix != "os.path":
            return None
        if prefix in PREFIXES:
            return PREFIXES[prefix]
    return None
