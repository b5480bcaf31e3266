"""Messages on their way between agents and the orchestrator: how long, and what befalls them."""

from __future__ import annotations

from heapq import heappush
from typing import TYPE_CHECKING, Any, Final

from flowlab.errors import InvalidArgumentError
from flowlab.events import CauseKind
from flowlab.events.codec import encode_json
from flowlab.simulation.call import SEVERAL, Call, Leg
from flowlab.simulation.draws import UNIT, Lanes, bits, following
from flowlab.simulation.fault_source import EVERY_RISK, HOSTED, REPLY, REQUEST, WORK
from flowlab.simulation.injection import Delay, Drop, Duplicate, TransitFault
from flowlab.simulation.network import HOST
from flowlab.simulation.recorder import NOTHING, Value

if TYPE_CHECKING:
    from flowlab.simulation.drawn_ahead import Drawn, DrawnAhead
    from flowlab.simulation.driver import Fire
    from flowlab.simulation.engine import Engine
    from flowlab.simulation.server import Server

NONE_KNOWN: Final[dict[int, list[Drawn]]] = {}
"""What is drawn ahead for a world that runs alone."""

_SEQUENCES: Final = (tuple, list)
_MESSAGE: Final = int(CauseKind.MESSAGE)
_FAULT: Final = int(CauseKind.FAULT)


