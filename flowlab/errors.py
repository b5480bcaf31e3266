"""The errors flowlab raises: each is a FlowlabError and also the built-in that it resembles.

An error says what was given, what was expected, and the next step. Catch `FlowlabError` to catch
them all, or the built-in (`KeyError`, `ValueError`, `OSError`) as with any other library.
"""

from __future__ import annotations

from typing import Any


class FlowlabError(Exception):
    """The root of every error that flowlab raises on purpose.

    Example:
        >>> issubclass(InvalidEventError, FlowlabError)
        True
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__


class InvalidArgumentError(FlowlabError, ValueError):
    """An argument is outside what the function accepts; nothing was done."""


class InvalidEventError(FlowlabError, ValueError):
    """An event breaks the schema; nothing of its batch was written.

    The message names the event by its place in the batch and its id, and the field.
    """


class InvalidKeyError(FlowlabError, KeyError, ValueError):
    """A hierarchical key does not follow the grammar; the message shows the place."""


class NotFoundError(FlowlabError, KeyError, LookupError):
    """No such stream, run, version or event; the message lists the nearest that exist."""


class ConcurrencyError(FlowlabError, RuntimeError):
    """The stream's head is not the `expected_version`: read it, decide and append again."""


class FencedError(FlowlabError, RuntimeError):
    """Another writer has taken over the store; this one must be opened again."""


class LockedError(FlowlabError, TimeoutError):
    """Somebody else holds the lock: a process the store's commit lock, or a saga a record."""


class DeadlockError(FlowlabError, RuntimeError):
    """Whoever waits here waits for ever; the message names the cycle."""


class PoisonedError(FlowlabError, OSError):
    """A sync failed earlier, so what is durable is unknown; open the store again."""


class CorruptionError(FlowlabError, ValueError):
    """A file of the store is damaged; the message names the file and the offset."""


class UnreadableError(CorruptionError, PermissionError):
    """This process may not read a file of the store; whether it is whole, another user can see.

    It is a CorruptionError, since whoever passes over a damaged file passes over this one.
    """


class FormatVersionError(FlowlabError, ValueError):
    """The store was written by a newer flowlab than this one."""


class NotAStoreError(FlowlabError, OSError):
    """The folder holds no flowlab store, or holds something else."""


class ReadOnlyError(FlowlabError, PermissionError):
    """This process may not write in the store's folder; reading goes on."""


class TruncatedError(FlowlabError, LookupError):
    """The events asked for lie before the stream's base; the message says where they went."""


class ProjectionError(FlowlabError, RuntimeError):
    """A projection's fold failed, or its state is not JSON; the message names the event.

    Of an inline projection: the append is refused, and nothing was written.
    """


class QueryError(FlowlabError, ValueError):
    """DuckDB refused the SQL; the message points at the place."""


class ImportFormatError(FlowlabError, ValueError):
    """A file could not be read as the format it was taken for."""


class LimitError(FlowlabError, ValueError):
    """A named limit was reached; the message says which, and how to raise it."""


class PlanError(FlowlabError, ValueError):
    """A plan, a choreography or a predicate is not one that can run; nothing was run.

    The message names the step, or the place in the JSON, and the rule.
    """


class MissingDependencyError(FlowlabError, ImportError):
    """An optional library is needed for this; the message gives the extra to install."""


class IllegalTransitionError(FlowlabError, RuntimeError):
    """A workflow's state cannot become the one asked for; the message shows the table."""


class NonDeterminismError(FlowlabError, RuntimeError):
    """A workflow's code asks for something other than its history records, or might.

    Nothing was executed. In a replay the message names the first event that differs, what the
    history holds, what the code asked for, and the two likely causes; from the guard it names the
    place in the code, what it reaches for, and what ctx has instead.

    Attributes:
        mean: how it was found: "replay", "source check", "audit hook" or "blocked call".
        recorded: in a replay, the event that the history holds.
        asked: in a replay, the draft that the code asked for; None where it asked for nothing.
        differs: in a replay, what they differ in.
        line: in a replay of code, file:line of what asks for something else, or of where it waits;
            the message ends with it.
    """

    def __init__(
        self,
        message: str,
        *,
        mean: str = "replay",
        recorded: Any = None,
        asked: Any = None,
        differs: str = "",
        line: str = "",
    ) -> None:
        super().__init__(message)
        self.mean = mean
        self.recorded = recorded
        self.asked = asked
        self.differs = differs
        self.line = line

    def __str__(self) -> str:
        told = super().__str__()
        return f"{told} The code is at {self.line}." if self.line else told


class DeterminismWarning(UserWarning):
    """A workflow's code may not be the same in every replay; the message names the place."""


class StaleReadError(FlowlabError, RuntimeError):
    """What was read has changed since, so nothing was written: read again, and decide again."""


class UpcastError(FlowlabError, ValueError):
    """An event of an older version could not be read as the newest; the message names both.

    It names the event and the function: one is missing, raised, or returned what is no payload.
    """


class ActivityError(FlowlabError, RuntimeError):
    """An activity failed for good: its retries are used up, or its error is final.

    Attributes:
        activity: its name.
        error_type: the name of the error's type, as the agent reported it.
        timed_out: no answer came in time, so whether it happened is unknown.
    """

    def __init__(
        self, message: str, *, activity: str = "", error_type: str = "", timed_out: bool = False
    ) -> None:
        super().__init__(message)
        self.activity = activity
        self.error_type = error_type
        self.timed_out = timed_out


class CompensationError(FlowlabError, RuntimeError):
    """A saga failed, and effects of it are left; its `__cause__` is what failed first.

    Attributes:
        uncompensated: the steps whose effects are left.
    """

    def __init__(self, message: str, *, uncompensated: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.uncompensated = uncompensated


class ChildWorkflowError(FlowlabError, RuntimeError):
    """A child workflow failed.

    Attributes:
        uncompensated: the steps of the child whose effects are left.
    """

    def __init__(self, message: str, *, uncompensated: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.uncompensated = uncompensated


class WorkflowError(FlowlabError, RuntimeError):
    """A workflow that a runtime carried out failed, or was canceled.

    Attributes:
        workflow_id: its stream.
        error_type: the name of the error's type, as its history has it.
        uncompensated: the steps whose effects are left.
    """

    def __init__(
        self,
        message: str,
        *,
        workflow_id: str = "",
        error_type: str = "",
        uncompensated: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.workflow_id = workflow_id
        self.error_type = error_type
        self.uncompensated = uncompensated


class CancelledError(FlowlabError, RuntimeError):
    """The workflow was asked to stop, or what it waits for was given up.

    Catch it to clean up, and let it go on: a workflow that it ends is canceled.
    """
