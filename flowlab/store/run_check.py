"""What may be recorded of a run: checked at the door, since every later reader decodes it."""

from __future__ import annotations

from typing import Final

import msgspec

from flowlab.errors import InvalidEventError
from flowlab.events import RunInfo, encode_json, grouped
from flowlab.store.admission import check_id

MAX_RUN_BYTES: Final = 16 * 1024 * 1024
"""Largest metadata of one run, as JSON."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_INT64: Final = range(-(2**63), 2**63)


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
        fields = msgspec.structs.asdict(run)
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
