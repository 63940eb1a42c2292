"""Several processes on one directory file: they hear one another without polling, and survive one another's sudden end."""

import asyncio
import contextlib
import random
import signal
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from foreman.directory.errors import DirectoryUnavailable
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Changes, Deleted, KeyRange, KeyValue, Put
from foreman.directory.sqlite.engine import SqliteDirectory
from foreman.directory.sqlite.schema import connect
from tests.deadline import wait_until_async

PROGRAM = Path(__file__).with_name("other_process.py")
ROOT = KeyRange.of_prefix(b"/")
DEADLINE_S = 10.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "directory.sqlite"


@asynccontextmanager
async def other_process(story: str, path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), story, str(path), stdout=asyncio.subprocess.PIPE, cwd=PROGRAM.parents[2]
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        await process.stdout.readuntil(b"ready\n")


async def test_a_killed_process_loses_its_lease_and_others_bring_that_about(path: Path) -> None:
    async with SqliteDirectory(path) as directory, asyncio.timeout(DEADLINE_S):
        start = (await directory.read(ROOT)).revision
        async with aclosing(directory.watch(ROOT, after=start)) as watch, other_process("hold_a_lease", path) as other:
            made = await anext(watch)
            assert [event.key for event in made.events] == [b"/held"]
            await ready(other)
            other.kill()
            gone = await anext(watch)
            assert gone.events == (Deleted(b"/held", gone.revision),)


async def test_killed_at_any_moment_a_transaction_is_whole_or_not_and_is_heard(path: Path) -> None:
    async with SqliteDirectory(path) as directory:
        for _ in range(6):
            await _kill_a_writer(directory, path)


async def _kill_a_writer(directory: SqliteDirectory, path: Path) -> None:
    start = (await directory.read(ROOT)).revision
    told: list[Changes] = []
    listening = asyncio.create_task(_listen(directory, start, told))
    async with other_process("write_pairs", path) as other:
        await ready(other)
        await asyncio.sleep(random.uniform(0, 0.03))  # the moment of death, anywhere
        other.kill()
        await other.wait()
    snapshot = await directory.read(ROOT)
    await wait_until_async(lambda: told[-1:] and told[-1].revision >= snapshot.revision)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert [changes.revision for changes in told] == list(range(start + 1, snapshot.revision + 1))
    for changes in told:
        [a, b] = changes.events
        assert isinstance(a, KeyValue)
        assert isinstance(b, KeyValue)
        assert a.value == b.value
    assert len({entry.value for entry in snapshot.entries}) == 1


async def _listen(directory: SqliteDirectory, after: int, told: list[Changes]) -> None:
    async with aclosing(directory.watch(ROOT, after=after)) as watch:
        async for changes in watch:
            told.append(changes)  # noqa: PERF401 - seen while it goes on


async def test_compare_and_set_holds_between_processes(path: Path) -> None:
    async with SqliteDirectory(path) as directory:
        await directory.transact([], [Put(b"/number", b"0")])
        async with other_process("count", path) as first, other_process("count", path) as second, other_process("count", path) as third:
            for process in (first, second, third):
                assert await asyncio.wait_for(process.wait(), 40) == 0
        entry = await directory.get(b"/number")
        assert entry is not None
        assert entry.value == b"300"


async def test_one_that_stands_in_the_way_is_waited_for_in_bounded_time(path: Path) -> None:
    async with SqliteDirectory(path, timeout_s=0.4) as directory:
        revision = (await directory.transact([], [Put(b"/a", b"1")])).revision
        async with other_process("stand_in_the_way", path) as other:
            await ready(other)
            with pytest.raises(DirectoryUnavailable, match="locked"):
                async with asyncio.timeout(DEADLINE_S):
                    await directory.transact([], [Put(b"/a", b"2")])
            assert (await directory.read(ROOT)).revision == revision, "readers are not in anybody's way"
            other.kill()
            await other.wait()
        assert (await directory.transact([], [Put(b"/a", b"3")])).revision == revision + 1


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_silent_node_goes_whole_and_one_that_wakes_comes_back_whole(path: Path, end: signal.Signals) -> None:
    keys = ClusterKeys("demo")
    node = {keys.node("n1"), keys.service("n1", "demo_log_1"), keys.service("n1", "demo_log_2")}
    async with SqliteDirectory(path) as directory, asyncio.timeout(2 * DEADLINE_S):
        start = (await directory.read(ROOT)).revision
        async with aclosing(directory.watch(ROOT, after=start)) as watch, other_process("be_a_node", path) as other:
            assert {event.key for event in (await anext(watch)).events} == node
            await ready(other)
            other.send_signal(end)
            gone = await anext(watch)
            assert {event.key for event in gone.events if isinstance(event, Deleted)} == node
            if end is signal.SIGSTOP:
                other.send_signal(signal.SIGCONT)
                back = await anext(watch)
                assert {event.key for event in back.events if isinstance(event, KeyValue)} == node


def test_those_who_find_no_file_at_the_same_moment_all_get_one_directory(tmp_path: Path) -> None:
    """Also who reads the header before another made the tables, and the tables after it: that was taken for somebody else's database."""
    together = threading.Barrier(4)

    def open_it(number: int) -> str:
        together.wait(DEADLINE_S)
        with contextlib.closing(connect(str(tmp_path / str(number)), DEADLINE_S)) as connection:
            return str(connection.execute("SELECT directory FROM facts").fetchone()[0])

    with ThreadPoolExecutor(4) as pool:
        for number in range(100):
            assert len(set(pool.map(open_it, [number] * 4))) == 1
