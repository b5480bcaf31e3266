"""The fear: a process that may only read takes a store for broken, or breaks it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowlab.studies.store_damage import answers, make_small_store

NOBODY = 65534

WRITES = {
    "append": 'store.append("w", marks("x"))',
    "append_log": "store.append_log(store.log())",
    "record_run": 'store.record_run(RunInfo(scenario="x"))',
    "seal": "store.seal()",
    "truncate": 'store.truncate("w", upto=1)',
    "compact": "store.compact(full=True)",
    "archive": "store.archive()",
    "vacuum": "store.vacuum(retain=0)",
    "cluster": "store.cluster(rebuild=True)",
    "checkpoint": 'store.checkpoint("w", b"x")',
    "rebuild": "store.rebuild(counted)",
}

HEAD = """
import sys
from pathlib import Path
from flowlab.errors import ReadOnlyError
from flowlab.events import RunInfo
from flowlab.store import EventStore
from flowlab.studies.store_damage import answers
from flowlab.studies.store_operations import counted, marks
path = Path(sys.argv[1])
"""

READING = """
with EventStore(path, read_only=True) as store:
    assert store.verify().ok
print(answers(path))
"""

WRITING = """
for name, call in eval(sys.argv[2]).items():
    with EventStore(path) as store:
        before = store.snapshot().position
        try:
            eval(call)
        except ReadOnlyError as error:
            assert "cannot be written: Permission denied; open the store with" in str(error)
            assert isinstance(error, PermissionError)
        else:
            raise AssertionError(name)
        assert store.snapshot().position == before == store.log().table.num_rows
print(answers(path))
"""

MAKING = """
try:
    EventStore(path.parent / "new")
except ReadOnlyError as error:
    print(error)
"""


def run_unprivileged(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python without the rights of root: it may then do with its files what their modes say.

    It stays the same user where it can, since another one may not reach this Python.
    """
    command = [sys.executable, "-B", "-c", HEAD + code, *map(str, arguments)]
    who: dict[str, Any] = {}
    if os.geteuid() == 0 and shutil.which("setpriv") is not None:
        command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--", *command]
    elif os.geteuid() == 0:
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **who)


@pytest.fixture(scope="module")
def sealed_off() -> Iterator[Path]:
    """Give a store in which nobody may write, in folders that anybody may enter."""
    if sys.platform == "win32":
        pytest.skip("needs users and permissions as POSIX has them")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    make_small_store(folder / "s", commits=3)
    everything = [folder, *folder.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if run_unprivileged("import os; os.listdir(path)", folder / "s").returncode:
        pytest.skip("this Python, or the temporary folder, is closed to other users")
    yield folder / "s"
    for path in everything:
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(folder)


def answered(found: subprocess.CompletedProcess[str]) -> str:
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_a_store_in_which_one_may_not_write_is_read_and_verified(sealed_off: Path) -> None:
    text = answered(run_unprivileged(READING, sealed_off))
    assert text == f"{answers(sealed_off)}\n"


def test_each_write_to_it_is_refused_with_its_reason_and_changes_nothing(sealed_off: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sealed_off.rglob("*")}
    text = answered(run_unprivileged(WRITING, sealed_off, WRITES))
    assert {path: path.stat().st_mtime_ns for path in sealed_off.rglob("*")} == before
    assert text == f"{answers(sealed_off)}\n"


def test_a_store_is_not_made_where_one_may_not_write_and_the_error_says_so(
    sealed_off: Path,
) -> None:
    text = answered(run_unprivileged(MAKING, sealed_off))
    assert f"{sealed_off.parent / 'new'} cannot be written" in text
