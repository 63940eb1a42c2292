"""What the port promises, on every engine alike."""

import asyncio
from contextlib import aclosing

import pytest

from foreman.directory.errors import Compacted, DirectoryUnavailable, FutureRevision, InvalidTransaction, LeaseExpired
from foreman.directory.port import (
    MAX_OPERATIONS,
    Absent,
    Changes,
    Comparison,
    Delete,
    Deleted,
    Directory,
    KeyRange,
    KeyValue,
    LeaseId,
    Operation,
    Present,
    Put,
    Unchanged,
)
from tests.deadline import wait_until_async
from tests.directory.conftest import Opened

DEADLINE_S = 10.0


async def put(directory: Directory, *pairs: tuple[bytes, bytes], lease: LeaseId | None = None) -> int:
    committed = await directory.transact([], [Put(key, value, lease) for key, value in pairs])
    assert committed.succeeded
    return committed.revision


async def take(directory: Directory, keys: KeyRange, after: int, number: int) -> list[Changes]:
    """The first ``number`` changes after a revision."""
    told: list[Changes] = []
    async with asyncio.timeout(DEADLINE_S), aclosing(directory.watch(keys, after=after)) as watch:
        async for changes in watch:
            told.append(changes)
            if len(told) == number:
                break
    return told


async def test_what_is_put_is_read_in_order_with_its_revisions(opened: Opened, prefix: bytes) -> None:
    directory = opened()
    first = await put(directory, (prefix + b"b", b"1"), (prefix + b"a", b""))
    second = await put(directory, (prefix + b"b", b"2"))
    assert second == first + 1
    snapshot = await opened().read(KeyRange.of_prefix(prefix))
    assert snapshot.revision == second
    assert snapshot.entries == (KeyValue(prefix + b"a", b"", first, first), KeyValue(prefix + b"b", b"2", first, second))
    assert await directory.get(prefix) is None


async def test_any_bytes_are_a_key_and_a_value(opened: Opened, prefix: bytes) -> None:
    directory = opened()
    every = bytes(range(256))
    await put(directory, (prefix + every, every), (prefix + b"\xff\xff", b"\xff"), (prefix, b"p"))
    assert [e.key for e in (await directory.read(KeyRange.of_prefix(prefix))).entries] == [prefix, prefix + every, prefix + b"\xff\xff"]
    assert [e.key for e in (await directory.read(KeyRange.of_prefix(prefix + b"\xff"))).entries] == [prefix + b"\xff\xff"]


async def test_a_range_is_read_page_by_page_at_one_revision(opened: Opened, prefix: bytes) -> None:
    directory = opened()
    await put(directory, *((prefix + b"%d" % n, b"old") for n in range(5)))
    keys, pages = KeyRange.of_prefix(prefix), []
    page = await directory.read(keys, limit=2)
    revision = page.revision
    await put(directory, (prefix + b"3", b"new"), (prefix + b"9", b"new"))
    while page.more:
        pages.append(page)
        page = await directory.read(KeyRange(page.entries[-1].key + b"\0", keys.end), revision=revision, limit=2)
    pages.append(page)
    assert [len(page.entries) for page in pages] == [2, 2, 1]
    assert {entry.value for page in pages for entry in page.entries} == {b"old"}
    assert {page.revision for page in pages} == {revision}


async def test_the_past_is_read_as_it_was(opened: Opened, prefix: bytes) -> None:
    directory, keys = opened(), KeyRange.of_prefix(prefix)
    first = await put(directory, (prefix + b"a", b"1"))
    second = (await directory.transact([], [Delete.key(prefix + b"a"), Put(prefix + b"b", b"1")])).revision
    await put(directory, (prefix + b"a", b"2"))
    assert [(e.key, e.value) for e in (await directory.read(keys, revision=first)).entries] == [(prefix + b"a", b"1")]
    assert [(e.key, e.value) for e in (await directory.read(keys, revision=second)).entries] == [(prefix + b"b", b"1")]


async def test_a_revision_that_has_not_been_is_told(opened: Opened, prefix: bytes) -> None:
    directory = opened()
    revision = await put(directory, (prefix, b""))
    with pytest.raises(FutureRevision):
        await directory.read(KeyRange.of_prefix(prefix), revision=revision + 1000)
    with pytest.raises(FutureRevision):
        await take(directory, KeyRange.of_prefix(prefix), revision + 1000, 1)


async def test_comparisons_decide_all_or_nothing(opened: Opened, prefix: bytes) -> None:
    directory, a, b = opened(), prefix + b"a", prefix + b"b"
    revision = await put(directory, (a, b"1"))
    holding: list[Comparison] = [Unchanged(a, revision), Present(a), Absent(b)]
    for wrong in (Unchanged(a, revision - 1), Absent(a), Present(b), Unchanged(b, revision)):
        refused = await directory.transact([*holding, wrong], [Put(b, b"x"), Delete.key(a)])
        assert not refused.succeeded
        assert refused.revision == revision
    assert (await directory.transact(holding, [Put(b, b"x"), Delete.key(a)])).succeeded
    assert await directory.get(a) is None


