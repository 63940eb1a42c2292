"""The whole cluster through one node's API: the same answers, errors and events as at the source."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from foreman.api.app import create_app
from foreman.api.client import RemoteForeman
from foreman.api.cluster_client import RemoteCluster
from foreman.api.listeners import Listener, bind_unix
from foreman.api.serving import serving
from foreman.control.desk.plain import view_from
from foreman.core.cluster import ClusterEvent
from foreman.core.errors import ForemanUnavailable, InvalidParams, InvalidRequest, NodeNotFound, WorkerExists, WorkerNotFound
from foreman.directory.health_record import AilingWorker, HealthRecord
from foreman.directory.records import ClusterSpec
from foreman.testing.fake_cluster import FakeCluster
from foreman.testing.fake_foreman import FakeForeman

WITHIN_S = 10.0


@pytest.fixture
def cluster(remote: RemoteForeman) -> RemoteCluster:
    return remote.cluster


@pytest.fixture
def source(fake: FakeForeman) -> FakeCluster:
    return fake.whole_cluster


async def test_the_status_arrives_whole(cluster: RemoteCluster, source: FakeCluster) -> None:
    ailing = AilingWorker("x", "redis", "failed", "failed_to_start", "\x1b[31m no")
    source.become(health={"a": HealthRecord("a", "failed_to_start", "at_least_one", (ailing,))}, unreadable=("one",))
    await cluster.configure(logs=2, storage_replicas=3, splits=[b"\xff", b"g"], replace_after_s=1.5)
    assert replace(view_from(await cluster.status()), revisions={}) == source.view
    assert source.view.spec is not None
    assert source.view.spec.splits == (b"g", b"\xff")
    await cluster.configure(logs=1)
    assert source.view.spec == ClusterSpec(1, 3, (b"g", b"\xff"), 1.5), "what is not said stays as it was"


async def test_a_drain_is_put_and_taken_back(cluster: RemoteCluster, source: FakeCluster) -> None:
    await cluster.drain("a")
    assert source.view.draining == {"a"}
    await cluster.undrain("a")
    assert source.view.draining == frozenset()
    for hostile in ("c", "../a", "a/b", "ü?#", "x" * 2_000):
        with pytest.raises((NodeNotFound, InvalidRequest)) as refused:
            await cluster.drain(hostile)
        assert not isinstance(refused.value, NodeNotFound) or refused.value.known == ("a", "b")


async def test_a_worker_is_made_somewhere_and_removed_wherever_it_is(cluster: RemoteCluster) -> None:
    placed = await cluster.new_worker("w", "redis", {"a": 1})
    assert (placed.id, placed.kind, placed.name, placed.node) == ("w", "redis", "demo_w", "a")
    with pytest.raises(WorkerExists):
        await cluster.new_worker("w", "redis", {"a": 2})
    with pytest.raises(InvalidRequest, match="only directors"):
        await cluster.new_worker("log-1-00000000-0-00000000", "log")
    with pytest.raises(InvalidParams):
        await cluster.new_worker("v", "redis", {"a": object()})
    await cluster.remove_worker("w")
    with pytest.raises(WorkerNotFound):
        await cluster.remove_worker("w")


async def test_a_wrong_wish_is_refused(cluster: RemoteCluster, socket_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        await cluster.configure(logs=0)
    with pytest.raises(InvalidRequest, match="both needed"):
        await cluster.configure(logs=2)
    await cluster.configure(logs=2, storage_replicas=3)
    with pytest.raises(InvalidRequest, match="empty"):
        await cluster.configure(splits=[b""])
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket_path)), base_url="http://foreman", timeout=10) as http:
        for body in ({"splits": ["not base64!"]}, {"nonsense": 1}, {"logs": "3"}):
            assert (await http.patch("/v1/cluster/spec", json=body)).status_code == 422
        for path in ("/v1/cluster?x=1", "/v1/cluster/events?after=-1"):
            assert (await http.get(path)).status_code == 422
        assert (await http.get("/v1/cluster/events", headers={"last-event-id": "x-1"})).status_code == 422


async def taken(events: AsyncIterator[ClusterEvent], count: int) -> list[ClusterEvent]:
    async with asyncio.timeout(WITHIN_S):
        return [await anext(events) for _ in range(count)]


async def test_events_begin_with_the_state_and_follow(cluster: RemoteCluster, source: FakeCluster) -> None:
    async with aclosing(cluster.events()) as events:
        now = await taken(events, 5)
        assert {event.what for event in now} == {"state"}
        await source.drain("b")
        (drained,) = await taken(events, 1)
        assert (drained.what, drained.about, drained.sentence) == ("drain_began", "b", "node b is to be drained")
    await source.undrain("b")
    async with aclosing(cluster.events(after=drained.after)) as events:
        assert [event.what for event in await taken(events, 1)] == ["drain_ended"]
    with pytest.raises(InvalidRequest):
        await anext(cluster.events(after=-1))


async def test_events_outlast_the_restart_of_the_node(tmp_path: Path, fake: FakeForeman, source: FakeCluster) -> None:
    path = tmp_path / "restarted.sock"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(create_app(fake), [Listener(bind_unix(path))]))
        remote = RemoteForeman.connect(f"unix:{path}")
        async with aclosing(remote.cluster.events()) as events:
            await taken(events, 5)
            await stack.aclose()
            path.unlink()
            await source.drain("b")
            await stack.enter_async_context(serving(create_app(fake), [Listener(bind_unix(path))]))
            assert [event.what for event in await taken(events, 1)] == ["drain_began"]
        await remote.close()


async def test_no_node_no_events(tmp_path: Path) -> None:
    remote = RemoteForeman.connect(f"unix:{tmp_path / 'nobody.sock'}")
    with pytest.raises(ForemanUnavailable):
        await anext(remote.cluster.events())
    await remote.close()
