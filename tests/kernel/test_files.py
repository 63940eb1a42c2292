"""Files: replaced whole, renamed without replacing, locked for as long as somebody lives, read without waiting."""

import errno
import os
import stat
from pathlib import Path

import pytest

from foreman.kernel.files import (
    atomic_write,
    durable_rename,
    errno_name,
    free_space,
    hold_directory,
    naming,
    printable,
    read_bounded,
    rename_new,
    try_lock,
    write_new,
)


def test_atomic_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic_write(str(path), b"old")
    atomic_write(str(path), b"new" * 100_000, 0o640)
    assert path.read_bytes() == b"new" * 100_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["file"]


def test_atomic_write_replaces_a_link_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "file").symlink_to(tmp_path / "precious")
    atomic_write(str(tmp_path / "file"), b"new")
    assert (tmp_path / "precious").read_text() == "kept"
    assert (tmp_path / "file").read_text() == "new"


def test_atomic_write_that_fails_leaves_the_old_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()  # a file cannot be renamed over a directory
    with pytest.raises(IsADirectoryError):
        atomic_write(str(tmp_path / "file"), b"new")
    assert os.listdir(tmp_path) == ["file"]


def test_write_new_never_replaces(tmp_path: Path) -> None:
    write_new(str(tmp_path / "file"), b"first")
    with pytest.raises(FileExistsError):
        write_new(str(tmp_path / "file"), b"second")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        write_new(str(tmp_path / "link"), b"second")
    assert (tmp_path / "file").read_bytes() == b"first"


@pytest.mark.parametrize("there", ["empty directory", "directory", "file", "dangling link"])
def test_rename_new_never_replaces(tmp_path: Path, there: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    if "directory" in there:
        target.mkdir()
    if there == "directory":
        (target / "file").touch()
    if there == "file":
        target.touch()
    if there == "dangling link":
        target.symlink_to("nowhere")
    with pytest.raises(FileExistsError) as caught:
        rename_new(str(source), str(target))
    assert caught.value.filename == str(target)
    assert source.is_dir()


def test_rename_new_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        rename_new(str(tmp_path / "source"), str(tmp_path / "target"))
    assert caught.value.filename == str(tmp_path / "source")


def test_durable_rename_moves_a_directory_and_a_file(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a" / "directory").mkdir()
    (tmp_path / "a" / "file").write_text("text")
    durable_rename(str(tmp_path / "a" / "directory"), str(tmp_path / "b" / "directory"))
    durable_rename(str(tmp_path / "a" / "file"), str(tmp_path / "b" / "file"))
    assert sorted(os.listdir(tmp_path / "b")) == ["directory", "file"]
    assert os.listdir(tmp_path / "a") == []


def test_a_lock_is_held_once_and_freed_by_its_end(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with try_lock(path) as held:  # type: ignore[union-attr]
        assert try_lock(path) is None
    again = try_lock(path)
    assert again is not None
    again.release()
    again.release()
    held.release()


def test_a_lock_is_held_by_a_child_that_inherited_it_until_that_dies(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    lock = try_lock(path)
    assert lock is not None
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    lock.release()
    assert try_lock(path) is None
    os.close(writer)
    os.waitpid(child, 0)
    freed = try_lock(path)
    assert freed is not None
    freed.release()


def test_a_lock_is_not_made_where_it_was_not_asked_to_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        try_lock(str(tmp_path / "lock"), create=False)
    assert os.listdir(tmp_path) == []


def test_a_lock_never_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        try_lock(str(tmp_path / "lock"))
    assert not (tmp_path / "elsewhere").exists()


def test_a_held_directory_keeps_nobody_out(tmp_path: Path) -> None:
    with hold_directory(str(tmp_path)), hold_directory(str(tmp_path)):
        (tmp_path / "file").touch()


def test_read_bounded_reads_so_much_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 200_000)
    assert len(read_bounded(str(tmp_path / "file"), 150_000)) == 150_000
    assert len(read_bounded(str(tmp_path / "file"), 300_000)) == 200_000


def test_read_bounded_never_waits_and_never_follows(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "directory").mkdir()
    for name, number in (("pipe", errno.EINVAL), ("link", errno.ELOOP), ("directory", errno.EINVAL)):
        with pytest.raises(OSError) as caught:  # noqa: PT011  the errno is looked at
            read_bounded(str(tmp_path / name), 10)
        assert caught.value.errno == number


def test_errors_without_a_name_get_one() -> None:
    with pytest.raises(OSError, match="'/the/path'"), naming("/the/path"):
        raise OSError(errno.EIO, "failed")


def test_names_and_numbers_are_shown_as_people_know_them(tmp_path: Path) -> None:
    assert errno_name(errno.ENOSPC) == "ENOSPC"
    assert errno_name(99_999) == "errno 99999"
    assert printable(os.fsdecode(b"/a/\xff")) == "/a/\\xff"
    assert free_space(str(tmp_path)) > 0
