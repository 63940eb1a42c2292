"""The port's values as etcd's messages and back. No I/O.

A transaction of more than FLAT operations is nested: etcd bounds the operations of each level (``--max-txn-ops``, 128 by default, less
what the levels above have), not their sum, and applies the whole tree in one revision.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final, assert_never

from aetcd import rpc

from foreman.directory.port import (
    Absent,
    Changes,
    Comparison,
    Delete,
    Deleted,
    KeyRange,
    KeyValue,
    LeaseId,
    Operation,
    Present,
    Put,
    Unchanged,
)

FLAT: Final = 64
"""So many operations stand at one level: 64 transactions of 64 operations are the port's 4,096, and 64 + 64 are etcd's 128."""

Message = Any
"""aetcd ships no types for its messages."""


def range_request(keys: KeyRange, revision: int | None, limit: int | None) -> Message:
    """0 is etcd's word for the latest revision, and for no limit."""
    key, end = _bounds(keys)
    return rpc.RangeRequest(key=key, range_end=end, revision=revision or 0, limit=limit or 0)


def watch_request(keys: KeyRange, start_revision: int) -> Message:
    """Begins with ``start_revision`` itself."""
    key, end = _bounds(keys)
    return rpc.WatchRequest(create_request=rpc.WatchCreateRequest(key=key, range_end=end, start_revision=start_revision))


def transaction_request(comparisons: Sequence[Comparison], operations: Sequence[Operation]) -> Message:
    """Nested when it is large."""
    steps = [_operation(operation) for operation in operations]
    if len(steps) > FLAT:
        levels = (steps[start : start + FLAT] for start in range(0, len(steps), FLAT))
        steps = [rpc.RequestOp(request_txn=rpc.TxnRequest(success=level)) for level in levels]
    return rpc.TxnRequest(compare=[_comparison(comparison) for comparison in comparisons], success=steps)


def key_value(message: Message) -> KeyValue:
    """One entry of a range or an event."""
    lease = LeaseId(message.lease) if message.lease else None
    return KeyValue(message.key, message.value, message.create_revision, message.mod_revision, lease)


def changes(events: Iterable[Message], after: int) -> list[Changes]:
    """What came after ``after``, a revision at a time."""
    told = (event for event in events if event.kv.mod_revision > after)
    return [Changes(revision, tuple(map(_event, group))) for revision, group in groupby(told, key=lambda event: int(event.kv.mod_revision))]


def _event(message: Message) -> KeyValue | Deleted:
    if message.type == rpc.Event.DELETE:
        return Deleted(message.kv.key, message.kv.mod_revision)
    return key_value(message.kv)


def _operation(operation: Operation) -> Message:
    match operation:
        case Put(key, value, lease):
            return rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value, lease=lease or 0))
        case Delete(keys):
            key, end = _bounds(keys)
            return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key, range_end=end))
    assert_never(operation)


def _comparison(comparison: Comparison) -> Message:
    match comparison:
        case Unchanged(key, revision):
            return rpc.Compare(key=key, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=revision)
        case Absent(key):
            return rpc.Compare(key=key, target=rpc.Compare.MOD, result=rpc.Compare.EQUAL, mod_revision=0)
        case Present(key):
            return rpc.Compare(key=key, target=rpc.Compare.MOD, result=rpc.Compare.GREATER, mod_revision=0)
    assert_never(comparison)


def _bounds(keys: KeyRange) -> tuple[bytes, bytes]:
    r"""For etcd, no end is one key, the end ``\0`` is every key from the first on, and no key is empty."""
    if keys == KeyRange.of_key(keys.begin):
        return keys.begin, b""
    return keys.begin or b"\0", b"\0" if keys.end is None else keys.end
