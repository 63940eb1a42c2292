"""Real etcd members killed, stopped, started again: calls stay bounded, nothing is told twice, nothing is missed."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from foreman.core.views import ServiceInfo
from foreman.directory.errors import DirectoryUnavailable
from foreman.directory.etcd.address import EtcdAddress
from foreman.directory.etcd.engine import EtcdDirectory
from foreman.directory.following import Backoff, follow
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Changes, Directory, KeyRange, KeyValue, Put, Snapshot
from foreman.directory.records import NodeRecord
from foreman.node.gateway import Gateway
from tests.deadline import wait_until_async
from tests.directory.conftest import needs_etcd
from tests.directory.etcd_server import EtcdCluster, EtcdServer, etcd_cluster
from tests.directory.faulty import FaultyDirectory

pytestmark = [needs_etcd, pytest.mark.slow]
KEYS = KeyRange.of_prefix(b"/k/")
QUICK = Backoff(0.02, 0.2)
TIMEOUT_S = 1.5
DEADLINE_S = 30.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EtcdServer]:
    with contextlib.closing(EtcdServer(tmp_path)) as member:
        member.start()
        member.wait_healthy()
        yield member


@pytest.fixture
def members(tmp_path: Path) -> Iterator[list[EtcdServer]]:
    """A cluster of three."""
    with etcd_cluster(tmp_path, 3) as cluster:
        yield cluster.members


@contextlib.asynccontextmanager
async def opened(*servers: EtcdServer, timeout_s: float = TIMEOUT_S) -> AsyncIterator[EtcdDirectory]:
    address = EtcdAddress(tuple(f"127.0.0.1:{server.port}" for server in servers))
    async with EtcdDirectory(address, timeout_s=timeout_s) as directory:
        yield directory


class Follower:
    """Applies what ``follow`` tells, and keeps every value of ``/k/n`` it was told in the order it came."""

    def __init__(self, directory: Directory, witness: bytes | None = None) -> None:
        self.state: dict[bytes, bytes] = {}
        self.told: list[int] = []
        self.snapshots = 0
        self._task = asyncio.create_task(self._run(directory, witness))

    async def _run(self, directory: Directory, witness: bytes | None) -> None:
        async with aclosing(follow(directory, KEYS, backoff=QUICK, witness=witness)) as news:
            async for told in news:
                match told:
                    case Snapshot(entries=entries):
                        self.snapshots += 1
                        self.state = {entry.key: entry.value for entry in entries}
                    case Changes(events=events):
                        for event in events:
                            assert isinstance(event, KeyValue)
                            self.state[event.key] = event.value
                            self.told.append(int(event.value))

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def put_stubbornly(directory: Directory, number: int) -> None:
    """Until it is there. Twice is once: the value is the same."""

    async def done() -> bool:
        try:
            return (await directory.transact([], [Put(b"/k/n", b"%d" % number)])).succeeded
        except DirectoryUnavailable:
            return False

    await wait_until_async(done, timeout_s=DEADLINE_S)


async def test_killed_and_started_again_nothing_is_missed(server: EtcdServer) -> None:
    async with opened(server) as directory:
        follower = Follower(directory)
        await wait_until_async(lambda: follower.snapshots)
        for number in range(5):
            await put_stubbornly(directory, number)
        server.end()
        async with asyncio.timeout(2 * TIMEOUT_S + 1):
            with pytest.raises(DirectoryUnavailable):
                await directory.read(KEYS)
            with pytest.raises(DirectoryUnavailable):
                await directory.transact([], [Put(b"/k/n", b"99")])
        server.start()
        for number in range(5, 10):
            await put_stubbornly(directory, number)
        await wait_until_async(lambda: follower.told and follower.told[-1] == 9, timeout_s=DEADLINE_S)
        assert list(dict.fromkeys(follower.told)) == list(range(10))
        assert follower.snapshots == 1, "it resumed; there was no need to read again"
        await follower.stop()


async def test_a_stopped_member_keeps_nobody_waiting(server: EtcdServer) -> None:
    async with opened(server) as directory:
        lease = await directory.grant_lease(60)
        await directory.transact([], [Put(b"/k/n", b"1", lease.id)])
        server.signal(signal.SIGSTOP)
        calls = (
            directory.read(KEYS), directory.transact([], [Put(b"/k/n", b"2")]), directory.keep_alive(lease.id), directory.grant_lease(60),
            anext(directory.watch(KEYS, after=1)),
        )  # fmt: skip
        async with asyncio.timeout(TIMEOUT_S + 1):
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(answer) for answer in answers] == [DirectoryUnavailable] * 5
        server.signal(signal.SIGCONT)

        async def lease_lives() -> bool:
            try:
                return await directory.keep_alive(lease.id) > 0
            except DirectoryUnavailable:
                return False

        await wait_until_async(lease_lives, timeout_s=DEADLINE_S)


async def test_a_watch_on_a_stopped_member_ends_by_itself(server: EtcdServer) -> None:
    async with opened(server) as directory:
        revision = (await directory.transact([], [Put(b"/k/n", b"1")])).revision
        async with aclosing(directory.watch(KEYS, after=revision - 1)) as watch:
            await anext(watch)
            server.signal(signal.SIGSTOP)
            async with asyncio.timeout(20):
                with pytest.raises(DirectoryUnavailable):
                    await anext(watch)
        server.signal(signal.SIGCONT)


async def test_the_member_in_use_is_killed_and_calls_go_on(members: list[EtcdServer]) -> None:
    async with opened(*members, timeout_s=3.0) as directory:
        await put_stubbornly(directory, 0)
        in_use = members[directory._connection._index]
        in_use.end()
        async with asyncio.timeout(3.0):
            assert len((await directory.read(KEYS)).entries) == 1
        await put_stubbornly(directory, 1)
        in_use.start()
        in_use.wait_healthy()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_leader_goes_and_followers_miss_nothing(members: list[EtcdServer], how: signal.Signals) -> None:
    async with opened(*members, timeout_s=3.0) as directory:
        follower = Follower(directory)
        await wait_until_async(lambda: follower.snapshots)
        for number in range(3):
            await put_stubbornly(directory, number)
        leader = await EtcdCluster(members).leader()
        leader.signal(how)
        for number in range(3, 6):
            await put_stubbornly(directory, number)
        await wait_until_async(lambda: follower.told and follower.told[-1] == 5, timeout_s=DEADLINE_S)
        assert list(dict.fromkeys(follower.told)) == list(range(6))
        await follower.stop()


async def test_without_a_majority_nothing_is_done_and_all_is_said(members: list[EtcdServer]) -> None:
    async with opened(*members) as directory:
        await put_stubbornly(directory, 0)
        for member in members[:2]:
            member.end()
        async with asyncio.timeout(3 * TIMEOUT_S):
            with pytest.raises(DirectoryUnavailable):
                await directory.read(KEYS)
            with pytest.raises(DirectoryUnavailable):
                await directory.transact([], [Put(b"/k/n", b"1")])
        members[0].start()
        await put_stubbornly(directory, 2)


async def test_a_gateway_puts_the_truth_back_after_etcd_was_away(server: EtcdServer) -> None:
    keys = ClusterKeys("demo")
    async with opened(server) as directory:
        gateway = Gateway(directory, "demo", NodeRecord("n1", "unix:/x"), lease_s=2, backoff=QUICK)
        await gateway.start([ServiceInfo("log_1", "log", "demo_log_1"), ServiceInfo("log_2", "log", "demo_log_2")])
        assert await gateway.settled(DEADLINE_S)
        server.end()
        await wait_until_async(lambda: not gateway.reachable, timeout_s=DEADLINE_S)
        gateway.advertise([ServiceInfo("log_3", "log", "demo_log_3")])
        assert not await gateway.withdraw(["log_1"])
        server.start()
        assert await gateway.settled(DEADLINE_S)
        entries = (await directory.read(keys.everything)).entries
        assert [entry.key for entry in entries] == [
            keys.node("n1"), keys.service("n1", "demo_log_2"), keys.service("n1", "demo_log_3"),
        ]  # fmt: skip
        await gateway.stop()
        assert (await directory.read(keys.everything)).entries == ()


FORKS_BESIDE_A_WATCH = """
import asyncio, contextlib, os, sys
from foreman.directory.opening import open_directory
from foreman.directory.port import KeyRange, Put

