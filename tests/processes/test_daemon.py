"""A node in the foreground: signals, the graceful end, the end in a hurry, a reload, and being replaced under running workers."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from foreman import Foreman
from foreman.core.errors import DataDirectoryInUse, ForemanUnavailable, UnknownKind
from foreman.core.interface import ForemanInterface
from tests.deadline import wait_until, wait_until_async
from tests.processes.conftest import StartNode
from tests.processes.looking import counts, worker_processes

Up = Callable[[], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "foreman.toml"
    path.write_text("")
    return path


@pytest.fixture
async def up(data: Path, config: Path) -> AsyncIterator[Up]:
    """Start one and return when it listens."""
    started: list[asyncio.subprocess.Process] = []

    async def begin() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.processes.up", str(data), str(config), stdout=asyncio.subprocess.PIPE
        )
        started.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert json.loads(await process.stdout.readline())
        return process

    yield begin
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ended(process: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(20):
        return await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_term_and_int_end_it_gracefully(number: int, data: Path, up: Up) -> None:
    node = await up()
    async with Foreman.connect(data) as foreman:
        await foreman.new_workers([("a", "good"), ("b", "watched")])
    node.send_signal(number)
    assert await ended(node) == 0
    assert counts(data) == {}
    assert not (data / "run" / "foreman.sock").exists()


async def test_down_ends_it_too(data: Path, up: Up) -> None:
    node = await up()
    async with Foreman.connect(data) as foreman:
        await foreman.new_worker("a", "good")
        await foreman.shutdown()
    assert await ended(node) == 0
    assert counts(data) == {}
    with pytest.raises(ForemanUnavailable):
        async with Foreman.connect(data):
            pass


async def test_a_second_int_does_not_wait_for_graces(data: Path, config: Path, up: Up) -> None:
    command = '["sh", "-c", "trap : TERM; while :; do sleep 1; done"]'
    config.write_text(f'[kinds.slow]\ncommand = {command}\nready = "started"\nstop = {{ grace = 600 }}\n')
    node = await up()
    async with Foreman.connect(data) as foreman:
        await foreman.new_worker("a", "slow")
        node.send_signal(signal.SIGINT)
        await wait_until_async(lambda: is_stopping(foreman), what="it is being stopped")
    node.send_signal(signal.SIGINT)
    assert await ended(node) == 0
    assert counts(data) == {}


async def is_stopping(foreman: ForemanInterface) -> bool:
    return (await foreman.info("a")).state == "stopping"


async def test_hup_reads_the_configuration_again(data: Path, config: Path, up: Up) -> None:
    node = await up()
    async with Foreman.connect(data) as foreman:
        with pytest.raises(UnknownKind):
            await foreman.new_worker("a", "sleeper")
        config.write_text("[kinds.sleeper\n")  # not TOML: nothing changes
        node.send_signal(signal.SIGHUP)
        config.write_text('[kinds.sleeper]\ncommand = ["sleep", "1000"]\nready = "started"\n')
        node.send_signal(signal.SIGHUP)

        async def known() -> bool:
            return "sleeper" in (await foreman.node()).kinds

        await wait_until_async(known, what="the new kind")
        await foreman.new_worker("a", "sleeper")
        await foreman.remove_worker("a")


async def test_a_killed_node_is_replaced_and_its_workers_do_not_notice(data: Path, up: Up, start_node: StartNode) -> None:
    first = await up()
    async with Foreman.connect(data) as foreman:
        await foreman.new_workers([("a", "good"), ("b", "good")])
    before = worker_processes(data)
    with pytest.raises(DataDirectoryInUse):
        await start_node()
    first.kill()
    await ended(first)
    second = await up()
    async with Foreman.connect(data) as foreman:
        await foreman.wait_for_healthy(timeout=10)
        assert {info.id: [info.pid] for info in await foreman.infos()} == before
    second.send_signal(signal.SIGTERM)
    assert await ended(second) == 0


async def test_workers_of_a_program_that_dies_end_with_it(data: Path, tmp_path: Path) -> None:
    script = (
        "import asyncio, os, sys\n"
        "from foreman import Foreman\n"
        "from tests.processes.kinds import KINDS\n"
        "async def main():\n"
        "    async with Foreman.open(sys.argv[1], cluster='test', kinds=KINDS) as foreman:\n"
        "        await foreman.new_worker('a', 'good')\n"
        "        os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(data), env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert await ended(process) == -signal.SIGKILL
    wait_until(lambda: not counts(data), what="its workers are gone")
