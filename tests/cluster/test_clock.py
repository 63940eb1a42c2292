"""The wall clock of one node's server jumps an hour and back (libfaketime; the machine's own clock is not touched): nobody notices.

Leases, fences and time-outs run by clocks that never jump; the wall clock is for showing alone.
"""

import glob
import os
import time
from pathlib import Path
from typing import Final

import pytest

from foreman.api.client import RemoteForeman
from foreman.directory.keys import ClusterKeys
from foreman.directory.opening import open_directory
from tests.cluster.nodes import CLUSTER, Machine, RealCluster, RealNode, real_cluster
from tests.cluster.pushing import pushing
from tests.cluster.steps import configure, workers_of
from tests.directory.conftest import needs_etcd
from tests.directory.etcd_server import etcd_cluster

LIBRARIES: Final = sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))
NO_FAKETIME: Final = "NOT TESTED: jumps of the wall clock. No libfaketime on this machine; install Debian's faketime"

pytestmark = [
    needs_etcd, pytest.mark.timeout(240),
    pytest.mark.skipif(not LIBRARIES, reason=NO_FAKETIME),
]  # fmt: skip
HOUR_S: Final = 3600
LEASE_S: Final = 6.0
"""Not lost on a busy machine; to a jump of an hour it is all the same. It is renewed within half of it."""


class Clock:
    """The wall clock of one server: so many seconds from the true one, read anew at every look."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    @property
    def machine(self) -> Machine:
        return Machine(
            inside=(
                "env", f"LD_PRELOAD={LIBRARIES[0]}", f"FAKETIME_TIMESTAMP_FILE={self._file}", "FAKETIME_NO_CACHE=1",
                # Else it mends waits on conditions by a clock that nobody asked it to touch, and gRPC's threads wait for ever.
                "DONT_FAKE_MONOTONIC=1", "FAKETIME_FORCE_MONOTONIC_FIX=0",
            )
        )  # fmt: skip

    def set(self, ahead_s: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_s:+d}\n")
        os.replace(new, self._file)


async def test_the_clock_of_the_leader_jumps(tmp_path: Path) -> None:
    clocks = {name: Clock(tmp_path / f"clock of {name}") for name in ("a", "b", "c")}
    machines = {name: clock.machine for name, clock in clocks.items()}
    (tmp_path / "etcd").mkdir()
    with etcd_cluster(tmp_path / "etcd", 1) as etcd:
        async with real_cluster(tmp_path, directory=etcd.url, machines=machines, lease_s=LEASE_S) as cluster:
            await configure(cluster.nodes["a"], "--logs", "3", "--storage-replicas", "2", "--replace-after", "600")
            first = await cluster.serving(members=2)
            leader = await cluster.leader()
            before = await standing(cluster)
            async with pushing(cluster) as client:
                for ahead_s in (HOUR_S, -HOUR_S, 0):
                    clocks[leader.name].set(ahead_s)
                    await shows(leader, ahead_s)
                    await client.go_on_for(LEASE_S / 2)
                    assert await standing(cluster) == before
            assert (await cluster.view()).layout == first


async def standing(cluster: RealCluster) -> tuple[dict[bytes, tuple[int, int | None]], set[int]]:
    """Under which leases, and since when, everything is registered; and the pids of all workers."""
    keys = ClusterKeys(CLUSTER)
    async with open_directory(cluster.directory) as directory:
        entries = [*(await directory.read(keys.nodes)).entries, *(await directory.read(keys.services)).entries]
        leader = await directory.get(keys.leader)
    assert leader is not None
    return {entry.key: (entry.create_revision, entry.lease) for entry in (*entries, leader)}, await workers_of(cluster)


async def shows(node: RealNode, ahead_s: int) -> None:
    """The server's wall clock is what it was set to: it stands in the story of a worker."""
    async with RemoteForeman.connect(node.data) as foreman:
        await foreman.new_worker("a-look-at-the-clock", "log")
        when = (await foreman.why("a-look-at-the-clock"))[0].when
        await foreman.remove_worker("a-look-at-the-clock")
    assert abs(when - time.time() - ahead_s) < HOUR_S / 4
