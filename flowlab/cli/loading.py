"""Modules that a person names on the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TextIO


def load_module(source: str) -> ModuleType:
    """Return the module of a name, or of a file of Python code; the current folder is looked at.

    Raises:
        NotFoundError: there is no such file.
        InvalidArgumentError: it cannot be loaded.
    """
    from flowlab.errors import InvalidArgumentError, NotFoundError  # noqa: PLC0415

    if source.endswith(".py") and not Path(source).is_file():
        message = f"{source} is no file of Python code"
        raise NotFoundError(message)
    folder = str(Path(source).resolve().parent if source.endswith(".py") else Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        with prints_beside():
            if not source.endswith(".py"):
                return import_module(source)
            return _from_file(Path(source))
    except (Exception, SystemExit) as error:
        message = f"{source!r} cannot be loaded: {type(error).__name__}: {error}"
        raise InvalidArgumentError(message) from error


@contextmanager
def prints_beside() -> Iterator[None]:
    """Let what code of the user prints go to standard error: the answer alone is on the other.

    The descriptor too, so that it holds for the processes that such code starts.
    """
    sys.stdout.flush()
    kept = -1
    # Where one of the two was closed, its number may be that of a file of the store.
    if _is_at(sys.stdout, 1) and _is_at(sys.stderr, 2):
        kept = os.dup(1)
        os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if kept >= 0:
            os.dup2(kept, 1)
            os.close(kept)


def _is_at(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError):
        return False


def _from_file(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Other processes find what the module defines by its name.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
