"""A disk that is full, read-only, broken or will not let go: a typed error with errno and path, and nothing lost or half."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from foreman.core.batches import CreateBatch
from foreman.core.errors import DataDirectoryInvalid, DiskFault, FailedToRemoveDirectory, ForemanError, InsufficientSpace
from foreman.core.ids import BatchId, WorkerId
from foreman.core.kinds import Kinds, KindSpec, PythonProgram
from foreman.core.manifest import Desired, Manifest
from foreman.node.data_directory import open_data_directory
from foreman.node.doctor import doctor
from foreman.node.journal import read_journal, write_record
from foreman.node.scan import scan
from foreman.node.working_directory import WorkingDirectories, read_manifest
from tests.processes.disk_steps import Steps, counted, failing

KINDS: Final = Kinds([KindSpec("log", PythonProgram("package.module:main"), check_params=lambda _: [])])
A: Final = WorkerId("a")


def manifest(id: str) -> Manifest:
    return Manifest("demo", WorkerId(id), "log", {"text": "x" * 3_000}, 1.0)


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(params=["ext4", "tmpfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 2 MiB."""
    image, mount = tmp_path / "image", tmp_path / "disk"
    mount.mkdir()
    if request.param == "ext4":
        image.write_bytes(bytes(2 * 1024 * 1024))
        mounted = _run("mkfs.ext4", "-q", "-m", "0", str(image)) and _run("mount", "-o", "loop", str(image), str(mount))
    else:
        mounted = _run("mount", "-t", "tmpfs", "-o", "size=2m", "none", str(mount))
    if not mounted:
        pytest.skip(f"NOT TESTED: mounting {request.param} needs root, and loop devices for ext4")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


@pytest.fixture
def workers(disk: Path) -> Iterator[WorkingDirectories]:
    with open_data_directory(disk / "data", "demo") as data:
        yield WorkingDirectories(data.layout, "demo")


