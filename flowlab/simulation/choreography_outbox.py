"""The letters of one choreographed workflow: each is sent until it is acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowlab.events.codec import encode_json
from flowlab.simulation.call import Call
from flowlab.simulation.choreography_letters import Letter
from flowlab.simulation.draws import key_of
from flowlab.simulation.driver import PROGRAM, call_key
from flowlab.simulation.recorder import Value, plain

if TYPE_CHECKING:
    from flowlab.simulation.choreography_driver import ChoreographyDriver

MAX_SENDS: Final = 100
"""How often a letter is sent that nobody acknowledges."""


class Outbox:
    """What was told in one workflow and is not acknowledged: it outlives crashes of its agents.

    A letter is sent again after the world's timeout, up to `MAX_SENDS` times; an agent that is down
    sends nothing. Each sending is an event and a message of its own, with its own draws.

    Args:
        driver: of the workflow.

    Attributes:
        open: the letters that are not acknowledged.
    """

    __slots__ = ("_driver", "_flying", "_sent", "open")

    def __init__(self, driver: ChoreographyDriver) -> None:
        self._driver = driver
        self._flying = 0
        self._sent: dict[tuple[bool, str], int] = {}
        self.open: dict[Letter, None] = {}

    def __repr__(self) -> str:
        return f"Outbox({len(self.open)} letters)"

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on its way, nor will be."""
        return not self.open and not self._flying

    def send(self, now_ns: int, letter: Letter) -> None:
        """Send a letter, and again unless it is acknowledged in time."""
        if letter.acknowledged or letter.sends == MAX_SENDS:
            return
        self.open[letter] = None
        driver, sender, heard = self._driver, letter.sender, letter.heard
        engine = driver.engine
        if engine.world.timeout_ns is not None:
            engine.at(now_ns + engine.world.timeout_ns, self.send, letter)
        if sender is not None and not sender.up:
            return
        letter.sends += 1
        known = (heard.undo, letter.step)
        self._sent[known] = attempt = self._sent.get(known, 0) + 1
        call = self.call(letter, attempt)
        kept, call.value = plain(letter.value)
        recorder = engine.recorder
        shape = recorder.shape(
            "MessageSent",
            name=letter.event,
            value=Value.JSON,
            head=b'{"attempt":%d,"to":%b,"value":' % (letter.sends, encode_json(heard.agent)),
            tail=b"}",
            kind_a=PROGRAM,
            follows_lane=sender is not None,
        )
        stream = engine.world_code if sender is None else sender.code
        place = recorder.keep(kept)
        call.row = recorder.add(now_ns, shape, stream, driver.code, letter.source, value=place)
        self._flying += engine.transit.mail(now_ns, call, letter.from_whom, self._deliver)

    def call(self, letter: Letter, attempt: int) -> Call:
        """Return a letter as a message that is sent for the n-th time."""
        driver, heard = self._driver, letter.heard
        server = driver.engine.servers[heard.agent]
        call = Call(None, letter, server, heard.activity, None, attempt, heard.undo)
        call.waiter = driver
        call.coordination, call.step = driver.code, letter.step
        call.key = call_key(driver.key, key_of(letter.step), call)
        return call

    def acknowledge(self, now_ns: int, call: Call, row: int) -> None:
        """Tell the sender of a letter that it was handled, as the row says."""
        transit, letter = self._driver.engine.transit, call.op
        transit.acknowledge(now_ns, call, letter.from_whom, row, self._take_acknowledgement)

    def _deliver(self, now_ns: int, call: Call) -> None:
        self._flying -= 1
        self._driver.arrive(now_ns, call)
        if self.is_empty:
            self._driver.settle(now_ns)

    def _take_acknowledgement(self, now_ns: int, call: Call) -> None:
        letter: Letter = call.op
        letter.acknowledged = True
        if self.open.pop(letter, self) is None:
            self._driver.settle(now_ns)
