"""Several logs: one fails, hangs, falls behind or has forgotten; the worker reads on."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import redis.asyncio as redis

from foreman.core.mutations import Set
from tests.workers.storage.asking import ask, error_of, until, until_durable, wait_for
from tests.workers.storage.fake_log import FakeLog
from tests.workers.storage.worker_process import WorkerProcess

Start = Callable[..., WorkerProcess]
Connect = Callable[[WorkerProcess], "redis.Redis"]


async def test_another_log_takes_over_when_one_dies_and_nothing_is_missed(home: Path, start_worker: Start, connect: Connect) -> None:
    async with FakeLog(home, "log_1") as one, FakeLog(home, "log_2") as two:
        client = connect(start_worker({"logs": ["log_1", "log_2"]}))
        for version in range(1, 301):
            if version == 100:
                await one.close()
            if version < 100:
                one.push(version, [Set(b"%d" % version, b"v")])
            two.push(version, [Set(b"%d" % version, b"v")])
            if version % 50 == 0:
                await wait_for(client, version)
        assert None not in await client.mget([b"%d" % version for version in range(1, 301)])
        assert (await client.info())["source"] == "log_2"


async def test_a_log_that_hangs_is_left_for_one_that_has_more(home: Path, start_worker: Start, connect: Connect) -> None:
    async with FakeLog(home, "log_1") as one, FakeLog(home, "log_2") as two:
        client = connect(start_worker({"logs": ["log_1", "log_2"]}))
        one.push(1, [Set(b"a", b"1")])
        two.push(1, [Set(b"a", b"1")])
        await wait_for(client, 1)
        one.silent = True
        two.push(2, [Set(b"a", b"2")])
        await wait_for(client, 2, 5.0)
        assert await client.get("a") == b"2"
        assert (await client.info())["source"] == "log_2"


async def test_every_log_hears_the_durable_version(home: Path, start_worker: Start, connect: Connect) -> None:
    async with FakeLog(home, "log_1") as one, FakeLog(home, "log_2") as two:
        client = connect(start_worker({"logs": ["log_1", "log_2"], "window_s": 0}))
        version = 0

        def heard() -> bool:
            return all(log.subscribers.get("storage_1", 0) > 5 for log in (one, two))

        async with asyncio.timeout(15):
            while not heard():
                version += 1
                one.push(version, [Set(b"a", b"1")])
                two.push(version, [Set(b"a", b"1")])
                await wait_for(client, version)
                await asyncio.sleep(0.02)


async def test_logs_that_have_forgotten_what_we_need_are_an_error_of_ours(home: Path, start_worker: Start, connect: Connect) -> None:
    async with FakeLog(home, "log_1") as log:
        log.oldest = 5
        worker = start_worker({"logs": ["log_1"]})
        client = connect(worker)
        await until(client, "health", lambda health: "VERSIONTOOOLD" in str(health))
        assert await client.get("a") is None


async def test_logs_that_end_before_what_is_durable_here_are_an_error_of_ours(home: Path, start_worker: Start, connect: Connect) -> None:
    worker = start_worker({"logs": ["log_1"], "window_s": 0})
    async with FakeLog(home, "log_1") as log:
        log.push(7, [Set(b"a", b"1")])
        await until_durable(connect(worker), 7)
    async with FakeLog(home, "log_1") as log:
        log.refuse_ahead = True
        log.push(5, [Set(b"a", b"0")])
        await until(connect(worker), "health", lambda health: "VERSIONTOONEW" in str(health))
        log.push(9, [Set(b"a", b"2")])
        await wait_for(connect(worker), 9)
        await until(connect(worker), "health", lambda health: health == "ok")


async def test_logs_may_come_later_than_the_worker(home: Path, start_worker: Start, connect: Connect) -> None:
    client = connect(start_worker({"logs": ["log_1"]}))
    assert (await client.info())["health"] == "ok"
    async with FakeLog(home, "log_1") as log:
        log.push(3, [Set(b"a", b"1")])
        await wait_for(client, 3)


async def test_the_endpoint_is_asked_of_the_foreman(home: Path, start_worker: Start, connect: Connect) -> None:
    """The log listens where only the foreman can say."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        body = json.dumps({"id": "log_1", "endpoint": f"unix:{home}/run/elsewhere/resp.sock"}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    (home / "run").mkdir(exist_ok=True)
    async with await asyncio.start_unix_server(answer, f"{home}/run/foreman.sock"), FakeLog(home, "elsewhere") as log:
        client = connect(start_worker({"logs": ["log_1"]}))
        log.push(2, [Set(b"a", b"1")])
        await wait_for(client, 2)
    assert asked[0].startswith(b"GET /v1/workers/log_1 ")


