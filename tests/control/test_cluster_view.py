"""A view made of changes is the view of the whole, whatever stands in the directory; and one that was given never changes."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from foreman.control.cluster_view import ClusterFold, view_of
from foreman.directory.health_record import HealthRecord
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Changes, Deleted, KeyValue, Snapshot
from foreman.directory.records import DrainRecord, LeaderRecord, NodeRecord, ServiceRecord, encode
from foreman.directory.worker_request import WorkerRequest

KEYS = ClusterKeys("demo")
IDS = ("a", "b")
AT = [
    KEYS.leader,
    *(key for id in IDS for key in (KEYS.node(id), KEYS.health(id), KEYS.draining(id), KEYS.request(id))),
    *(KEYS.service(node, name) for node in IDS for name in ("demo_a", "demo_b", "other")),
]
VALUES = [
    b"no record",
    *(
        encode(record)
        for id in IDS
        for record in (NodeRecord(id, "unix:/x"), HealthRecord(id, "ok"), DrainRecord(id, 1.0), WorkerRequest(id, "redis", {}, 1.0))
    ),
    *(encode(ServiceRecord(id, "redis", f"demo_{id}", node)) for id in IDS for node in IDS),
    encode(LeaderRecord("a", "unix:/a")),
]
Write = tuple[bytes, bytes | None]
writes = st.lists(st.lists(st.tuples(st.sampled_from(AT), st.none() | st.sampled_from(VALUES)), min_size=1, max_size=4), max_size=12)


def entry(key: bytes, value: bytes, revision: int) -> KeyValue:
    return KeyValue(key, value, revision, revision)


@given(writes)
def test_changes_come_to_what_a_reading_of_the_whole_does(told: Sequence[Sequence[Write]]) -> None:
    fold, there, given = ClusterFold(KEYS), dict[bytes, KeyValue](), []
    fold.see(Snapshot(0, ()))
    for revision, some in enumerate(told, 1):
        events = [Deleted(key, revision) if value is None else entry(key, value, revision) for key, value in some]
        for event in events:
            if isinstance(event, KeyValue):
                there[event.key] = event
            else:
                there.pop(event.key, None)
        view = fold.see(Changes(revision, tuple(events)))
        given.append((view, deepcopy(view)))
        assert view == replace(view_of(KEYS, Snapshot(revision, tuple(there.values()))), revision=revision)
    assert all(view == copy for view, copy in given), "what was given stays as it was"


def test_a_record_under_anothers_key_takes_nothing_from_that_one() -> None:
    fold = ClusterFold(KEYS)
    fold.see(Snapshot(1, (entry(KEYS.node("a"), encode(NodeRecord("a", "unix:/a")), 1),)))
    posing = fold.see(Changes(2, (entry(KEYS.node("b"), encode(NodeRecord("a", "unix:/evil")), 2),)))
    assert posing.nodes["a"].address == "unix:/a"
    assert len(posing.unreadable) == 1
    gone = fold.see(Changes(3, (Deleted(KEYS.node("b"), 3),)))
    assert gone.nodes.keys() == {"a"}
    assert gone.unreadable == ()
