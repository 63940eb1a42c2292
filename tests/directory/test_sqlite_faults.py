"""What disks and people do to the directory file."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from foreman.directory.errors import DirectoryCorrupt, DirectoryUnavailable, FutureRevision
from foreman.directory.following import Backoff, follow
from foreman.directory.port import Changes, KeyRange, Put, Snapshot
from foreman.directory.sqlite.engine import SqliteDirectory, boot_time
from tests.deadline import wait_until_async

ROOT = KeyRange.of_prefix(b"/")
DEADLINE_S = 10.0
QUICK = Backoff(0.005, 0.02)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "directory.sqlite"


@pytest.fixture
async def directory(path: Path) -> AsyncIterator[SqliteDirectory]:
    async with SqliteDirectory(path) as opened:
        yield opened


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: a full disk. Mounting a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], check=False).returncode != 0:
        pytest.skip("NOT TESTED: a full disk. This machine mounts no tmpfs")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path) -> Path:
    """Leave not a byte free; returns the file that takes it all."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return filler


async def test_only_the_owner_reads_it(directory: SqliteDirectory, path: Path) -> None:
    await directory.transact([], [Put(b"/a", b"secret")])
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()} == {
        path.name: "0o600",
        f"{path.name}-wal": "0o600",
        f"{path.name}-shm": "0o600",
        f"{path.name}-bell": "0o600",
    }


async def test_a_full_disk_is_told_and_nothing_is_lost(small_disk: Path) -> None:
    async with SqliteDirectory(small_disk / "directory.sqlite") as directory:
        await directory.transact([], [Put(b"/first", b"kept")])
        filler = fill(small_disk)
        with pytest.raises(DirectoryUnavailable, match="full"):
            await directory.transact([], [Put(b"/big%d" % n, b"x" * 20_000) for n in range(50)])
        entry = await directory.get(b"/first")
        assert entry is not None
        assert entry.value == b"kept"
        filler.unlink()
        assert (await directory.transact([], [Put(b"/second", b"x" * 20_000)])).succeeded


async def test_a_start_on_a_full_disk_is_told_and_recovers(small_disk: Path) -> None:
    filler = fill(small_disk)
    async with SqliteDirectory(small_disk / "directory.sqlite") as directory:
        with pytest.raises(DirectoryUnavailable):
            await directory.read(ROOT)
        filler.unlink()
        assert (await directory.read(ROOT)).entries == ()


def _is_no_database(path: Path) -> None:
    path.write_bytes(b"certainly no database " * 1000)


def _is_cut(path: Path) -> None:
    _make(path)
    path.write_bytes(path.read_bytes()[:6000])


def _has_a_bad_page(path: Path) -> None:
    _make(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + os.urandom(4096) + whole[8192:])


def _is_anothers(path: Path) -> None:
    sqlite3.connect(path).execute("CREATE TABLE recipes(name TEXT)").connection.close()


def _is_of_a_later_version(path: Path) -> None:
    _make(path)
    sqlite3.connect(path).execute("PRAGMA user_version = 99").connection.close()


def _make(path: Path) -> None:
    async def fill() -> None:
        async with SqliteDirectory(path) as directory:
            await directory.transact([], [Put(b"/%d" % n, b"x" * 500) for n in range(100)])

    asyncio.run(fill())


@pytest.mark.parametrize("fault", [_is_no_database, _is_cut, _has_a_bad_page, _is_anothers, _is_of_a_later_version])
def test_a_file_that_cannot_be_used_is_told_and_never_touched(path: Path, fault: object) -> None:
    assert callable(fault)
    fault(path)
    before = path.read_bytes()

    async def use() -> None:
        async with SqliteDirectory(path) as directory:
            with pytest.raises(DirectoryCorrupt, match="Move the file"):
                await directory.read(ROOT)
            with pytest.raises(DirectoryCorrupt):
                await directory.transact([], [Put(b"/a", b"")])
            os.unlink(path)
            assert (await directory.read(ROOT)).entries == (), "moved away, it is made anew without a restart"

    assert path.read_bytes() == before
    asyncio.run(use())


async def test_a_missing_folder_is_told_and_may_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "not-yet"
    async with SqliteDirectory(folder / "directory.sqlite") as directory:
        with pytest.raises(DirectoryUnavailable, match="No such file"):
            await directory.read(ROOT)
        folder.mkdir()
        assert (await directory.read(ROOT)).entries == ()


