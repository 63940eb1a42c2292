"""A worker whose logs have recycled what it needs copies its range from a replica, and nobody sees it half full."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import redis.asyncio as redis

from foreman.core.mutations import ClearRange, Mutation, Set
from foreman.workers.storage.key_range import ALL_KEYS, KeyRange
from foreman.workers.storage.refilling import checked
from foreman.workers.wire import replies
from tests.workers.storage.asking import ask, error_of, everything, until, until_durable, wait_for
from tests.workers.storage.fake_log import FakeLog
from tests.workers.storage.fake_replica import FakeReplica
from tests.workers.storage.refilling_cluster import REPLICA, Cluster, ready
from tests.workers.storage.test_window import applied
from tests.workers.storage.worker_process import WorkerProcess

Start = Callable[..., WorkerProcess]
Connect = Callable[[WorkerProcess], "redis.Redis"]


async def test_a_fresh_worker_is_ready_when_its_copy_is_whole(cluster: Cluster, start_worker: Start, connect: Connect) -> None:
    cluster.replica.pages = 3
    worker = start_worker(REPLICA, begin=True)
    await cluster.replica.silenced.wait()
    client = connect(worker)
    for words in (["GET", "000"], ["GET", "000", "AT", 1], ["MGET", "000"], ["RANGE", "0", "9"], ["GETKEY", "first_greater_than", ""]):
        assert (await error_of(client, *words)).startswith("NOTREADY")
    await asyncio.to_thread(worker.wait_until_said, "STATUS", "refilling: ")
    await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "error:refilling")
    assert "READY" not in worker.said
    assert int(worker.said["EXTEND_TIMEOUT_USEC"]) > 0
    assert (await client.info())["durable_version"] == 0
    assert cluster.log.subscribers["storage_1"] == 1, "the logs keep what follows the copy"
    cluster.push_some()
    cluster.replica.pages = None
    worker.kill()
    await ready(worker.begin())
    client = connect(worker)
    await wait_for(client, 2)
    assert await everything(client) == cluster.replica.pairs
    assert cluster.replica.begins.count(b"") == 1, "it went on where it was"
    await until(client, "health", lambda health: health == "ok")
    await until(client, "durable_version", lambda version: version == 2)


@pytest.mark.parametrize("kills", [0, 6])
async def test_writes_go_on_while_pages_are_read_at_many_versions(
    cluster: Cluster, start_worker: Start, connect: Connect, kills: int
) -> None:
    """Each page is of another version; between pages keys on both sides of what is copied change. Killed at any page, it goes on.

    The keys ``x…`` are never cleared: so there are at least 34 pages, whatever the seed, and the copy is not over before the last kill.
    """
    cluster.push([Set(b"x%02d" % number, b"x") for number in range(100)])
    cluster.recycle()
    cluster.replica.page_keys, cluster.replica.before_page = 3, cluster.push_some
    worker = start_worker(REPLICA, begin=True)
    for _ in range(kills):
        cluster.replica.pages = cluster.choice.randrange(1, 6)  # at most 30 pages before the last kill
        cluster.replica.silenced.clear()
        await cluster.replica.silenced.wait()
        worker.kill()
        cluster.replica.pages = None if _ == kills - 1 else 0
        cluster.replica.silenced.clear()
        worker.begin()
    await ready(worker)
    client = connect(worker)
    newest = cluster.replica.version
    assert len(cluster.replica.begins) > 20
    await wait_for(client, newest)
    assert await everything(client, newest) == cluster.replica.pairs
    cluster.push_some()
    await until_durable(client, newest + 1)
    worker.kill()
    client = connect(worker.start())
    assert await everything(client) == cluster.replica.pairs


async def test_a_copy_that_waits_for_the_logs_is_not_served_before_they_catch_up(
    cluster: Cluster, start_worker: Start, connect: Connect
) -> None:
    """The pages are newer than what the log gives yet: no mix of versions is ever read."""
    cluster.replica.page_keys = 50
    pages = 0

    def ahead() -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            cluster.replica.version += 1
            cluster.replica.pairs = applied(cluster.replica.pairs, [Set(b"000", b"new"), Set(b"099", b"new")])

    cluster.replica.before_page = ahead
    worker = start_worker(REPLICA, begin=True)
    client = connect(worker)
    await asyncio.to_thread(worker.wait_until_said, "STATUS", "refilling: 100 keys are copied; the logs must bring version 1 to 2")
    assert (await error_of(client, "GET", "000")).startswith("NOTREADY")
    worker.kill()
    worker.begin()
    client = connect(worker)
    await asyncio.to_thread(worker.wait_until_said, "STATUS", "refilling: 100 keys are copied; the logs must bring version 1 to 2")
    cluster.log.push(2, [Set(b"000", b"new"), Set(b"099", b"new")])
    await ready(worker)
    assert await client.mget("000", "099") == [b"new", b"new"]
    assert (await error_of(client, "GET", "000", "AT", 1)).startswith("VERSIONTOOOLD 2 ")


async def test_logs_that_have_everything_are_followed_and_no_replica_is_asked(
    home: Path, log: FakeLog, start_worker: Start, connect: Connect
) -> None:
    async with FakeReplica(home) as replica:
        worker = start_worker(REPLICA, begin=True)
        await ready(worker)  # although the log is empty
        client = connect(worker)
        log.push(1, [Set(b"a", b"1")])
        await wait_for(client, 1)
        assert replica.begins == []


async def test_a_replica_that_is_behind_the_logs_or_empty_is_not_copied(cluster: Cluster, start_worker: Start, connect: Connect) -> None:
    cluster.replica.version = 0
    worker = start_worker(REPLICA, begin=True)
    await asyncio.to_thread(
        worker.wait_until_said, "X_FOREMAN_HEALTH", "error:refilling: the data is not whole, nothing is read; storage_9"
    )
    assert "at version 0" in worker.said["X_FOREMAN_HEALTH"]
    assert cluster.replica.begins == []
    cluster.replica.version = 1
    await ready(worker)
    assert await everything(connect(worker)) == cluster.replica.pairs


@pytest.mark.parametrize(
    "nonsense",
    [
        replies.integer(1),
        replies.NULL,
        replies.text("latest_version:1"),
        replies.text("latest_version:x\r\nkey_ranges:[]"),
        replies.text("latest_version:1\r\nkey_ranges:1"),
        replies.text('latest_version:1\r\nkey_ranges:{"a":1}'),
        replies.text("latest_version:1\r\nkey_ranges:" + "[" * 100_000),
    ],
    ids=range(7),
)
async def test_a_replica_that_talks_nonsense_is_asked_again(
    cluster: Cluster, start_worker: Start, connect: Connect, nonsense: bytes
) -> None:
    cluster.replica.nonsense = nonsense
    worker = start_worker(REPLICA, begin=True)
    await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "error:refilling", holds=lambda health: "storage_9: " in health)
    cluster.replica.nonsense = None
    await ready(worker)
    assert await everything(connect(worker)) == cluster.replica.pairs


async def test_nothing_is_dropped_for_a_replica_of_other_keys(cluster: Cluster, start_worker: Start, connect: Connect) -> None:
    """What is here is old, but it may be the last there is."""
    cluster.log.oldest = 0
    worker = start_worker(REPLICA, begin=True)
    await ready(worker)
    await until_durable(connect(worker), 1)
    worker.kill()
    cluster.replica.key_ranges = '[["",{"base64":"/w=="}]]'
    cluster.push([Set(b"000", b"later")])
    cluster.push([Set(b"000", b"latest")])
    cluster.recycle()
    client = connect(worker.start())
    await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "error:VERSIONTOOOLD")
    assert await client.get("000") == b"v0"
    cluster.replica.key_ranges = '[["",null]]'
    await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "ok")
    assert await client.get("000") == b"latest"


async def test_a_copy_that_the_logs_have_left_behind_begins_anew(cluster: Cluster, start_worker: Start, connect: Connect) -> None:
    cluster.replica.pages = 3
    worker = start_worker(REPLICA, begin=True)
    await cluster.replica.silenced.wait()
    worker.kill()
    cluster.push([Set(b"000", b"later"), ClearRange(b"005", b"050")])
    cluster.recycle()
    cluster.replica.pages = None
    await ready(worker.begin())
    assert await everything(connect(worker)) == cluster.replica.pairs
    assert cluster.replica.begins.count(b"") == 2


async def test_a_worker_that_fell_behind_refills_its_range_while_it_runs(cluster: Cluster, start_worker: Start, connect: Connect) -> None:
    """Ready once, it cannot take that back: its health says that it serves nothing until it is whole."""
    worker = start_worker({**REPLICA, "key_range": ["01", "05"]}, begin=True)
    await ready(worker)
    client = connect(worker)
    await ask(client, "LOCK", 3, "r")
    cluster.push([ClearRange(b"000", b"030"), Set(b"040", b"later")])
    cluster.recycle()
    cluster.replica.pages = 1
    layout = {"logs": {"log_1": f"unix:{cluster.log.run}/resp.sock"}, "replicas": [cluster.replica.endpoint]}
    await ask(client, "UNLOCK", 2, json.dumps(layout))
    await cluster.replica.silenced.wait()
    await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "error:refilling")
    assert (await error_of(client, "GET", "040")).startswith("NOTREADY")
    locked = await ask(client, "LOCK", 4, "s")
    assert (locked if isinstance(locked, dict) else dict(zip(locked[::2], locked[1::2], strict=True)))[b"durable_version"] == 0
    cluster.replica.pages = None
    await ask(client, "UNLOCK", 2, json.dumps(layout))
    await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "ok")
    held = {key: value for key, value in cluster.replica.pairs.items() if KeyRange(b"01", b"05").contains(key)}
    flat, more = await ask(client, "RANGE", "01", "05")
    assert (dict(zip(flat[::2], flat[1::2], strict=True)), more) == (held, 0)


async def test_a_real_worker_is_refilled_from_a_real_one_when_the_first_replica_is_gone(
    home: Path, log: FakeLog, start_worker: Start, connect: Connect
) -> None:
    first = start_worker({"logs": ["log_1"], "window_s": 0.1}, id="storage_1")
    model: dict[bytes, bytes] = {}
    for version in range(1, 31):
        mutations: list[Mutation] = [Set(b"%d-%d" % (version % 7, number), b"x" * 1000) for number in range(300)]
        log.push(version, mutations)
        model = applied(model, mutations)
    await until_durable(connect(first), 30)
    log.oldest = 30
    second = start_worker({**REPLICA, "replicas": ["storage_8", "storage_2", "storage_1"]}, id="storage_2", begin=True)
    for version in range(31, 40):
        log.push(version, [Set(b"%d-0" % (version % 7), b"%d" % version)])
        model[b"%d-0" % (version % 7)] = b"%d" % version
    await ready(second)
    client = connect(second)
    await wait_for(client, 39)
    assert await everything(client) == model


@pytest.mark.parametrize(
    ("pairs", "begin", "more"),
    [
        ([], b"", True),
        ([(b"b", b""), (b"a", b"")], b"", False),
        ([(b"a", b""), (b"a", b"")], b"", False),
        ([(b"a", b"")], b"b", False),
        ([(b"a", 1)], b"", False),
        ([(None, b"")], b"", False),
        ([(b"a", b"v" * 100_001)], b"", False),
        ([(b"k" * 10_001, b"")], b"", False),
    ],
)
def test_a_page_that_cannot_be_one_is_refused(pairs: list[tuple[object, object]], begin: bytes, more: bool) -> None:  # noqa: FBT001
    with pytest.raises((ValueError, TypeError)):
        checked(pairs, ALL_KEYS, begin, more=more)


def test_a_page_of_other_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="range"):
        checked([(b"z", b"")], KeyRange(b"a", b"c"), b"a", more=False)
    checked([(b"a", b""), (b"b", b"v")], KeyRange(b"a", b"c"), b"a", more=True)
    with pytest.raises(ValueError, match="no key can be there"):
        checked([(b"a", b"")], KeyRange(b"a", b"a\0"), b"a", more=True)
