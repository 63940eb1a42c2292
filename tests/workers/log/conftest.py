"""Real log workers in a folder with a name short enough for their sockets."""

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