async def test_a_replaced_file_ends_a_watch_and_a_follower_reads_anew(directory: SqliteDirectory, path: Path) -> None:
    revision = (await directory.transact([], [Put(b"/old", b"")])).revision
    async with asyncio.timeout(DEADLINE_S), aclosing(follow(directory, ROOT, backoff=QUICK)) as news:
        first = await anext(news)
        assert isinstance(first, Snapshot)
        watch = directory.watch(ROOT, after=revision)
        waiting = asyncio.ensure_future(anext(watch))
        following = asyncio.ensure_future(anext(news))
        await wait_until_async(lambda: len(directory._watchers) == 2)
        for file in os.scandir(path.parent):
            os.unlink(file)
        async with SqliteDirectory(path) as other:
            await other.transact([], [Put(b"/new%d" % n, b"") for n in range(3)])
            await other.transact([], [Put(b"/new", b"")])
            with pytest.raises(FutureRevision):
                await waiting
            told = await following
            assert isinstance(told, Snapshot)
            assert {entry.key for entry in told.entries} <= {b"/new", b"/new0", b"/new1", b"/new2"}
        await watch.aclose()


async def test_a_removed_bell_is_made_again(directory: SqliteDirectory, path: Path) -> None:
    async with SqliteDirectory(path) as other, asyncio.timeout(DEADLINE_S):
        revision = (await other.read(ROOT)).revision
        async with aclosing(directory.watch(ROOT, after=revision)) as watch:
            waiting = asyncio.ensure_future(anext(watch))
            await wait_until_async(lambda: directory._watchers)
            os.unlink(f"{path}-bell")
            await wait_until_async(lambda: os.path.exists(f"{path}-bell"))
            await other.transact([], [Put(b"/a", b"")])
            assert (await waiting).revision == revision + 1


async def test_after_a_reboot_no_lease_holds(path: Path) -> None:
    async with SqliteDirectory(path, boot="before") as directory:
        lease = await directory.grant_lease(3600)
        await directory.transact([], [Put(b"/leased", b"", lease.id), Put(b"/lasting", b"")])
    async with SqliteDirectory(path, boot="after") as directory:
        await directory.keep_alive((await directory.grant_lease(1)).id)
        assert [entry.key for entry in (await directory.read(ROOT)).entries] == [b"/lasting"]


async def test_the_wall_clock_does_not_matter(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1e12)
    async with SqliteDirectory(path, clock=boot_time) as directory:
        lease = await directory.grant_lease(60)
        monkeypatch.setattr("time.time", lambda: 0.0)
        assert await directory.keep_alive(lease.id) == 60


async def test_what_lasts_is_written_through_and_what_is_leased_is_not(directory: SqliteDirectory) -> None:
    lease = await directory.grant_lease(60)
    store = directory._store
    assert store is not None
    await directory.transact([], [Put(b"/leased", b"", lease.id)])
    assert store._synchronous == "NORMAL"
    await directory.transact([], [Put(b"/lasting", b"")])
    assert store._synchronous == "FULL"
    await directory.revoke_lease(lease.id)
    assert store._synchronous == "NORMAL"


async def test_history_is_bounded(path: Path) -> None:
    async with SqliteDirectory(path, keep_revisions=100) as directory:
        lease = await directory.grant_lease(60)
        for n in range(1100):
            await directory.transact([], [Put(b"/a", b"%d" % n, lease.id)])
        rows = sqlite3.connect(path)
        assert rows.execute("SELECT count(*) FROM history").fetchone()[0] <= 700
        rows.close()


async def test_a_follower_that_was_away_too_long_gets_the_whole_again(path: Path, directory: SqliteDirectory) -> None:
    await directory.transact([], [Put(b"/a", b"1")])
    async with SqliteDirectory(path) as other, asyncio.timeout(DEADLINE_S), aclosing(follow(other, ROOT, backoff=QUICK)) as news:
        assert isinstance(await anext(news), Snapshot)
        for n in range(3):
            await directory.transact([], [Put(b"/a", b"%d" % n)])
        await directory.compact(4)
        told = [await anext(news)]
        assert isinstance(told[0], Snapshot)
        assert told[0].entries[0].value == b"2"
        await directory.transact([], [Put(b"/b", b"")])
        assert isinstance(await anext(news), Changes)
