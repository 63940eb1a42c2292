"""When a group goes to the disk, and the kernel's own sync that takes it there."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from foreman.workers.log.gathering import LONGEST_S, SILENCE_S, Gathering
from foreman.workers.log.kernel_sync import KernelSync


def test_a_single_client_is_never_waited_for() -> None:
    gathering = Gathering()
    for now in range(3):
        gathering.begin(now)
        assert gathering.is_whole(1, now)
        gathering.answered(1, 0)


def test_who_was_just_answered_is_waited_for() -> None:
    gathering = Gathering()
    gathering.answered(20, 12)
    gathering.begin(0.0)
    assert not gathering.is_whole(12, 0.0)
    assert not gathering.is_whole(31, SILENCE_S / 2)
    assert gathering.is_whole(32, SILENCE_S / 2)


def test_nobody_is_waited_for_who_stays_silent() -> None:
    gathering = Gathering()
    gathering.answered(32, 0)
    gathering.begin(0.0)
    assert not gathering.is_whole(5, SILENCE_S / 2)
    assert not gathering.is_whole(5, SILENCE_S)
    assert gathering.is_whole(5, 1.5 * SILENCE_S)
    gathering.answered(5, 0)
    gathering.begin(1.0)
    assert gathering.is_whole(5, 1.0)


def test_a_group_that_grows_and_grows_goes_all_the_same() -> None:
    gathering = Gathering()
    gathering.answered(10**6, 0)
    gathering.begin(0.0)
    turns = [number * SILENCE_S / 2 for number in range(1, 100)]
    waited = [now for count, now in enumerate(turns) if not gathering.is_whole(count, now)]
    assert LONGEST_S - SILENCE_S <= max(waited) < LONGEST_S


@pytest.fixture
async def kernel_sync() -> AsyncIterator[KernelSync]:
    found = KernelSync.open()
    if found is None:
        pytest.skip("io_setup IS NOT ALLOWED HERE: the kernel's own sync is not tested")
    yield found
    found.close()


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    found = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    yield found
    os.close(found)


async def synced(kernel_sync: KernelSync, descriptor: int) -> int:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    assert kernel_sync.begin(descriptor, future.set_result)
    async with asyncio.timeout(30):
        return await future


async def test_the_kernel_syncs_and_says_so_every_time(kernel_sync: KernelSync, descriptor: int) -> None:
    for _ in range(20):
        os.write(descriptor, b"data")
        assert await synced(kernel_sync, descriptor) == 0


async def test_what_cannot_be_synced_is_refused_and_the_next_may_be(kernel_sync: KernelSync, descriptor: int) -> None:
    reading, writing = os.pipe()
    assert not kernel_sync.begin(writing, lambda _: None)
    os.close(reading)
    os.close(writing)
    assert not kernel_sync.begin(writing, lambda _: None)
    assert await synced(kernel_sync, descriptor) == 0


async def test_an_error_of_the_disk_is_its_errno(kernel_sync: KernelSync, failing_disk: Path) -> None:
    file = os.open(failing_disk / "file", os.O_WRONLY | os.O_CREAT)
    found = 0
    for _ in range(64):
        os.write(file, bytes(1 << 18))
        found = found or await synced(kernel_sync, file)
    os.close(file)
    assert found in {errno.EIO, errno.ENOSPC}
