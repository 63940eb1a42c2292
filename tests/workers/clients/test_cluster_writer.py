"""ClusterClient against real logs and layouts that a test gives: what is acknowledged, what is kept, what is pushed again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foreman.core.data_errors import TooLarge, TransactionOutOfOrder
from foreman.core.errors import ForemanTimeout, ForemanUnavailable
from foreman.core.mutations import MAX_VALUE_BYTES, Mutation, Set
from foreman.workers.clients import ClusterClient, LogClient
from foreman.workers.clients.cluster_layout import ClusterLayout, Team
from foreman.workers.clients.cluster_writer import AcknowledgedLost
from foreman.workers.clients.log_pipe import LogPipe
from foreman.workers.clients.replica import Unreachable
from tests.deadline import wait_until_async
from tests.workers.log.conftest import NewWorker
from tests.workers.log.worker_process import WorkerProcess


class Given:
    """Layouts, as a test publishes them."""

    def __init__(self) -> None:
        self._newest: ClusterLayout | None = None
        self._changed = asyncio.Condition()

    async def publish(
        self, epoch: int, logs: Sequence[WorkerProcess], last_version: int = 0, members: tuple[str, ...] = ("unix:/nowhere",)
    ) -> None:
        async with self._changed:
            teams = (Team(b"", None, members),)
            self._newest = ClusterLayout(epoch, last_version, tuple(log.endpoint for log in logs), teams)
            self._changed.notify_all()

    async def after(self, epoch: int) -> ClusterLayout:
        async with self._changed:
            await self._changed.wait_for(lambda: self._newest is not None and self._newest.epoch > epoch)
        assert self._newest is not None
        return self._newest

    async def close(self) -> None:
        pass


@asynccontextmanager
async def client_of(layouts: Given) -> AsyncIterator[ClusterClient]:
    async with ClusterClient(layouts, timeout=30.0) as client:
        yield client


def transaction(number: int) -> list[Mutation]:
    return [Set(b"key", b"%d" % number)]


async def whole(log: WorkerProcess) -> list[tuple[int, list[Mutation]]]:
    async with LogClient.connect(log.endpoint) as client:
        last = (await client.info("last_version"))["last_version"]
        found: list[tuple[int, list[Mutation]]] = []
        while not found or found[-1][0] < last:
            found += await client.pull(found[-1][0] if found else 0, last=last)
        return found


async def recover(new: Sequence[WorkerProcess], old: WorkerProcess, epoch: int) -> int:
    """As a director does: lock, copy, unlock. The last version that was kept."""
    async with LogClient.connect(old.endpoint) as source:
        last = (await source.lock(epoch, "r")).last_version
    for each in new:
        async with LogClient.connect(each.endpoint) as log:
            await log.lock(epoch, "r")
            await log.recover_from(old.endpoint, 0, last)
    return last


async def test_versions_follow_the_order_of_the_calls_and_every_log_has_all(new_worker: NewWorker) -> None:
    logs = [new_worker(id="log_1").start(), new_worker(id="log_2").start()]
    layouts = Given()
    async with client_of(layouts) as client:
        pushes = [asyncio.create_task(client.push(transaction(number))) for number in range(1, 501)]
        await layouts.publish(1, logs)
        assert await asyncio.gather(*pushes) == list(range(1, 501)), "also of those that were asked for before there was a layout"
        assert client.acknowledged == 500
        assert client.under_way == []
    expected = [(number, transaction(number)) for number in range(1, 501)]
    assert await whole(logs[0]) == await whole(logs[1]) == expected


async def test_what_a_recovery_kept_is_acknowledged_and_the_rest_is_pushed_again(new_worker: NewWorker) -> None:
    old = [new_worker(id="log_1").start(), new_worker(id="log_2").start()]
    new = [new_worker(id="log_3").start(), new_worker(id="log_4").start()]
    layouts = Given()
    await layouts.publish(1, old)
    async with client_of(layouts) as client:
        assert await client.push(transaction(1)) == 1
        old[1].kill()  # from now on the other alone takes what is pushed, and nobody is told
        pushes = [asyncio.create_task(client.push(transaction(number))) for number in range(2, 12)]
        await wait_until_async(lambda: _has(old[0], 11))
        kept = await recover(new, old[0], 2)
        more = [asyncio.create_task(client.push(transaction(number))) for number in range(12, 20)]
        assert client.acknowledged == 1
        await layouts.publish(2, new, kept)
        assert await asyncio.gather(*pushes, *more) == list(range(2, 20))
    expected = [(number, transaction(number)) for number in range(1, 20)]
    assert await whole(new[0]) == await whole(new[1]) == expected


async def test_what_a_dead_writer_left_on_some_logs_is_brought_to_all(new_worker: NewWorker) -> None:
    logs = [new_worker(id="log_1").start(), new_worker(id="log_2").start()]
    async with LogClient.connect(logs[0].endpoint) as first, LogClient.connect(logs[1].endpoint) as second:
        for number in range(1, 8):
            await first.push(number, number - 1, transaction(number))
        await second.push(1, 0, transaction(1))
    layouts = Given()
    await layouts.publish(1, logs)
    async with client_of(layouts) as client:
        assert await client.push(transaction(8)) == 8
    assert await whole(logs[0]) == await whole(logs[1]) == [(number, transaction(number)) for number in range(1, 9)]


async def test_a_layout_that_lost_what_was_acknowledged_is_not_written_to(new_worker: NewWorker) -> None:
    old, new = new_worker(id="log_1").start(), new_worker(id="log_2").start()
    layouts = Given()
    await layouts.publish(1, [old])
    async with client_of(layouts) as client:
        for number in range(1, 4):
            await client.push(transaction(number))
        await layouts.publish(2, [new], 2)
        await client.layout(after=1)
        with pytest.raises(AcknowledgedLost) as lost:
            await client.push(transaction(4))
        assert (lost.value.acknowledged, lost.value.kept) == (3, 2)
        assert await whole(old) == [(number, transaction(number)) for number in range(1, 4)]


async def test_two_writers_are_one_too_many_and_one_of_them_is_told(new_worker: NewWorker) -> None:
    log, layouts = new_worker().start(), Given()
    await layouts.publish(1, [log])
    async with client_of(layouts) as client, client_of(layouts) as other:
        assert await client.push(transaction(1)) == 1
        assert await other.push(transaction(2)) == 2
        with pytest.raises(TransactionOutOfOrder):
            await client.push(transaction(3))
        with pytest.raises(TransactionOutOfOrder):
            await client.push(transaction(4))
        assert client.acknowledged == 1
        assert await other.push(transaction(5)) == 3


async def test_what_another_wrote_in_its_place_is_not_taken_for_kept(new_worker: NewWorker) -> None:
    old, new = new_worker(id="log_1").start(), new_worker(id="log_2").start()
    layouts, others = Given(), Given()
    await layouts.publish(1, [old])
    async with client_of(layouts) as client, client_of(others) as other, LogClient.connect(new.endpoint) as copied:
        assert await client.push(transaction(1)) == 1
        old.kill()
        pushing = asyncio.create_task(client.push(transaction(2)))
        await wait_until_async(lambda: client.under_way == [2])
        await copied.push(1, 0, transaction(1))
        await others.publish(2, [new], 1)
        assert await other.push(transaction(3)) == 2
        await layouts.publish(3, [new], 2)
        with pytest.raises(TransactionOutOfOrder):
            await pushing
        assert client.acknowledged == 1
        assert client.under_way == [2]


async def test_a_push_that_nobody_waits_for_goes_on_and_those_after_it_too(new_worker: NewWorker) -> None:
    log, layouts = new_worker().start(), Given()
    await layouts.publish(1, [log])
    async with client_of(layouts) as client:
        assert await client.push(transaction(1)) == 1
        log.kill()
        with pytest.raises(ForemanTimeout):
            await client.push(transaction(2), timeout=0.1)
        cancelled = asyncio.create_task(client.push(transaction(3)))
        await wait_until_async(lambda: client.under_way == [2, 3])
        cancelled.cancel()
        with pytest.raises(TooLarge):
            await client.push([Set(b"k", b"v" * (MAX_VALUE_BYTES + 1))])
        log.start()
        assert await client.push(transaction(4)) == 4
        assert client.under_way == []
    assert await whole(log) == [(number, transaction(number)) for number in range(1, 5)]


async def test_nothing_follows_a_push_that_failed_of_a_fault_of_the_program(new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    log, layouts = new_worker().start(), Given()
    await layouts.publish(1, [log])
    async with client_of(layouts) as client:
        assert await client.push(transaction(1)) == 1

        async def broken(*_: object, epoch: int) -> None:
            raise RuntimeError(f"a fault of the program in epoch {epoch}")

        with monkeypatch.context() as patch:
            patch.setattr(LogPipe, "push", broken)
            with pytest.raises(RuntimeError, match="a fault of the program"):
                await client.push(transaction(2))
        with pytest.raises(RuntimeError, match="a fault of the program"):
            await client.push(transaction(3), timeout=5.0)
        assert client.under_way == [2]


CALLS: list[Callable[[ClusterClient], Awaitable[object]]] = [
    lambda client: client.push(transaction(2)),
    lambda client: client.get(b"key"),
    lambda client: client.layout(after=7),
]


@pytest.mark.parametrize("call", CALLS, ids=["push", "get", "layout"])
@pytest.mark.parametrize("state", ["no layout", "nobody there", "pushed before", "silent"])
async def test_whoever_waits_hears_at_once_that_the_client_is_closed(
    new_worker: NewWorker, home: Path, call: Callable[[ClusterClient], Awaitable[object]], state: str
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        writer.close()

    log, layouts = new_worker(), Given()
    async with await asyncio.start_unix_server(silent, f"{home}/silent.sock"), client_of(layouts) as client:
        if state == "pushed before":
            await layouts.publish(1, [log.start()])
            assert await client.push(transaction(1)) == 1
            log.kill()
        elif state == "nobody there":
            await layouts.publish(1, [log])
        elif state == "silent":
            await layouts.publish(1, [log], members=(f"unix:{home}/silent.sock",) * 2)
        waiting = asyncio.ensure_future(call(client))
        await asyncio.wait([waiting], timeout=0.1)
        await client.close()
        async with asyncio.timeout(10):
            with pytest.raises(ForemanUnavailable, match="this client is closed"):
                await waiting
            with pytest.raises(ForemanUnavailable, match="this client is closed"):
                await call(client)


async def test_a_log_that_is_found_after_the_client_was_closed_keeps_no_connection(home: Path) -> None:
    connected, ended = asyncio.Event(), asyncio.Event()

    class SlowForeman:
        """Tells where a log is when the test says so."""

        def __init__(self) -> None:
            self.asked, self.told = asyncio.Event(), asyncio.Event()

        async def info(self, id: str) -> Any:
            self.asked.set()
            await self.told.wait()
            return SimpleNamespace(id=id, endpoint=f"unix:{home}/log.sock", local_endpoint=None)

    async def log(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        assert await reader.read() == b""
        writer.close()
        ended.set()

    foreman = SlowForeman()
    async with await asyncio.start_unix_server(log, f"{home}/log.sock"), asyncio.timeout(10):
        pipe = LogPipe((foreman, "log_1"), None, 5.0)
        asking = asyncio.create_task(pipe.last_version())
        await foreman.asked.wait()
        await pipe.close()
        foreman.told.set()
        with pytest.raises(Unreachable, match="this client is closed"):
            await asking
        await connected.wait()
        await ended.wait()


async def _has(log: WorkerProcess, version: int) -> bool:
    async with LogClient.connect(log.endpoint) as client:
        return bool((await client.info("last_version"))["last_version"] >= version)
