"""Sockets find a short, private place, clients find the same, and strangers gain nothing."""

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from foreman.core.ids import WorkerId
from foreman.kernel.files import try_lock
from foreman.node import run_directory
from foreman.node.data_directory import open_data_directory
from foreman.node.run_directory import (
    address_of,
    is_listening,
    prepare_run_directory,
    remove_stale_socket,
    remove_worker_run_directory,
    run_directory_of,
    worker_run_directory,
)


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    """What a link of this test's directories points to is outside of them."""
    yield
    for link in tmp_path.rglob("run"):
        if link.is_symlink():
            shutil.rmtree(link.readlink(), ignore_errors=True)


def _data(tmp_path: Path, name: str = "data") -> Path:
    """A data directory of more than 200 characters."""
    path = tmp_path / ("long" * 50) / name
    path.mkdir(parents=True)
    return path


def test_a_short_path_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_directory, "LONGEST_RUN_BYTES", 1_000)
    assert prepare_run_directory(tmp_path) == tmp_path / "run"
    assert address_of(tmp_path) == f"unix:{tmp_path}/run/foreman.sock"
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


def test_a_path_of_200_characters_works_for_the_longest_id(tmp_path: Path) -> None:
    data = _data(tmp_path)
    with open_data_directory(data, "demo") as opened:
        worker = worker_run_directory(opened.run, WorkerId("w" * 63))
        for path in (opened.run / "foreman.sock", worker / "resp.sock"):
            with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
                server.bind(str(path))
                server.listen()
                client.connect(str(path))
        assert address_of(data) == f"unix:{opened.run}/foreman.sock"
        assert stat.S_IMODE(opened.run.stat().st_mode) == 0o700
        assert (data / "run").resolve() == opened.run


def test_prepared_twice_is_the_same_and_keeps_what_runs(tmp_path: Path) -> None:
    data = _data(tmp_path)
    run = prepare_run_directory(data)
    (run / "supervisor.sock").touch()
    assert prepare_run_directory(data) == run
    assert (run / "supervisor.sock").exists()


def test_an_ended_node_leaves_nothing_elsewhere_unless_somebody_still_needs_it(tmp_path: Path) -> None:
    data = _data(tmp_path)
    with open_data_directory(data, "demo") as opened:
        supervisor = try_lock(str(opened.run / "supervisor.lock"))
        worker_run_directory(opened.run, WorkerId("one"))
    assert supervisor is not None
    assert run_directory_of(data) == opened.run
    with open_data_directory(data, "demo") as again:
        assert again.run == opened.run
        supervisor.release()
    assert not again.run.exists()
    assert not os.path.lexists(data / "run")
    again.close()


def test_client_and_server_agree_whatever_their_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _data(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/dev/shm")
    run = prepare_run_directory(data)
    assert run.parent == Path("/dev/shm")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert run_directory_of(data) == run


def test_after_a_reboot_a_place_is_made_again(tmp_path: Path) -> None:
    data = _data(tmp_path)
    shutil.rmtree(prepare_run_directory(data))
    assert address_of(data).startswith("unix:/")
    assert prepare_run_directory(data).is_dir()


def test_a_copy_of_a_data_directory_never_reaches_the_originals_sockets(tmp_path: Path) -> None:
    data = _data(tmp_path)
    run = prepare_run_directory(data)
    copy = data.with_name("copy")
    shutil.copytree(data, copy, symlinks=True)
    assert run_directory_of(copy) != run
    assert prepare_run_directory(copy) != run
    assert run_directory_of(data) == run


@pytest.mark.parametrize("trap", ["link", "open", "theirs", "file"])
def test_a_strangers_trap_is_not_walked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str) -> None:
    data = _data(tmp_path)
    place = next(run_directory._candidates(data.resolve()))
    monkeypatch.setattr(run_directory, "_candidates", lambda _: iter([place]))
    (tmp_path / "trap").mkdir()
    match trap:
        case "link":
            place.symlink_to(tmp_path / "trap")
        case "file":
            place.touch()
        case _:
            place.mkdir()
            place.chmod(0o777)
    if trap == "theirs":
        os.chown(place, 65_534, 65_534)
        place.chmod(0o700)
    try:
        run = prepare_run_directory(data)
        assert run != place
        assert run_directory_of(data) == run
        assert os.listdir(tmp_path / "trap") == []
    finally:
        place.unlink() if trap in {"link", "file"} else place.rmdir()


def test_a_link_that_was_tampered_with_is_not_followed(tmp_path: Path) -> None:
    data = _data(tmp_path)
    hostile = tmp_path / "hostile"
    hostile.mkdir(mode=0o700)
    (data / "run").symlink_to(hostile)
    assert run_directory_of(data) != hostile
    assert prepare_run_directory(data) != hostile
    assert hostile.is_dir()


def test_a_path_that_is_not_there_has_an_address_that_fits_a_socket(tmp_path: Path) -> None:
    assert len(os.fsencode(address_of(tmp_path / ("x" * 200) / "data"))) < 100


def test_stale_sockets_go_and_living_ones_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for type_ in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        path = Path(f"s{int(type_)}")
        with closing(socket.socket(socket.AF_UNIX, type_)) as server:
            server.bind(str(path))
            if type_ is socket.SOCK_STREAM:
                server.listen(0)
            assert is_listening(path)
            assert not remove_stale_socket(path)
        assert not is_listening(path)
        assert remove_stale_socket(path)
        assert not path.exists()
        assert remove_stale_socket(path)


def test_a_workers_run_directory_comes_and_goes(tmp_path: Path) -> None:
    run = prepare_run_directory(tmp_path)
    path = worker_run_directory(run, WorkerId("log_1"))
    assert worker_run_directory(run, WorkerId("log_1")) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    (path / "resp.sock").touch()
    remove_worker_run_directory(run, WorkerId("log_1"))
    remove_worker_run_directory(run, WorkerId("log_1"))
    assert not path.exists()
