"""Nodes have names: their own or their host's. People say them, and read them, also of nodes that are gone; programs keep the ids."""

import asyncio
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from foreman.api.client import RemoteForeman
from foreman.bootstrap.logs import configure_logs
from foreman.control.cluster_view import ClusterView
from foreman.control.desk.plain import view_from
from foreman.control.desk.words import status_lines
from foreman.core.errors import AmbiguousNode, NodeNotFound
from foreman.core.ids import node_name_of
from foreman.core.interface import ForemanInterface
from tests.cluster.embedded import node_on, two_nodes
from tests.deadline import wait_until_async

WITHIN_S = 30.0
pytestmark = pytest.mark.timeout(90)


async def view_of(node: ForemanInterface) -> ClusterView:
    return view_from(await node.cluster.status())


async def until_both_are_there(node: ForemanInterface) -> None:
    async def are_there() -> bool:
        return len((await view_of(node)).nodes) == 2

    await wait_until_async(are_there, timeout_s=WITHIN_S, what="both nodes are registered")


async def test_drained_by_name_through_any_node(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (a, b), RemoteForeman.connect((await b.node()).data) as remote:
        id = (await b.node()).node_id
        await until_both_are_there(a)
        assert ((await b.node()).name, (await remote.node()).name) == ("b", "b")
        await a.cluster.drain("b")
        assert (await view_of(a)).draining == {id}
        await remote.cluster.undrain("b")
        await remote.cluster.drain(id)
        assert (await view_of(a)).draining == {id}
        with pytest.raises(NodeNotFound) as refused:
            await remote.cluster.drain("c")
        assert f"b ({id})" in str(refused.value)


async def test_a_name_that_two_have_is_refused_and_their_ids_are_said(tmp_path: Path) -> None:
    configure_logs("error")
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node_on(tmp_path, name, called="twin")) for name in ("a", "b")]
        ids = sorted([(await node.node()).node_id for node in nodes])
        await until_both_are_there(nodes[0])
        remote = await stack.enter_async_context(RemoteForeman.connect((await nodes[0].node()).data))
        for cluster in (nodes[0].cluster, remote.cluster):
            for change in (cluster.drain, cluster.undrain):
                with pytest.raises(AmbiguousNode) as refused:
                    await change("twin")
                assert refused.value.ids == tuple(ids)
        await remote.cluster.drain(ids[1])
        assert (await view_of(nodes[1])).draining == {ids[1]}
        socket_path = (await nodes[0].node()).address.removeprefix("unix:")
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=socket_path), base_url="http://node") as http:
            problem = await http.put("/v1/cluster/draining/twin")
        assert (problem.status_code, problem.json()["code"], problem.json()["ids"]) == (409, "ambiguous_node", ids)


async def test_without_a_name_it_is_called_as_its_host(tmp_path: Path) -> None:
    configure_logs("error")
    async with node_on(tmp_path, "a", called="") as node:
        assert (await node.node()).name == node_name_of(socket.gethostname())


async def test_a_node_that_is_gone_is_still_told_of_by_its_name(tmp_path: Path) -> None:
    configure_logs("error")
    async with node_on(tmp_path, "a") as a, AsyncExitStack() as gone:
        b = await gone.enter_async_context(node_on(tmp_path, "b"))
        id = (await b.node()).node_id
        await until_both_are_there(a)
        await a.cluster.configure(logs=1, storage_replicas=1)
        placed = await asyncio.gather(*(a.cluster.new_worker(f"w{number}", "good", timeout=WITHIN_S) for number in range(2)))
        assert {each.node: each.node_name for each in placed} == {(await a.node()).node_id: "a", id: "b"}

        async def is_written() -> bool:
            return (await view_of(a)).story.names.get(id) == "b"

        await wait_until_async(is_written, timeout_s=WITHIN_S, what="the story keeps the name")
        await gone.aclose()

        async def is_gone() -> bool:
            return ("node", f"b ({id}) is not there") in [(what, how.partition(";")[0]) for what, how in status_lines(await view_of(a))]

        await wait_until_async(is_gone, timeout_s=WITHIN_S, what="it is gone, and named")
