"""What may be recorded of a run: checked at the door, since every later reader decodes it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import structs

from flowlab.errors import InvalidEventError
from flowlab.events import RunInfo, encode_json, grouped
from flowlab.store.admission import check_id

MAX_RUN_BYTES: Final = 16 * 1024 * 1024
"""Largest metadata of one run, as JSON."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_INT64: Final = range(-(2**63), 2**63)
_NOTHING: Final[dict[str, Any]] = {"parameters": {}, "faults": {}, "attributes": {}, "agents": ()}
"""What the runs of a campaign share, left out."""


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
        shared = tuple(id(getattr(run, name, None)) for name in _NOTHING)
        model = models.get(shared)
        if model is None or type(run) is not RunInfo:
            models[shared] = found = check_run(run)
        else:
            bare = check_run(structs.replace(run, **_NOTHING))
            found = structs.replace(bare, **{name: getattr(model, name) for name in _NOTHING})
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
