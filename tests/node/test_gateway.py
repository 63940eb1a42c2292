"""The gateway: the directory shows what the foreman says, through outages, lost answers and late ones."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path

import pytest

from foreman.core.views import ServiceInfo
from foreman.directory.following import Backoff
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Changes, Delete, Deleted, Directory, KeyValue, Put
from foreman.directory.records import Layout, NodeRecord, Placement, ServiceRecord, StorageTeam, decode, encode
from foreman.directory.sqlite.engine import SqliteDirectory
from foreman.node.gateway import Gateway
from tests.deadline import wait_until_async
from tests.directory.faulty import Fault, FaultyDirectory

KEYS = ClusterKeys("demo")
NODE = NodeRecord("n1", "unix:/run/foreman.sock", ("coordination", "log"), "rack-1")
QUICK = Backoff(0.005, 0.02)
SETTLED_S = 10.0


def service(id: str, kind: str = "log") -> ServiceInfo:
    return ServiceInfo(id, kind, f"demo_{id}")


def services(number: int) -> list[ServiceInfo]:
    return [service(f"w{n}") for n in range(number)]


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[FaultyDirectory]:
    async with FaultyDirectory(SqliteDirectory(tmp_path / "directory.sqlite")) as faulty:
        yield faulty


@pytest.fixture
async def watching(tmp_path: Path) -> AsyncIterator[Directory]:
    """Another client: what everybody else sees."""
    async with SqliteDirectory(tmp_path / "directory.sqlite") as other:
        yield other


def gateway_on(directory: Directory, node: NodeRecord = NODE, *, lease_s: float = 60.0, coalesce_s: float = 0.005) -> Gateway:
    return Gateway(directory, "demo", node, lease_s=lease_s, coalesce_s=coalesce_s, backoff=QUICK)


async def shown(directory: Directory, node: str = "n1") -> set[ServiceInfo]:
    entries = (await directory.read(KEYS.services_of(node))).entries
    return {decode(ServiceRecord, entry.key, entry.value).info for entry in entries}


async def test_the_node_and_all_its_services_appear_in_one_revision(directory: FaultyDirectory, watching: Directory) -> None:
    start = (await watching.read(KEYS.everything)).revision
    gateway = gateway_on(directory)
    await gateway.start(services(200))
    assert await gateway.settled(SETTLED_S)
    assert gateway.reachable
    async with aclosing(watching.watch(KEYS.everything, after=start)) as watch:
        changes = await anext(watch)
    assert len(changes.events) == 201
    assert await shown(watching) == set(services(200))
    entry = await watching.get(KEYS.node("n1"))
    assert entry is not None
    record = decode(NodeRecord, entry.key, entry.value)
    assert (record.capabilities, record.fault_domain, record.address) == (NODE.capabilities, NODE.fault_domain, NODE.address)
    await gateway.stop()


async def test_changes_close_together_are_one_call(directory: FaultyDirectory, watching: Directory) -> None:
    gateway = gateway_on(directory)
    await gateway.start([])
    assert await gateway.settled(SETTLED_S)
    before = directory.calls["transact"]
    for info in services(50):
        gateway.advertise([info])
    assert await gateway.withdraw(["w7", "w8"])
    assert directory.calls["transact"] == before + 1
    assert await shown(watching) == {info for info in services(50) if info.id not in {"w7", "w8"}}
    gateway.advertise(services(3))
    assert await gateway.withdraw(["unknown"])
    assert directory.calls["transact"] == before + 1, "nothing changed, so nothing was said"
    await gateway.stop()


async def test_withdrawn_is_gone_from_the_directory_when_confirmed(directory: FaultyDirectory, watching: Directory) -> None:
    gateway = gateway_on(directory)
    await gateway.start(services(3))
    assert await gateway.withdraw(["w1"])
    assert await shown(watching) == {service("w0"), service("w2")}
    await gateway.stop()


async def test_withdrawing_happens_in_the_order_of_calls_not_of_awaits(directory: FaultyDirectory, watching: Directory) -> None:
    gateway = gateway_on(directory)
    await gateway.start(services(2))
    confirmed = gateway.withdraw(["w0", "w1"])
    gateway.advertise([service("w1")])
    assert await confirmed
    assert await shown(watching) == {service("w1")}
    await gateway.stop()


async def test_stopping_takes_node_and_services_away_at_once(directory: FaultyDirectory, watching: Directory) -> None:
    gateway = gateway_on(directory)
    await gateway.start(services(3))
    assert await gateway.settled(SETTLED_S)
    await gateway.stop()
    assert (await watching.read(KEYS.everything)).entries == ()
    assert not gateway.reachable


async def test_a_replaced_server_takes_the_registration_over_without_a_gap(directory: FaultyDirectory, watching: Directory) -> None:
    first = gateway_on(directory)
    await first.start(services(3))
    assert await first.settled(SETTLED_S)
    await first.stop(leave=False)
    before = await watching.read(KEYS.everything)
    assert len(before.entries) == 4
    second = gateway_on(directory)
    await second.start([service("w1"), service("w9")])
    assert await second.settled(SETTLED_S)
    assert await shown(watching) == {service("w1"), service("w9")}
    async with aclosing(watching.watch(KEYS.everything, after=before.revision)) as watch:
        changes = await anext(watch)
    assert {event.key: isinstance(event, Deleted) for event in changes.events} == {
        KEYS.node("n1"): False,
        KEYS.service("n1", "demo_w0"): True,
        KEYS.service("n1", "demo_w1"): False,
        KEYS.service("n1", "demo_w2"): True,
        KEYS.service("n1", "demo_w9"): False,
    }
    await second.stop()


async def test_an_outage_at_the_start_delays_nobody(directory: FaultyDirectory, watching: Directory) -> None:
    directory.next_fault = lambda: Fault.NEVER_ARRIVES
    gateway = gateway_on(directory)
    await gateway.start(services(2))
    await wait_until_async(lambda: directory.calls.get("grant_lease", 0) > 2)
    gateway.advertise([service("w2")])
    assert not await gateway.withdraw(["w0"], timeout=60.0), "known to be away: the answer comes at once"
    assert not gateway.reachable
    directory.next_fault = lambda: Fault.NONE
    assert await gateway.settled(SETTLED_S)
    assert await shown(watching) == {service("w1"), service("w2")}
    await gateway.stop()


async def test_an_outage_later_takes_nothing_away_and_the_truth_comes_back(directory: FaultyDirectory, watching: Directory) -> None:
    gateway = gateway_on(directory)
    await gateway.start(services(3))
    assert await gateway.settled(SETTLED_S)
    directory.next_fault = lambda: Fault.NEVER_ARRIVES
    gateway.advertise([service("w3")])
    await wait_until_async(lambda: not gateway.reachable)
    assert await shown(watching) == set(services(3))
    assert not await gateway.withdraw(["w0"])
    directory.next_fault = lambda: Fault.NONE
    assert await gateway.settled(SETTLED_S)
    assert await shown(watching) == {service("w1"), service("w2"), service("w3")}
    await gateway.stop()


async def test_a_directory_that_hangs_holds_nobody_up(directory: FaultyDirectory, watching: Directory) -> None:
    gateway = gateway_on(directory)
    await gateway.start(services(3))
    assert await gateway.settled(SETTLED_S)
    directory.gate.clear()
    gateway.advertise([service("w3")])
    async with asyncio.timeout(SETTLED_S):
        assert not await gateway.withdraw(["w0"], timeout=0.05)
    assert await shown(watching) == set(services(3))
    directory.gate.set()
    assert await gateway.settled(SETTLED_S)
    assert await shown(watching) == {service("w1"), service("w2"), service("w3")}
    await gateway.stop()


async def test_a_lost_lease_brings_the_whole_truth_back(directory: FaultyDirectory, watching: Directory) -> None:
    gateway = gateway_on(directory, lease_s=0.3)
    await gateway.start(services(3))
    assert await gateway.settled(SETTLED_S)
    entry = await watching.get(KEYS.node("n1"))
    assert entry is not None
    assert entry.lease is not None
    await watching.revoke_lease(entry.lease)
    assert (await watching.read(KEYS.everything)).entries == ()

    async def is_back() -> bool:
        return await watching.get(KEYS.node("n1")) is not None

    await wait_until_async(is_back)
    assert await shown(watching) == set(services(3))
    await gateway.stop()


async def test_a_lease_is_kept_alive_beyond_its_time(directory: FaultyDirectory, watching: Directory) -> None:
    gateway = gateway_on(directory, lease_s=0.3)
    await gateway.start(services(1))
    assert await gateway.settled(SETTLED_S)
    revision = (await watching.read(KEYS.everything)).revision
    await wait_until_async(lambda: directory.calls.get("keep_alive", 0) >= 6)
    assert (await watching.read(KEYS.everything)).revision == revision
    await gateway.stop()


async def test_a_late_advertisement_cannot_bring_a_withdrawn_service_back(directory: FaultyDirectory, watching: Directory) -> None:
    gateway = gateway_on(directory)
    await gateway.start([])
    assert await gateway.settled(SETTLED_S)
    faults = [Fault.ARRIVES_LATE]
    directory.next_fault = lambda: faults.pop() if faults else Fault.NONE
    gateway.advertise([service("w0")])
    await wait_until_async(lambda: not faults)
    await gateway.withdraw(["w0"])
    assert await gateway.settled(SETTLED_S)
    await directory.deliver_late_calls()
    assert await shown(watching) == set()
    await gateway.stop()


async def test_a_stopped_gateway_leaves_nothing_even_when_its_last_call_comes_late(directory: FaultyDirectory, watching: Directory) -> None:
    gateway = gateway_on(directory)
    await gateway.start(services(1))
    assert await gateway.settled(SETTLED_S)
    directory.next_fault = lambda: Fault.ARRIVES_LATE
    gateway.advertise(services(2))
    await wait_until_async(lambda: not gateway.reachable)
    directory.next_fault = lambda: Fault.NONE
    await gateway.stop()
    await directory.deliver_late_calls()
    assert (await watching.read(KEYS.everything)).entries == ()


async def test_two_nodes_do_not_touch_each_other(directory: FaultyDirectory, watching: Directory) -> None:
    first, second = gateway_on(directory), gateway_on(watching, NodeRecord("n2", "unix:/n2.sock"))
    await first.start(services(2))
    await second.start(services(3))
    assert await first.settled(SETTLED_S)
    assert await second.settled(SETTLED_S)
    assert await second.withdraw(["w0"])
    await second.stop()
    assert await shown(watching, "n1") == set(services(2))
    assert await shown(watching, "n2") == set()
    await first.stop()


def a_layout(epoch: int) -> Layout:
    member = (Placement("storage_1", "n1"),)
    return Layout(epoch, "r1", 41, (Placement("log_1", "n1"),), (StorageTeam(b"", b"m\xff", member), StorageTeam(b"m\xff", None, member)))


async def test_the_latest_layout_is_at_hand(directory: FaultyDirectory, watching: Directory) -> None:
    gateway = gateway_on(directory)
    await gateway.start([])
    await wait_until_async(lambda: gateway.layout is None)

    async def publish(value: bytes) -> None:
        assert (await watching.transact([], [Put(KEYS.layout, value)])).succeeded

    await publish(encode(a_layout(1)))
    await wait_until_async(lambda: gateway.layout == a_layout(1))
    directory.next_fault = lambda: Fault.NEVER_ARRIVES
    directory.break_watches()
    await publish(b'{"epoch": "no layout"}')
    await publish(encode(a_layout(2)))
    assert gateway.layout == a_layout(1), "kept while the directory is away"
    directory.next_fault = lambda: Fault.NONE
    await wait_until_async(lambda: gateway.layout == a_layout(2))
    await publish(b"\xff no JSON")
    await publish(encode(a_layout(3)))
    await wait_until_async(lambda: gateway.layout == a_layout(3))
    await gateway.stop()


def nodes_without_services(changes: Iterable[Changes], always: str) -> list[Changes]:
    """Replays what everybody saw: the moments at which the node stood there without the service that always runs."""
    standing: set[bytes] = set()
    wrong = []
    for change in changes:
        standing |= {event.key for event in change.events if isinstance(event, KeyValue)}
        standing -= {event.key for event in change.events if isinstance(event, Deleted)}
        if (KEYS.node("n1") in standing) != (KEYS.service("n1", f"demo_{always}") in standing):
            wrong.append(change)
    return wrong


async def test_a_registration_that_somebody_deletes_comes_back(directory: FaultyDirectory, watching: Directory) -> None:
    gateway = gateway_on(directory)
    await gateway.start(services(2))
    assert await gateway.settled(SETTLED_S)
    deleted = await watching.transact([], [Delete(KEYS.everything)])
    async with asyncio.timeout(SETTLED_S), aclosing(watching.watch(KEYS.everything, after=deleted.revision)) as watch:
        assert len((await anext(watch)).events) == 3
    await gateway.stop()


async def test_two_gateways_with_one_node_id_do_not_fight_as_fast_as_they_can(directory: FaultyDirectory, watching: Directory) -> None:
    slow = Backoff(0.02, 10.0)
    first = Gateway(directory, "demo", NODE, lease_s=60, backoff=slow)
    second = Gateway(watching, "demo", NODE, lease_s=60, backoff=slow)
    await first.start(services(1))
    assert await first.settled(SETTLED_S)
    await second.start(services(2))
    await wait_until_async(lambda: first._failures + second._failures >= 6)
    begun = directory.calls["transact"]
    assert first._backoff.delay_s(max(first._failures, second._failures), 0.0) >= 0.04
    assert begun <= 6
    await first.stop()
    await second.stop()
