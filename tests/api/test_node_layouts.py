"""Layouts through nodes: a node that lets this client not in is told of; one that is away is passed over."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from foreman import Foreman
from foreman.api.client import RemoteForeman
from foreman.api.node_layouts import NodeLayouts
from foreman.control.cluster_view import ClusterView
from foreman.control.desk.plain import plain_of
from foreman.core.cluster import ClusterEvent
from foreman.core.errors import ForemanError, ForemanUnavailable, InvalidRequest, NotAuthorized
from foreman.directory.records import Layout, NodeRecord, Placement, StorageTeam


def layout(epoch: int) -> Layout:
    return Layout(epoch, "0" * 8, 10, (Placement("log-1", "a"),), (StorageTeam(b"", None, (Placement("storage-1", "b"),)),), 12)


class Node:
    """What a node tells, as a test sets it; ``answers``: an error instead."""

    def __init__(self, view: ClusterView, answers: ForemanError | None = None) -> None:
        self.view, self.answers = view, answers
        self.asked = 0
        self.told = asyncio.Event()

    @property
    def cluster(self) -> "Node":
        return self

    @property
    def address(self) -> str:
        return "a node"

    async def status(self) -> dict[str, Any]:
        self.asked += 1
        return plain_of(self.view)

    async def events(self) -> AsyncGenerator[ClusterEvent, None]:
        if self.answers is not None:
            raise self.answers
        for _ in range(3):
            yield ClusterEvent("state", "", "a line of how it is", 5, 0.0)
        await self.told.wait()
        yield ClusterEvent("layout_published", "", "layout", 6, 0.0)
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


def through(nodes: dict[str, Node]) -> NodeLayouts:
    def connect(address: str) -> RemoteForeman:
        node: Any = nodes[address]
        return node  # type: ignore[no-any-return]

    return NodeLayouts(list(nodes), connect)


async def test_one_that_is_away_is_passed_over_and_the_next_layout_comes_by_itself() -> None:
    there = Node(ClusterView(layout=layout(1), nodes={"a": NodeRecord("a", "there")}))
    layouts = through({"away": Node(ClusterView(), ForemanUnavailable("away", "nobody")), "there": there})
    try:
        first = await asyncio.wait_for(layouts.after(-1), 10)
        assert (first.epoch, first.last_version, [team.end for team in first.teams]) == (1, 12, [None])
        assert there.asked == 1, "the lines of one state are one look"
        there.view = ClusterView(layout=layout(2), nodes=there.view.nodes)
        there.told.set()
        assert (await asyncio.wait_for(layouts.after(1), 10)).epoch == 2
    finally:
        await layouts.close()


async def test_who_is_not_let_in_hears_it() -> None:
    layouts = through({"there": Node(ClusterView(), NotAuthorized("no certificate"))})
    try:
        with pytest.raises(NotAuthorized):
            await asyncio.wait_for(layouts.after(-1), 10)
    finally:
        await layouts.close()


def test_one_node_is_needed() -> None:
    with pytest.raises(InvalidRequest):
        NodeLayouts([])


@pytest.mark.parametrize("targets", [("https://",), ("unix:/a", "http://host/path"), ("",)])
async def test_a_target_that_can_be_none_is_told_of_at_once(targets: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest):
        Foreman.connect_cluster(*targets)


@pytest.mark.parametrize("security", [{"tls": {}}, {"tls": "/c.pem"}, {"tls": {"certificate": "/c", "key": "/k"}}])
async def test_half_a_security_is_no_request(security: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="client_ca"):
        Foreman.connect_cluster("unix:/a", security=security)
