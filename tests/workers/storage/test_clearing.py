"""A narrower range: what it leaves behind goes in small steps that survive crashes, and is read by nobody meanwhile."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import redis.asyncio as redis
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.data_errors import WrongKeyRange
from foreman.core.mutations import Set
from foreman.workers.storage.engine import Engine
from foreman.workers.storage.key_range import ALL_KEYS, KeyRange
from foreman.workers.storage.settling import Settled
from foreman.workers.storage.store import Store
from foreman.workers.storage.stored import Lock, Stored, cleared_up_to, decode_stored
from tests.workers.storage.asking import ask, error_of, until, until_durable
from tests.workers.storage.fake_log import FakeLog
from tests.workers.storage.worker_process import WorkerProcess

Start = Callable[..., WorkerProcess]
Connect = Callable[[WorkerProcess], "redis.Redis"]

KEYS = [b"%04d" % number for number in range(2500)] + [b"long" + b"x" * 2000 + b"%d" % number for number in range(20)]


def opened(folder: Path) -> Store:
    return Store(Engine(str(folder)), window_s=0.0, memory_bytes=1 << 24)


async def narrowed(folder: Path) -> Store:
    store = opened(folder)
    store.apply(1, Settled((), [(key, b"v" * 100) for key in KEYS]))
    await store.flush(1)
    await store.lock(1, "r")
    await store.unlock(1, {"logs": [], "key_range": ["1000", "2000"]})
    return store


async def clear_all(store: Store, *limits: int) -> None:
    while store.leftover:
        await store.clear_some(*limits)


async def test_each_step_is_small_and_nothing_outside_is_read_from_the_first_moment(tmp_path: Path) -> None:
    store = await narrowed(tmp_path)
    before = store.engine.keys
    assert before == len(KEYS)
    with pytest.raises(WrongKeyRange):
        store.snapshot(None).get(b"0000")
    while store.leftover:
        await store.clear_some(100, 5_000)
        assert before - store.engine.keys <= 50
        assert store.snapshot(None).get(b"1000") == b"v" * 100
        before = store.engine.keys
    assert [key for key, _ in store.engine.scan(b"", None, reverse=False)] == KEYS[1000:2000]
    assert store.engine.stored.nodes == 0
    store.engine.close()


async def test_what_is_left_over_survives_a_new_start_and_writes_in_between(tmp_path: Path) -> None:
    store = await narrowed(tmp_path)
    await store.clear_some(700, 1 << 20)
    store.apply(2, Settled(((b"", b"zzzz"),), [(b"1500", b"new"), (b"0001", b"not ours")]))
    await store.flush(2)
    store.engine.close()
    again = opened(tmp_path)
    assert again.leftover == (KeyRange(b"0700", b"1000"), KeyRange(b"2000", None))
    await clear_all(again, 1_000, 1 << 20)
    assert list(again.engine.scan(b"", None, reverse=False)) == [(b"1500", b"new")]
    again.engine.close()


@given(st.lists(st.sampled_from([b"", b"b", b"c", b"m", b"z"]), min_size=2, max_size=2, unique=True), st.binary(max_size=3))
def test_the_record_of_what_is_left_over_reads_as_it_was_written(bounds: list[bytes], next_key: bytes) -> None:
    begin, end = sorted(bounds)
    stored = Stored(7, lock=Lock(1, "r"), key_range=KeyRange(begin, end), leftover=KeyRange(begin, end).outside())
    assert decode_stored(stored.encode()) == stored
    for part in stored.leftover:
        assert cleared_up_to(stored, KeyRange(b"other", b"range"), next_key) == stored
        stored = cleared_up_to(stored, part, None)
    assert stored.leftover == ()
    assert ALL_KEYS.outside() == ()


async def test_a_worker_killed_while_it_clears_goes_on_at_the_next_start(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    worker = start_worker({"logs": ["log_1"], "window_s": 0})
    client = connect(worker)
    count = 30_000
    for version, at in enumerate(range(0, count, 1000), 1):
        log.push(version, [Set(b"%05d" % number, b"v") for number in range(at, at + 1000)])
    await until_durable(client, count // 1000)
    await ask(client, "LOCK", 1, "r")
    layout = {"logs": {"log_1": f"unix:{log.run}/resp.sock"}, "key_range": ["29990", None]}
    await ask(client, "UNLOCK", count // 1000, json.dumps(layout))
    await asyncio.to_thread(worker.kill)
    await asyncio.to_thread(worker.start)
    client = connect(worker)
    assert (await error_of(client, "GET", "00000")).startswith("WRONGRANGE")
    assert await ask(client, "GET", "29990") == b"v"
    await until(client, "leftover_ranges", lambda left: left in ("[]", []), timeout_s=60.0)
    assert (await client.info())["keys"] == 10
