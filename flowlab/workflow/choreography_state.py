"""What has come of one choreographed saga so far, as far as anybody can say: no IO, no agents.

Whoever carries a choreography out, in virtual time or for real, says what happens; this says what
follows. It refers to events by whatever its host does.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from flowlab.events import CauseKind
from flowlab.workflow.choreography_routes import Heard, Routes

R = TypeVar("R")
PROGRAM = int(CauseKind.PROGRAM)
JOIN = int(CauseKind.JOIN)


class Deed:
    """What one reaction has done for one workflow: what its agent remembers.

    Attributes:
        index, step: which reaction, and what this is called.
        state: at work, done, refused, undoing or undone.
        input, result: what it was told, and what came of it.
        undone_by: the letter because of which it is undone.
    """

    __slots__ = ("index", "input", "result", "state", "step", "undone_by")

    def __init__(self, index: int, step: str) -> None:
        self.index = index
        self.step = step
        self.state = "at work"
        self.input: Any = None
        self.result: Any = None
        self.undone_by: Any = None

    def __repr__(self) -> str:
        return f"Deed({self.step!r}, {self.state})"


class ChoreographyState(Generic[R]):
    """The deeds of one saga that nobody conducts, and what its end will say.

    Attributes:
        routes: who hears what.
        deeds: what was done, by step, in the order in which it was begun.
        void: reactions that have heard that they are undone: they do nothing any more.
        finals: the values of the final events.
        error: the first failure that was told.
        compensates: whether anything was undone.
        leaves: events that nothing follows from, with the kind of cause that they are of the end.

    Example:
        >>> from flowlab.workflow import Choreography, Reaction
        >>> order = Choreography(Reaction("bank", on="Placed", emits="Paid"), start="Placed",
        ...                      final="Paid")
        >>> state = ChoreographyState(Routes(order))
        >>> [(heard.agent, step) for heard, step in state.tell("Placed", 7, 1, "")]
        [('bank', 'Placed')]
    """

    __slots__ = (
        *("_outside", "compensates", "deeds", "error", "finals", "leaves", "routes", "void"),
    )

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self.deeds: dict[str, Deed] = {}
        self.void: set[int] = set()
        self.finals: dict[str, Any] = {}
        self.error: dict[str, Any] | None = None
        self.compensates = False
        self.leaves: dict[R, int] = {}
        self._outside: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"ChoreographyState({len(self.deeds)} deeds)"

    def come(self, event: str) -> str:
        """Take note of an event from outside; return what tells it from others of its name."""
        count = self._outside[event] = self._outside.get(event, 0) + 1
        return f"#{count}" if count > 1 else ""

    def tell(self, event: str, value: Any, ref: R, source: str) -> list[tuple[Heard, str]]:
        """Return who is to hear of an event, each with what his step is called.

        Args:
            event: what has happened.
            value: what is told of it.
            ref: of the event.
            source: the step that it came of, or what `come` has said.
        """
        routes = self.routes
        if event in routes.final:
            self.finals[event] = value
        heard = routes.heard.get(event, ())
        if not heard:
            self.leaves[ref] = PROGRAM
        named = source.startswith("#") or ">" in source or event in routes.joining
        return [
            (each, f"{source}>{each.step}" if named and source and not each.undo else each.step)
            for each in heard
        ]

    def arrive(self, heard: Heard, step: str) -> bool:
        """Take note that an agent was told; say whether it does anything about it."""
        deed = self.deeds.get(step)
        at_work = deed is not None and deed.state == "at work"
        if heard.index in self.void and not at_work:
            return False
        if deed is None:
            self.deeds[step] = Deed(heard.index, step)
        return True

    def did(self, step: str, value: Any, result: Any) -> None:
        """Take note of what a reaction has done about a value."""
        deed = self.deeds[step]
        if deed.state == "at work":
            deed.state = "done"
        deed.input, deed.result = value, result

    def refused(self, step: str, error: dict[str, Any]) -> None:
        """Take note that a reaction has failed, and says so."""
        deed = self.deeds[step]
        if deed.state == "at work":
            deed.state = "refused"
        self.error = self.error or error

    def undoes(self, heard: Heard, letter: object) -> Deed | Literal[False] | None:
        """Take note that a reaction is to be undone; it will do nothing any more.

        Returns:
            The deed to undo; None where there is none; False where it is at work, and this is to
            be asked once more when that has ended.
        """
        self.void.add(heard.index)
        deeds = [deed for deed in self.deeds.values() if deed.index == heard.index]
        if any(deed.state == "at work" for deed in deeds):
            # What it works on is done first: then there is something to undo, or nothing.
            return False
        for deed in reversed(deeds):
            if deed.state == "done" or (deed.state == "undoing" and deed.undone_by == letter):
                return deed
        return None

    def undoing(self, deed: Deed, letter: object) -> None:
        """Take note that the undoing of a deed begins."""
        deed.state, deed.undone_by = "undoing", letter
        self.compensates = True

    @staticmethod
    def undo_input(deed: Deed, heard: Heard) -> Any:
        """Return what the compensation of a deed is given."""
        undo = heard.reaction.compensation
        if undo is None or undo.input is None:
            return {"input": deed.input, "result": deed.result}
        return undo.input.fill(deed.input, {heard.reaction.activity: deed.result})

    def undone(self, deed: Deed, ref: R) -> Deed | None:
        """Take note that a deed was undone; return the next of its reaction that is to be."""
        deed.state = "undone"
        self.leaves[ref] = PROGRAM
        others = [d for d in self.deeds.values() if d.index == deed.index and d.state == "done"]
        return others[-1] if others else None

    def ending(self) -> tuple[str, dict[str, Any]] | None:
        """Return (status, what the end says) of a saga in which nothing is on its way any more.

        None where it has neither failed nor come to a final event.
        """
        failed = self.compensates or self.error is not None
        if not failed:
            if self.routes.final and not self.finals:
                return None
            return "completed", {"result": self.finals}
        undone = {"message": "what it did was undone", "type": "Undone"}
        payload: dict[str, Any] = {"error": self.error or undone, "result": self.finals}
        left = [deed.step for deed in self.deeds.values() if self._is_left(deed)]
        if left:
            payload["uncompensated"] = left
        # Nothing undoes these; nobody else in the log says that they were done.
        others = [deed.step for deed in self.deeds.values() if self._stays(deed)]
        if others:
            payload["effects_left"] = others
        return "failed", payload

    def _stays(self, deed: Deed) -> bool:
        reaction = self.routes.reactions[deed.index]
        return reaction.effect and reaction.compensation is None and deed.state == "done"

    def _is_left(self, deed: Deed) -> bool:
        undoable = self.routes.reactions[deed.index].compensation is not None
        return undoable and deed.state in {"done", "undoing"}
