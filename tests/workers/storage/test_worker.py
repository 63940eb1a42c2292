"""A real storage worker process fed by a log in the test, seen by plain Redis clients."""

import asyncio
from collections.abc import Callable

import pytest
import redis.asyncio as redis
from redis.exceptions import ResponseError

from foreman.core.mutations import Clear, ClearRange, Set
from tests.workers.storage.asking import ask, until_durable
from tests.workers.storage.fake_log import FakeLog
from tests.workers.storage.worker_process import WorkerProcess

Start = Callable[..., WorkerProcess]
Connect = Callable[[WorkerProcess], "redis.Redis"]


async def test_a_plain_redis_client_reads_what_the_log_says(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    log.push(10, [Set(b"a", b"1"), Set(b"b", b"2"), Set(b"c", b"3")])
    client = connect(start_worker({"logs": ["log_1"]}))
    assert await ask(client, "GET", "a", "AT", 10) == b"1"
    assert await client.get("b") == b"2"
    assert await client.mget("a", "nothing", "c") == [b"1", None, b"3"]
    assert await ask(client, "RANGE", "a", "c") == [[b"a", b"1", b"b", b"2"], 0]
    assert await ask(client, "RANGE", "a", "z", "LIMIT", 1, "REV") == [[b"c", b"3"], 1]


async def test_every_version_of_the_window_can_be_read(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    client = connect(start_worker({"logs": ["log_1"]}))
    log.push(1, [Set(b"a", b"1"), Set(b"b", b"1")])
    log.push(5, [Clear(b"a"), Set(b"c", b"5")])
    log.push(9, [ClearRange(b"a", b"c"), Set(b"a", b"9")])
    assert await ask(client, "GET", "a", "AT", 9, "WAIT", 5000) == b"9"
    assert [await ask(client, "GET", "a", "AT", version) for version in (0, 1, 4, 5, 8)] == [None, b"1", b"1", None, None]
    assert await ask(client, "RANGE", "", "z", "AT", 5) == [[b"b", b"1", b"c", b"5"], 0]
    assert await ask(client, "RANGE", "", "z") == [[b"a", b"9", b"c", b"5"], 0]
    assert await ask(client, "MGET", "b", "c", "AT", 4) == [b"1", None]
    assert await ask(client, "GETKEY", "first_greater_than", "a", "AT", 5) == b"b"
    assert await ask(client, "GETKEY", "last_less_than", "a") is None
    assert await ask(client, "RANGE", "a", "", "BEGIN", "first_greater_than", "END", "LAST", "AT", 5) == [[b"b", b"1", b"c", b"5"], 0]


async def test_a_version_that_is_yet_to_come_is_waited_for_then_refused(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    client = connect(start_worker({"logs": ["log_1"], "version_wait_s": 0.05}))
    log.push(1, [Set(b"a", b"1")])
    assert await ask(client, "GET", "a", "AT", 1, "WAIT", 5000) == b"1"
    with pytest.raises(ResponseError, match=r"^VERSIONTOONEW 1 "):
        await ask(client, "GET", "a", "AT", 2)
    late = asyncio.create_task(ask(client, "GET", "a", "AT", 2, "WAIT", 30_000))
    await ask(client, "PING")
    log.push(2, [Set(b"a", b"2")])
    assert await late == b"2"


async def test_flushed_versions_are_too_old_and_survive_a_kill(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    worker = start_worker({"logs": ["log_1"], "window_s": 0})
    client = connect(worker)
    for version in range(1, 51):
        log.push(version, [Set(b"%03d" % version, b"v%d" % version), ClearRange(b"", b"%03d" % (version - 10))])
    await until_durable(client, 50)
    with pytest.raises(ResponseError, match=r"^VERSIONTOOOLD 50 "):
        await ask(client, "GET", "001", "AT", 49)
    worker.kill()
    await log.close()
    worker.start()
    client = connect(worker)
    assert await client.info("durable_version", "keys") == {"durable_version": 50, "keys": 11}
    assert await client.get("040") == b"v40"
    assert await client.get("039") is None


async def test_a_graceful_stop_flushes_everything(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    worker = start_worker({"logs": ["log_1"], "window_s": 3600})
    log.push(7, [Set(b"a" * 10_000, b"long"), Set(b"", b"empty")])
    assert await ask(connect(worker), "GET", "", "AT", 7, "WAIT", 5000) == b"empty"
    assert worker.stop() == 0
    await log.close()
    client = connect(worker.start())
    assert await ask(client, "RANGE", "", "z") == [[b"", b"empty", b"a" * 10_000, b"long"], 0]


async def test_an_answer_too_large_to_hold_is_refused(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    client = connect(start_worker({"logs": ["log_1"]}))
    log.push(1, [Set(b"a", b"v" * 100_000)])
    assert len(await ask(client, "GET", "a", "AT", 1, "WAIT", 5000)) == 100_000
    with pytest.raises(ResponseError, match=r"^TOOLARGE answer "):
        await client.mget(["a"] * 1000)
    assert await client.get("a") is not None
