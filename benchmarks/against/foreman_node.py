"""Foreman itself: ``foreman up``, and ``Foreman.connect`` over its Unix socket, as any program would."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, TypeVar

import foreman
from benchmarks.bench_kind import NATIVE_TOML, install
from benchmarks.peer import Peer, Setup
from foreman.core.errors import ForemanError
from foreman.core.interface import ForemanInterface

_Answer = TypeVar("_Answer")
ROOT: Final = Path(__file__).resolve().parents[2]
UP_TIMEOUT_S: Final = 30.0
BATCH_TIMEOUT_S: Final = 300.0


class ForemanNode(Peer):
    name = "foreman"
    title = "Foreman"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.data = setup.folder / "data"
        self.process: subprocess.Popen[bytes] | None = None
        self._loop = asyncio.Runner()
        self._connection: AbstractAsyncContextManager[ForemanInterface] | None = None
        self._client: ForemanInterface | None = None
        install(setup.folder / "site")
        configuration = NATIVE_TOML.format(program=setup.native) if setup.native else ""
        (setup.folder / "foreman.toml").write_text(configuration, encoding="utf-8")
        self.kind = "native" if setup.native else "bench"
        self.params = {"beacon": str(setup.beacon)}

    @classmethod
    def version(cls, peers: Path) -> str | None:
        return foreman.__version__

    @property
    def client(self) -> ForemanInterface:
        assert self._client is not None
        return self._client

    def wait_for(self, call: Coroutine[Any, Any, _Answer]) -> _Answer:
        return self._loop.run(call)

    def start_manager(self) -> None:
        argv = [
            str(Path(sys.executable).with_name("foreman")),
            "up",
            "--data",
            str(self.data),
            "--config",
            str(self.setup.folder / "foreman.toml"),
        ]
        path = f"{ROOT}:{self.setup.folder / 'site'}"
        with (self.setup.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": path})
        self._loop.run(self._connect())

    async def _connect(self) -> None:
        deadline = time.monotonic() + UP_TIMEOUT_S
        while True:
            connection = foreman.Foreman.connect(self.data)
            try:
                self._client = await connection.__aenter__()
                await self._client.node()
            except (ForemanError, OSError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.01)
            else:
                self._connection = connection
                return

    def create(self, names: Sequence[str]) -> None:
        if len(names) == 1:
            self.wait_for(self.client.new_worker(names[0], self.kind, self.params))
        else:
            self.wait_for(self.client.new_workers([(name, self.kind, self.params) for name in names], timeout=BATCH_TIMEOUT_S))

    def list_running(self) -> int:
        return sum(1 for info in self.wait_for(self.client.infos()) if info.state == "running")

    def remove(self, names: Sequence[str]) -> None:
        results = self.wait_for(self.client.remove_workers(list(names), timeout=BATCH_TIMEOUT_S))
        failed = {id: error for id, error in results.items() if error is not None}
        if failed:
            raise RuntimeError(f"not removed: {failed}")

    def manager_pids(self) -> list[int]:
        """The server and the worker supervisor."""
        supervisor = self.wait_for(self.client.node()).supervisor_pid
        return [self.server.pid, *([supervisor] if supervisor else [])]

    @property
    def server(self) -> subprocess.Popen[bytes]:
        assert self.process is not None
        return self.process

    def deaths(self) -> dict[str, list[int]]:
        server, *supervisor = self.manager_pids()
        return {"server": [server], "supervisor": supervisor}

    def start_again(self, death: str) -> None:
        if death == "supervisor":
            return  # the server does it
        self.server.wait(timeout=30)
        self._disconnect()
        self.start_manager()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._loop.run(self._connection.__aexit__(None, None, None))
            self._connection = None

    def close(self) -> None:
        self._disconnect()
        self._loop.close()
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