async def test_of_many_that_compare_and_set_one_wins_each_revision(opened: Opened, prefix: bytes) -> None:
    clients = [opened() for _ in range(3)]
    await put(clients[0], (prefix, b"0"))

    async def count(directory: Directory) -> None:
        for _ in range(10):
            while True:
                entry = await directory.get(prefix)
                assert entry is not None
                raised = Put(prefix, b"%d" % (int(entry.value) + 1))
                if (await directory.transact([Unchanged(prefix, entry.mod_revision)], [raised])).succeeded:
                    break

    await asyncio.gather(*map(count, clients))
    entry = await clients[0].get(prefix)
    assert entry is not None
    assert entry.value == b"30"


async def test_changing_nothing_makes_no_revision(opened: Opened, prefix: bytes) -> None:
    directory = opened()
    revision = await put(directory, (prefix, b""))
    assert (await directory.transact([], [Delete.key(prefix + b"none")])).revision == revision
    assert (await directory.transact([Present(prefix)], [])).succeeded


async def test_a_big_node_is_one_transaction(opened: Opened, prefix: bytes) -> None:
    directory, keys = opened(), KeyRange.of_prefix(prefix)
    operations: list[Operation] = [Put(prefix + b"%04d" % n, b"x" * 100) for n in range(MAX_OPERATIONS)]
    revision = (await directory.transact([Absent(prefix)], operations)).revision
    entries = (await directory.read(keys)).entries
    assert len(entries) == MAX_OPERATIONS
    assert {entry.mod_revision for entry in entries} == {revision}
    [changes] = await take(directory, keys, revision - 1, 1)
    assert len(changes.events) == MAX_OPERATIONS
    assert not (await directory.transact([Absent(prefix + b"0001")], operations)).succeeded
    assert (await directory.transact([], [Delete.key(prefix + b"%04d" % n) for n in range(MAX_OPERATIONS)])).succeeded
    assert (await directory.read(keys)).entries == ()


@pytest.mark.parametrize(
    "operations",
    [
        [Put(b"k", b""), Put(b"k", b"")],
        [Put(b"k", b""), Delete.key(b"k")],
        [Put(b"k", b""), Delete(KeyRange.of_prefix(b"k"))],
        [Put(b"", b"")],
        [Put(b"k" * 2000, b"")],
        [Put(b"k", b"x" * 2_000_000)],
        [Put(b"%d" % n, b"") for n in range(MAX_OPERATIONS + 1)],
    ],
    ids=["twice", "put-and-deleted", "put-and-range-deleted", "empty-key", "long-key", "too-large", "too-many"],
)
async def test_what_no_engine_does_is_refused(opened: Opened, operations: list[Operation]) -> None:
    with pytest.raises(InvalidTransaction):
        await opened().transact([], operations)


# --- leases ---


async def test_a_lease_takes_its_keys_with_it_in_one_revision(opened: Opened, prefix: bytes) -> None:
    directory, keys = opened(), KeyRange.of_prefix(prefix)
    lease = await directory.grant_lease(60)
    assert lease.ttl_s >= 60
    stays = await put(directory, (prefix + b"stays", b""))
    revision = await put(directory, (prefix + b"a", b""), (prefix + b"b", b""), lease=lease.id)
    assert [entry.lease for entry in (await directory.read(keys)).entries] == [lease.id, lease.id, None]
    await opened().revoke_lease(lease.id)
    [changes] = await take(directory, keys, revision, 1)
    assert {event.key for event in changes.events} == {prefix + b"a", prefix + b"b"}
    assert all(isinstance(event, Deleted) for event in changes.events)
    assert [entry.mod_revision for entry in (await directory.read(keys)).entries] == [stays]
    await directory.revoke_lease(lease.id)


async def test_a_key_follows_its_last_lease(opened: Opened, prefix: bytes) -> None:
    directory = opened()
    first, second = await directory.grant_lease(60), await directory.grant_lease(60)
    await put(directory, (prefix + b"moved", b""), (prefix + b"freed", b""), lease=first.id)
    await put(directory, (prefix + b"moved", b""), lease=second.id)
    await put(directory, (prefix + b"freed", b""))
    await directory.revoke_lease(first.id)
    assert len((await directory.read(KeyRange.of_prefix(prefix))).entries) == 2
    await directory.revoke_lease(second.id)
    assert [entry.key for entry in (await directory.read(KeyRange.of_prefix(prefix))).entries] == [prefix + b"freed"]


async def test_a_lease_nobody_keeps_alive_runs_out(opened: Opened, prefix: bytes) -> None:
    holder, other = opened(), opened()
    lease = await holder.grant_lease(1)
    revision = await put(holder, (prefix, b""), lease=lease.id)
    await holder.close()
    [changes] = await take(other, KeyRange.of_prefix(prefix), revision, 1)
    assert changes.events == (Deleted(prefix, changes.revision),)
    with pytest.raises(LeaseExpired):
        await other.keep_alive(lease.id)


