"""Opening files of a store: why one cannot be read, and why one cannot be written."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from flowlab.errors import CorruptionError, ReadOnlyError, UnreadableError

_OF_THE_PROCESS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})
"""Errors of a read that say nothing of the file."""
FULL_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a write for which there is no room."""


@contextmanager
def opened(path: Path, *, buffering: int = -1) -> Iterator[BinaryIO]:
    """Open a file of the store for reading; say what keeps it from being read.

    Raises:
        FileNotFoundError: it is not there, which only the caller can judge.
        UnreadableError: this process may not read it.
        CorruptionError: it cannot be read otherwise: it is a folder, or the device fails.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with opened(Path(folder)) as stream:
        ...         stream.read()
        Traceback (most recent call last):
        ...
        flowlab.errors.CorruptionError: ... is a folder where a file of the store belongs; ...
    """
    try:
        with path.open("rb", buffering=buffering) as stream:
            yield stream
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _OF_THE_PROCESS:
            raise
        if error.errno == errno.EISDIR:
            raise CorruptionError(folder_there(path)) from error
        if isinstance(error, PermissionError):
            raise forbidden(path, error) from error
        message = (
            f"{path} cannot be read: {error.strerror}; look after the device, or restore the file "
            "from a copy"
        )
        raise CorruptionError(message) from error


def forbidden(path: Path, error: PermissionError) -> UnreadableError:
    """Return the error for a file that this process may not read.

    Example:
        >>> print(forbidden(Path("s/flowlab.json"), PermissionError(13, "Permission denied")))
        s/flowlab.json may not be read: Permission denied; give this user the right to read it ...
    """
    return UnreadableError(
        f"{path} may not be read: {error.strerror}; give this user the right to read it and to "
        "enter its folders, or open the store as a user who has it"
    )


def told_again(error: Exception, message: str) -> CorruptionError:
    """Return an error with another message, of the kind that a file has which may not be read."""
    kind = UnreadableError if isinstance(error, UnreadableError) else CorruptionError
    return kind(message)


def kind_of(error: Exception, path: Path) -> str:
    """Say in a word what `verify` has found, by why a file could not be read.

    Example:
        >>> kind_of(CorruptionError("its checksum is another"), Path("s/gone"))
        'missing'
    """
    if isinstance(error, PermissionError):
        return "unreadable"
    return "damaged" if path.exists() else "missing"


@contextmanager
def told_where_unwritable(path: Path) -> Iterator[None]:
    """Say what to do where this process may not write."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EISDIR:
            raise CorruptionError(folder_there(path)) from error
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise
        message = (
            f"{path} cannot be written: {error.strerror}; open the store with read_only=True to "
            "read it, or write as a user who may write in its folder"
        )
        raise ReadOnlyError(message) from error


def folder_there(path: Path) -> str:
    """Return what there is to say where a folder has the name of a file."""
    return (
        f"{path} is a folder where a file of the store belongs; move it away, and restore the file "
        "from a copy"
    )


def read_file(path: Path) -> bytes:
    """Read a file of the store; see `opened`.

    Raises:
        FileNotFoundError: it is not there.
        CorruptionError: it cannot be read; see `opened`.
    """
    with opened(path, buffering=0) as stream:
        return stream.read()