async def main():
    async with open_directory(sys.argv[1]) as directory:
        revision = (await directory.transact([], [Put(b"/k/n", b"0")])).revision
        async with contextlib.aclosing(directory.watch(KeyRange.of_prefix(b"/k/"), after=revision - 1)) as watch:
            await anext(watch)
            for _ in range(10):
                child = await asyncio.create_subprocess_exec("true", preexec_fn=os.getpid, user=os.geteuid())
                assert await child.wait() == 0
                assert (await directory.transact([], [Put(b"/k/n", b"1")])).succeeded

asyncio.run(main())
"""


async def test_programs_are_started_beside_open_channels_without_a_word(server: EtcdServer) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", FORKS_BESIDE_A_WATCH, server.url, stderr=asyncio.subprocess.PIPE)
    _out, said = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert (process.returncode, said) == (0, b"")


async def test_an_emptied_etcd_is_told_and_filled_again(server: EtcdServer, tmp_path: Path) -> None:
    keys = ClusterKeys("demo")
    async with opened(server) as directory:
        gateway = Gateway(directory, "demo", NodeRecord("n1", "unix:/x"), lease_s=2, backoff=QUICK)
        await gateway.start([ServiceInfo("log_1", "log", "demo_log_1")])
        assert await gateway.settled(DEADLINE_S)
        for number in range(300):
            await put_stubbornly(directory, number)
        follower = Follower(directory)
        await wait_until_async(lambda: follower.snapshots == 1)
        server.end()
        server.forget()
        server.start()

        async def registered_again() -> bool:
            try:
                return len((await directory.read(keys.everything)).entries) == 2
            except DirectoryUnavailable:
                return False

        await wait_until_async(registered_again, timeout_s=DEADLINE_S)
        await wait_until_async(lambda: follower.snapshots == 2, timeout_s=DEADLINE_S)
        assert follower.state == {}
        await follower.stop()
        await gateway.stop()


async def test_an_emptied_etcd_that_has_come_further_is_noticed_by_its_witness(server: EtcdServer) -> None:
    async with opened(server) as directory, opened(server) as other:
        await directory.transact([], [Put(b"/witness", b"first"), Put(b"/k/gone", b"1")])
        cut_off = FaultyDirectory(directory)
        follower = Follower(cut_off, b"/witness")
        await wait_until_async(lambda: follower.state == {b"/k/gone": b"1"}, timeout_s=DEADLINE_S)
        cut_off.gate.clear()
        server.end()
        server.forget()
        server.start()
        await put_stubbornly(other, 0)
        await other.transact([], [Put(b"/witness", b"second")])
        for number in range(1, 20):  # a watch that resumed here would see these, and nothing amiss
            await put_stubbornly(other, number)
        cut_off.gate.set()
        await wait_until_async(lambda: follower.state == {b"/k/n": b"19"}, timeout_s=DEADLINE_S)
        assert follower.snapshots == 2
        await follower.stop()
