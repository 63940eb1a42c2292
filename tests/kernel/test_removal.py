"""A tree is deleted whole, and nothing but the tree."""

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreman.kernel import removal
from foreman.kernel.removal import PathFailure, remove_tree


@pytest.fixture(params=["openat2", "device"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernel's own guard, and as on a kernel that has it not."""
    if request.param == "device":
        monkeypatch.setattr(removal, "_open_here", lambda: removal._open_by_device)


def test_what_is_not_there_is_removed(tmp_path: Path) -> None:
    assert remove_tree(str(tmp_path / "nothing")) is None
    assert remove_tree(str(tmp_path / "nothing" / "below")) is None


@pytest.mark.usefixtures("either_way")
def test_a_tree_of_everything_is_removed(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "file").write_text("text")
    os.mkfifo(root / "a" / "pipe")
    (root / "dangling").symlink_to("nowhere")
    os.mkdir(os.fsencode(root) + b"/not-utf8-\xff")
    (root / "new\nline").touch()
    (root / "-rf").touch()
    for number in range(3_000):
        (root / "a" / "b" / str(number)).touch()
    assert remove_tree(str(root)) is None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("way", ["tree/..", "tree/.", "..", "tree/../", "."])
def test_only_a_name_is_removed_never_a_way_elsewhere(tmp_path: Path, way: str) -> None:
    (tmp_path / "tree").mkdir()
    assert remove_tree(f"{tmp_path}/{way}") == PathFailure(errno.EINVAL, f"{tmp_path}/{way}")
    assert (tmp_path / "tree").is_dir()


def test_a_file_and_a_link_are_removed_as_such(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    assert remove_tree(str(tmp_path / "link")) is None
    assert remove_tree(str(tmp_path / "precious" / "file")) is None
    assert os.listdir(tmp_path) == ["precious"]


@pytest.mark.usefixtures("either_way")
def test_links_are_never_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "tree" / "below").mkdir(parents=True)
    for name in ("tree/link", "tree/below/link"):
        (tmp_path / name).symlink_to(tmp_path / "precious")
    (tmp_path / "tree" / "up").symlink_to("..")
    assert remove_tree(str(tmp_path / "tree")) is None
    assert (tmp_path / "precious" / "file").exists()


@pytest.mark.usefixtures("either_way")
def test_depth_has_no_limit(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    for _ in range(3_000):  # far beyond recursion, open descriptors and the length of a path
        os.mkdir("deeper", dir_fd=descriptor)
        below = os.open("deeper", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    assert remove_tree(str(root)) is None
    assert not root.exists()


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    assert remove_tree(str(tmp_path / "tree")) is None
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def immutable(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "tree" / "b" / "kept" / "file"
    path.parent.mkdir(parents=True)
    path.touch()
    if os.geteuid() != 0 or subprocess.run(["chattr", "+i", str(path)], check=False, capture_output=True).returncode:
        pytest.skip("NOT TESTED: chattr +i needs root and a file system that knows it")
    yield path
    subprocess.run(["chattr", "-i", str(path)], check=True)


def test_a_failure_is_named_and_the_rest_is_gone(tmp_path: Path, immutable: Path) -> None:
    for name in ("a", "c", "b/x", "b/kept/y"):
        (tmp_path / "tree" / name).mkdir()
        (tmp_path / "tree" / name / "file").touch()
    assert remove_tree(str(tmp_path / "tree")) == PathFailure(errno.EPERM, str(immutable))
    assert [path for path in (tmp_path / "tree").rglob("*") if not path.is_dir()] == [immutable]
    assert sorted(path.name for path in (tmp_path / "tree").rglob("*")) == ["b", "file", "kept"]


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_what_is_mounted_is_not_entered(tmp_path: Path, kind: str) -> None:
    precious, mount = tmp_path / "precious", tmp_path / "tree" / "a" / "mount"
    precious.mkdir()
    mount.mkdir(parents=True)
    (tmp_path / "tree" / "file").touch()
    command = ["mount", "--bind", str(precious), str(mount)] if kind == "bind" else ["mount", "-t", "tmpfs", "none", str(mount)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("NOT TESTED: mount needs root")
    try:
        (mount / "file").touch()
        assert remove_tree(str(tmp_path / "tree")) == PathFailure(errno.EBUSY, str(mount))
        assert (mount / "file").exists()
        assert not (tmp_path / "tree" / "file").exists()
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_directories_closed_by_their_owner_are_opened_up(tmp_path: Path) -> None:
    """As another user than root, for whom permissions bind."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: needs root to become another user")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    (tmp_path / "owned").mkdir()
    os.chown(tmp_path / "owned", 65_534, 65_534)
    child = os.fork()
    if child == 0:
        try:  # whatever happens, the child must not go on as a second pytest
            os.setgid(65_534)
            os.setuid(65_534)
            root = tmp_path / "owned" / "tree"
            (root / "closed" / "below").mkdir(parents=True)
            (root / "closed" / "below" / "file").touch()
            (root / "closed" / "below").chmod(0o500)
            (root / "closed").chmod(0)
            os._exit(0 if remove_tree(str(root)) is None and not root.exists() else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
