"""What `recommend` answers: a number, how sure it is, and what was assumed, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from flowlab.events import counted, grouped
from flowlab.recovery.estimates import Costs
from flowlab.recovery.known_costs import CostsFrom
from flowlab.recovery.observed import Observed
from flowlab.recovery.replaying import Interval

_WHENCE: Final = {
    "learned": ("The costs are those that the store's policy has learned.",),
    "assumed": ("The costs are assumed, and nothing that was measured.",),
}


@dataclass(frozen=True, slots=True)
class AtRate:
    """The interval that one rate of failures asks for.

    Args:
        failures: in words: "a failure a day".
        p: probability of a recovery at an event.
        interval: the best one.
        worth: whether a workflow is long enough to need checkpoints.
    """

    failures: str
    p: float
    interval: Interval
    worth: bool

    def __repr__(self) -> str:
        return f"AtRate({self.failures}: {self.words})"

    @property
    def words(self) -> str:
        """The interval, and whether it is needed."""
        every = f"every {grouped(self.interval.n_best)} events"
        return every if self.worth else f"{every}, and nothing is long enough to need it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """When to checkpoint what a log shows, and what is not known of it.

    Where failures are not known, `every` and all that depends on them is None, and `table` says
    what several rates would ask for.

    Args:
        observed: what the log tells.
        costs: of a checkpoint, a load and the replay of an event.
        costs_from: whether these were `given`, were `learned` by a policy of the store, or are
            `assumed`.
        assumptions: what the answer rests on, a sentence each.
        tolerance: of `band`, as a share.
        confidence: of `sure`.
        downtime_s: before a recovery.
        p: probability of a recovery at an event.
        mean_s: mean seconds between failures of one workflow's host, where it is known.
        uninterrupted: the law R0, in which a recovery is not interrupted.
        interrupted: the law R1, in which failures strike recoveries, too; it needs `mean_s`.
        band: between which intervals what the interval changes costs at most `tolerance` more.
        sure: between which N* lies, as the failures seen were few; None where a rate was given.
        without: expected seconds an event with no checkpoint at all.
        table: the interval for several rates, where failures are not known.
    """

    observed: Observed
    costs: Costs
    assumptions: tuple[str, ...] = field(repr=False)
    tolerance: float
    confidence: float
    downtime_s: float
    p: float | None = None
    mean_s: float | None = None
    uninterrupted: Interval | None = None
    interrupted: Interval | None = None
    band: tuple[float, float] | None = None
    sure: tuple[float, float] | None = None
    without: float | None = None
    table: tuple[AtRate, ...] = ()
    costs_from: CostsFrom = "given"

    @property
    def best(self) -> Interval | None:
        """The best interval: by R1 where it can be had, else by R0."""
        return self.uninterrupted if self.interrupted is None else self.interrupted

    @property
    def every(self) -> int | None:
        """The best whole number of events between checkpoints."""
        return None if self.best is None else self.best.n_best

    @property
    def cost(self) -> float | None:
        """Expected seconds an event of checkpoints and recoveries, with it."""
        return None if self.best is None else self.best.cost

    @property
    def worth(self) -> bool:
        """Whether something is at least about 2 N* long: below that, replay costs no more."""
        if self.best is None:
            return any(row.worth for row in self.table)
        return self.observed.longest >= 2.0 * self.best.n_star

    @property
    def interval_s(self) -> float | None:
        """The seconds that N* events take, at the log's rate."""
        pace = self.observed.events_per_s
        return None if pace is None or self.best is None else self.best.n_star / pace

    @property
    def words(self) -> str:
        """The answer in sentences."""
        return " ".join([*self._sentences(), *_WHENCE.get(self.costs_from, ())])

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON: numbers, words and what they rest on."""
        laws = {"r0": self.uninterrupted, "r1": self.interrupted}
        answer: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("every", "cost", "worth", "interval_s", "p", "mean_s", "without")
        }
        answer |= {
            name: None if law is None else {"n_star": law.n_star, "cost": law.cost}
            for name, law in laws.items()
        }
        for name in ("band", "sure"):
            edges = getattr(self, name)
            answer[name] = None if edges is None else list(edges)
        answer["table"] = [
            {"failures": row.failures, "p": row.p, "every": row.interval.n_best, "worth": row.worth}
            for row in self.table
        ]
        costs = {name: getattr(self.costs, name) for name in ("snapshot_s", "load_s", "replay_s")}
        answer |= {"costs": costs, "costs_from": self.costs_from}
        return answer | {"words": self.words, "assumptions": list(self.assumptions)}

    def __repr__(self) -> str:
        if self.best is None:
            often = min(row.interval.n_best for row in self.table)
            told = f"failures unknown: every {grouped(often)} events, or more seldom"
        elif not self.worth or self.band is None:
            least = counted(round(2 * self.best.n_star), "event")
            told = f"too short to need a checkpoint, which pays from {least}"
        else:
            low, high = (grouped(round(edge)) for edge in self.band)
            every = counted(self.best.n_best, "event")
            told = f"checkpoint every {every}, {low} to {high} within {_percent(self.tolerance)}"
        return f"Recommendation({told})"

    def _repr_html_(self) -> str:
        body = "".join(
            f'<tr><td style="text-align:left">{escape(name)}</td>'
            f'<td style="text-align:right">{escape(value)}</td></tr>'
            for name, value in self._rows()
        )
        rests = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.assumptions)
        return (
            f"<p>{escape(self.words)}</p><table><tbody>{body}</tbody></table>"
            f"<p>It rests on this:</p><ul>{rests}</ul>"
        )

    def _sentences(self) -> Iterator[str]:
        seen, best = self.observed, self.best
        longest = f"the longest {seen.kind} has {counted(seen.longest, 'event')}"
        if best is None or self.band is None:
            yield "The log holds no failure, so it cannot say how often to checkpoint."
            yield f"{longest.capitalize()}."
            for row in self.table:
                yield f"With {row.failures}: {row.words}."
            return
        if self.worth:
            pace = "" if self.interval_s is None else f" (about {self.interval_s:.3g} s)"
            yield f"Checkpoint every {counted(best.n_best, 'event')}{pace}."
            yield f"Checkpoints and recoveries then cost {best.cost:.3g} s an event,"
            yield f"and {self.without:.3g} s with no checkpoint at all."
            low, high = (grouped(round(edge)) for edge in self.band)
            more = f"at most {_percent(self.tolerance)} more of what the interval changes"
            yield f"Anything from {low} to {high} events costs {more}."
            long = seen.at_least(2.0 * best.n_star)
            are = "is" if long == 1 else "are"
            yield f"{grouped(long)} of {counted(seen.count, seen.kind)} {are} long enough for one."
        else:
            least = grouped(round(2 * best.n_star))
            yield f"No checkpoint is needed: {longest}, and one pays from about {least} (2 N*)."
            yield f"Recovery by replay from the beginning costs {self.without:.3g} s an event."
        if self.sure is not None:
            low, high = (grouped(max(1, round(edge))) for edge in self.sure)
            yield f"As failures were few, N* is {low} to {high} with {_percent(self.confidence)}"
            yield "confidence."

    def _rows(self) -> Iterator[tuple[str, str]]:
        yield "to write a checkpoint, S", f"{self.costs.snapshot_s:.4g} s"
        yield "to load one, L", f"{self.costs.load_s:.4g} s"
        yield "to replay an event, r", f"{self.costs.replay_s:.4g} s"
        yield "downtime, D", f"{self.downtime_s:.4g} s"
        for row in self.table:
            yield f"with {row.failures}", row.words
        if self.p is not None:
            yield "probability of a recovery at an event, p", f"{self.p:.4g}"
        if self.mean_s is not None:
            yield "mean time between failures, M", f"{self.mean_s:.4g} s"
        for name, law in (("R0", self.uninterrupted), ("R1", self.interrupted)):
            if law is not None:
                told = f"{law.n_star:.4g} events, {law.cost:.4g} s an event"
                yield f"best interval, law {name}", told
        if self.band is not None:
            name = f"costs at most {_percent(self.tolerance)} more"
            yield name, f"{self.band[0]:.4g} to {self.band[1]:.4g} events"
        if self.sure is not None:
            name = f"N* with {_percent(self.confidence)} confidence"
            yield name, f"{self.sure[0]:.4g} to {self.sure[1]:.4g} events"
        if self.interval_s is not None:
            yield "best interval in time", f"{self.interval_s:.4g} s"
        if self.without is not None:
            yield "with no checkpoint at all", f"{self.without:.4g} s an event"
        yield f"longest {self.observed.kind}", counted(self.observed.longest, "event")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
