"""A real log worker and the clients that people have: ours, redis-py, redis-cli, redis-benchmark."""

import asyncio
import shutil
import subprocess

import pytest
import redis.asyncio as redis

from foreman.core.data_errors import (
    Locked,
    NewerEpochExists,
    NewerLockExists,
    NotLocked,
    NotReady,
    StorageFault,
    TooLarge,
    TransactionOutOfOrder,
    VersionTooNew,
    VersionTooOld,
)
from foreman.core.mutations import Clear, ClearRange, Mutation, Set
from foreman.workers.clients import LogClient, LogSet
from foreman.workers.clients.replica import Unreachable
from foreman.workers.wire import encode_transaction
from tests.deadline import wait_until_async
from tests.workers.log.conftest import NewWorker

MUTATIONS: list[Mutation] = [Set(b"k", b"v"), Clear(b"c"), ClearRange(b"a", b"b")]


def cli(socket: str, *words: str) -> str:
    return subprocess.run(["redis-cli", "-s", socket, *words], capture_output=True, text=True, check=False, timeout=20).stdout.strip()


async def test_what_was_pushed_is_pulled_in_order_also_after_a_kill(new_worker: NewWorker) -> None:
    worker = new_worker().start()
    async with LogClient.connect(worker.endpoint) as log:
        await log.push(5, 0, MUTATIONS)
        await asyncio.gather(log.push(9, 7, []), log.push(7, 5, [Set(b"x", b"y")]), log.push(7, 5, [Set(b"x", b"y")]))
        expected = [(5, MUTATIONS), (7, [Set(b"x", b"y")]), (9, [])]
        assert await log.pull(0) == expected
        assert await log.pull(5, limit=1) == expected[1:2]
        assert await log.pull(0, last=7) == expected[:2]
        worker.kill()
        worker.start()
        assert await log.pull(0) == expected
        await log.push(7, 5, [Set(b"x", b"y")])
        with pytest.raises(TransactionOutOfOrder) as caught:
            await log.push(7, 5, [Set(b"x", b"other")])
        assert caught.value.expected == 9
        with pytest.raises(TransactionOutOfOrder):
            await log.push(7, 4, [Set(b"x", b"y")])
        assert await log.push_next([Set(b"n", b"")]) == 10
    assert worker.stop() == 0


async def test_a_pull_waits_for_news(new_worker: NewWorker) -> None:
    worker = new_worker().start()
    async with LogClient.connect(worker.endpoint) as log:
        assert await log.pull(0, block=0.05) == []
        waiting = asyncio.create_task(log.pull(0, block=10))
        ahead = asyncio.create_task(log.pull(1, block=10))
        await wait_until_async(lambda: _has(log, "blocked_pulls", 2))
        await log.push(1, 0, [])
        assert await waiting == [(1, [])]
        await log.push(2, 1, [])
        assert await ahead == [(2, [])]
        with pytest.raises(VersionTooNew):
            await log.pull(5)


async def _has(log: LogClient, fact: str, value: object) -> bool:
    return bool((await log.info(fact))[fact] == value)


async def test_locks_fence_writers_and_survive_a_kill(new_worker: NewWorker) -> None:
    worker = new_worker().start()
    async with LogClient.connect(worker.endpoint, timeout=0.5) as log:
        await log.push(1, 0, [])
        parked = asyncio.create_task(log.push(3, 2, []))
        await wait_until_async(lambda: _has(log, "parked", 1))
        locked = await log.lock(4, "r1")
        assert (locked.kind, locked.oldest_version, locked.last_version, locked.minimum_durable_version) == ("log", 0, 1, None)
        with pytest.raises(Locked):
            await parked
        worker.kill()
        worker.start()
        with pytest.raises(Locked):
            await log.push(2, 1, [], epoch=9)
        with pytest.raises(NewerLockExists) as caught:
            await log.lock(3, "r0")
        assert (caught.value.generation, caught.value.recovery_id) == (4, "r1")
        assert await log.lock(4, "r1") == locked
        assert await log.pull(0, recovery=True) == [(1, [])]
        with pytest.raises(NotReady):
            await log.pull(0)
        await log.recover_from(None, 0, 0)
        with pytest.raises(NewerEpochExists):
            await log.push(1, 0, [], epoch=3)
        await log.push(1, 0, [], epoch=4)


async def test_a_newer_epoch_shuts_out_the_older_for_good(new_worker: NewWorker) -> None:
    worker = new_worker().start()
    async with LogClient.connect(worker.endpoint) as log:
        await asyncio.gather(*(log.push(number, number - 1, [], epoch=7) for number in range(1, 20)))
        worker.kill()
        worker.start()
        with pytest.raises(NewerEpochExists):
            await log.push(20, 19, [], epoch=6)


