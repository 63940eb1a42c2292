"""The events of a real cluster: how it comes to serve, in order; a node that leaves and comes; and going on after a pause."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

from foreman.api.client import RemoteForeman
from foreman.bootstrap.logs import configure_logs
from foreman.control.desk.directory_cluster import DirectoryCluster
from foreman.directory.keys import ClusterKeys
from foreman.directory.opening import open_directory
from tests.cluster.embedded import node_on, two_nodes, until_told
from tests.directory.conftest import needs_etcd
from tests.directory.etcd_server import EtcdServer

WITHIN_S = 30.0


async def test_a_wish_becomes_a_layout_step_by_step(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (a, b), RemoteForeman.connect((await a.node()).data) as remote:
        async with aclosing(remote.cluster.events()) as events:
            first = await asyncio.wait_for(anext(events), WITHIN_S)
            assert first.what == "state"
            assert "foreman cluster configure" in first.sentence
            await b.cluster.configure(logs=2, storage_replicas=1)
            told = await until_told(events, "layout_published", within_s=WITHIN_S)
        order = [event.what for event in told if event.what in {"wish_changed", "leader_changed", "service_came", "layout_published"}]
        assert order[:2] == ["wish_changed", "leader_changed"]
        assert order[-1] == "layout_published"
        assert order.count("service_came") >= 2
        assert [event.after for event in told] == sorted(event.after for event in told), "in the order of the directory"
        assert "layout 1 is published: logs log-1-" in told[-1].sentence

        async with aclosing(remote.cluster.events(after=told[0].after)) as events:
            again = await until_told(events, "layout_published", within_s=WITHIN_S)
        assert "wish_changed" in [event.what for event in again] or told[0].what == "wish_changed"


async def test_a_node_leaves_and_comes_with_what_it_has(tmp_path: Path) -> None:
    configure_logs("error")
    async with node_on(tmp_path, "a") as a, aclosing(a.cluster.events()) as events, AsyncExitStack() as stack:
        b = await stack.enter_async_context(node_on(tmp_path, "b"))
        id = (await b.node()).node_id
        assert (await until_told(events, "node_came", within_s=WITHIN_S))[-1].about == id
        await b.new_worker("good_1", "good", timeout=WITHIN_S)
        assert (await until_told(events, "service_came", within_s=WITHIN_S))[-1].about == "good_1"
        await stack.aclose()
        left = await until_told(events, "node_left", within_s=WITHIN_S)
        assert left[-1].about == id
        b = await stack.enter_async_context(node_on(tmp_path, "b"))
        await b.wait_for_healthy(timeout=WITHIN_S)
        assert (await until_told(events, "node_came", within_s=WITHIN_S))[-1].about == id


@needs_etcd
async def test_events_outlast_the_death_of_etcd_and_begin_anew_when_what_was_missed_is_compacted(tmp_path: Path) -> None:
    etcd = EtcdServer(tmp_path)
    etcd.start()
    try:
        etcd.wait_healthy()
        async with open_directory(etcd.url) as watching, open_directory(etcd.url) as writing:
            seen, cluster = DirectoryCluster(watching, "demo"), DirectoryCluster(writing, "demo")
            await cluster.configure(logs=1, storage_replicas=1)
            async with aclosing(seen.events()) as events:
                first = await until_told(events, "state", within_s=WITHIN_S)
                etcd.end()
                etcd.start()
                etcd.wait_healthy()
                await cluster.configure(logs=2)
                told = await until_told(events, "wish_changed", within_s=WITHIN_S)
                assert told[-1].sentence == "the cluster is to have 2 logs and 1 storage teams of 1"
            async with aclosing(seen.events(after=first[0].after)) as events:
                assert (await until_told(events, "wish_changed", within_s=WITHIN_S))[-1].after == told[-1].after
            await writing.compact((await writing.read(ClusterKeys("demo").everything)).revision)
            async with aclosing(seen.events(after=first[0].after)) as events:
                assert (await asyncio.wait_for(anext(events), WITHIN_S)).sentence.startswith("wish: 2 logs")
    finally:
        etcd.end()