async def test_a_lease_kept_alive_outlives_its_time(opened: Opened, prefix: bytes) -> None:
    directory = opened()
    kept, marker = await directory.grant_lease(2), await directory.grant_lease(2)
    await put(directory, (prefix + b"kept", b""), lease=kept.id)
    await put(directory, (prefix + b"marker", b""), lease=marker.id)

    async def marker_is_gone() -> bool:
        assert await directory.keep_alive(kept.id) > 0
        return await directory.get(prefix + b"marker") is None

    await wait_until_async(marker_is_gone)
    assert await directory.get(prefix + b"kept") is not None


async def test_nothing_is_put_under_a_lease_that_is_gone(opened: Opened, prefix: bytes) -> None:
    directory = opened()
    lease = await directory.grant_lease(60)
    await directory.revoke_lease(lease.id)
    with pytest.raises(LeaseExpired):
        await directory.transact([], [Put(prefix + b"a", b""), Put(prefix + b"b", b"", lease.id)])
    assert (await directory.read(KeyRange.of_prefix(prefix))).entries == ()


# --- watching ---


async def test_a_watch_tells_every_revision_whole_and_in_order(opened: Opened, prefix: bytes) -> None:
    writer, watcher = opened(), opened()
    start = (await writer.read(KeyRange.of_prefix(prefix))).revision
    watching = asyncio.create_task(take(watcher, KeyRange.of_prefix(prefix), start, 40))
    for n in range(20):
        await writer.transact([], [Put(prefix + b"b", b"%d" % n), Put(prefix + b"a", b"%d" % n)])
        await put(writer, (b"/elsewhere" + prefix, b""))
        await writer.transact([], [Delete(KeyRange.of_prefix(prefix))])
    told = await watching
    revisions = [changes.revision for changes in told]
    assert revisions == sorted(set(revisions))
    for n, (made, deleted) in enumerate(zip(told[::2], told[1::2], strict=True)):
        assert [(e.key, e.value) for e in made.events if isinstance(e, KeyValue)] == [
            (prefix + b"b", b"%d" % n), (prefix + b"a", b"%d" % n)
        ]  # fmt: skip
        assert sorted(deleted.events, key=lambda e: e.key) == [Deleted(prefix + k, deleted.revision) for k in (b"a", b"b")]


async def test_a_watch_resumes_where_another_ended(opened: Opened, prefix: bytes) -> None:
    directory, keys = opened(), KeyRange.of_prefix(prefix)
    revisions = [await put(directory, (prefix, b"%d" % n)) for n in range(10)]
    assert [c.revision for c in await take(directory, keys, revisions[0] - 1, 10)] == revisions
    assert [c.revision for c in await take(opened(), keys, revisions[4], 5)] == revisions[5:]


async def test_a_watch_far_behind_catches_up(opened: Opened, prefix: bytes) -> None:
    directory, keys = opened(), KeyRange.of_prefix(prefix)
    lease = await directory.grant_lease(60)
    revisions = [await put(directory, (prefix, b"%d" % n), lease=lease.id) for n in range(450)]
    assert [c.revision for c in await take(directory, keys, revisions[0] - 1, 450)] == revisions


async def test_what_was_compacted_is_told_and_the_rest_stays(opened: Opened, prefix: bytes) -> None:
    directory, keys = opened(), KeyRange.of_prefix(prefix)
    revisions = [await put(directory, (prefix + b"%d" % (n % 3), b"%d" % n)) for n in range(6)]
    await directory.transact([], [Delete.key(prefix + b"0")])
    before = await directory.read(keys, revision=revisions[4])
    await directory.compact(revisions[4])
    with pytest.raises(Compacted):
        await directory.read(keys, revision=revisions[3])
    with pytest.raises(Compacted):
        await take(directory, keys, revisions[3], 1)
    assert await directory.read(keys, revision=revisions[4]) == before
    assert [c.revision for c in await take(directory, keys, revisions[4], 2)] == [revisions[5], revisions[5] + 1]
    await directory.compact(revisions[4])
    with pytest.raises(FutureRevision):
        await directory.compact(revisions[5] + 1000)


async def test_closing_ends_watches_and_calls(opened: Opened, prefix: bytes) -> None:
    directory = opened()
    revision = await put(directory, (prefix, b""))
    watching = asyncio.create_task(take(directory, KeyRange.of_prefix(prefix), revision - 1, 2))
    assert await take(directory, KeyRange.of_prefix(prefix), revision - 1, 1)
    await directory.close()
    await directory.close()
    with pytest.raises(DirectoryUnavailable):
        await watching
    with pytest.raises(DirectoryUnavailable):
        await directory.get(prefix)
