"""A full disk refuses pushes and loses nothing; a failed fsync is the end of the process, not of the data."""

import asyncio
import ctypes
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreman.core.data_errors import StorageFault
from foreman.core.mutations import Mutation, Set
from foreman.workers.clients import LogClient
from foreman.workers.clients.replica import Unreachable
from tests.workers.log.conftest import NewWorker

BIG: list[Mutation] = [Set(b"k", b"v" * 90_000)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, all its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=2m"):
        pytest.skip(f"mounting a small file system needs root: {os.strerror(ctypes.get_errno())}")
    yield folder
    libc.umount2(os.fsencode(folder), 2)


async def test_a_full_disk_refuses_pushes_serves_pulls_and_recovers(new_worker: NewWorker, small_disk: Path) -> None:
    worker = new_worker({"recent_bytes": 0}, data=small_disk).start()
    hog = small_disk / "hog"
    async with LogClient.connect(worker.endpoint) as log:
        await log.push(1, 0, BIG)
        hog.write_bytes(bytes(500_000))
        version = 1
        with pytest.raises(StorageFault, match=r"ENOSPC at .*segment-"):
            while version < 100:
                await log.push(version + 1, version, BIG)
                version += 1
        worker.wait_until_said("X_FOREMAN_HEALTH", "error:ENOSPC")
        outcomes = await asyncio.gather(*(log.push(version + k, version + k - 1, BIG) for k in (1, 2, 3)), return_exceptions=True)
        assert isinstance(outcomes[0], StorageFault)
        assert [found[0] for found in await log.pull(0)] == list(range(1, version + 1))
        hog.unlink()
        await log.push(version + 1, version, BIG)
        worker.wait_until_said("X_FOREMAN_HEALTH", "ok")
        worker.kill()
        worker.start()
        assert [found[0] for found in await log.pull(0)] == list(range(1, version + 2))
    worker.kill()


async def test_a_file_size_limit_is_a_full_disk(new_worker: NewWorker) -> None:
    worker = new_worker().start()
    assert worker.process is not None
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (400_000, 400_000))
    async with LogClient.connect(worker.endpoint) as log:
        version = 0
        with pytest.raises(StorageFault, match="EFBIG"):
            while True:
                await log.push(version + 1, version, BIG)
                version += 1
        assert version >= 3
        worker.kill()
        worker.start()
        assert len(await log.pull(0)) == version


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
async def test_an_io_error_is_final_and_nothing_acknowledged_is_lost(new_worker: NewWorker, call: str) -> None:
    if shutil.which("strace") is None or subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("STRACE MISSING OR NOT ALLOWED: what happens after EIO is not tested here")
    worker = new_worker(under=["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when=8+"])
    worker.start()
    async with LogClient.connect(worker.endpoint, timeout=2.0) as log:
        version = 0
        with pytest.raises((StorageFault, Unreachable), match=r"EIO|does not answer"):
            while version < 50:
                await log.push(version + 1, version, [Set(b"k", b"v")])
                version += 1
        assert 0 < version < 50
        assert worker.process is not None
        assert await asyncio.to_thread(worker.process.wait, 20) == 1
        again = new_worker(data=worker.data, id="log_2").start()
    async with LogClient.connect(again.endpoint) as log:
        assert len(await log.pull(0)) >= version
