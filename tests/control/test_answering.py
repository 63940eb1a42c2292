"""What the cluster is asked for is made once, where it was first placed, whatever fails on the way; and removed when that is asked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from foreman.control.answering import Answering, chosen_node
from foreman.control.cluster_view import ClusterFold, ClusterView
from foreman.control.feed import Feed
from foreman.control.settings import ControlSettings
from foreman.core.errors import FailedToStart, ForemanError, ForemanTimeout, InvalidParams, WorkerNotFound
from foreman.directory.following import follow
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Delete, Directory, Put
from foreman.directory.records import NodeRecord, Placement, ServiceRecord, encode
from foreman.directory.sqlite.engine import SqliteDirectory
from foreman.directory.worker_request import WorkerRequest
from tests.control.tools import tools_with

KEYS = ClusterKeys("demo")
WITHIN_S = 10.0


@dataclass
class Nodes:
    """The foremen: what they were asked, and ``answers`` to give before they do it."""

    asked: list[tuple[str, str, str]] = field(default_factory=list)
    answers: list[ForemanError] = field(default_factory=list)

    def avoided(self) -> frozenset[str]:
        return frozenset()

    async def new_worker(self, node: NodeRecord, id: str, kind: str, params: dict[str, Any], timeout_s: float) -> None:
        self.asked.append(("new", id, node.id))
        if self.answers:
            raise self.answers.pop(0)

    async def remove_workers(self, node: NodeRecord, ids: Sequence[str], timeout_s: float) -> dict[str, ForemanError | None]:
        self.asked.extend(("remove", id, node.id) for id in ids)
        return {id: self.answers.pop(0) if self.answers else None for id in ids}


@dataclass
class Cluster:
    directory: Directory
    feed: Feed
    nodes: Nodes

    async def put(self, *records: NodeRecord | WorkerRequest) -> None:
        keys = [KEYS.node(each.id) if isinstance(each, NodeRecord) else KEYS.request(each.id) for each in records]
        await self.directory.transact([], [Put(key, encode(record)) for key, record in zip(keys, records, strict=True)])

    async def until(self, holds: Callable[[ClusterView], bool]) -> ClusterView:
        assert await self.feed.until(holds, WITHIN_S), self.feed.view.requests
        return self.feed.view


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A director that answers, on nodes a and b."""
    async with SqliteDirectory(tmp_path / "directory.sqlite") as directory:
        leader = (await directory.transact([], [Put(KEYS.leader, b'{"node":"a","address":""}')])).revision
        feed, nodes = Feed(), Nodes()
        settings = ControlSettings(again_s=0.01, again_cap_s=0.05)
        tools = tools_with(directory=directory, keys=KEYS, feed=feed, foremen=nodes, settings=settings, leader_revision=leader)

        async def keep() -> None:
            fold = ClusterFold(KEYS)
            async with aclosing(follow(directory, KEYS.everything)) as news:
                async for each in news:
                    feed.put(fold.see(each))

        tasks = [asyncio.create_task(keep()), asyncio.create_task(Answering(tools).run())]
        made = Cluster(directory, feed, nodes)
        await made.put(NodeRecord("a", "unix:/a", ("redis",)), NodeRecord("b", "unix:/b", ("redis",)))
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def request(id: str = "w", **more: Any) -> WorkerRequest:
    return WorkerRequest(id, "redis", {}, 1.0, **more)


def state(id: str, wanted: str) -> Callable[[ClusterView], bool]:
    return lambda view: id in view.requests and view.requests[id].state == wanted


async def test_workers_of_a_kind_are_spread_and_made_once(cluster: Cluster) -> None:
    """All asked for at once: each sees where the one before it goes."""
    await cluster.put(*(request(f"w{number}") for number in range(4)))
    for number in range(4):
        await cluster.until(state(f"w{number}", "made"))
    assert sorted(node for _, _, node in cluster.nodes.asked) == ["a", "a", "b", "b"]


async def test_a_node_that_does_not_answer_is_asked_again_and_no_other_is(cluster: Cluster) -> None:
    cluster.nodes.answers = [ForemanTimeout("w", 1.0), ForemanTimeout("w", 1.0)]
    await cluster.put(request())
    await cluster.until(state("w", "made"))
    assert set(cluster.nodes.asked) == {("new", "w", "a")}
    assert len(cluster.nodes.asked) >= 3


