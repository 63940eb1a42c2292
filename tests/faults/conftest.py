"""A node as its operator has it: `foreman up` with a foreman.toml, and the command line and the API from outside."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from foreman import Foreman
from foreman.core.interface import ForemanInterface
from foreman.core.views import WorkerInfo
from foreman.node.run_directory import run_directory_of
from foreman.node.supervisor_client import SupervisorClient, SupervisorUnavailable
from tests.deadline import wait_until_async

CLI_TIMEOUT_S: Final = 30.0


@dataclass
class Told:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.out + self.err, self.err


@dataclass
class Up:
    """One data directory and its configuration; zero or one node running on it."""

    data: Path
    config: Path
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def up(self, *, timeout_s: float = 30.0) -> asyncio.subprocess.Process:
        """Start `foreman up`; returns when it listens."""
        process = await self.spawn("up", "--config", str(self.config))
        assert process.stdout is not None
        async with asyncio.timeout(timeout_s):
            while not (line := await process.stdout.readline()).startswith(b"listening on"):
                assert line, "it ended before it listened"
        return process

    async def spawn(self, *arguments: str, **more: Any) -> asyncio.subprocess.Process:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.data.parent), "FOREMAN_DATA": str(self.data), "COLUMNS": "400"}
        with (self.data.parent / "node.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "foreman", *arguments, env=environment, stdout=asyncio.subprocess.PIPE, stderr=log, **more
            )
        self.processes.append(process)
        return process

    async def cli(self, *arguments: str) -> Told:
        """Run one command to its end."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.data.parent), "FOREMAN_DATA": str(self.data), "COLUMNS": "400"}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "foreman", *arguments, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
        async with asyncio.timeout(CLI_TIMEOUT_S):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Told(process.returncode, out.decode(), err.decode())

    def log(self) -> str:
        return (self.data.parent / "node.log").read_text()

    async def down(self) -> None:
        """End what runs: gracefully when it can be, by force when not, and the supervisor with it."""
        for process in self.processes:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.terminate()
                try:
                    async with asyncio.timeout(20):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()
        with suppress(SupervisorUnavailable):
            client = await SupervisorClient.connect(run_directory_of(self.data))
            await client.shutdown(now=True)
            await client.lost
            await client.close()
            await asyncio.sleep(0)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Up]:
    config = tmp_path / "foreman.toml"
    config.write_text('[node]\ncluster = "test"\n')
    it = Up(tmp_path / "data", config)
    yield it
    await it.down()
    assert "Traceback" not in it.log(), "the server met something that it did not expect"


@pytest.fixture
async def foreman(node: Up) -> AsyncIterator[ForemanInterface]:
    """For a test that has no configuration of its own to write first."""
    await node.up()
    async with Foreman.connect(node.data) as there:
        yield there


async def until(foreman: ForemanInterface, id: str, what: Any, timeout_s: float = 10.0) -> WorkerInfo:
    """The worker's info once ``what`` is true of it."""
    found: list[WorkerInfo] = []

    async def look() -> bool:
        found[:] = [await foreman.info(id)]
        return bool(what(found[0]))

    await wait_until_async(look, timeout_s=timeout_s, what=f"{id} as expected")
    return found[0]


async def pid_of(foreman: ForemanInterface, id: str) -> int:
    pid = (await foreman.info(id)).pid
    assert pid is not None
    return pid


@pytest.fixture
def stopped() -> Iterator[list[int]]:
    """Processes that a test stopped with SIGSTOP: continued afterwards, should they still be there."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
