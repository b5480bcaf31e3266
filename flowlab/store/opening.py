"""Opening files of a store: one that cannot be read is damage, and why one cannot be written."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from flowlab.errors import CorruptionError, ReadOnlyError

_OF_THE_PROCESS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})
"""Errors of a read that say nothing of the file."""


@contextmanager
def opened(path: Path, *, buffering: int = -1) -> Iterator[BinaryIO]:
    """Open a file of the store for reading; whatever keeps it from being read is damage.

    Raises:
        FileNotFoundError: it is not there, which only the caller can judge.
        CorruptionError: it cannot be read: it is a folder, the device fails, or may not be read.

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
        message = (
            f"{path} cannot be read: {error.strerror}; read it as a user who may, look after the "
            "device, or restore the file from a copy"
        )
        raise CorruptionError(message) from error


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
        CorruptionError: it cannot be read.
    """
    with opened(path, buffering=0) as stream:
        return stream.read()
