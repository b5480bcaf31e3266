"""Handing what workflows asked for back to their code: at once, or while the device writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowlab.runtime.hosting import Hosting
from flowlab.runtime.standing import OPEN
from flowlab.workflow import Execution
from flowlab.workflow.following import is_told_in_vain, take_back

if TYPE_CHECKING:
    from flowlab.events import Event
    from flowlab.runtime.instance import Instance


class HandingBack(Hosting):
    """What code asked for and is recorded, as a host tells the code so.

    Code hears of what it asked for with the next events. Where none of it goes on by that, as a
    rule, this waits until the turn is written: the device has the time then.
    """

    _unread: dict[Instance, list[Event]]

    def _is_put_off(self, instance: Instance, told: list[Event]) -> bool:
        """Keep for later what the code asked for, if no code goes on by that."""
        execution = instance.execution
        if isinstance(execution, Execution) and is_told_in_vain(execution, len(told)):
            self._unread[instance] = told
            return True
        return False

    def _with_unread(self, instance: Instance, told: list[Event]) -> list[Event]:
        """Return what the code is to be told, with what was kept for it."""
        return [*self._unread.pop(instance, ()), *told]

    def _hand_back(self) -> None:
        """Tell the code what was kept for it."""
        unread, self._unread = self._unread, {}
        for instance, told in unread.items():
            execution = instance.execution
            assert isinstance(execution, Execution)
            take_back(execution, told)

    def resume(self, instance: Instance) -> None:
        """Let a workflow that was restored go on with what its history leaves to be done."""
        self.instances[instance.workflow_id] = instance
        if instance.standing.status == OPEN:
            self._go_on(instance, [])
        self._settle()

    def arm_again(self, instance: Instance, timer: Event) -> None:
        """Wait for a timer that was started before: never longer than it was to take."""
        delay_ns = timer.data["delay_ns"]
        # Whatever the clock was set to meanwhile, since the stamps of the log say how long it ran.
        passed_ns = max(0, self.recording.now_ns() - timer.time_ns)
        left_ns = max(0, delay_ns - passed_ns)
        self._turn.timers.append((instance.workflow_id, timer.sequence, left_ns))
