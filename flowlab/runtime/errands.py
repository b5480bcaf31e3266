"""What a host does for sagas that nobody conducts: it brings events to those who react to them."""

from __future__ import annotations

from flowlab.errors import LimitError
from flowlab.events import Event
from flowlab.runtime import choreographing
from flowlab.runtime.agents import Performer
from flowlab.runtime.effect import Effect
from flowlab.runtime.hosting import Hosting
from flowlab.runtime.instance import Instance
from flowlab.runtime.recording import check_sizes


class Errands(Hosting):
    """The errands of choreographies, as a host runs them."""

    def hand_to_agent(self, effect: Effect) -> None:
        """Hand a reaction to its agent, once the turn is durable."""
        lane, performer = self.agents.find(effect.agent, effect.activity)
        if lane is not None and performer is not None:
            lane.waiting.append(effect)
            self._hand_out(lane)
        elif performer is not None:
            self.recording.received(str(effect.agent), effect)
            self._turn.effects.append((None, effect))

    def inquire(self, effect: Effect, performer: Performer) -> None:
        """Have it found out whether an effect has happened, once the turn is durable."""
        self._turn.inquiries.append((effect, performer))

    def put_off(self, workflow_id: str, number: int, delay_ns: int) -> None:
        """Have an errand run in a later turn."""
        self._turn.errands.append((workflow_id, number, delay_ns))

    def run_errand(self, workflow_id: str, number: int, attempt: int | None = None) -> None:
        """Run an errand of a choreography whose time has come."""
        instance = self.instances.get(workflow_id)
        if instance is not None and instance.is_open:
            choreographing.run_errand(self, instance, number, attempt)
            self._settle()

    def take_in(self, instance: Instance, event: Event) -> None:
        """Tell a choreography of what its agents have written, once it has done what it does."""
        self._later.append(lambda: self._go_on(instance, [event]))

    def go_on_with(self, instance: Instance, draft: Event) -> None:
        """Write a request, carry it out, and go on; one too large for an event stops its saga."""
        try:
            check_sizes(instance.workflow_id, [draft])
        except LimitError as error:
            self._give_up_on(instance, error)
            return
        asked = self._write(instance, draft)
        self._carry_out(instance, asked)
        self._go_on(instance, [asked])
