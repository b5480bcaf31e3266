"""The versions of event types at the door: what is written is written as of the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

from flowlab.errors import InvalidEventError
from flowlab.events import Upcasts

if TYPE_CHECKING:
    import pyarrow as pa

    from flowlab.store.admission import Batch


def check_batch(batch: Batch, upcasts: Upcasts) -> None:
    """Refuse a batch with an event of an older version than the upcasts lead to.

    Raises:
        InvalidEventError: it would be read as something else than was meant.
    """
    for index, (event_type, version) in enumerate(batch.versions() if upcasts else ()):
        newest = upcasts.newest(event_type)
        if version < newest:
            message = (
                f"event {index} of the batch: field 'schema_version' is {version}, but the store's "
                f"upcasts lead {event_type!r} to version {newest}; write the event as that, "
                f"schema_version={newest}"
            )
            raise InvalidEventError(message)


def check_table(table: pa.Table, upcasts: Upcasts) -> None:
    """Refuse a table with such an event.

    Raises:
        InvalidEventError: as for `check_batch`.
    """
    if not upcasts or not table.num_rows:
        return
    older = upcasts.older(table)
    if pc.any(older).as_py():
        row = pc.index(older, value=True).as_py()
        event_type = table.column("event_type")[row].as_py()
        version = table.column("schema_version")[row].as_py()
        message = (
            f"event {row} of the table: field 'schema_version' is {version}, but the store's "
            f"upcasts lead {event_type!r} to version {upcasts.newest(event_type)}; append "
            "log.upcast(steps)"
        )
        raise InvalidEventError(message)