def _fill(disk: Path) -> Path:
    """Take every byte that is left."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (65_536, 1_024, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return filler


def _is_clean(workers: WorkingDirectories) -> bool:
    layout = workers.layout
    return not any(os.listdir(folder) for folder in (layout.staging, layout.trash, layout.journal))


def test_a_full_disk_refuses_a_worker_at_any_fill_and_leaves_nothing_of_it(workers: WorkingDirectories, disk: Path) -> None:
    filler = _fill(disk)
    outcomes = set[type[ForemanError] | None]()
    while None not in outcomes:
        result = workers.create_many([manifest("a")])[A]
        assert result is None or isinstance(result, InsufficientSpace), repr(result)
        assert _is_clean(workers)
        outcomes.add(type(result) if result else None)
        assert os.listdir(workers.layout.workers) == ([] if result else ["a"])
        os.truncate(filler, filler.stat().st_size - 1_024)
    assert InsufficientSpace in outcomes
    assert read_manifest(workers.layout.worker(A)) == manifest("a")


def test_a_full_disk_keeps_what_was_written_before(workers: WorkingDirectories, disk: Path) -> None:
    workers.create(manifest("a"))
    _fill(disk)
    with pytest.raises(ForemanError):
        workers.set_desired(A, Desired.STOPPED)
    with pytest.raises(ForemanError):
        write_record(workers.layout, CreateBatch(BatchId("b1"), (A,)))
    assert scan(workers.layout, "demo", KINDS).mine == (manifest("a"),)
    assert read_journal(workers.layout) == ([], [])
    assert _is_clean(workers)


def test_a_worker_can_be_removed_from_a_full_disk(workers: WorkingDirectories, disk: Path) -> None:
    path = workers.create(manifest("a"))
    (path / "data" / "file").write_bytes(bytes(100_000))
    _fill(disk)
    workers.delete_trash(A, workers.trash(A))
    workers.create(manifest("a"))
    assert _is_clean(workers)


def test_a_read_only_disk_is_told_by_every_operation(disk: Path) -> None:
    with open_data_directory(disk / "data", "demo") as data:
        workers = WorkingDirectories(data.layout, "demo")
        workers.create(manifest("a"))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        with pytest.raises(DataDirectoryInvalid, match="read-only"):
            open_data_directory(disk / "data", "demo")
        with pytest.raises(DataDirectoryInvalid, match="read-only"):
            open_data_directory(disk / "new" / "data", "demo")
        assert isinstance(workers.create_many([manifest("b")])[WorkerId("b")], DiskFault)
        with pytest.raises(DiskFault, match="EROFS"):
            workers.set_desired(A, Desired.STOPPED)
        with pytest.raises(FailedToRemoveDirectory, match="EROFS"):
            workers.trash(A)
        assert doctor(disk / "data", KINDS) == []
        assert read_manifest(workers.layout.worker(A)) == manifest("a")
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


def test_no_inodes_left_is_not_told_as_too_few_bytes(tmp_path: Path) -> None:
    if not _run("mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=14", "none", str(tmp_path)):
        pytest.skip("NOT TESTED: mounting tmpfs needs root")
    try:
        with open_data_directory(tmp_path / "data", "demo") as data:
            workers = WorkingDirectories(data.layout, "demo")
            result = workers.create_many([manifest("a"), manifest("b")])[WorkerId("b")]
            assert isinstance(result, DiskFault)
            assert result.errno_name == "ENOSPC"
            assert _is_clean(workers)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[WorkingDirectories]:
    with open_data_directory(tmp_path / "data", "demo") as data:
        yield WorkingDirectories(data.layout, "demo")


@pytest.mark.parametrize("place", ["directory", "file"])
def test_a_directory_that_cannot_be_removed_is_told_with_errno_and_path(local: WorkingDirectories, place: str) -> None:
    path = local.create(manifest("a"))
    (path / "data" / "file").touch()
    kept = path if place == "directory" else path / "data" / "file"
    if not _run("chattr", "+i", str(kept)):
        pytest.skip("NOT TESTED: chattr +i needs root and a file system that knows it")
    try:
        trashed = "" if place == "directory" else local.trash(A)
        with pytest.raises(FailedToRemoveDirectory) as caught:
            local.delete_trash(A, trashed) if trashed else local.trash(A)
        where = str(kept) if place == "directory" else f"{trashed}/data/file"
        assert caught.value == FailedToRemoveDirectory(A, errno.EPERM, "EPERM", where)
        assert path.is_dir() == (place == "directory")
        # The next start knows of it, and goes on with it.
        found = scan(local.layout, "demo", KINDS)
        assert found.mine == ((manifest("a"),) if place == "directory" else ())
        assert found.trash == (() if place == "directory" else ((A, Path(trashed)),))
    finally:
        still = kept if place == "directory" else Path(trashed) / "data" / "file"
        subprocess.run(["chattr", "-i", str(still)], check=True)
    local.delete_trash(A, trashed or local.trash(A))
    assert _is_clean(local)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_any_step_of_a_creation_may_fail_and_nothing_of_it_stays(local: WorkingDirectories, number: int) -> None:
    step = 0
    while True:
        steps = Steps(step, before=failing(number))
        with counted(steps):
            results = local.create_many([manifest("a"), manifest("b")])
        if step >= len(steps.trace):
            assert results == {"a": None, "b": None}
            return
        for id, result in results.items():
            assert local.layout.worker(id).exists() == (result is None), f"{steps.trace[step]}: {result!r}"
            assert result is None or isinstance(result, DiskFault)
        assert any(results.values()), f"{steps.trace[step]} failed and nobody was told"
        found = scan(local.layout, "demo", KINDS)
        assert not found.unusable
        assert _is_clean(local)
        for each in found.mine:
            local.delete_trash(each.id, local.trash(each.id))
        step += 1


def test_any_step_of_a_removal_may_fail_and_nothing_is_forgotten(local: WorkingDirectories) -> None:
    step = 0
    while True:
        local.create(manifest("a"))
        steps = Steps(step, before=failing(errno.EIO))
        failure = None
        with counted(steps):
            try:
                local.delete_trash(A, local.trash(A))
            except FailedToRemoveDirectory as error:
                failure = error
        if step >= len(steps.trace):
            assert failure is None
            return
        assert failure is not None, f"{steps.trace[step]} failed and nobody was told"
        assert failure.errno_name == "EIO"
        found = scan(local.layout, "demo", KINDS)
        assert len(found.mine) + len(found.trash) == 1, steps.trace[step]
        for _, path in found.trash:
            local.delete_trash(A, str(path))
        step += 1
