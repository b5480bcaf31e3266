"""Other processes that carry things out for a runtime, and end with it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.process import BaseProcess


def workers(count: int) -> ProcessPoolExecutor:
    """Return a pool of processes, which outlive this one by no more than a moment.

    A worker of a process that was killed waits for work for ever otherwise: it holds both ends of
    the pipe that the work comes from.

    Args:
        count: how many.
    """
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=spawn, initializer=_end_with_parent)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
