"""What may be recorded of a run: checked at the door, since every later reader decodes it."""

from __future__ import annotations

from operator import attrgetter
from typing import Final

import msgspec
from msgspec import structs

from flowlab.errors import InvalidEventError
from flowlab.events import RunInfo, encode_json, grouped
from flowlab.store.admission import check_id

MAX_RUN_BYTES: Final = 16 * 1024 * 1024
"""Largest metadata of one run, as JSON."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_INT64: Final = range(-(2**63), 2**63)
_OWN: Final = ("run_id", "seed")
"""What of its metadata a run of a campaign has for itself."""
_shared: Final = attrgetter(*(name for name in RunInfo.__struct_fields__ if name not in _OWN))


def check_runs(runs: tuple[RunInfo, ...]) -> tuple[RunInfo, ...]:
    """Return the metadata of many runs, each as `check_run` returns it.

    The runs of a campaign share what they were made of: that is checked once, and the copies share
    it again.

    Raises:
        InvalidEventError: as for `check_run`.
    """
    models: dict[tuple[int, ...], RunInfo] = {}
    checked = []
    for run in runs:
        if type(run) is not RunInfo:
            checked.append(check_run(run))
            continue
        # What is the same object needs no second look; what is only equal, like 1 and True, does.
        shared = tuple(map(id, _shared(run)))
        model = models.get(shared)
        run_id, seed = run.run_id, run.seed
        if (
            model is None
            or type(run_id) is not str
            or not (seed is None or (type(seed) is int and seed in _INT64))
        ):
            models[shared] = found = check_run(run)
        else:
            check_id(run_id, "run_id", 0, empty=True)
            found = structs.replace(model, run_id=run_id, seed=seed)
        checked.append(found)
    return tuple(checked)


def check_run(run: RunInfo) -> RunInfo:
    """Return a run's metadata as it will be read back, a copy of its own.

    Raises:
        InvalidEventError: a field has a wrong type, is no JSON, or is over a limit; the message
            names the run and the field.
    """
    if not isinstance(run, RunInfo):
        message = f"{run!r} is a {type(run).__name__}; expected a RunInfo"
        raise InvalidEventError(message)
    where = f"run {run.run_id!r}"
    check_id(run.namespace, "namespace", 0, empty=False)
    check_id(run.run_id, "run_id", 0, empty=True)
    for field in ("seed", "created_ns"):
        value = getattr(run, field)
        if value is not None and value not in _INT64:
            message = f"{where}: field {field!r} is {value!r}; expected a signed int of 64 bits"
            raise InvalidEventError(message)
    try:
        fields = structs.asdict(run)
        if type(run.agents) is tuple:
            fields["agents"] = list(run.agents)  # JSON has no tuples: the fast path takes lists
        encoded = encode_json(fields)
        copy = msgspec.json.decode(encoded, type=RunInfo)
        _ENCODER.encode(copy)
    except (InvalidEventError, msgspec.MsgspecError, UnicodeError, OverflowError) as error:
        message = f"{where} cannot be recorded: {error}"
        raise InvalidEventError(message) from error
    if len(encoded) > MAX_RUN_BYTES:
        limit = f"MAX_RUN_BYTES is {grouped(MAX_RUN_BYTES)}"
        message = f"{where} takes {grouped(len(encoded))} bytes; {limit}"
        raise InvalidEventError(message)
    return copy
