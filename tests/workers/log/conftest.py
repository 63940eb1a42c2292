"""Real log workers in a folder with a name short enough for their sockets."""

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.workers.log.worker_process import WorkerProcess

NewWorker = Callable[..., WorkerProcess]


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fm") as folder:
        yield Path(folder)


@pytest.fixture
def new_worker(home: Path) -> Iterator[NewWorker]:
    workers: list[WorkerProcess] = []

    def new(
        params: Mapping[str, Any] | None = None, id: str = "log_1", *, data: Path | None = None, under: Sequence[str] = ()
    ) -> WorkerProcess:
        worker = WorkerProcess(home, params or {}, id=id, data=data, under=under)
        workers.append(worker)
        return worker

    yield new
    for worker in workers:
        if worker.process is not None:
            worker.kill()


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


@pytest.fixture
def failing_disk(tmp_path: Path, small_disk: Path) -> Iterator[Path]:
    """A disk that says it has 32 MiB and whose every write fails once 2 MiB of it are used: an ext4 on a file on a file system of 2 MiB."""
    folder, image = tmp_path / "failing", small_disk / "image"
    folder.mkdir()
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    make = ["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", str(image)]
    for command in (make, ["mount", "-o", "loop", str(image), str(folder)]):
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip(f"{command[0]} IS NOT ALLOWED HERE: a disk that really fails is not tested")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
