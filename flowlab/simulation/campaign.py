"""A campaign that has run: a row for every world, the same worlds in every arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

from flowlab.errors import NotFoundError
from flowlab.events import EVENT_SCHEMA
from flowlab.events.digest import combined_digest, run_digests
from flowlab.events.wording import counted, grouped
from flowlab.simulation.grid import Arm
from flowlab.simulation.run import MAX_SHOWN, Run
from flowlab.simulation.simulate import run_of

if TYPE_CHECKING:
    import polars as pl

_SUMS: Final = ("ok", "events", "completed", "failed", "stuck", "violations", "fault_count")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Campaign:
    """Many worlds of one scenario: a pure function of scenario, seeds, grid and parameters.

    Nothing in it depends on where the worlds ran, or in which order. The logs are in the store that
    was given; any world can be had again, alone: `campaign.run(run_id)`.

    Args:
        name: of the scenario.
        axes: what was varied.
        arms: every combination.
        seeds: the worlds, the same in every arm.
        rows: a row a run, arm by arm: `run_id`, `seed`, the axes, `ok`, `events`, `duration_ns`,
            counts of `workflows` (`completed`, `failed`, `canceled`, `stuck`), of `violations` and
            faults (`fault_count`), `fault_kinds`, and the measures.
        violations: a row for each invariant that does not hold: run_id, seed, invariant, message.
        stuck: a row for each workflow that did not end, with what it waits for.
        digests: of every run, sorted.
        namespace: of the runs.

    Example:
        >>> from flowlab.simulation import Agent, World, scenario, simulate_many
        >>> from flowlab.workflow import Step
        >>> @scenario
        ... def till(*, customers=3):
        ...     bank = Agent("bank", named={"charge": lambda ctx, value: "paid"})
        ...     return World([bank], Step("charge", agent="bank", kind="pivot"), customers)
        >>> campaign = simulate_many(till, seeds=50, grid={"customers": [1, 2]})
        >>> campaign
        Campaign('till', 100 runs, 2 arms by customers, 100 ok)
        >>> campaign.rows["completed"].sum()
        150
        >>> campaign.run(campaign.rows["run_id"][-1])
        Run('till-49-6eaa5237', 14 events, 2 completed)
    """

    name: str
    axes: tuple[str, ...]
    arms: tuple[Arm, ...]
    seeds: Sequence[int]
    rows: pl.DataFrame
    violations: pl.DataFrame
    stuck: pl.DataFrame
    digests: tuple[str, ...]
    namespace: str

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ok(self) -> bool:
        """Whether in every world every invariant holds and every workflow ended."""
        return bool(self.rows["ok"].all())

    @property
    def digest(self) -> str:
        """Of the logs of all its worlds: that of the store's log, where they were saved."""
        return combined_digest(self.digests or run_digests(EVENT_SCHEMA.empty_table()))

    def to_polars(self) -> pl.DataFrame:
        """Return the rows."""
        return self.rows

    def run(self, run_id: str) -> Run:
        """Run one world again; its log is the one that it had.

        Raises:
            NotFoundError: the campaign has no such run.
        """
        found = self.rows["run_id"].index_of(run_id)
        if found is None:
            first = self.rows["run_id"][0]
            message = f"the campaign has no run {run_id!r}; its first is {first!r} (see `rows`)"
            raise NotFoundError(message)
        arm = self.arms[found // len(self.seeds)]
        recipe = arm.recipe.with_seed(self.seeds[found % len(self.seeds)])
        return run_of(recipe, namespace=self.namespace)

    def by_arm(self) -> pl.DataFrame:
        """Return a row an arm: the axes, how many runs, and sums over them."""
        import polars as pl  # noqa: PLC0415

        sums = [pl.col(name).sum() for name in _SUMS]
        if not self.axes:
            return self.rows.select(pl.len().alias("runs"), *sums)
        groups = self.rows.group_by(self.axes, maintain_order=True)
        return groups.agg(pl.len().alias("runs"), *sums)

    def __repr__(self) -> str:
        parts = [repr(self.name), counted(len(self), "run")]
        if self.axes:
            parts.append(f"{counted(len(self.arms), 'arm')} by {', '.join(self.axes)}")
        parts.append(f"{grouped(int(self.rows['ok'].sum()))} ok")
        if len(self.violations):
            parts.append(counted(len(self.violations), "violation"))
        if len(self.stuck):
            parts.append(f"{grouped(len(self.stuck))} stuck")
        return f"Campaign({', '.join(parts)})"

    def __str__(self) -> str:
        broken = self.violations.head(MAX_SHOWN).iter_rows(named=True)
        stuck = self.stuck.head(MAX_SHOWN).iter_rows(named=True)
        lines = [
            repr(self),
            *[f"{row['run_id']} violates {row['invariant']}: {row['message']}" for row in broken],
            *[
                f"{row['run_id']}: {row['workflow_id']} waits for {row['waits_for']}"
                for row in stuck
            ],
        ]
        for frame, what in ((self.violations, "violations"), (self.stuck, "stuck workflows")):
            if len(frame) > MAX_SHOWN:
                lines.append(f"{MAX_SHOWN} of {grouped(len(frame))} {what} shown")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        frame = self.by_arm()
        numbers = {"runs", *_SUMS}
        side = {name: "right" if name in numbers else "left" for name in frame.columns}
        head = "".join(_cell("th", name, side[name]) for name in frame.columns)
        body = "".join(
            f"<tr>{''.join(_cell('td', value, side[name]) for name, value in row.items())}</tr>"
            for row in frame.iter_rows(named=True)
        )
        caption = escape(repr(self))
        return (
            f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )


def _cell(tag: str, value: Any, side: str) -> str:
    text = grouped(value) if type(value) is int else str(value)
    return f'<{tag} style="text-align:{side}">{escape(text)}</{tag}>'
