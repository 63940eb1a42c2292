"""The node's health in the directory: told as it changes, bounded, with the services' own writes, and put back with them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from foreman.core.health import Health
from foreman.core.views import HealthChanged, NodeEvent, ServiceInfo, WorkerChanged, WorkerInfo, WorkerRemoved
from foreman.directory.following import Backoff
from foreman.directory.health_record import MAX_AILING, HealthRecord
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Delete, Directory
from foreman.directory.records import NodeRecord, decode, encode
from foreman.directory.sqlite.engine import SqliteDirectory
from foreman.node.event_stream import EventStream
from foreman.node.gateway import Gateway
from foreman.node.gateway_health import HealthFold, follow_health, read_health
from foreman.testing.fake_foreman import FakeForeman
from tests.deadline import wait_until_async
from tests.directory.faulty import FaultyDirectory

KEYS = ClusterKeys("demo")
WITHIN_S = 10.0


def info(id: str, state: str, health: Health) -> WorkerInfo:
    return WorkerInfo(id, "log", f"demo_{id}", state, health, {}, None, None, 0, None, "/", None, None, None)


def changed(sequence: int, id: str, state: str, health: Health) -> WorkerChanged:
    return WorkerChanged(sequence, 0.0, id, "log", state, None, health, None, None, "because")


def test_who_is_ok_or_stopped_does_not_ail() -> None:
    fold = HealthFold("n1")
    fold.begin(Health.ok(), [info("a", "running", Health.ok()), info("b", "stopped", Health.stopped())])
    assert fold.record() == HealthRecord("n1", "ok")
    fold.see(changed(1, "a", "running", Health.error("disk on fire\0\udc80")))
    fold.see(HealthChanged(2, 0.0, Health.error("at_least_one"), Health.ok()))
    told = fold.record()
    assert (told.status, told.reason) == ("error", "at_least_one")
    assert [(worker.id, worker.status, worker.reason) for worker in told.workers] == [("a", "error", "disk on fire ?")]
    assert decode(HealthRecord, b"k", encode(told)) == told
    fold.see(WorkerRemoved(3, 0.0, "a", "log"))
    assert fold.record().workers == ()


def test_those_given_up_come_first_and_the_rest_is_counted() -> None:
    fold = HealthFold("n1")
    fold.begin(Health.ok(), [info(f"w{n:03}", "running", Health.error("x" * 5_000)) for n in range(MAX_AILING + 20)])
    fold.see(changed(1, "zz", "failed", Health.failed_to_start("no")))
    told = fold.record()
    assert (told.workers[0].id, told.workers[0].given_up, len(told.workers), told.more) == ("zz", True, MAX_AILING, 21)
    assert len(encode(told)) < 64_000


class Node(FakeForeman):
    """Its events are those that the test publishes."""

    def __init__(self, stream: EventStream, there: list[WorkerInfo]) -> None:
        super().__init__()
        self.stream, self.there = stream, there

    def events(self, *, after: int | None = None) -> AsyncIterator[NodeEvent]:
        return self.stream.watch(after)

    async def infos(self, *, kind: str | None = None) -> list[WorkerInfo]:
        return self.there


async def test_a_follower_that_fell_behind_reads_all_again() -> None:
    stream, fold = EventStream(capacity=2), HealthFold("n1")
    node = Node(stream, [])
    events = node.events()
    await read_health(node, fold)
    heard = asyncio.Event()
    following = asyncio.create_task(follow_health(events, node, fold, heard.set))
    stream.publish(lambda n: changed(n, "a", "running", Health.error("one")))
    await asyncio.wait_for(heard.wait(), WITHIN_S)
    node.there = [info("b", "failed", Health.failed_to_start("missed"))]
    for _ in range(5):
        stream.publish(lambda n: changed(n, "c", "running", Health.ok()))
    stream.close()
    await asyncio.wait_for(following, WITHIN_S)
    assert [worker.id for worker in fold.record().workers] == ["b"]


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[FaultyDirectory]:
    async with FaultyDirectory(SqliteDirectory(tmp_path / "directory.sqlite")) as faulty:
        yield faulty


class Told:
    """What the gateway is to show."""

    def __init__(self) -> None:
        self.record = HealthRecord("n1", "ok")


async def shown(directory: Directory) -> HealthRecord | None:
    entry = await directory.get(KEYS.health("n1"))
    return None if entry is None else decode(HealthRecord, entry.key, entry.value)


async def test_health_goes_with_the_services_and_by_itself_only_when_it_is_news(directory: FaultyDirectory) -> None:
    gateway, told = Gateway(directory, "demo", NodeRecord("n1", "unix:/x"), lease_s=60.0, backoff=Backoff(0.005, 0.02)), Told()
    gateway.show_health(lambda: told.record)
    await gateway.start([ServiceInfo("a", "log", "demo_a")])
    assert await gateway.settled(WITHIN_S)
    assert await shown(directory) == told.record
    before = directory.calls["transact"]
    told.record = HealthRecord("n1", "starting")
    gateway.health_changed()
    told.record = HealthRecord("n1", "error", "no")
    gateway.advertise([ServiceInfo("b", "log", "demo_b")])
    assert await gateway.settled(WITHIN_S)
    assert await shown(directory) == told.record
    assert directory.calls["transact"] == before + 1, "one call for both"
    gateway.health_changed()
    told.record = HealthRecord("n1", "unknown")
    await wait_until_async(lambda: is_shown(directory, told.record), timeout_s=WITHIN_S, what="health alone is told too")
    assert directory.calls["transact"] == before + 2, "what was no news was not told"
    await directory.transact([], [Delete(KEYS.everything)])
    await wait_until_async(lambda: is_shown(directory, told.record), timeout_s=WITHIN_S, what="it is put back")
    await gateway.stop()
    assert await shown(directory) is None, "it goes with the node"


async def is_shown(directory: Directory, record: HealthRecord) -> bool:
    return await shown(directory) == record
