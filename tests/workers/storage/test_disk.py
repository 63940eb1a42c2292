"""A full disk, a map that must grow, a kill at any moment, a file from another program."""

import asyncio
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import pytest
import redis.asyncio as redis

from foreman.core.data_errors import StorageFault
from foreman.core.mutations import Clear, ClearRange, Mutation, Set
from foreman.workers.storage.engine import FIRST_MAP_BYTES, Engine
from foreman.workers.storage.settling import Settled
from foreman.workers.storage.stored import UnreadableStore
from tests.workers.storage.asking import everything, until, until_durable, wait_for
from tests.workers.storage.fake_log import FakeLog
from tests.workers.storage.test_window import applied
from tests.workers.storage.worker_process import WorkerProcess

Start = Callable[..., WorkerProcess]
Connect = Callable[[WorkerProcess], "redis.Redis"]


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    where = home / "small"
    where.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", where], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"NOT TESTED: a full disk; no file system may be mounted here: {mounted.stderr.strip()}")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


async def test_a_full_disk_is_told_serving_goes_on_and_nothing_is_lost(
    small_disk: Path, log: FakeLog, start_worker: Start, connect: Connect
) -> None:
    worker = start_worker({"logs": ["log_1"], "window_s": 0, "memory_bytes": 8 << 20}, data=small_disk)
    client = connect(worker)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (14 << 20))
    version = 0
    for version in range(1, 41):
        log.push(version, [Set(b"%03d" % version, os.urandom(100_000))])
    await until(client, "health", lambda health: "ENOSPC" in str(health))
    await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "error:ENOSPC")
    assert await client.get("001") is not None
    for version in range(41, 121):
        log.push(version, [Set(b"%03d" % (version % 40), os.urandom(100_000))])
    await until(client, "window_bytes", lambda size: size >= 8 << 20)
    info = await client.info()
    assert info["latest_version"] < 120
    assert info["window_bytes"] < (8 << 20) + 200_000
    ballast.unlink()
    await until(client, "health", lambda health: health == "ok", 20)
    await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "ok")
    await wait_for(client, 120)
    expected: dict[bytes, bytes] = {}
    for version in range(1, 121):
        expected[b"%03d" % (version if version < 41 else version % 40)] = b""
    assert (await everything(client)).keys() == expected.keys()
    await until(client, "durable_version", lambda durable: durable == 120)


@pytest.mark.skipif(shutil.which("strace") is None, reason="NOT TESTED: a disk that fails; strace is not installed")
async def test_a_disk_that_fails_to_sync_is_told_and_written_again(
    log: FakeLog, start_worker: Start, connect: Connect, tmp_path: Path
) -> None:
    """Five syncs in a row fail with EIO; what they should have kept is still there and is kept later."""
    failing = ("strace", "-f", "-qq", "-o", f"{tmp_path}/trace", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1..5")
    Engine(str(tmp_path)).close()  # made before, so that the first sync is a flush's
    worker = start_worker({"logs": ["log_1"], "window_s": 0}, under=failing, data=tmp_path)
    client = connect(worker)
    for version in range(1, 31):
        log.push(version, [Set(b"%d" % version, b"v")])
        await wait_for(client, version)
    await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "error:EIO")
    await until_durable(client, 30)
    await asyncio.to_thread(worker.wait_until_said, "X_FOREMAN_HEALTH", "ok")
    assert len(await everything(client)) == 30
    assert worker.stop() == 0
    engine = Engine(str(worker.data))
    assert (engine.stored.durable_version, engine.keys) == (30, 30)
    engine.close()


async def test_killed_at_any_moment_it_ends_the_same(log: FakeLog, start_worker: Start, connect: Connect) -> None:
    """SIGKILL while it pulls and flushes, twenty times; then every pair is compared with the model's."""
    seed = random.randrange(1 << 30)
    choice = random.Random(seed)
    model: dict[bytes, bytes] = {}
    version = 0
    worker = start_worker({"logs": ["log_1"], "window_s": 0.05})
    for _ in range(20):
        for _ in range(choice.randrange(20, 200)):
            version += choice.randrange(1, 3)
            mutations = [random_mutation(choice) for _ in range(choice.randrange(1, 6))]
            model = applied(model, mutations)
            log.push(version, mutations)
            if choice.random() < 0.05:
                await asyncio.sleep(choice.random() * 0.02)
        await asyncio.sleep(choice.random() * 0.15)
        worker.kill()
        await asyncio.to_thread(worker.start)
    client = connect(worker)
    await wait_for(client, version)
    assert await everything(client, version) == model, f"seed {seed}"
    await until(client, "durable_version", lambda durable: durable == version)
    assert await everything(client) == model, f"seed {seed}"
    assert (await client.info())["keys"] == len(model)


def random_mutation(choice: random.Random) -> Mutation:
    key = b"%02d" % choice.randrange(100) + b"x" * choice.choice([0, 0, 0, 600, 3000])
    what = choice.random()
    if what < 0.8:
        return Set(key, b"v%d" % choice.randrange(1000))
    return Clear(key) if what < 0.9 else ClearRange(key, key[:2] + b"5")


async def test_the_map_grows_by_itself(tmp_path: Path) -> None:
    engine = Engine(str(tmp_path))
    assert engine.map_bytes == FIRST_MAP_BYTES
    for number in range(4):
        points = [(b"%d-%d" % (number, key), os.urandom(90_000)) for key in range(300)]
        await engine.write([Settled((), points)], lambda stored: stored)
    assert engine.map_bytes > FIRST_MAP_BYTES
    assert engine.keys == 1200
    engine.close()
    again = Engine(str(tmp_path))
    assert again.keys == 1200
    assert again.map_bytes >= 2 * os.stat(again.path).st_size
    again.close()


async def test_an_empty_store_takes_little_disk(tmp_path: Path) -> None:
    engine = Engine(str(tmp_path))
    await engine.write([], lambda stored: stored)
    assert sum(os.stat(tmp_path / name).st_blocks * 512 for name in os.listdir(tmp_path)) <= 64 << 10
    engine.close()


async def test_a_store_of_another_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    Engine(str(tmp_path)).close()
    with lmdb.open(str(tmp_path / "store.mdb"), subdir=False, max_dbs=2) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True) as txn:
            txn.put(b"stored", b'{"format":99}', db=meta)
    with pytest.raises(UnreadableStore, match="99"):
        Engine(str(tmp_path))


async def test_a_file_that_is_no_store_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "store.mdb").write_bytes(b"nonsense" * 1000)
    with pytest.raises(StorageFault, match=r"store\.mdb"):
        Engine(str(tmp_path))
