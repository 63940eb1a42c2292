"""The cluster through a real directory: what is asked for stands there, events outlast an outage, and a retry is the same request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from foreman.control.desk.directory_cluster import DirectoryCluster
from foreman.core.cluster import ClusterEvent
from foreman.core.errors import (
    FailedToStart,
    ForemanTimeout,
    InvalidParams,
    InvalidRequest,
    InvalidWorkerId,
    NodeNotFound,
    WorkerBusy,
    WorkerExists,
    WorkerNotFound,
)
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Delete, Put
from foreman.directory.records import ClusterSpec, NodeRecord, ServiceRecord, encode
from foreman.directory.sqlite.engine import SqliteDirectory
from foreman.directory.worker_request import WorkerRequest
from tests.directory.faulty import Fault, FaultyDirectory

KEYS = ClusterKeys("demo")
WITHIN_S = 10.0


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[FaultyDirectory]:
    async with FaultyDirectory(SqliteDirectory(tmp_path / "directory.sqlite")) as faulty:
        node = Put(KEYS.node("a"), encode(NodeRecord("a", "unix:/a", ("log", "redis"))))
        await faulty.transact([], [node, Put(KEYS.spec, encode(ClusterSpec(1, 1)))])
        yield faulty


@pytest.fixture
def cluster(directory: FaultyDirectory) -> DirectoryCluster:
    return DirectoryCluster(directory, "demo", lambda: 1.0)


@pytest.fixture
async def other(directory: FaultyDirectory, tmp_path: Path) -> AsyncIterator[DirectoryCluster]:
    """Another client of the same directory."""
    async with SqliteDirectory(tmp_path / "directory.sqlite") as unbroken:
        yield DirectoryCluster(unbroken, "demo")


async def answer(directory: FaultyDirectory, **changes: object) -> WorkerRequest:
    """What a director would do with the only request, once it is there."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            view = await DirectoryCluster(directory, "demo").view()
            for request in view.requests.values():
                if request.state in {"asked", "removing"}:
                    if not changes:
                        await directory.transact([], [Delete.key(KEYS.request(request.id))])
                    else:
                        await directory.transact([], [Put(KEYS.request(request.id), encode(replace(request, **changes)))])  # type: ignore[arg-type]
                    return request
            await asyncio.sleep(0.01)


async def test_only_known_nodes_are_drained_and_twice_is_once(cluster: DirectoryCluster) -> None:
    with pytest.raises(NodeNotFound, match="it knows a"):
        await cluster.drain("b")
    with pytest.raises(NodeNotFound):
        await cluster.undrain("../evil")
    await cluster.drain("a")
    await cluster.drain("a")
    assert (await cluster.status())["draining"] == ["a"]
    await cluster.undrain("a")
    await cluster.undrain("a")
    assert (await cluster.status())["draining"] == []


async def test_a_worker_is_asked_for_placed_and_found_again(cluster: DirectoryCluster, directory: FaultyDirectory) -> None:
    asking = asyncio.create_task(cluster.new_worker("w", "redis", {"a": [1]}, timeout=WITHIN_S))
    asked = await answer(directory, state="made", node="a")
    assert (asked.kind, asked.params, asked.node) == ("redis", {"a": [1]}, "")
    placed = await asking
    assert (placed.id, placed.name, placed.node) == ("w", "demo_w", "a")
    await directory.transact([], [Put(KEYS.service("a", "demo_w"), encode(ServiceRecord("w", "redis", "demo_w", "a")))])
    assert await cluster.new_worker("w", "redis", {"a": [1]}, timeout=WITHIN_S) == placed, "the same, at once"
    with pytest.raises(WorkerExists):
        await cluster.new_worker("w", "redis", {"a": [2]}, timeout=WITHIN_S)
    removing = asyncio.create_task(cluster.remove_worker("w", timeout=WITHIN_S))
    assert (await answer(directory)).state == "removing"
    await removing
    with pytest.raises(WorkerNotFound):
        await cluster.remove_worker("w")


