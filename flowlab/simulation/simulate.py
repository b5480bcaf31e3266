"""Running worlds: one, or many into one recorder."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from flowlab.errors import InvalidArgumentError
from flowlab.simulation.agenda import Agenda, agenda_for, agenda_of
from flowlab.simulation.batch import Batch
from flowlab.simulation.engine import Engine
from flowlab.simulation.faults import Faults
from flowlab.simulation.recipe import Recipe
from flowlab.simulation.run import Run, Violation
from flowlab.simulation.scenario import Scenario
from flowlab.simulation.schedule import Scheduler
from flowlab.simulation.waits import stuck_in
from flowlab.simulation.watch import watched, whose
from flowlab.simulation.world import World
from flowlab.workflow import armed

if TYPE_CHECKING:
    from flowlab.simulation.drawn_ahead import DrawnAhead


def simulate(
    scenario: Scenario | World,
    *,
    seed: int = 0,
    faults: Faults | str | Mapping[str, Any] | None = None,
    scheduler: Scheduler | None = None,
    untimed: bool = False,
    fifo: bool = False,
    **parameters: Any,
) -> Run:
    """Run one world in virtual time.

    Args:
        scenario: a world, or a function declared with `@scenario`.
        seed: of every draw: latencies, faults, chance in workflows and agents.
        faults: what may go wrong; a name is a preset (`Faults.preset`).
        scheduler: chooses what happens next among what happens at the same time; None takes that
            which was asked for first.
        untimed: whether it chooses among all that is to happen at any time: whatever the network,
            the agents and the timers could do if they were faster or slower.
        fifo: whether an untimed choice keeps the order of the messages of each channel.
        parameters: of the scenario. Where it has no parameter of that name, `network` replaces
            the network of its world, and `retry` the policy of its plans' steps.

    Returns:
        The run. It is a pure function of scenario, seed, faults and parameters, and of the choices
        of a scheduler, which its recipe keeps.

    Raises:
        InvalidArgumentError: a parameter is unknown, the world names no agent, ...: nothing runs.

    Example:
        >>> from flowlab.simulation import Agent, World
        >>> from flowlab.workflow import Plan, Step
        >>> bank = Agent("bank", named={"charge": lambda ctx, value: "paid"})
        >>> till = Plan(Step("charge", agent="bank", kind="pivot"), name="till")
        >>> simulate(World([bank], till), seed=7)
        Run('till-7', 7 events, 1 completed)
    """
    recipe = Recipe.of(scenario, seed, faults, parameters)
    agenda = agenda_for(scheduler, untimed=untimed, fifo=fifo)
    return run_of(recipe, agenda=agenda)


def run_of(recipe: Recipe, *, namespace: str = "default", agenda: Agenda | None = None) -> Run:
    """Run what a recipe says, alone."""
    batch = Batch(namespace)
    with collector_frozen():
        return play(recipe, recipe.world(), batch, agenda)


def play(
    recipe: Recipe,
    world: World,
    batch: Batch,
    agenda: Agenda | None = None,
    drawn: tuple[DrawnAhead, int] | None = None,
) -> Run:
    """Run one world into a batch; what an agenda takes is kept in the recipe of the run.

    `drawn` is what was drawn ahead for the worlds of a batch, and the place of this one.
    """
    batch.begin(recipe, world)
    engine = Engine(world, recipe, batch.recorder, agenda or agenda_of(recipe), drawn)
    place, first = batch.last, batch.first
    limit_ns = world.max_turn_ns
    left = watched(partial(_go, engine, recipe.seed), limit_ns, engine.progress, whose)
    engine.stopped = left or engine.stopped
    if agenda is not None:
        recipe = recipe.changed(schedule=agenda.schedule)
        batch.retell(recipe, world)
    drivers = engine.workflows.drivers
    states = {name: MappingProxyType(server.state) for name, server in engine.servers.items()}
    states |= {name: MappingProxyType(cells) for name, cells in engine.shared.items()}
    run = Run(
        recipe=recipe,
        run_id=recipe.run_id,
        statuses=MappingProxyType({name: driver.status for name, driver in drivers.items()}),
        results=MappingProxyType({name: driver.result for name, driver in drivers.items()}),
        states=MappingProxyType(states),
        stuck=stuck_in(engine),
        locks=engine.held_locks(),
        stopped=engine.stopped,
        faults=tuple(engine.happened),
        end_ns=engine.last_ns,
        event_count=len(batch.recorder) - first,
        make_log=partial(batch.log_of, place),
    )
    violations: list[Violation] = []
    ends = partial(_end, engine, world, run, violations)
    left = watched(ends, limit_ns, lambda: None, whose)
    stopped = run.stopped or left
    if violations or stopped:
        return replace(run, violations=tuple(violations), stopped=stopped)
    return run


def _go(engine: Engine, seed: int) -> None:
    engine.workflows.expect(engine.world.inputs(seed))
    if engine.world.runs_code:
        with armed():
            engine.run()
    else:
        engine.run()


def _end(engine: Engine, world: World, run: Run, violations: list[Violation]) -> None:
    engine.close()
    violations += _violations(world, run)


def _violations(world: World, run: Run) -> Iterator[Violation]:
    for invariant in world.invariants:
        name = getattr(invariant, "__name__", repr(invariant))
        try:
            told = invariant(run)
        except AssertionError as error:
            told = str(error) or "it does not hold"
        except Exception as error:
            error.add_note(f"in the invariant {name!r}")
            raise
        if told is None or told is True:
            continue
        found: Any = [told] if isinstance(told, (str, bool)) else told
        if not isinstance(found, Iterable):
            message = (
                f"invariant {name!r} returned {told!r}; expected None or True where it holds, and "
                "otherwise what is wrong: a text, or several"
            )
            raise InvalidArgumentError(message)
        for message in found:
            yield Violation(name, message if isinstance(message, str) else "it does not hold")


@contextmanager
def collector_frozen() -> Iterator[None]:
    """Keep the cyclic collector out of the loop: a world's objects live until it ends."""
    enabled = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
