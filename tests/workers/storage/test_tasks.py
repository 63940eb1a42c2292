"""The tasks of a storage worker: none sleeps on what it was to do, and none dies in silence."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lmdb
import pytest

from foreman.core.data_errors import NewerLockExists
from foreman.core.mutations import Set
from foreman.workers.host import Host, WorkerEnvironment, WorkerFailed
from foreman.workers.storage.engine import Engine
from foreman.workers.storage.finding import Finder
from foreman.workers.storage.flushing import Flusher
from foreman.workers.storage.key_range import KeyRange
from foreman.workers.storage.params import parse_params
from foreman.workers.storage.pulling import Puller
from foreman.workers.storage.service import StorageService
from foreman.workers.storage.settling import Settled
from foreman.workers.storage.snapshot import Pair
from foreman.workers.storage.store import Store
from tests.deadline import wait_until_async
from tests.workers.storage.fake_log import FakeLog


@pytest.fixture
async def engine(home: Path) -> AsyncIterator[Engine]:
    with contextlib.closing(Engine(str(home))) as engine:
        yield engine


def service_of(home: Path, engine: Engine, params: dict[str, Any]) -> StorageService:
    environment = {"FOREMAN_WORKER_ID": "storage_1", "FOREMAN_RUN": str(home / "run" / "storage_1")}
    return StorageService(Host(WorkerEnvironment.from_environ(environment)), parse_params(params), engine)


async def test_what_came_while_a_lock_was_refused_is_flushed_all_the_same(engine: Engine) -> None:
    """The lock waits for the flush before it; when that is done, everything seems to be locked, and there is nothing to flush."""
    now = 0.0
    store = Store(engine, window_s=0.0, memory_bytes=1 << 24, clock=lambda: now)
    await store.lock(5, "newer")
    await store.unlock(0, {"logs": []})
    flusher = Flusher(store, lambda _: None, lambda: None)
    store.on_applied = flusher.applied
    store.apply(1, Settled((), [(b"a", b"1")]))
    now = 1.0
    flushing = asyncio.create_task(flusher.run())
    await asyncio.sleep(0)  # one turn of the loop: now version 1 is being written, and that takes more than this turn
    store.apply(2, Settled((), [(b"a", b"2")]))
    with pytest.raises(NewerLockExists):
        await store.lock(4, "older")
    now = 2.0

    await wait_until_async(lambda: store.durable == 2, timeout_s=10.0, what="version 2 is flushed")
    assert await flusher.stop(flushing)


async def test_a_worker_whose_task_dies_ends(home: Path, log: FakeLog, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    """It would be reached, answer, and stand still for ever: nothing that watches over it would see that."""
    service = service_of(home, engine, {"logs": ["log_1"]})

    def fail() -> None:
        raise AttributeError("a fault of the program")

    service.store.on_applied = fail
    running = asyncio.create_task(service.run_until(asyncio.Event()))
    log.push(1, [Set(b"a", b"1")])
    async with asyncio.timeout(10.0):
        with pytest.raises(WorkerFailed, match="the task follow log_1 died: AttributeError: a fault of the program"):
            await running
    await service.finish()
    assert "in fail" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (AttributeError("a fault of the program"), "the task clear died: AttributeError: a fault of the program"),
        (lmdb.CorruptedError("a page"), "the store cannot be used any more: .*CorruptedError"),
    ],
)
async def test_a_worker_that_cannot_clear_ends(home: Path, engine: Engine, fault: Exception, said: str) -> None:
    """What a narrower range left behind would lie there for ever, and nobody would know."""
    engine.stored = replace(engine.stored, leftover=(KeyRange(b"m"),))
    service = service_of(home, engine, {})

    def fail(begin: bytes, end: bytes | None, *, reverse: bool) -> Iterator[Pair]:
        assert (begin, end, reverse) == (b"m", None, False)
        raise fault

    engine.scan = fail  # type: ignore[method-assign]
    async with asyncio.timeout(10.0):
        with pytest.raises(WorkerFailed, match=said):
            await service.run_until(asyncio.Event())
    await service.finish()


async def test_what_a_store_did_not_take_is_asked_for_again(home: Path, log: FakeLog, engine: Engine) -> None:
    """The next transactions are asked for while the last ones are applied: if those are refused, the next ones must not be taken."""
    store = Store(engine, window_s=1.0, memory_bytes=1 << 24)
    puller = Puller("storage_1", store, Finder("", str(home / "run" / "storage_1")), {}, lambda: None, lambda _: None)
    await store.lock(5, "first")
    puller.follow(["log_1"])
    log.push(1, [Set(b"a", b"1")])
    await wait_until_async(lambda: log.pulls > 1, timeout_s=10.0, what="it has heard of version 1")
    await store.unlock(0, {"logs": []})
    log.push(2, [Set(b"b", b"2")])
    await wait_until_async(lambda: store.latest == 2, timeout_s=10.0, what="version 2 is there")
    puller.leave()
    assert store.snapshot(2).get(b"a") == b"1"
