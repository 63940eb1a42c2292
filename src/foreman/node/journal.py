"""The journal: one file for each batch that has been promised and is not yet done, DATA/journal/BATCH.json.

A record is durable before the first effect of its batch and removed, durably, after the last; so what is found at a start must be
finished or undone. Written atomically: a record is there whole, or the batch never began. One that cannot be read is therefore
another version's, or damaged afterwards: it is reported and kept, never guessed at.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, assert_never

from foreman.core.batches import CreateBatch, JournalRecord, RemovalTarget, RemoveBatch
from foreman.core.canonical_json import JsonProblem, read_json, write_json
from foreman.core.errors import InvalidWorkerId
from foreman.core.ids import BatchId, WorkerId, parse_worker_id
from foreman.kernel.files import atomic_write, errno_name, fsync_directory, printable, read_bounded, unlink_if_there
from foreman.node.layout import Layout, disk_error

FORMAT: Final = 1
MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
_SUFFIX: Final = ".json"


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A file in the journal that says nothing we can act on. ``reason``: one sentence."""

    path: str
    reason: str


def write_record(layout: Layout, record: JournalRecord) -> None:
    """Make the record durable. Idempotent. Raises InsufficientSpace or DiskFault; then the batch must not begin."""
    path = _path(layout, record.batch)
    try:
        atomic_write(str(path), encode_record(record), temporary_in=str(layout.staging))
    except OSError as error:
        _forget_quietly(path)
        raise disk_error(error, path) from error


def clear_record(layout: Layout, batch: BatchId) -> None:
    """Remove the record, durably. Idempotent. Raises DiskFault; then it is found again at the next start."""
    path = _path(layout, batch)
    try:
        unlink_if_there(str(path))
        fsync_directory(str(layout.journal))
    except OSError as error:
        raise disk_error(error, path) from error


def read_journal(layout: Layout) -> tuple[list[JournalRecord], list[UnreadableRecord]]:
    """All records, in the order of their batch names, and what could not be read. Raises OSError when there is no journal to read."""
    records: list[JournalRecord] = []
    unreadable: list[UnreadableRecord] = []
    for path in sorted(layout.journal.iterdir()):
        found = _read(path)
        if isinstance(found, UnreadableRecord):
            unreadable.append(found)
        else:
            records.append(found)
    return records, unreadable


def encode_record(record: JournalRecord) -> bytes:
    """The record as one line of canonical JSON; :func:`parse_record` is its inverse."""
    match record:
        case CreateBatch(batch, ids):
            return write_json({"format": FORMAT, "batch": batch, "create": list(ids)})
        case RemoveBatch(batch, targets):
            pairs = [[target.id, target.created_at] for target in targets]
            return write_json({"format": FORMAT, "batch": batch, "remove": pairs})
        case _:
            assert_never(record)


def parse_record(data: bytes) -> JournalRecord | str:
    """The record, or a sentence on what is wrong. Total."""
    value = read_json(data)
    if isinstance(value, JsonProblem):
        return value.sentence
    if not isinstance(value, dict):
        return "it is not an object"
    if type(value.get("format")) is not int or value["format"] != FORMAT:
        return f"it has format {value.get('format')!r:.40}; this foreman knows format {FORMAT}"
    try:
        return _record_of(value)
    except (InvalidWorkerId, TypeError, ValueError, KeyError):
        return "it has not the shape of a record"


def _record_of(value: dict[str, Any]) -> JournalRecord:
    batch = _batch_of(value["batch"])
    match value:
        case {"create": list(ids)} if len(value) == 3:
            return CreateBatch(batch, tuple(parse_worker_id(id) for id in ids))
        case {"remove": list(pairs)} if len(value) == 3:
            return RemoveBatch(batch, tuple(_target_of(pair) for pair in pairs))
        case _:
            raise ValueError(value)


def _target_of(pair: Any) -> RemovalTarget:
    id, created_at = pair
    if created_at is not None and type(created_at) not in {int, float}:
        raise TypeError(created_at)
    return RemovalTarget(parse_worker_id(id), None if created_at is None else float(created_at))


def _batch_of(name: Any) -> BatchId:
    """A batch's name is a file's name, and so has the alphabet of a worker id."""
    checked: WorkerId = parse_worker_id(name)
    return BatchId(checked)


def _path(layout: Layout, batch: BatchId) -> Path:
    return layout.journal / f"{_batch_of(batch)}{_SUFFIX}"


def _read(path: Path) -> JournalRecord | UnreadableRecord:
    shown = printable(str(path))
    try:
        data = read_bounded(str(path), MAX_RECORD_BYTES + 1)
    except OSError as error:
        return UnreadableRecord(shown, f"it cannot be read: {errno_name(error.errno or 0)}")
    if len(data) > MAX_RECORD_BYTES:
        return UnreadableRecord(shown, "it is too large to be a record")
    record = parse_record(data)
    if isinstance(record, str):
        return UnreadableRecord(shown, record)
    if path.name != record.batch + _SUFFIX:
        return UnreadableRecord(shown, f"it is the record of batch {record.batch}")
    return record


def _forget_quietly(path: Path) -> None:
    """A record whose rename was done but not made durable must not be found at the next start: its batch was refused."""
    try:
        os.unlink(path)  # noqa: PTH108  one call, no Path semantics needed
    except OSError:
        return
