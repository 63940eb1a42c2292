"""A data directory is made once, belongs to one node of one cluster, and is held by one server."""

import os
import stat
from pathlib import Path

import pytest

from foreman.core.errors import DataDirectoryInUse, DataDirectoryInvalid, InvalidClusterName
from foreman.node.data_directory import open_data_directory


def test_a_new_one_is_made_private_and_stays_the_same_node(tmp_path: Path) -> None:
    with open_data_directory(tmp_path / "a" / "data", "demo") as made:
        node_id = made.node_id
    with open_data_directory(tmp_path / "a" / "data", None) as again:
        assert (again.cluster, again.node_id) == ("demo", node_id)
    for name in ("", "workers", "staging", "trash", "journal"):
        assert stat.S_IMODE((tmp_path / "a" / "data" / name).stat().st_mode) == 0o700
    names = set(os.listdir(tmp_path / "a" / "data"))
    assert names - {"run"} == {"journal", "lock", "node.json", "staging", "trash", "workers"}
    assert os.listdir(tmp_path / "a" / "data" / "staging") == []


def test_one_server_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(tmp_path / "data")
    with open_data_directory(tmp_path / "data", "demo"), pytest.raises(DataDirectoryInUse):
        open_data_directory(tmp_path / "alias", "demo")
    open_data_directory(tmp_path / "data", "demo").close()


def test_a_refusal_leaves_the_lock_free(tmp_path: Path) -> None:
    open_data_directory(tmp_path, "demo").close()
    with pytest.raises(DataDirectoryInvalid, match="belongs to cluster demo, not other"):
        open_data_directory(tmp_path, "other")
    open_data_directory(tmp_path, "demo").close()


def test_a_new_one_needs_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryInvalid, match="--cluster"):
        open_data_directory(tmp_path, None)
    with pytest.raises(InvalidClusterName):
        open_data_directory(tmp_path, "../x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ('{"format":1', "not JSON"),
        ("[]", "not an object"),
        ('{"format":2,"cluster":"demo","node_id":"n"}', "format 2"),
        ('{"format":1,"cluster":"../x","node_id":"n"}', "damaged"),
        ('{"format":1,"cluster":"demo"}', "damaged"),
        ("\udcff", "UTF-8"),
    ],
)
def test_a_damaged_or_unknown_node_file_is_refused_and_kept(tmp_path: Path, text: str, reason: str) -> None:
    written = os.fsencode(text)
    (tmp_path / "node.json").write_bytes(written)
    with pytest.raises(DataDirectoryInvalid, match=reason):
        open_data_directory(tmp_path, "demo")
    assert (tmp_path / "node.json").read_bytes() == written


def test_somebodys_directory_is_not_taken(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").write_text("kept")
    with pytest.raises(DataDirectoryInvalid, match=r"thesis\.txt"):
        open_data_directory(tmp_path, "demo")
    assert os.listdir(tmp_path) == ["thesis.txt"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_the_root_of_a_file_system_and_a_prepared_one_are_taken(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "workers" / "strange").mkdir(parents=True)
    open_data_directory(tmp_path, "demo").close()
    assert (tmp_path / "workers" / "strange").is_dir()


@pytest.mark.parametrize("name", ["workers", "staging", "trash", "journal"])
def test_a_folder_that_is_a_link_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataDirectoryInvalid, match=name):
        open_data_directory(tmp_path / "data", "demo")


@pytest.mark.parametrize("path", ["file", "file/below", "circle", "nul\0", "n" * 300, "/proc/none/data"])
def test_a_path_that_cannot_be_is_told_in_a_sentence(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(DataDirectoryInvalid) as caught:
        open_data_directory(tmp_path / path, "demo")
    assert str(caught.value).isprintable()


def test_another_users_directory_is_refused(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: needs root to give a directory away")
    (tmp_path / "data").mkdir()
    os.chown(tmp_path / "data", 65_534, 65_534)
    with pytest.raises(DataDirectoryInvalid, match="belongs to user 65534"):
        open_data_directory(tmp_path / "data", "demo")


def test_lax_permissions_are_tightened(tmp_path: Path) -> None:
    open_data_directory(tmp_path, "demo").close()
    tmp_path.chmod(0o777)
    open_data_directory(tmp_path, "demo").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
