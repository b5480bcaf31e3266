"""What befalls an agent: it crashes and comes back, it hangs, it fails, it is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowlab.events.codec import encode_json
from flowlab.simulation.answers import forget_answer, is_decided, is_spared, note, pass_over, work
from flowlab.simulation.call import SEVERAL, Leg
from flowlab.simulation.draws import bits
from flowlab.simulation.fault_source import WORK
from flowlab.simulation.injection import (
    TRANSIENT_ERROR,
    CrashAfter,
    CrashBefore,
    Fail,
    Hang,
    SegmentFault,
    Slow,
)
from flowlab.simulation.locks import GRANTED, STASHED
from flowlab.simulation.recorder import Value

if TYPE_CHECKING:
    from flowlab.simulation.call import Call
    from flowlab.simulation.server import Server

REPEATED: Final = "repeated"
"""Stands, as a fault does, at a message that nothing befalls and that may come again."""

_SEGMENT: Final = 1 << 24
"""Keys of later segments begin here, beyond those of deliveries and of what is sent."""


def befall(server: Server, now_ns: int, call: Call) -> int:
    """Ask what happens while an agent handles a message; return how long that takes."""
    call.deliveries += 1
    if call.deliveries == 1 and not call.risks & WORK:
        return call.service_ns
    call.fault = fault = fault_of(server, call)
    if fault is None and call.mail & SEVERAL:
        call.fault = REPEATED
    if not isinstance(fault, Slow):
        return call.service_ns
    call.fault = REPEATED if call.mail & SEVERAL else None
    facts = {"factor": fault.factor}
    server.engine.inject(now_ns, fault.fault_id, facts, server.code, call.coordination, -1)
    return int(call.service_ns * fault.factor)


def fault_of(server: Server, call: Call, segment: int = 0) -> SegmentFault | None:
    """Return what happens while an agent handles a message, or in one of its later segments."""
    if server.faults is None:
        return None
    key = call.key if call.deliveries < 2 else bits(call.key, call.deliveries)  # noqa: PLR2004
    if not segment:
        return server.faults.segment(server.name, Leg(call, call.delivery), key)
    leg = Leg(call, f"{call.delivery}.{segment}")
    return server.faults.segment(server.name, leg, bits(key, _SEGMENT + segment))


def finish_badly(server: Server, now_ns: int, call: Call) -> None:
    """End the first segment of a message that something befalls, or that may come again."""
    fault, call.fault = call.fault, None
    if call.mail & SEVERAL and is_decided(server, call):
        pass_over(server, now_ns, call)
    elif fault is REPEATED:
        work(server, now_ns, call)
        server.leave(now_ns, call)
    elif isinstance(fault, (CrashBefore, CrashAfter)):
        call.mail |= SEVERAL
        if isinstance(fault, CrashAfter):
            work(server, now_ns, call)
        crash(server, now_ns, call, fault)
    else:
        fail(server, now_ns, call, fault)


def fail(server: Server, now_ns: int, call: Call, fault: Fail | Hang) -> None:
    """Come to nothing with a message: answer with an error, or not at all."""
    if isinstance(fault, Fail) and is_spared(server, now_ns, call):
        return
    engine = server.engine
    row = engine.inject(now_ns, fault.fault_id, {}, server.code, call.coordination, -1)
    if isinstance(fault, Fail):
        server.context.begin(server, now_ns, call)
        server.abort(now_ns, call, TRANSIENT_ERROR, fault.message, row)
        if call.mail & SEVERAL:
            note(server, call)
        server.leave(now_ns, call)
        return
    engine.fates[call.asked] = (fault.fault_id, server.name, call)
    if call.aside is GRANTED:
        engine.locks.settle(now_ns, call)
    server.next(now_ns)


def crash(server: Server, now_ns: int, call: Call, fault: CrashBefore | CrashAfter) -> None:
    """Stop; lose what is not durable, and come back after a time."""
    engine = server.engine
    engine.happened[fault.fault_id] = None
    shape = engine.recorder.shape(
        "AgentCrashed", name=server.name, value=Value.JSON, follows_lane=True
    )
    told = encode_json({"down_ns": fault.down_ns, "fault": fault.fault_id})
    value = engine.recorder.keep(told)
    engine.recorder.add(now_ns, shape, server.code, call.coordination, value=value)
    server.up = False
    if server.disk is not None:
        server.disk.crash()
    returned = [other for other in _lose_memory(server, now_ns) if other is not call]
    server.busy = None
    if call.aside is not STASHED:
        returned.append(call)
    for other in returned:
        other.mail |= SEVERAL
    server.mailbox.extendleft(reversed(returned))
    engine.at(now_ns + fault.down_ns, _restart, server)


def forget(server: Server) -> None:
    """Let go of messages and of handlers that wait: the world has ended."""
    _lose_memory(server, 0)
    server.busy = None
    server.mailbox.clear()


def _lose_memory(server: Server, now_ns: int) -> list[Call]:
    """Drop every handler that waits; return the messages, which come again."""
    found: dict[Call, None] = {}
    for call, talk in list(server.talks.items()):
        found |= dict.fromkeys([call, *talk.joined])
        for joined in talk.joined:
            joined.aside = None
        talk.joined = []
        talk.close(now_ns)
    found |= dict.fromkeys(call for _, _, call in server.woken)
    server.woken.clear()
    return list(found)


def _restart(now_ns: int, server: Server) -> None:
    """Come back with what is durable."""
    recorder = server.engine.recorder
    lost = {} if server.disk is None else server.disk.recover()
    if server.disk is not None:
        # What it remembers of answers was written with the cells, and is no better.
        for names in server.disk.lost():
            forget_answer(server, names)
    shape = recorder.shape(
        "AgentRestarted",
        name=server.name,
        value=Value.JSON if lost else Value.NONE,
        follows_lane=True,
        writes=tuple((None, key) for key in lost) if lost else None,
    )
    value = recorder.keep(encode_json({"values": lost})) if lost else 0
    recorder.add(now_ns, shape, server.code, value=value)
    server.up = True
    server.next(now_ns)