async def test_a_failure_is_the_nodes_own_and_the_same_node_is_asked_again(cluster: DirectoryCluster, directory: FaultyDirectory) -> None:
    error = FailedToStart("w", "exit 1")
    asking = asyncio.create_task(cluster.new_worker("w", "redis", timeout=WITHIN_S))
    await answer(directory, state="failed", node="a", error={"code": error.code, "detail": str(error), **error.facts()})
    with pytest.raises(FailedToStart) as raised:
        await asking
    assert raised.value == error
    with pytest.raises(WorkerExists):
        await cluster.new_worker("w", "redis", {"other": 1})
    again = asyncio.create_task(cluster.new_worker("w", "redis", timeout=WITHIN_S))
    assert (await answer(directory, state="made")).node == "a"
    assert (await again).node == "a"


async def test_a_failure_that_left_nothing_is_forgotten(cluster: DirectoryCluster, directory: FaultyDirectory) -> None:
    error = InvalidParams("redis", ["no such param"])
    asking = asyncio.create_task(cluster.new_worker("w", "redis", {"x": 1}, timeout=WITHIN_S))
    await answer(directory, state="failed", error={"code": error.code, "detail": str(error), **error.facts()})
    with pytest.raises(InvalidParams) as raised:
        await asking
    assert raised.value == error
    assert (await cluster.view()).requests == {}


async def test_what_waits_says_what_for(cluster: DirectoryCluster, directory: FaultyDirectory) -> None:
    with pytest.raises(ForemanTimeout, match="nobody leads"):
        await cluster.new_worker("w", "redis", timeout=0.2)
    with pytest.raises(ForemanTimeout):
        await cluster.remove_worker("w", timeout=0.05)
    with pytest.raises(WorkerBusy):
        await cluster.new_worker("w", "redis")


async def test_what_nobody_could_do_is_refused_before_anything_is_written(cluster: DirectoryCluster, directory: FaultyDirectory) -> None:
    with pytest.raises(InvalidWorkerId):
        await cluster.new_worker("../evil", "redis")
    with pytest.raises(InvalidRequest, match="only directors"):
        await cluster.new_worker("log-4-0a0b0c0d-0-00000001", "log")
    with pytest.raises(InvalidRequest, match="capability 'sql'"):
        await cluster.new_worker("w", "sql")
    for params in ({"x": object()}, {"x": "y" * 300_000}, {"x": "\udc80"}, {"x": float("nan")}):
        with pytest.raises(InvalidParams):
            await cluster.new_worker("w", "redis", params)
    for kind in ("\0", "x" * 2_000):
        with pytest.raises(InvalidRequest):
            await cluster.new_worker("w", kind)
    for timeout in (0, -1, float("nan"), True):
        with pytest.raises(InvalidRequest):
            await cluster.new_worker("w", "redis", timeout=timeout)
    await directory.transact([], [Delete.key(KEYS.spec)])
    with pytest.raises(InvalidRequest, match="no director"):
        await cluster.new_worker("w", "redis")
    assert (await cluster.view()).requests == {}


async def taken(events: AsyncIterator[ClusterEvent], count: int) -> list[ClusterEvent]:
    async with asyncio.timeout(WITHIN_S):
        return [await anext(events) for _ in range(count)]


async def test_events_begin_with_the_state_and_go_on_through_an_outage(
    cluster: DirectoryCluster, directory: FaultyDirectory, other: DirectoryCluster
) -> None:
    async with aclosing(cluster.events()) as events:
        first = await taken(events, 4)
        assert {event.what for event in first} == {"state"}
        assert first[0].sentence == "wish: 1 logs and 1 storage teams of 1"
        directory.next_fault = lambda: Fault.NEVER_ARRIVES
        directory.break_watches()
        await other.configure(logs=2)
        await other.drain("a")
        directory.next_fault = lambda: Fault.NONE
        assert [(event.what, event.about) for event in await taken(events, 2)] == [("wish_changed", ""), ("drain_began", "a")]


async def test_events_go_on_after_the_last_that_was_seen(cluster: DirectoryCluster) -> None:
    async with aclosing(cluster.events()) as events:
        last = (await taken(events, 4))[-1]
    await cluster.configure(storage_replicas=2, splits=[b"p", b"g", b"p"])
    await cluster.drain("a")
    async with aclosing(cluster.events(after=last.after)) as events:
        assert [event.what for event in await taken(events, 2)] == ["wish_changed", "drain_began"]
    async with aclosing(cluster.events(after=10**9)) as events:
        assert (await taken(events, 1))[0].what == "state", "of a revision that never was: how it is now"