async def test_a_log_is_recovered_from_another_and_goes_on_after_kills(new_worker: NewWorker) -> None:
    old, fresh = new_worker({"segment_bytes": 65536}).start(), new_worker({"segment_bytes": 65536}, "log_2").start()
    pairs: list[tuple[int, list[Mutation]]] = [(number, [Set(b"%d" % number, b"v" * 900)]) for number in range(1, 8001)]
    async with LogClient.connect(old.endpoint) as source, LogClient.connect(fresh.endpoint, timeout=20) as log:
        for start in range(0, 8000, 500):
            await asyncio.gather(*(source.push(version, version - 1, mutations) for version, mutations in pairs[start : start + 500]))
        with pytest.raises(NotLocked):
            await log.recover_from(old.endpoint, 0, 8000)
        await log.lock(1, "r")
        await source.lock(1, "r")
        recovery = asyncio.create_task(log.recover_from(old.endpoint, 100, 8000))
        for _ in range(2):
            await wait_until_async(lambda: _has_some(log))
            fresh.kill()
            fresh.start()
        await recovery
        await log.recover_from(old.endpoint, 100, 8000)
        found: list[tuple[int, list[Mutation]]] = []
        while found == [] or found[-1][0] < 8000:
            found += await log.pull(found[-1][0] if found else 100, limit=5000)
        assert found == pairs[100:]
        with pytest.raises(VersionTooOld):
            await log.pull(99)
        await log.push(8001, 8000, [], epoch=1)


async def _has_some(log: LogClient) -> bool:
    return bool((await log.info("last_version"))["last_version"] > 100)


async def test_a_recovery_that_comes_late_does_not_touch_a_log_that_a_newer_one_locked(new_worker: NewWorker) -> None:
    worker = new_worker().start()
    async with LogClient.connect(worker.endpoint) as log:
        await log.lock(4, "r1")
        await log.recover_from(None, 0, 0, lock=(4, "r1"))
        await log.push(1, 0, [], epoch=4)
        await log.lock(5, "r2")
        with pytest.raises(NewerLockExists) as caught:
            await log.recover_from(None, 0, 0, lock=(4, "r1"))
        assert (caught.value.generation, caught.value.recovery_id) == (5, "r2")
        assert await log.pull(0, recovery=True) == [(1, [])]


async def test_a_source_that_is_away_leaves_the_log_locked(new_worker: NewWorker) -> None:
    worker = new_worker().start()
    async with LogClient.connect(worker.endpoint) as log:
        await log.lock(1, "r")
        with pytest.raises(Exception, match="cannot be read"):
            await log.recover_from("unix:/nowhere/resp.sock", 0, 5)
        assert (await log.info("locked"))["locked"] == 1


async def test_segments_are_recycled_below_what_all_subscribers_have(new_worker: NewWorker) -> None:
    worker = new_worker({"segment_bytes": 65536, "quiet_s": 0}).start()
    async with LogClient.connect(worker.endpoint) as log:
        for number in range(1, 401):
            await log.push(number, number - 1, [Set(b"k", b"v" * 1000)])
        before = await log.info()
        assert before["segments"] > 4
        await log.pull(400, subscriber=("a", 400))
        await wait_until_async(lambda: _has(log, "segments", 1))
        await log.pull(400, subscriber=("b", 0))
        await wait_until_async(lambda: '"b"' in (worker.data / "subscribers.json").read_text())
        for number in range(401, 801):
            await log.push(number, number - 1, [Set(b"k", b"v" * 1000)])
        await log.pull(800, subscriber=("a", 800))
        assert (await log.info("minimum_durable_version"))["minimum_durable_version"] == 0
        worker.kill()
        worker.start()
        await log.pull(800, subscriber=("a", 800))
        info = await log.info()
        assert info["oldest_version"] <= 400
        assert len(await log.pull(400, limit=10_000)) == 400
        with pytest.raises(VersionTooOld):
            await log.pull(0)
        assert info["disk_bytes"] < 12 * 65536


async def test_what_is_too_large_is_refused_and_what_just_fits_is_taken(new_worker: NewWorker) -> None:
    worker = new_worker().start()
    async with LogClient.connect(worker.endpoint) as log:
        big: list[Mutation] = [Set(b"%d" % number, b"v" * 100_000) for number in range(99)]
        await log.push(1, 0, big)
        assert await log.pull(0) == [(1, big)]
        client = redis.Redis(unix_socket_path=worker.endpoint.removeprefix("unix:"))
        with pytest.raises(redis.ResponseError, match="TOOLARGE key 10001 10000"):
            await client.execute_command("PUSH", 0, 2, 1, b"\x91\x92\x01\xc5\x27\x11" + b"k" * 10_001)  # type: ignore[no-untyped-call]
        with pytest.raises(redis.ResponseError, match="TOOLARGE transaction"):
            await client.execute_command("PUSH", 0, 2, 1, bytes(10_000_001))  # type: ignore[no-untyped-call]
        await client.aclose()
        with pytest.raises(TooLarge):
            await log.push(2, 1, [Set(b"k" * 10_001, b"")])


