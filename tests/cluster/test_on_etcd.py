"""Three real nodes on a real etcd: its leader killed, its quorum gone, all of it gone. Nothing that was acknowledged is.

    ETCD_AWAY_S=60 pytest tests/cluster/test_on_etcd.py

has etcd away for a whole minute; by default it is a few times the lease, which is the same to the cluster.
"""

import os
import signal
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.nodes import LEASE_S
from tests.cluster.pushing import pushing
from tests.cluster.steps import all_are_there, on_etcd, workers_of
from tests.deadline import wait_until_async
from tests.directory.conftest import needs_etcd

pytestmark = [needs_etcd, pytest.mark.timeout(240)]

AWAY_S: Final = float(os.environ.get("ETCD_AWAY_S", 2.5 * LEASE_S))


async def test_members_of_etcd_are_killed_under_pushes(tmp_path: Path) -> None:
    async with on_etcd(tmp_path, 3) as (cluster, etcd, _), pushing(cluster) as client:
        await client.go_on()
        first = await etcd.leader()
        first.end()
        await client.go_on()
        assert (await cluster.view()).layout is not None, "two of three members are a quorum"
        second = await etcd.leader()
        second.end()
        await client.go_on()
        second.start()
        second.wait_healthy()
        await client.go_on()
        await wait_until_async(lambda: all_are_there(cluster), timeout_s=60.0, what="every node is registered")
        first.start()
        first.wait_healthy()
        await cluster.serving(members=2)


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
async def test_etcd_is_away_for_long_and_no_worker_heeds_it(tmp_path: Path, how: signal.Signals) -> None:
    async with on_etcd(tmp_path, 1) as (cluster, etcd, _), pushing(cluster) as client:
        await client.go_on()
        before = await workers_of(cluster)
        if how is signal.SIGKILL:
            etcd.end()
        else:
            etcd.signal(how)
        await client.go_on_for(AWAY_S)
        assert await workers_of(cluster) == before, "every worker is the process that it was"
        if how is signal.SIGKILL:
            etcd.start()
        else:
            etcd.signal(signal.SIGCONT)
        await wait_until_async(lambda: all_are_there(cluster), timeout_s=60.0, what="every node is registered again")
        await cluster.serving(members=2)
        await client.go_on()
