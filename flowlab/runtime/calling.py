"""Calling a plain function for an effect, here or in another process: what it does is an outcome.

Whatever a function raises or returns stays on its side: an error that does not unpickle would break
the pool under the other activities, a `StopIteration` cannot leave a thread for a coroutine, and
neither could say then how the effect ended.
"""

from __future__ import annotations

import asyncio
from concurrent import futures
from typing import Any

from flowlab.events.codec import decode_payload
from flowlab.runtime.context import ActivityContext
from flowlab.runtime.effect import Done, Effect, Gone, Outcome, checked, failed
from flowlab.workflow.handlers import Handler, Wants, adapted


def at_once(call: Handler, ctx: ActivityContext, value: Any) -> Outcome:
    """Carry out an effect; return how it ended.

    Example:
        >>> def gone(ctx, value):
        ...     raise LookupError(value)
        >>> at_once(gone, None, "no seat")
        Gone(error_type='LookupError', message='no seat')
    """
    try:
        return Done(call(ctx, value))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - how it failed; else nobody would hear of it
        return failed(error)


def in_thread(call: Handler, ctx: ActivityContext, value: Any) -> Outcome:
    """Carry out an effect in a thread; what gives up because nobody waits says so by its error."""
    try:
        return Done(call(ctx, value))
    except (KeyboardInterrupt, asyncio.CancelledError, futures.CancelledError):
        raise
    except BaseException as error:  # noqa: BLE001 - how it failed; else nobody would hear of it
        return failed(error)


def in_process(function: Handler, wants: Wants, effect: Effect, agent: str | None) -> Outcome:
    """Carry out an effect in another process, where no agent's state is.

    What is handed back is plain JSON, or the text of an error: it pickles, whatever it was.
    """
    outcome = at_once(adapted(function, wants), ActivityContext(effect, agent), effect.value)
    outcome, payload = checked(outcome)
    return outcome if isinstance(outcome, Gone) else Done(decode_payload(payload)["result"])
