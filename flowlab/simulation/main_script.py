"""The script that runs: other processes import it, and must not begin anew what it has begun."""

from __future__ import annotations

import ast
import linecache
import multiprocessing
import sys
from pathlib import Path
from types import FrameType

from flowlab.errors import InvalidArgumentError


def is_typed() -> bool:
    """Say whether what runs stands in no file: in a notebook or a shell, or on standard input."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return not (file and Path(file).is_file())


def check_importable() -> None:
    """Check that a process that imports the script that runs will not run it once more.

    Raises:
        InvalidArgumentError: it would begin what begins here, or is about to.
    """
    is_imported = getattr(multiprocessing.current_process(), "_inheriting", False)
    if is_imported or (not is_typed() and _begins_anew()):
        message = (
            "a campaign in other processes begins where they would begin it again, for each of "
            'them imports the script: put what runs under if __name__ == "__main__": or run it '
            "here: executor=None"
        )
        raise InvalidArgumentError(message)


def _begins_anew() -> bool:
    """Say whether the line that runs is one that importing the script would run, too."""
    main = sys.modules["__main__"]
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - there is no public way
    while frame is not None and (
        frame.f_code.co_name != "<module>" or frame.f_globals is not vars(main)
    ):
        frame = frame.f_back
    if frame is None:
        return False
    try:
        tree = ast.parse("".join(linecache.getlines(str(main.__file__))))
    except (SyntaxError, ValueError):
        return False
    line = frame.f_lineno
    for statement in tree.body:
        if statement.lineno <= line <= (statement.end_lineno or line):
            names = ast.walk(statement.test) if isinstance(statement, ast.If) else ()
            return not any(isinstance(name, ast.Name) and name.id == "__name__" for name in names)
    return False
