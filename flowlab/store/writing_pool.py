"""Writing several sealed files at once: the one place of the store that starts threads.

Encoding releases the interpreter's lock and a sync waits for the device, so the files of one commit
need not wait for each other. What comes out does not depend on it: results are in order, and of
several errors the first file's is the one that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

WRITERS: Final = 3
"""Files that are written at the same time."""
T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], items: Sequence[T], done: list[R], *, serial: bool) -> None:
    """Do some work for each item and add the results to `done`, in the order of the items.

    An error ends it: what was not begun is not done, what was done is added before it is raised.

    Args:
        work: safe to call from several threads.
        items: what to do it for.
        done: takes the results.
        serial: one after the other, in this thread.

    Example:
        >>> done: list[int] = []
        >>> in_order(abs, [-3, 2, -1], done, serial=False)
        >>> done
        [3, 2, 1]
    """
    if serial or len(items) == 1:
        done.extend(work(item) for item in items)
        return
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="flowlab-write") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            done.extend(future.result() for future in futures)
        except BaseException:
            for future in futures:
                future.cancel()
            pool.shutdown()
            done += [future.result() for future in futures[len(done) :] if _went_well(future)]
            raise


def _went_well(future: Future[R]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
