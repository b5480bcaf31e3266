"""Verbs of the law: law replay, law checkpoint, law recommend."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from flowlab.cli.output import answer, answer_json
from flowlab.cli.stores import add_store, open_store
from flowlab.cli.verb import OK, Verb, add_json
from flowlab.errors import InvalidArgumentError


def _number(parser: ArgumentParser, name: str, what: str, *, default: float | None = None) -> None:
    dest = "rate" if name == "--lambda" else name[2:]
    parser.add_argument(
        name,
        dest=dest,
        metavar="X",
        type=float,
        required=default is None,
        default=default,
        help=what,
    )


def _replay_arguments(parser: ArgumentParser) -> None:
    _number(parser, "--S", "seconds to write a snapshot")
    _number(parser, "--L", "seconds to load one")
    _number(parser, "--r", "seconds to replay an event")
    _number(parser, "--p", "probability of a recovery at an event: crashes and cold loads")
    _number(parser, "--lambda", "failures a second that strike recoveries too (none)", default=0.0)
    _number(parser, "--D", "seconds of downtime before a recovery (0)", default=0.0)
    add_json(parser)


def _replay(arguments: Namespace) -> int:
    from flowlab.recovery.numbers import probability  # noqa: PLC0415
    from flowlab.recovery.replaying import band, best_interval  # noqa: PLC0415

    probability(p=arguments.p)
    names = ("S", "L", "r", "p", "rate", "D")
    found = best_interval(**{name: getattr(arguments, name) for name in names})
    if arguments.json:
        answer_json({"n_star": found.n_star, "n_best": found.n_best, "cost": found.cost})
        return OK
    low, high = band(found)
    lines = [
        f"a snapshot every   {found.n_best} events (N* = {found.n_star:.6g})",
        f"it costs           {found.cost:.6g} s an event, recoveries included",
        f"within 5 %         between {low:.4g} and {high:.4g} events, recoveries not interrupted",
        f"needs none         below about {2 * found.n_star:.4g} events, if an empty state loads so",
    ]
    answer("\n".join(lines))
    return OK


def _checkpoint_arguments(parser: ArgumentParser) -> None:
    _number(parser, "--delta", "seconds to write a checkpoint")
    _number(parser, "--M", "mean seconds between failures")
    _number(parser, "--R", "seconds to restart; never moves the interval (0)", default=0.0)
    add_json(parser)


def _checkpoint(arguments: Namespace) -> int:
    from flowlab.recovery import rework  # noqa: PLC0415

    delta, mean, restart = arguments.delta, arguments.M, arguments.R
    best = rework.exact(delta, mean)
    found = {
        "young": rework.young(delta, mean),
        "daly": rework.daly(delta, mean),
        "exact": best,
        "overhead": rework.overhead(best, delta=delta, M=mean, R=restart),
    }
    if arguments.json:
        answer_json(found)
        return OK
    words = {
        "young": "s between checkpoints, by Young",
        "daly": "s, by Daly's higher order",
        "exact": "s, the exact optimum",
        "overhead": "of the failure-free time is added there",
    }
    answer("\n".join(f"{found[name]:<12.6g}{word}" for name, word in words.items()))
    return OK


def _recommend_arguments(parser: ArgumentParser) -> None:
    add_store(parser)
    learned = "(with the others, or as the store has learned, or assumed)"
    for name, what in (
        ("--S", f"seconds to write a snapshot {learned}"),
        ("--L", f"seconds to load one {learned}"),
        ("--r", f"seconds to replay an event {learned}"),
        ("--failures", "mean seconds between failures of a workflow's host (as in the store)"),
        ("--p", "probability of a recovery at an event, instead"),
        ("--D", "seconds of downtime before a recovery (as in the store)"),
    ):
        parser.add_argument(name, metavar="X", type=float, help=what)
    _number(parser, "--loads", "cold loads at an event, which are recoveries too (0)", default=0.0)
    add_json(parser)


def _recommend(arguments: Namespace) -> int:
    from flowlab.recovery import Costs, recommend  # noqa: PLC0415

    given = (arguments.S, arguments.L, arguments.r)
    missing = [f"--{name}" for name, value in zip("SLr", given, strict=True) if value is None]
    if 0 < len(missing) < len(given):
        message = f"{' and '.join(missing)} not given; give --S, --L and --r, or none of them"
        raise InvalidArgumentError(message)
    costs = None if missing else Costs(*given)
    with open_store(arguments.store) as store:
        found = recommend(
            store,
            arguments.failures,
            costs,
            p=arguments.p,
            loads_per_event=arguments.loads,
            downtime_s=arguments.D,
        )
    if arguments.json:
        answer_json(found.to_json())
    else:
        answer("\n".join([found.words, *(f"- {told}" for told in found.assumptions)]))
    return OK


VERBS: Final = (
    Verb(
        name="law replay",
        summary="Say after how many events a log that is replayed needs a snapshot.",
        text="A recovery n events after the last snapshot costs L + r n, and no work is done "
        "twice: N* = sqrt(2 S / (p r)). With --lambda failures strike recoveries, too.",
        example="flowlab law replay --S 50 --L 20 --r .5 --p .001",
        run=_replay,
        arguments=_replay_arguments,
    ),
    Verb(
        name="law checkpoint",
        summary="Say how often to checkpoint work that a failure undoes: Young, Daly, exact.",
        text="Failures come at a constant rate 1/M, and cost what was done since the last "
        "checkpoint.",
        example="flowlab law checkpoint --delta 5 --M 360",
        run=_checkpoint,
        arguments=_checkpoint_arguments,
    ),
    Verb(
        name="law recommend",
        summary="Say when to checkpoint what a store shows, and how sure that is.",
        text="How long workflows get, how fast events come and how often they recover is read from "
        "the store; what a checkpoint costs is given, or else what the store's policy has learned, "
        "or assumed. Where nothing says how often failures come, the answer is a table of rates.",
        example="flowlab law recommend --store runs --S .05 --L .02 --r .0005",
        run=_recommend,
        arguments=_recommend_arguments,
    ),
)
