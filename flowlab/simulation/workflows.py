"""The workflows of a world: who has begun, who waits for whom, and what comes from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from flowlab.errors import InvalidArgumentError
from flowlab.events.codec import encode_json
from flowlab.simulation.call import Leg
from flowlab.simulation.driver import OPEN, Caller, Driver, Parent, failure
from flowlab.simulation.drivers import driver_of
from flowlab.simulation.injection import CrashAfter, CrashBefore
from flowlab.simulation.inputs import Input, Signal, Start
from flowlab.simulation.plan_driver import PlanDriver
from flowlab.simulation.recorder import NOTHING, Value
from flowlab.workflow import as_ns

if TYPE_CHECKING:
    from flowlab.simulation.call import Call
    from flowlab.simulation.engine import Engine


class Workflows:
    """The drivers of one world by id, and the entries of the agenda that concern them.

    Args:
        engine: the world.
    """

    __slots__ = ("_engine", "_hosts", "_inputs", "drivers")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._inputs: Iterator[Input] = iter(())
        self._hosts: dict[str, int] = {}
        self.drivers: dict[str, Driver] = {}

    def __repr__(self) -> str:
        return f"Workflows({len(self.drivers)})"

    def open(
        self, name: str | None, workflow_id: str, roles: Mapping[str, str] | None = None
    ) -> Driver:
        """Return the driver of a workflow that begins.

        Raises:
            InvalidArgumentError: there is no workflow of that name, its id is taken or none, or
                nobody takes a role of its plan.
        """
        process = self._engine.world.check_start(name, workflow_id, roles)
        if workflow_id in self.drivers:
            message = f"workflow id {workflow_id!r} is taken; give each workflow an id of its own"
            raise InvalidArgumentError(message)
        driver = driver_of(self._engine, process, workflow_id)
        if roles is not None:
            assert isinstance(driver, PlanDriver)  # as the world has checked
            driver.bind(roles)
        self.drivers[workflow_id] = driver
        return driver

    def begin_child(self, now_ns: int, parent: Parent, row: int, name: str, data: Any) -> None:
        """Begin a workflow that another one waits for."""
        self._engine.at(now_ns, self._begin_child, (parent, row, name, data))

    def _begin_child(self, now_ns: int, told: tuple[Parent, int, str, Any]) -> None:
        parent, row, name, data = told
        child_id = data["workflow_id"]
        try:
            child = self.open(name, child_id)
        except InvalidArgumentError as error:
            if parent.is_down(now_ns, self._begin_child, told):
                return
            refused = {"error": failure(type(error).__name__, str(error))}
            parent.child_ended(now_ns, row, name, "failed", refused, NOTHING)
            return
        child.parent = (parent, row)
        child.begin(now_ns, data["input"], row)

    def ended(self, now_ns: int, driver: Driver, row: int) -> None:
        """Tell whoever waits that a workflow has ended."""
        if driver.parent is not None:
            self._engine.at(now_ns, self._tell_parent, (driver, row))

    def _tell_parent(self, now_ns: int, told: tuple[Driver, int]) -> None:
        child, row = told
        parent, asked = child.parent  # type: ignore[misc]
        if parent.is_down(now_ns, self._tell_parent, told):
            return
        parent.child_ended(now_ns, asked, child.name, child.status, child.result, row)

    def take_signal(self, now_ns: int, sent: tuple[tuple[str, str, Any], int]) -> None:
        """Hand an event to the workflow that it is for."""
        (workflow_id, name, value), row = sent
        driver = self.drivers.get(workflow_id)
        if driver is None:
            self._lost(now_ns, row, workflow_id, name)
        elif not driver.is_down(now_ns, self.take_signal, sent):
            driver.signal(now_ns, name, value, row)

    def take_answer(self, now_ns: int, call: Call) -> None:
        """Hand an answer to the workflow that it is for, unless its process crashes."""
        engine, driver = self._engine, call.driver
        assert engine.faults is not None
        assert driver is not None
        fault = None
        if driver.status == OPEN and driver.down_until_ns <= now_ns:
            fault = engine.faults.host_segment(Leg(call, "/answer"), call.key)
        if isinstance(fault, CrashBefore):
            self._crash(now_ns, driver, fault)
        driver.answer(now_ns, call)
        if isinstance(fault, CrashAfter) and driver.status == OPEN:
            self._crash(now_ns, driver, fault)

    def _crash(self, now_ns: int, driver: Caller, fault: CrashBefore | CrashAfter) -> None:
        """Stop the process that runs a workflow; what comes meanwhile waits until it is back."""
        engine, recorder = self._engine, self._engine.recorder
        engine.happened[fault.fault_id] = None
        code = self._hosts.get(driver.workflow_id)
        if code is None:
            code = recorder.stream(f"@{driver.workflow_id}")
            self._hosts[driver.workflow_id] = code
        shape = recorder.shape("AgentCrashed", name=driver.name, value=Value.JSON)
        told = encode_json({"down_ns": fault.down_ns, "fault": fault.fault_id})
        row = recorder.add(now_ns, shape, code, driver.code, value=recorder.keep(told))
        driver.down_until_ns = now_ns + fault.down_ns
        engine.at(driver.down_until_ns, self._restart, (driver, code, row))

    def _restart(self, now_ns: int, told: tuple[Caller, int, int]) -> None:
        driver, code, row = told
        recorder = self._engine.recorder
        shape = recorder.shape("AgentRestarted", name=driver.name)
        recorder.add(now_ns, shape, code, driver.code, row)
        if driver.status == OPEN:
            driver.recover()

    def request_cancel(self, now_ns: int, workflow_id: str, reason: str, row: int) -> None:
        """Ask a workflow to stop."""
        self._engine.at(now_ns, self._cancel, (workflow_id, reason, row))

    def _cancel(self, now_ns: int, told: tuple[str, str, int]) -> None:
        workflow_id, reason, row = told
        driver = self.drivers.get(workflow_id)
        if driver is None:
            self._lost(now_ns, row, workflow_id, "cancel")
        elif driver.status == OPEN and not driver.is_down(now_ns, self._cancel, told):
            driver.cancel(now_ns, reason, row)

    def expect(self, inputs: Iterator[Input]) -> None:
        """Take what comes from outside one by one, each when its time has come."""
        self._inputs = inputs
        self._next_input()

    def _next_input(self) -> None:
        following = next(self._inputs, None)
        if following is not None:
            self._engine.at(as_ns(following.at, "at"), self._take_input, following)

    def _take_input(self, now_ns: int, given: Input) -> None:
        if isinstance(given, Start):
            driver = self.open(given.workflow, given.workflow_id, given.roles)
            driver.begin(now_ns, given.input)
        elif isinstance(given, Signal):
            self.take_signal(now_ns, ((given.workflow_id, given.name, given.value), NOTHING))
        else:
            self._cancel(now_ns, (given.workflow_id, given.reason, NOTHING))
        self._next_input()

    def _lost(self, now_ns: int, row: int, workflow_id: str, name: str) -> None:
        told = {"reason": "no workflow has that id", "to": workflow_id}
        self._engine.transit.drop(now_ns, row, told, name)
