"""What an agent remembers of its answers: one attempt has one, and a failure is a promise.

A message may be handled more than once: the network doubles it, or a crash comes between its
commit and its answer. Whoever is told that an attempt has failed takes it that nothing of it was
done, nor will be. So an agent keeps what came of an attempt that may come again, with its cells:

- once it has failed, by a fault or by its handler's error, it is not begun again: what comes of it
  later is answered with the same failure;
- once it has succeeded, what fails of it later is answered with that success. An agent that does
  not deduplicate handles it again all the same, and what it does then is its handler's matter.

An agent that deduplicates keeps more: a request that has succeeded is answered from memory in all
its attempts, and one that was undone is refused, however late it comes. Another attempt of what
has failed is begun as any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowlab.events.codec import encode_json
from flowlab.simulation.call import SEVERAL
from flowlab.simulation.locks import GRANTED, STASHED

if TYPE_CHECKING:
    from flowlab.simulation.call import Call, Names
    from flowlab.simulation.server import Server

Told = tuple[bool, Any, Any]
"""An answer: whether it has failed; the result, or the type and message of the error; and what of
that goes into the payload."""

TALKING: Final = "talking"
"""Stands at a message whose handler waits in the middle of its work."""

UNDONE_ERROR: Final = "UndoneError"
"""The type of the error of a request that comes after its compensation."""

_NOTHING: Final[Told] = (False, None, None)
_UNDONE_MESSAGE: Final = "its compensation came before it, and has been carried out"
_UNDONE: Final[Told] = (
    True,
    (UNDONE_ERROR, _UNDONE_MESSAGE),
    encode_json({"message": _UNDONE_MESSAGE, "type": UNDONE_ERROR}),
)


# -- requests, of agents that deduplicate ----------------------------------------------------------


def knows(server: Server, now_ns: int, call: Call) -> bool:
    """Answer from memory what was done before."""
    known = server.answered.get(call.idempotency_key)
    if known is None:
        return False
    _repeat(server, now_ns, call, known)
    return True


def remember(server: Server, call: Call) -> None:
    """Answer from now on from memory, should the same request come again."""
    server.answered[call.idempotency_key] = (call.failed, call.outcome, call.kept)
    if call.undo:
        server.answered.setdefault(call.forward_key, _UNDONE)


# -- attempts, of every agent ----------------------------------------------------------------------


def work(server: Server, now_ns: int, call: Call) -> None:
    """Carry out the handler for a message, and keep what came of it if that may come again."""
    server.work(now_ns, call)
    if call.mail & SEVERAL:
        note(server, call)


def note(server: Server, call: Call) -> None:
    """Keep what came of an attempt, once its handling has ended; what was told of it stays so."""
    if call.aside is TALKING or call.aside is STASHED:
        return
    told = (call.failed, call.outcome, call.kept)
    known = server.attempts.setdefault(call.message_id, told)
    if call.failed and not known[0]:
        call.failed, call.outcome, call.kept = known


def is_decided(server: Server, call: Call) -> bool:
    """Say whether there is nothing to do for a message: it was withdrawn, or has failed before."""
    return call.is_withdrawn or server.attempts.get(call.message_id, _NOTHING)[0]


def pass_over(server: Server, now_ns: int, call: Call) -> None:
    """Do nothing for a message that was withdrawn; answer one that has failed before."""
    if not call.is_withdrawn:
        _repeat(server, now_ns, call, server.attempts[call.message_id])
        server.leave(now_ns, call)
        return
    if call.aside is GRANTED:
        server.engine.locks.settle(now_ns, call)
    server.next(now_ns)


def is_spared(server: Server, now_ns: int, call: Call) -> bool:
    """Answer a message that was about to fail, where what came of it is known, or will be."""
    known = server.attempts.get(call.message_id) if call.mail & SEVERAL else None
    if known is None and server.agent.deduplicate:
        known = server.answered.get(call.idempotency_key)
    if known is not None:
        _repeat(server, now_ns, call, known)
    elif not joined(server, call):
        return False
    server.leave(now_ns, call)
    return True


def joined(server: Server, call: Call) -> bool:
    """Let a message wait where the same one is worked on; tell whether it does."""
    if not server.talks:
        return False
    deduplicates = server.agent.deduplicate
    if not (deduplicates or call.mail & SEVERAL):
        return False
    wanted = call.idempotency_key if deduplicates else call.message_id
    for other, talk in server.talks.items():
        if wanted == (other.idempotency_key if deduplicates else other.message_id):
            call.aside = TALKING
            talk.joined.append(call)
            return True
    return False


def is_begun(server: Server, call: Call) -> bool:
    """Say whether a message is too far gone to be withdrawn, because of its copies."""
    return call.message_id in server.attempts or any(other.origin is call for other in server.talks)


def forget_answer(server: Server, names: Names) -> None:
    """Forget an answer with the cells that it told of."""
    request, forward, message_id = names
    server.answered.pop(request, None)
    server.attempts.pop(message_id, None)
    if server.answered.get(forward) is _UNDONE:
        del server.answered[forward]


def _repeat(server: Server, now_ns: int, call: Call, known: Told) -> None:
    """Write that a message is answered from memory."""
    call.failed, call.outcome, call.kept = known
    recorder = server.engine.recorder
    shape = recorder.shape(
        "TransactionCommitted",
        name=call.name,
        tail=b'{"repeated":true}',
        follows_lane=True,
        reads=(),
        writes=(),
    )
    call.txn = recorder.add(now_ns, shape, server.code, call.coordination)
