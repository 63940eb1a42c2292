"""Working directories: there whole, or not at all; removed only when nobody uses them; never somebody else's."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foreman.core.errors import (
    DiskFault,
    FailedToRemoveDirectory,
    InsufficientSpace,
    WorkerDirectoryBusy,
    WorkerExists,
    WorkerNotFound,
)
from foreman.core.ids import WorkerId
from foreman.core.manifest import Desired, Manifest, Missing, Unreadable
from foreman.kernel.files import try_lock
from foreman.node.data_directory import open_data_directory
from foreman.node.layout import Layout
from foreman.node.working_directory import GONE, WorkingDirectories, read_manifest

LOG = WorkerId("log_1")


def manifest(id: str = "log_1", created_at: float = 1.0, **params: Any) -> Manifest:
    return Manifest("demo", WorkerId(id), "log", params, created_at)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[WorkingDirectories]:
    with open_data_directory(tmp_path / "data", "demo") as data:
        yield WorkingDirectories(data.layout, "demo")


def _rest(layout: Layout) -> list[str]:
    return os.listdir(layout.staging) + os.listdir(layout.trash) + os.listdir(layout.journal)


def test_a_made_directory_is_whole_and_private(workers: WorkingDirectories) -> None:
    path = workers.create(manifest(a=1))
    assert sorted(os.listdir(path)) == ["data", "lock", "manifest.json", "output"]
    assert read_manifest(path) == manifest(a=1)
    assert {stat.S_IMODE((path / name).stat().st_mode) for name in ("", "data", "output")} == {0o700}
    assert {stat.S_IMODE((path / name).stat().st_mode) for name in ("lock", "manifest.json")} == {0o600}
    assert _rest(workers.layout) == []


def test_the_same_again_is_the_same_and_touches_nothing(workers: WorkingDirectories) -> None:
    path = workers.create(manifest())
    (path / "data" / "file").write_text("kept")
    assert workers.create(manifest(created_at=2.0)) == path
    assert (path / "data" / "file").read_text() == "kept"
    assert read_manifest(path) == manifest()


@pytest.mark.parametrize("other", [manifest(a=1), replace(manifest(), kind="storage"), replace(manifest(), cluster="other")])
def test_another_with_the_same_id_is_refused_and_overwrites_nothing(workers: WorkingDirectories, other: Manifest) -> None:
    path = workers.create(manifest())
    with pytest.raises(WorkerExists):
        workers.create(other)
    assert read_manifest(path) == manifest()
    assert _rest(workers.layout) == []


@pytest.mark.parametrize("there", ["empty directory", "file", "dangling link"])
def test_whatever_has_the_name_is_never_replaced(workers: WorkingDirectories, there: str) -> None:
    path = workers.layout.worker(LOG)
    match there:
        case "empty directory":
            path.mkdir()
        case "file":
            path.write_text("kept")
        case _:
            path.symlink_to("nowhere")
    with pytest.raises(WorkerExists):
        workers.create(manifest())
    assert os.path.lexists(path)
    assert not (path / "manifest.json").exists()


def test_many_succeed_or_fail_each_by_itself(workers: WorkingDirectories) -> None:
    workers.create(manifest("b"))
    results = workers.create_many([manifest("a"), manifest("b", x=1), manifest("c"), manifest("c")])
    assert results == {"a": None, "b": WorkerExists("b"), "c": None}
    assert sorted(os.listdir(workers.layout.workers)) == ["a", "b", "c"]
    assert workers.create_many([]) == {}


def test_too_little_space_is_told_before_any_effect(workers: WorkingDirectories) -> None:
    workers.create(manifest("there"))
    workers.min_free_bytes = 2**62
    with pytest.raises(InsufficientSpace) as caught:
        workers.create(manifest())
    assert caught.value.needed == 2**62
    assert os.listdir(workers.layout.workers) == ["there"]
    workers.create(manifest("there"))  # what is there needs no space
    assert _rest(workers.layout) == []


def test_desired_is_kept_and_the_rest_of_the_manifest_with_it(workers: WorkingDirectories) -> None:
    path = workers.create(manifest(a=1))
    for desired in (Desired.STOPPED, Desired.STOPPED, Desired.RUNNING):
        assert workers.set_desired(LOG, desired) == replace(manifest(a=1), desired=desired)
        assert read_manifest(path) == replace(manifest(a=1), desired=desired)
    assert sorted(os.listdir(path)) == ["data", "lock", "manifest.json", "output"]
    assert _rest(workers.layout) == []


def test_desired_of_what_is_not_there_or_broken_is_an_error(workers: WorkingDirectories) -> None:
    with pytest.raises(WorkerNotFound):
        workers.set_desired(LOG, Desired.STOPPED)
    path = workers.create(manifest())
    (path / "manifest.json").write_bytes(b'{"torn')
    with pytest.raises(DiskFault, match="EBADMSG"):
        workers.set_desired(LOG, Desired.STOPPED)
    assert (path / "manifest.json").read_bytes() == b'{"torn'


def test_a_removed_one_goes_to_trash_and_then_for_good(workers: WorkingDirectories) -> None:
    path = workers.create(manifest())
    (path / "data" / "file").touch()
    trashed = workers.trash(LOG)
    assert not path.exists()
    assert Path(trashed).parent == workers.layout.trash
    assert (Path(trashed) / "data" / "file").exists()
    assert workers.trash(LOG) == GONE
    for _ in range(2):
        workers.delete_trash(LOG, trashed)
    workers.delete_trash(LOG, GONE)
    assert _rest(workers.layout) == []


def test_what_somebody_holds_is_not_moved(workers: WorkingDirectories) -> None:
    path = workers.create(manifest())
    lock = try_lock(str(workers.layout.worker_lock(LOG)))
    assert lock is not None
    with lock, pytest.raises(WorkerDirectoryBusy) as caught:
        workers.trash(LOG)
    assert caught.value == WorkerDirectoryBusy(LOG, str(path))
    assert path.is_dir()
    assert workers.trash(LOG) != GONE


def test_a_later_worker_with_the_same_id_is_not_removed_for_the_earlier(workers: WorkingDirectories) -> None:
    workers.create(manifest(created_at=2.0))
    assert workers.trash(LOG, created_at=1.0) == GONE
    assert workers.layout.worker(LOG).is_dir()
    assert workers.trash(LOG, created_at=2.0) != GONE


@pytest.mark.parametrize("theirs", [replace(manifest(), cluster="other"), manifest("log_2")])
def test_what_is_not_this_nodes_is_never_removed(workers: WorkingDirectories, theirs: Manifest) -> None:
    path = workers.create(theirs)
    path.rename(workers.layout.worker(LOG))
    with pytest.raises(FailedToRemoveDirectory, match="EPERM"):
        workers.trash(LOG)
    assert workers.layout.worker(LOG).is_dir()


@pytest.mark.parametrize("there", ["file", "link"])
def test_what_is_no_directory_is_never_removed(workers: WorkingDirectories, tmp_path: Path, there: str) -> None:
    path = workers.layout.worker(LOG)
    (tmp_path / "precious").mkdir()
    path.touch() if there == "file" else path.symlink_to(tmp_path / "precious")
    with pytest.raises(FailedToRemoveDirectory, match="ENOTDIR"):
        workers.trash(LOG)
    assert os.path.lexists(path)
    assert os.listdir(tmp_path / "precious") == []


def test_nothing_outside_of_trash_is_ever_deleted(workers: WorkingDirectories) -> None:
    path = workers.create(manifest())
    layout = workers.layout
    for wrong in (path, layout.root, layout.trash, layout.workers, layout.trash / "..", layout.trash / ".." / "workers", Path("/")):
        with pytest.raises(FailedToRemoveDirectory, match="EPERM"):
            workers.delete_trash(LOG, str(wrong))
    assert path.is_dir()


def test_a_missing_trash_is_an_error_and_nothing_is_forgotten(workers: WorkingDirectories) -> None:
    path = workers.create(manifest())
    workers.layout.trash.rmdir()
    with pytest.raises(FailedToRemoveDirectory) as caught:
        workers.trash(LOG)
    assert caught.value.errno == errno.ENOENT
    assert path.is_dir()


def test_a_missing_staging_is_an_error_for_each(workers: WorkingDirectories) -> None:
    workers.layout.staging.rmdir()
    results = workers.create_many([manifest("a"), manifest("b")])
    assert all(isinstance(error, DiskFault) and error.errno_name == "ENOENT" for error in results.values())
    assert os.listdir(workers.layout.workers) == []


def test_a_manifest_that_is_no_file_is_told_without_waiting(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) == Missing()
    os.mkfifo(tmp_path / "manifest.json")
    assert read_manifest(tmp_path) == Unreadable("not a regular file")
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").symlink_to("/dev/zero")
    assert read_manifest(tmp_path) == Unreadable("a symbolic link")