async def test_parked_pushes_are_bounded(new_worker: NewWorker) -> None:
    worker = new_worker({"max_parked": 3}).start()
    async with LogClient.connect(worker.endpoint, timeout=10) as log:
        pushes = [asyncio.create_task(log.push(number, number - 1, [])) for number in range(2, 8)]
        await wait_until_async(lambda: _has(log, "parked", 3))
        await log.push(1, 0, [])
        await asyncio.gather(*pushes)
        assert len(await log.pull(0)) == 7


async def test_a_set_of_logs_answers_when_all_have_it(new_worker: NewWorker) -> None:
    first, second = new_worker().start(), new_worker({}, "log_2").start()
    async with LogSet.connect([first.endpoint, second.endpoint], timeout=10) as logs:
        await logs.push(1, 0, MUTATIONS)
        second.kill()
        push = asyncio.create_task(logs.push(2, 1, []))
        second.start()
        await push
        assert await logs.last_version() == 2
        for log in logs.logs:
            assert await log.pull(0) == [(1, MUTATIONS), (2, [])]


async def test_a_log_that_is_away_is_unreachable_at_the_deadline(new_worker: NewWorker) -> None:
    async with LogClient.connect("unix:/nowhere/resp.sock", timeout=0.1) as log:
        with pytest.raises(Unreachable):
            await log.push(1, 0, [])


def test_redis_cli_is_the_debugger(new_worker: NewWorker) -> None:
    if shutil.which("redis-cli") is None:
        pytest.skip("redis-cli is not installed (Debian: redis-tools)")
    worker = new_worker().start()
    socket = worker.endpoint.removeprefix("unix:")
    assert cli(socket, "PING") == "PONG"
    assert cli(socket, "PUSH", "0", "*", "*", "\x10") == "ERR not a transaction: Expected `array`, got `int`"
    assert "last_version:0" in cli(socket, "INFO")
    assert cli(socket, "INFO", "last_version").splitlines()[1:] == ["last_version:0"]
    assert cli(socket, "-3", "HELLO", "3").startswith("server foreman")
    assert cli(socket, "NONSENSE").startswith("ERR unknown command")
    assert cli(socket, "PULL", "7").startswith("VERSIONTOONEW 0")
    assert cli(socket, "LOCK", "x", "y").startswith("ERR generation")


@pytest.mark.parametrize("pipeline", [1, 16])
def test_redis_benchmark_is_the_load_generator(new_worker: NewWorker, pipeline: int) -> None:
    if shutil.which("redis-benchmark") is None:
        pytest.skip("redis-benchmark is not installed (Debian: redis-tools)")
    worker = new_worker().start()
    socket = worker.endpoint.removeprefix("unix:")
    words = ["redis-benchmark", "-s", socket, "-c", "8", "-P", str(pipeline), "-n", "4000", "-q", "-x", "PUSH", "0", "*", "*"]
    payload = b"\x91\x92\x01\xc5\x03\xfa" + b"k" * 1018  # no NUL in it: redis-benchmark would stop there
    done = subprocess.run(words, input=payload, capture_output=True, check=False, timeout=50)
    assert b"requests per second" in done.stdout
    assert b"rror" not in done.stdout + done.stderr
    assert cli(socket, "INFO", "last_version").endswith("last_version:4000")


async def test_a_damaged_log_does_not_start_and_says_where(new_worker: NewWorker) -> None:
    worker = new_worker().start()
    async with LogClient.connect(worker.endpoint) as log:
        for number in range(1, 4):
            await log.push(number, number - 1, MUTATIONS)
    worker.stop()
    path = next(worker.data.glob("segment-*.log"))
    damaged = bytearray(path.read_bytes())
    damaged[4096 + 40] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(AssertionError, match=f"ended with 1.*error:damaged log: {path} at offset 4096"):
        worker.start()
    assert path.read_bytes() == damaged


async def test_a_record_that_rots_while_it_runs_is_an_error_not_a_gap(new_worker: NewWorker) -> None:
    worker = new_worker({"recent_bytes": 0}).start()
    async with LogClient.connect(worker.endpoint) as log:
        for number in range(1, 6):
            await log.push(number, number - 1, [Set(b"k", b"v" * 100)])
        path = next(worker.data.glob("segment-*.log"))
        damaged = bytearray(path.read_bytes())
        damaged[4096 + 40 : 4096 + 44] = b"XXXX"
        path.write_bytes(damaged)
        with pytest.raises(StorageFault, match=f"EIO at {path}:4096"):
            await log.pull(0)


async def test_pushes_as_encoded_elsewhere_are_the_same(new_worker: NewWorker) -> None:
    worker = new_worker().start()
    async with LogClient.connect(worker.endpoint) as log:
        await log.push_encoded(1, 0, encode_transaction(MUTATIONS))
        await log.push(1, 0, MUTATIONS)
        assert await log.pull_encoded(0) == [(1, encode_transaction(MUTATIONS))]
