"""A node is stopped (SIGSTOP) past its lease and goes on: meanwhile it is not there, and what it says afterwards is refused."""

import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from foreman.api.client import RemoteForeman
from foreman.core.errors import ForemanError, StaleGeneration
from foreman.core.generations import Generation
from foreman.directory.records import Layout
from foreman.workers.clients import LogClient
from tests.cluster.nodes import RealCluster, RealNode, transaction
from tests.cluster.pushing import pushing
from tests.cluster.steps import all_are_there, on_etcd, only_named_workers_run
from tests.deadline import wait_until_async
from tests.directory.conftest import needs_etcd

pytestmark = [needs_etcd, pytest.mark.timeout(240)]


@contextmanager
def stopped(pids: Iterable[int]) -> Iterator[None]:
    """While the block runs."""
    every = list(pids)
    try:
        for pid in every:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in every:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("whole", [False, True], ids=["the server", "all its processes"])
async def test_a_leader_that_was_stopped_past_its_lease_is_listened_to_by_nobody(tmp_path: Path, *, whole: bool) -> None:
    async with on_etcd(tmp_path, 1, logs=3) as (cluster, _, first), pushing(cluster) as client:
        await client.go_on()
        node = await cluster.leader()
        await node.remember()
        former = await generation_of(cluster, first)
        logs = [await cluster.endpoint(log) for log in first.logs]
        assert node.info is not None
        assert node.process is not None
        every = {node.process.pid, node.info.supervisor_pid, *node.pids} - {None} if whole else {node.process.pid}
        with stopped(pid for pid in every if pid is not None):
            await wait_until_async(lambda: is_gone(cluster, node), timeout_s=40.0, what="it and its services are gone")
            second = await cluster.serving(above=first.epoch)
            assert all(log.node != node.id for log in second.logs)
            await client.go_on()
        await wait_until_async(lambda: all_are_there(cluster), timeout_s=40.0, what="it is back")
        await its_commands_are_refused(cluster, node, former)
        await its_logs_take_nothing(logs, first, client.acknowledged)
        await cluster.serving(above=first.epoch, members=2)
        await wait_until_async(lambda: only_named_workers_run(cluster), timeout_s=40.0, what="nothing of the former layout runs")
        await client.go_on()
        view = await cluster.view()
        later = [line.epoch for line in view.story.lines]
        assert later == sorted(later), "a deposed director tells nothing more"


async def generation_of(cluster: RealCluster, layout: Layout) -> Generation:
    """Of the director that made this layout."""
    identity = (await cluster.view()).identity
    assert identity is not None
    return Generation(layout.epoch, layout.recovery_id, identity)


async def is_gone(cluster: RealCluster, node: RealNode) -> bool:
    view = await cluster.view()
    return node.id not in view.nodes and all(place.node != node.id for place in view.services)


async def its_commands_are_refused(cluster: RealCluster, former_leader: RealNode, former: Generation) -> None:
    """As if they had been on their way all the time. People's are not looked at."""
    for node in cluster.nodes.values():
        if node is former_leader:
            continue
        async with AsyncExitStack() as stack:
            people = await stack.enter_async_context(RemoteForeman.connect(node.data))
            director = RemoteForeman.connect(node.data, generation=former)
            stack.push_async_callback(director.close)
            newest = await newest_heard(director)
            assert newest > former.epoch
            before = await people.all()
            with pytest.raises(StaleGeneration):
                await director.new_worker(f"log-{former.epoch}-{former.recovery_id}-9-00000000", "log")
            with pytest.raises(StaleGeneration):
                await director.remove_workers([worker.id for worker in before])
            assert await people.all() == before


async def newest_heard(director: RemoteForeman) -> int:
    with pytest.raises(StaleGeneration) as refused:
        await director.infos()
    return refused.value.newest_epoch


async def its_logs_take_nothing(endpoints: Sequence[str], former: Layout, version: int) -> None:
    """Each is gone, or locked, or was not asked by anybody and may take a push alone; all of them together never do."""
    taken = 0
    for endpoint in endpoints:
        try:
            async with LogClient.connect(endpoint, timeout=1.0) as client:
                await client.push(version + 1, version, transaction(version), epoch=former.epoch)
        except ForemanError:
            continue
        taken += 1
    assert taken < len(endpoints)