async def test_an_idle_worker_asks_once_in_ten_seconds(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    client = connect(start_worker({"logs": ["log_1"]}))
    log.push(1, [Set(b"a", b"1")])
    await wait_for(client, 1)
    before = log.pulls
    await asyncio.sleep(1.0)
    assert log.pulls - before <= 1


async def test_lock_stops_pulling_durably_and_unlock_drops_what_is_above(home: Path, start_worker: Start, connect: Connect) -> None:
    async with FakeLog(home, "log_1") as old, FakeLog(home, "log_2") as new:
        worker = start_worker({"logs": ["log_1"], "window_s": 3600})
        client = connect(worker)
        for version in (1, 2, 3):
            old.push(version, [Set(b"%d" % version, b"old")])
        await wait_for(client, 3)
        locked = [b"kind", b"storage", b"durable_version", 0, b"oldest_durable_version", 0]
        plain = redis.Redis(unix_socket_path=worker.endpoint.removeprefix("unix:"), protocol=2)
        assert await plain.execute_command("LOCK", 5, "r1") == locked  # type: ignore[no-untyped-call]
        assert await plain.execute_command("LOCK", 5, "r1") == locked  # type: ignore[no-untyped-call]
        assert "NEWERLOCK 5 r1 " in await error_of(plain, "LOCK", 4, "r9")
        assert "NEWERLOCK 5 r1 " in await error_of(plain, "LOCK", 5, "r2")
        old.push(4, [Set(b"4", b"old")])
        assert "VERSIONTOONEW 3 " in await error_of(plain, "GET", "4", "AT", 4, "WAIT", 200)
        layout = json.dumps({"logs": {"log_x": f"unix:{new.run}/resp.sock"}})
        new.push(2, [Set(b"2", b"new")])
        new.push(9, [Set(b"9", b"new")])
        await ask(plain, "UNLOCK", 2, layout)
        await ask(plain, "UNLOCK", 2, layout)
        assert "NOTLOCKED" in await error_of(plain, "UNLOCK", 2, '{"logs":[]}')
        await wait_for(plain, 9)
        assert await plain.mget("1", "2", "3", "4", "9") == [b"old", b"old", None, None, b"new"]
        await plain.aclose()
        worker.kill()
        worker.start()
        await wait_for(connect(worker), 9)
        assert (await connect(worker).info())["generation"] == 5


async def test_a_locked_worker_is_still_locked_after_a_kill(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    worker = start_worker({"logs": ["log_1"]})
    log.push(1, [Set(b"a", b"1")])
    client = connect(worker)
    await wait_for(client, 1)
    await ask(client, "LOCK", 1, "r")
    worker.kill()
    worker.start()
    client = connect(worker)
    pulls = log.pulls
    assert "VERSIONTOONEW 0 " in await error_of(client, "GET", "a", "AT", 1, "WAIT", 300)
    assert log.pulls == pulls


async def test_the_status_says_what_is_so_on_an_idle_log_too(home: Path, start_worker: Start) -> None:
    """Nothing comes from an empty log for long; that it is level, and that the log is back, is told all the same."""
    async with FakeLog(home) as log:
        worker = start_worker({"logs": ["log_1"]})
        level = "version 0, 0.0 s behind log_1"
        assert await asyncio.to_thread(worker.wait_until_said, "STATUS", level) == level
        await log.close()
        await asyncio.to_thread(worker.wait_until_said, "STATUS", "version 0, ", holds=lambda said: "LinkLost" in said)
        await log.open()
        await asyncio.to_thread(
            worker.wait_until_said, "STATUS", "version 0, 0.", 8.0, holds=lambda said: ";" not in said
        )  # sooner than a PULL that waits for news is answered with none
