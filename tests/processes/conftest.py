"""Whole nodes: in this process, or in one of their own that may be killed."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from foreman.bootstrap.assembly import Node
from foreman.bootstrap.logs import configure_logs
from foreman.node.run_directory import run_directory_of
from foreman.node.supervisor_client import SupervisorClient, SupervisorUnavailable
from tests.processes.node_process import plan

StartNode = Callable[[], Awaitable[Node]]


@pytest.fixture(autouse=True)
def quiet() -> None:
    configure_logs("error")


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[Path]:
    """A data directory to be made. A supervisor that is still there afterwards, because its server was killed, is ended."""
    yield tmp_path / "data"
    with suppress(SupervisorUnavailable):
        client = await SupervisorClient.connect(run_directory_of(tmp_path / "data"))
        await client.shutdown(now=True)
        await client.lost
        await client.close()
        await asyncio.sleep(0)


@pytest.fixture
async def start_node(data: Path) -> AsyncIterator[StartNode]:
    """Start a node on ``data`` in this process; its workers end with the test."""
    nodes: list[Node] = []

    async def start() -> Node:
        node = await Node.start(plan(data, orphan_grace_s=0.0))
        nodes.append(node)
        return node

    yield start
    for node in nodes:
        if not node.stopped:
            await node.stop()
        assert not node.broken


class NodeProcess:
    """A node process and what it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid
        self.boundaries: list[str] = []
        self.keep = 0
        self.done = False

    async def until_done_or_dead(self) -> None:
        """Read what it says until it has done its scenario, or was killed on the way."""
        assert self._process.stdout is not None
        async with asyncio.timeout(40):
            async for line in self._process.stdout:
                match json.loads(line):
                    case ["boundary", name]:
                        self.boundaries.append(name)
                    case ["keep", pid]:
                        self.keep = pid
                    case _:
                        self.done = True
                        return
            assert await self._process.wait() == -signal.SIGKILL, "the node ended by itself"

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@pytest.fixture
async def run_process(data: Path) -> AsyncIterator[Callable[..., Awaitable[NodeProcess]]]:
    """Run a scenario in a process of its own; killed at the end of the test at the latest."""
    started: list[NodeProcess] = []

    async def run(scenario: str, boundary: str | None = None) -> NodeProcess:
        arguments = [sys.executable, "-m", "tests.processes.node_process", str(data), scenario, *([boundary] if boundary else [])]
        process = NodeProcess(await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE))
        started.append(process)
        await process.until_done_or_dead()
        return process

    yield run
    for process in started:
        await process.kill()
