"""Two rows of ``make bench-data`` that redis has no part in: how fast a storage worker catches up, and a cold start of a log of 1 GB.

The workers are started as the supervisor would, each a process of its own with a notify socket. A cold start is compared with reading the
same files, with nothing of them in the page cache either time; what an empty log takes to start is taken off, because it is Python's.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from foreman import LogClient, Set, StorageClient
from foreman.core.data_errors import VersionTooNew

MUTATIONS: Final = 1_000_000
PER_TRANSACTION: Final = 1_000
COLD_TRANSACTIONS: Final = 1_000
COLD_VALUES: Final = 10
COLD_VALUE: Final = b"v" * 100_000
READ_BYTES: Final = 4 << 20
START_S: Final = 120.0


@contextmanager
def worker(home: Path, id: str, params: dict[str, Any]) -> Iterator[str]:
    """A worker that is ready; its endpoint."""
    kind, run = id.partition("_")[0], home / f"{id}.run"
    data = home / id
    run.mkdir(exist_ok=True)
    data.mkdir(exist_ok=True)
    notify = run / "notify.sock"
    notify.unlink(missing_ok=True)
    environment = {
        "FOREMAN_WORKER_ID": id,
        "FOREMAN_KIND": kind,
        "FOREMAN_RUN": str(run),
        "FOREMAN_ADDRESS": f"unix:{home}/none.sock",
        "FOREMAN_PARAMS": json.dumps(params),
        "NOTIFY_SOCKET": str(notify),
        "PATH": os.environ["PATH"],
    }
    program = f"from foreman.workers.{kind}.main import main; main()"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as said:
        said.bind(str(notify))
        said.settimeout(START_S)
        process = subprocess.Popen([sys.executable, "-c", program], cwd=data, env=environment)
        try:
            while b"READY=1" not in said.recv(65536):
                pass
            yield f"unix:{run}/resp.sock"
        finally:
            process.terminate()
            process.wait()


async def catch_up(home: Path) -> dict[str, Any]:
    """Mutations a second, from the moment the worker is ready until it has all that the log has."""
    with worker(home, "log_1", {}) as source:
        async with LogClient.connect(source) as log:
            for version, at in enumerate(range(0, MUTATIONS, PER_TRANSACTION), 1):
                keys = range(at, at + PER_TRANSACTION)
                await log.push(version, version - 1, [Set(b"key:%012d" % (key * 7919 % MUTATIONS), b"v" * 20) for key in keys])
        began = time.monotonic()
        with worker(home, "storage_1", {"logs": [source]}) as endpoint:
            async with StorageClient.connect(endpoint, timeout=60) as storage:
                await _until_it_has(storage, MUTATIONS // PER_TRANSACTION)
        took_s = time.monotonic() - began
    return {"title": "a storage worker catches up from a log", "per_s": MUTATIONS / took_s, "target": 100_000}


async def _until_it_has(storage: StorageClient, version: int) -> None:
    while True:
        with contextlib.suppress(VersionTooNew):  # it waits some seconds by itself
            await storage.get(b"key", version=version)
            return


async def cold_start(home: Path, rounds: int) -> dict[str, Any]:
    """Seconds to read 1 GB of segments, and to start on them."""
    value = [Set(b"%d" % number, COLD_VALUE) for number in range(COLD_VALUES)]
    with worker(home, "log_2", {}) as endpoint:
        async with LogClient.connect(endpoint) as log:
            for version in range(1, COLD_TRANSACTIONS + 1):
                await log.push(version, version - 1, value)
    files = sorted((home / "log_2").glob("segment-*"))
    reads, starts = [], []
    for _ in range(rounds):
        reads.append(await asyncio.to_thread(_timed, lambda: _read_all(files), files))
        empty = await asyncio.to_thread(_timed, lambda: _start_and_stop(home, "log_3"), [])
        starts.append(await asyncio.to_thread(_timed, lambda: _start_and_stop(home, "log_2"), files) - empty)
    size_bytes = sum(file.stat().st_size for file in files)
    return {
        "title": "cold start of a log",
        "size_bytes": size_bytes,
        "read_s": min(reads),
        "start_s": min(starts),
        "target": 1.5,
    }


def _timed(work: Any, files: list[Path]) -> float:
    """How long ``work`` takes with nothing of ``files`` in the page cache: seconds."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    began = time.monotonic()
    ended = work()
    return (time.monotonic() if ended is None else ended) - began


def _read_all(files: list[Path]) -> None:
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.read(READ_BYTES):
                pass


def _start_and_stop(home: Path, id: str) -> float:
    """When it was ready."""
    with worker(home, id, {}):
        return time.monotonic()
