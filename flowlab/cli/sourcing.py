"""The verb that brings a projection of a store up to date: store project."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any, Final

from flowlab.cli.loading import load_module
from flowlab.cli.output import answer, answer_json, say, text_table
from flowlab.cli.stores import directory, open_to_write
from flowlab.cli.verb import OK, Verb

if TYPE_CHECKING:
    from flowlab.store import Projection, ViewState

MOST_SHOWN: Final = 20
"""States that are listed for people; JSON has them all."""


def _arguments(parser: ArgumentParser) -> None:
    directory(parser)
    parser.add_argument(
        "target", metavar="MODULE:NAME", help="or FILE.py:NAME: what @projection declared"
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="from the log, whatever was saved of it"
    )
    parser.add_argument("--json", action="store_true", help="status and states as one JSON value")


def _project(arguments: Namespace) -> int:
    view = _loaded(arguments.target)
    with open_to_write(arguments.store) as store:
        before = next((told for told in store.projections() if told.view == view.name), None)
        if before is not None:
            say(f"found: {before}")
        if arguments.rebuild:
            store.rebuild(view, progress=_progress)
        elif view.life != "live":
            store.catch_up(view, progress=_progress)
        found = store.project(view)
    if arguments.json:
        answer_json(_told(found))
    else:
        _show(found)
    return OK


def _progress(position: int, end: int) -> None:
    say(f"folded up to position {position} of {end}")


def _loaded(target: str) -> Projection:
    """Return the projection that a target names.

    Raises:
        InvalidArgumentError: the target is none, or its module cannot be loaded.
        NotFoundError: the module has no such projection.
    """
    from flowlab.errors import InvalidArgumentError, NotFoundError  # noqa: PLC0415
    from flowlab.store import Projection  # noqa: PLC0415

    source, _, name = target.rpartition(":")
    if not source or not name:
        message = f"a projection is given as MODULE:NAME or FILE.py:NAME, not {target!r}"
        raise InvalidArgumentError(message)
    module = load_module(source)
    found = getattr(module, name, None)
    if not isinstance(found, Projection):
        known = sorted(key for key, value in vars(module).items() if isinstance(value, Projection))
        message = (
            f"{source!r} has no projection {name!r}; it has {', '.join(known) or 'none'} "
            "(declare one with @projection)"
        )
        raise NotFoundError(message)
    return found


def _told(found: ViewState) -> dict[str, Any]:
    status = found.status
    return {
        "view": status.view,
        "life": status.life,
        "critical": status.critical,
        "version": status.version,
        "position": status.position,
        "lag_events": status.lag_events,
        "lag_ns": status.lag_ns,
        "states": [
            {**dict(zip(_STREAM, stream or (None,) * 3, strict=True)), "state": state}
            for stream, state in found.states.items()
        ],
    }


def _show(found: ViewState) -> None:
    answer(str(found.status))
    rows = [(*(stream or ("", "", "")), state) for stream, state in found.states.items()]
    if rows and found.status.by == "store":
        answer_json(found.state)
        return
    answer("".join(text_table((*_STREAM, "state"), rows[:MOST_SHOWN])).rstrip("\n"))
    if len(rows) > MOST_SHOWN:
        say(f"{MOST_SHOWN} of {len(rows)} states shown; --json has them all")


_STREAM: Final = ("namespace", "run_id", "workflow_id")
VERBS: Final = (
    Verb(
        name="store project",
        summary="Bring a projection of a store up to date, and show it.",
        text="Folds the events that are new since its state was saved, saves state and position in "
        "one file, and prints how far it is and what it holds. A state that is damaged, or of "
        "another version, is built again from the log.",
        example="flowlab store project S accounts.py:Balance --json",
        run=_project,
        arguments=_arguments,
    ),
)