async def test_a_node_that_is_away_is_waited_for(cluster: Cluster) -> None:
    await cluster.put(request(node="c"))
    view = await cluster.until(lambda view: "w" in view.requests and "node c is not there" in view.requests["w"].problem)
    assert view.requests["w"].state == "asked"
    await cluster.put(NodeRecord("c", "unix:/c", ()))
    await cluster.until(state("w", "made"))
    assert cluster.nodes.asked == [("new", "w", "c")]


async def test_a_worker_that_does_not_start_stays_where_it_is(cluster: Cluster) -> None:
    cluster.nodes.answers = [FailedToStart("w", "exit 1")]
    await cluster.put(request())
    view = await cluster.until(state("w", "failed"))
    assert (view.requests["w"].node, view.requests["w"].error["reason"]) == ("a", "exit 1")


async def test_a_wrong_request_leaves_nothing_anywhere(cluster: Cluster) -> None:
    cluster.nodes.answers = [InvalidParams("redis", ["no such param"])]
    await cluster.put(request())
    view = await cluster.until(state("w", "failed"))
    assert (view.requests["w"].node, view.requests["w"].error["code"]) == ("", "invalid_params")


@pytest.mark.parametrize("hostile", ["\0" * 10, "\udc80", "x" * 100_000])
async def test_what_a_worker_says_cannot_stop_a_director(cluster: Cluster, hostile: str) -> None:
    cluster.nodes.answers = [ForemanTimeout(hostile, 1.0), FailedToStart("w", hostile)]
    await cluster.put(request())
    view = await cluster.until(state("w", "failed"))
    assert view.requests["w"].error["code"] == "failed_to_start"
    await cluster.put(request("after"))
    await cluster.until(state("after", "made"))


async def test_nobody_able_is_said_and_waited_for(cluster: Cluster) -> None:
    await cluster.put(replace(request(), kind="sql"))
    await cluster.until(lambda view: "w" in view.requests and "capability sql" in view.requests["w"].problem)
    await cluster.put(NodeRecord("d", "unix:/d", ("sql",)))
    await cluster.until(state("w", "made"))
    assert cluster.nodes.asked == [("new", "w", "d")]


@pytest.mark.parametrize("answers", [[], [WorkerNotFound("w")], [ForemanError("busy")]])
async def test_a_removal_ends_when_the_worker_is_gone(cluster: Cluster, answers: list[ForemanError]) -> None:
    cluster.nodes.answers = answers
    await cluster.put(request(state="removing", node="b"))
    await cluster.until(lambda view: "w" not in view.requests and bool(cluster.nodes.asked))
    assert set(cluster.nodes.asked) == {("remove", "w", "b")}


async def test_who_leads_no_more_writes_nothing(cluster: Cluster) -> None:
    await cluster.directory.transact([], [Put(KEYS.leader, b'{"node":"b","address":""}')])
    await cluster.put(request(), request("x", state="removing"))
    revision = (await cluster.directory.read(KEYS.everything)).revision
    await cluster.until(lambda view: view.revision >= revision)
    await asyncio.wait([asyncio.create_task(cluster.feed.until(lambda view: view.revision > revision, 0.1))])
    assert cluster.feed.view.requests == {"w": request(), "x": request("x", state="removing")}
    await cluster.directory.transact([], [Delete.key(KEYS.request(id)) for id in ("w", "x")])


def test_where_such_a_worker_runs_already_is_the_place() -> None:
    nodes = {id: NodeRecord(id, "", ("redis",)) for id in ("a", "b")}
    there = {Placement("w", "b"): ServiceRecord("w", "redis", "demo_w", "b")}
    assert chosen_node(request(), ClusterView(nodes=nodes, services=there)) == "b"
    assert chosen_node(request("x"), ClusterView(nodes=nodes, services=there)) == "a", "the less busy one"
    assert chosen_node(request("x"), ClusterView(nodes=nodes, draining=frozenset({"a"}))) == "b"
    assert chosen_node(request("x"), ClusterView(nodes=nodes), frozenset({"a"})) == "b"
    assert chosen_node(replace(request(), kind="sql"), ClusterView(nodes=nodes)) is None