class Transit:
    """The network of one world.

    Args:
        engine: the world.
    """

    __slots__ = (
        "_ahead",
        "_delays",
        "_engine",
        "_faults",
        "_known",
        "_lanes",
        "_latency_key",
        "_network",
        "_order",
        "_place",
        "_take",
        "_told",
        "_usual",
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._network = engine.world.network
        self._usual = self._network.usual.draw
        self._delays = engine.world.delays
        self._ahead: DrawnAhead | None = None
        self._place, self._known = 0, NONE_KNOWN
        if engine.drawn is not None:
            self._ahead, self._place = engine.drawn
            self._known = self._ahead.known
        self._lanes: Lanes | None = None
        faults = engine.faults
        self._latency_key = engine.keys[0]
        self._faults = faults if faults is not None and faults.transit_live else None
        crashes = faults is not None and faults.host_live
        self._take = engine.workflows.take_answer if crashes else None
        self._told: dict[str, int] = {}
        self._order: dict[tuple[str, str], int] | None = {} if self._network.fifo else None

    def __repr__(self) -> str:
        return f"Transit({self._network!r})"

    def send(self, now_ns: int, call: Call) -> None:
        """Put a request on its way to its agent; its event is written already."""
        delays, engine = self._delays, self._engine
        if delays is None or call.driver is None:
            # As `_time` does it, without a call: every step of every workflow comes by.
            known = self._known.get(call.key)
            drawn = self._drawn(call, HOST) if known is None else known[self._place]
            call.request_ns, call.reply_ns, work, call.risks = drawn
            call.service_ns = call.server.agent.service.draw(work)
        else:
            driver = call.driver
            number, driver.calls = driver.calls, driver.calls + 1
            call.request_ns, call.service_ns, call.reply_ns = three(
                delays(driver.workflow_id, number)
            )
        due, faults = now_ns + call.request_ns, self._faults
        if self._order is None and (
            faults is None or not (call.risks & REQUEST or now_ns not in faults.calm)
        ):
            heappush(engine.agenda, (due, engine.ordinal(), call.server.deliver, call))
        else:
            told = (HOST, call.server.name, Leg(call, "/request"), call.key)
            self._carry(now_ns, due, told, call.row, call.server.deliver, call)

    def reply(self, now_ns: int, call: Call) -> None:
        """Put the answer to a call on its way back."""
        driver, engine = call.driver, self._engine
        if driver is None:
            if call.waiter is not None:
                call.waiter.answered(now_ns, call)
            return
        take = driver.answer if self._take is None or not call.risks & HOSTED else self._take
        faults = self._faults
        if self._order is None and (
            faults is None or not (call.risks & REPLY or now_ns not in faults.calm)
        ):
            heappush(engine.agenda, (now_ns + call.reply_ns, engine.ordinal(), take, call))
        else:
            told = (call.server.name, HOST, Leg(call, "/reply"), call.key + 1)
            self._carry(now_ns, now_ns + call.reply_ns, told, call.txn, take, call)

    def post(self, now_ns: int, server: Server, call: Call, first: int = 2) -> None:
        """Send what a handler left to be sent once its transaction was committed.

        `first` numbers what is sent within the handling of the message.
        """
        letters = enumerate(server.context.letters, first)
        for number, (to, name, (kept, handed), signal) in letters:
            row = self.write_sent(now_ns, server, call, to, name, kept)
            if signal:
                key = letter_key(call, number)
                self.signal(now_ns, (to, name, handed), row, server.name, key)
                continue
            letter = self.letter(call, self._engine.server(to), name, handed, number)
            letter.row = row
            self.mail(now_ns, letter, server.name, letter.server.deliver)

    def write_sent(
        self, now_ns: int, server: Server, call: Call, to: str, name: str, kept: Any
    ) -> int:
        """Write that an agent sends something as it handles a message."""
        recorder = self._engine.recorder
        shape = recorder.shape(
            "MessageSent",
            name=name,
            value=Value.JSON,
            head=b'{"to":' + encode_json(to) + b',"value":',
            tail=b"}",
            follows_lane=True,
        )
        value = recorder.keep(kept)
        return recorder.add(now_ns, shape, server.code, call.coordination, value=value)

    def letter(self, call: Call, to: Server, name: str, value: Any, number: int) -> Call:
        """Return the message that an agent sends to another one as it handles a message."""
        letter = Call(None, None, to, name, value, call.attempt)
        letter.coordination = call.coordination
        if told_apart := call.mark + call.delivery:
            letter.mark = f"({told_apart})"
        letter.key = letter_key(call, number)
        letter.step = f"{'~' if call.undo else ''}{call.step}>{name}.{number - 1}"
        return letter

    def mail(self, now_ns: int, call: Call, sender: str, take: Fire) -> int:
        """Put a message on its way from an agent, or from outside; return how many come of it."""
        self._time(call, sender)
        told = (sender, call.server.name, Leg(call, "/letter"), call.key)
        return self._carry(now_ns, now_ns + call.request_ns, told, call.row, take, call)

    def answer(self, now_ns: int, call: Call, sender: str, take: Fire) -> None:
        """Put the answer to a letter on its way back to who sent it."""
        told = (call.server.name, sender, Leg(call, "/answer"), call.key + 1)
        self._carry(now_ns, now_ns + call.reply_ns, told, call.txn, take, call)

    def acknowledge(self, now_ns: int, call: Call, sender: str, row: int, take: Fire) -> None:
        """Tell the sender of a message that it was handled; the log shows what befalls that."""
        told = (call.server.name, sender, Leg(call, "/ack"), call.key + 1)
        fault = None if self._faults is None else self._faults.transit(*told, now_ns)
        # To hear it twice is to hear it once.
        fault = None if isinstance(fault, Duplicate) else fault
        link = (call.server.name, sender)
        self._befall(now_ns, now_ns + call.reply_ns, fault, link, row, take, call)

    def signal(
        self, now_ns: int, told: tuple[str, str, Any], row: int, sender: str, key: int
    ) -> None:
        """Send an event to a workflow: (workflow id, name, value), written as `row`."""
        due = now_ns + self._network.latency_ns(self._latency_key, sender, HOST, key)
        message = f"{told[0]}/{told[1]}/signal.{key}"
        self._carry(
            now_ns,
            due,
            (sender, HOST, message, key),
            row,
            self._engine.workflows.take_signal,
            (told, row),
        )

    def drop(self, now_ns: int, row: int, told: dict[str, Any], name: str = "") -> None:
        """Write that a message came to nothing: `told` says where to, and why."""
        recorder = self._engine.recorder
        shape = recorder.shape("MessageDropped", name=name, value=Value.JSON, kind_a=_MESSAGE)
        value = recorder.keep(encode_json(told))
        recorder.add(now_ns, shape, self._engine.world_code, self._of(row), row, value=value)

    def _of(self, row: int) -> int:
        """Return the coordination that a row was written under."""
        return NOTHING if row == NOTHING else self._engine.recorder.coordination_of(row)

    def _time(self, call: Call, sender: str) -> None:
        """Draw how long each part of a call takes, and if all goes well, from what names it."""
        known = self._known.get(call.key)
        drawn = self._drawn(call, sender) if known is None else known[self._place]
        call.request_ns, call.reply_ns, work, call.risks = drawn
        call.service_ns = call.server.agent.service.draw(work)

    def _drawn(self, call: Call, sender: str) -> Drawn:
        """Draw for a call that is not known: for all worlds of the batch, or for this one alone."""
        key, network = call.key, self._network
        found = None if self._ahead is None else self._ahead.of_call(key)
        if found is not None:
            return found[self._place]
        lanes, faults = self._lanes, self._engine.faults
        if lanes is None:
            latency, service = self._engine.keys[:2]
            keys = (latency, following(latency), service)
            lanes = self._lanes = Lanes(keys if faults is None else (*keys, *faults.keys))
        draws = lanes.at(key)
        request, reply, work = ((draw >> 11) * UNIT for draw in draws[:3])
        there = back = self._usual
        if network.links:
            name = call.server.name
            there, back = network.between(sender, name).draw, network.between(name, sender).draw
        risks = EVERY_RISK if faults is None else faults.risks(draws)
        return there(request), back(reply), work, risks

    def _carry(
        self,
        now_ns: int,
        due_ns: int,
        told: tuple[str, str, object, int],
        row: int,
        fire: Fire,
        about: Any,
    ) -> int:
        """Put a message on its way, or let happen to it what must; return how many arrive.

        `told` is (sender, receiver, the message's id, the same as an integer); `row` is of the
        event that sent it.
        """
        fault = None if self._faults is None else self._faults.transit(*told, now_ns)
        return self._befall(now_ns, due_ns, fault, (told[0], told[1]), row, fire, about)

    def _befall(
        self,
        now_ns: int,
        due_ns: int,
        fault: TransitFault | None,
        link: tuple[str, str],
        row: int,
        fire: Fire,
        about: Any,
    ) -> int:
        engine = self._engine
        if fault is None:
            engine.at(self._in_order(link, due_ns), fire, about)
            return 1
        if isinstance(fault, Drop):
            self._lose(now_ns, fault.fault_id, link[1], row)
            if isinstance(about, Call):
                engine.fates[about.asked] = (fault.fault_id, link[1], about)
            return 0
        if isinstance(fault, Delay):
            facts = {"delay_ns": fault.extra_ns}
            engine.inject(now_ns, fault.fault_id, facts, engine.world_code, self._of(row), row)
            engine.at(self._in_order(link, due_ns + fault.extra_ns), fire, about)
            return 1
        engine.happened[fault.fault_id] = None
        recorder = engine.recorder
        shape = recorder.shape("MessageDuplicated", value=Value.JSON, kind_a=_MESSAGE)
        kept = recorder.keep(encode_json({"fault": fault.fault_id, "to": link[1]}))
        double = recorder.add(now_ns, shape, engine.world_code, self._of(row), row, value=kept)
        engine.at(self._in_order(link, due_ns), fire, about)
        again_ns = self._in_order(link, due_ns + fault.extra_ns)
        engine.at(again_ns, fire, again(about, row, double))
        return 2

    def _in_order(self, link: tuple[str, str], due_ns: int) -> int:
        """Return when a message arrives where none of a link overtakes another."""
        if self._order is None:
            return due_ns
        due_ns = max(due_ns, self._order.get(link, 0))
        self._order[link] = due_ns
        return due_ns

    def _lose(self, now_ns: int, fault_id: str, receiver: str, row: int) -> None:
        engine, recorder = self._engine, self._engine.recorder
        cut = NOTHING
        if fault_id.startswith("partition:"):
            cut = self._told.get(fault_id, NOTHING)
            if cut == NOTHING:
                cut = self._told[fault_id] = engine.inject(
                    now_ns, fault_id, {}, engine.world_code, NOTHING, NOTHING
                )
        engine.happened[fault_id] = None
        shape = recorder.shape("MessageDropped", value=Value.JSON, kind_a=_MESSAGE, kind_b=_FAULT)
        kept = recorder.keep(encode_json({"fault": fault_id, "to": receiver}))
        recorder.add(now_ns, shape, engine.world_code, self._of(row), row, cut, kept)


def again(about: Any, row: int, double: int) -> Any:
    """Return what is delivered because of a duplicate: the same, with that as its cause."""
    if not isinstance(about, Call):
        return (about[0], double)
    if about.row == row:
        # What comes of one of them holds for both.
        about.mail |= SEVERAL
        about.risks |= WORK
        return about.again(double)
    twin = about.again(about.row)
    twin.txn = double
    return twin


def three(told: Any) -> tuple[int, int, int]:
    """Return what a world's `delays` says, if it says how long each part of a call takes.

    Raises:
        InvalidArgumentError: it does not.
    """
    if isinstance(told, _SEQUENCES) and len(told) == 3:  # noqa: PLR2004 - as the name says
        request_ns, service_ns, reply_ns = told
        ints = type(request_ns) is type(service_ns) is type(reply_ns) is int
        if ints and request_ns >= 0 and service_ns >= 0 and reply_ns >= 0:
            return request_ns, service_ns, reply_ns
    message = (
        f"delays gave {told!r}; expected (request, service, reply), each an int of nanoseconds"
    )
    raise InvalidArgumentError(message)


def letter_key(call: Call, number: int) -> int:
    """Return the key of what is sent n-th in the handling of a message, another each time."""
    key = call.key if call.deliveries < 2 else bits(call.key, call.deliveries)  # noqa: PLR2004
    return bits(key, number)
