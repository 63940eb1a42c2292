"""The start of a node: everything on disk is found, judged, and only what is half-made is cleared away. And doctor, who only looks."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from foreman.core.batches import CreateBatch
from foreman.core.ids import BatchId, WorkerId
from foreman.core.judgement import Broken, Busy, Foreign, Mine
from foreman.core.kinds import Kinds, KindSpec, PythonProgram
from foreman.core.manifest import Manifest, encode
from foreman.kernel.files import try_lock
from foreman.node.data_directory import DataDirectory, open_data_directory
from foreman.node.doctor import Severity, doctor, lock_holders
from foreman.node.journal import write_record
from foreman.node.layout import Layout
from foreman.node.scan import judge_directory, scan
from foreman.node.working_directory import WorkingDirectories

KINDS: Final = Kinds([KindSpec("log", PythonProgram("package.module:main"))])


def manifest(id: str) -> Manifest:
    return Manifest("demo", WorkerId(id), "log", {}, 1.0)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDirectory]:
    with open_data_directory(tmp_path / "data", "demo") as opened:
        yield opened


@pytest.fixture
def workers(data: DataDirectory) -> WorkingDirectories:
    return WorkingDirectories(data.layout, "demo")


def _everything(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """All names with modes, times and contents: what must not change."""
    found = {}
    for path in sorted(root.rglob("*")):
        facts = path.lstat()
        found[str(path)] = (facts.st_mode, facts.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
    return found


def _fill(workers: WorkingDirectories) -> Layout:
    """One of each kind of directory."""
    layout = workers.layout
    workers.create_many([manifest("good"), manifest("torn"), manifest("copied")])
    workers.create(replace(manifest("theirs"), cluster="other"))
    workers.create(replace(manifest("unheard"), kind="unheard"))
    (layout.worker(WorkerId("torn")) / "manifest.json").write_bytes(encode(manifest("torn"))[:50])
    (layout.worker(WorkerId("copied")) / "manifest.json").write_bytes(encode(manifest("good")))
    (layout.workers / "empty").mkdir()
    (layout.workers / "lost+found").mkdir()
    (layout.workers / "file").touch()
    (layout.workers / "link").symlink_to("good")
    return layout


def test_a_new_node_has_nothing(data: DataDirectory) -> None:
    found = scan(data.layout, "demo", KINDS)
    assert not any((found.mine, found.unusable, found.strays, found.journal, found.unreadable_records, found.trash, found.stuck))


def test_every_directory_is_judged_and_none_is_touched(workers: WorkingDirectories) -> None:
    layout = _fill(workers)
    before = _everything(layout.workers)
    found = scan(layout, "demo", KINDS)
    assert found.mine == (manifest("good"),)
    assert {each.id: (type(each.judgement), each.kind) for each in found.unusable} == {
        "copied": (Foreign, "log"),
        "empty": (Broken, ""),
        "file": (Foreign, ""),
        "link": (Foreign, ""),
        "theirs": (Foreign, "log"),
        "torn": (Broken, ""),
        "unheard": (Broken, "unheard"),
    }
    assert [each.path.name for each in found.strays] == ["lost+found"]
    assert _everything(layout.workers) == before


def test_half_made_is_deleted_half_deleted_and_half_done_are_told(workers: WorkingDirectories) -> None:
    layout = workers.layout
    (layout.staging / "a.0123" / "data").mkdir(parents=True)
    (layout.staging / "manifest.json.0123.tmp").touch()
    workers.create(manifest("gone"))
    trashed = workers.trash(WorkerId("gone"))
    record = CreateBatch(BatchId("b1"), (WorkerId("a"),))
    write_record(layout, record)
    (layout.journal / "b2.json").write_text("{")
    found = scan(layout, "demo", KINDS)
    assert os.listdir(layout.staging) == []
    assert found.trash == (("gone", Path(trashed)),)
    assert found.journal == (record,)
    assert [Path(each.path).name for each in found.unreadable_records] == ["b2.json"]
    assert scan(layout, "demo", KINDS) == found


def test_who_holds_a_lock_makes_it_busy_when_it_is_looked_at_alone(workers: WorkingDirectories) -> None:
    layout, id = workers.layout, WorkerId("log_1")
    workers.create(manifest("log_1"))
    lock = try_lock(str(layout.worker_lock(id)))
    assert lock is not None
    with lock:
        assert scan(layout, "demo", KINDS).mine == (manifest("log_1"),)
        assert isinstance(judge_directory(layout, id, "demo", KINDS), Busy)
    assert judge_directory(layout, id, "demo", KINDS) == Mine(manifest("log_1"))
    assert judge_directory(layout, WorkerId("nobody"), "demo", KINDS) is None


def test_ten_thousand_foreign_directories_are_no_trouble(workers: WorkingDirectories) -> None:
    workers.create(manifest("mine"))
    for number in range(10_000):
        (workers.layout.workers / f"strange_{number}").mkdir()
    began = time.process_time()
    found = scan(workers.layout, "demo", KINDS)
    assert time.process_time() - began < 10  # 0.2 s; what grows with the square of their number takes minutes
    assert len(found.unusable) == 10_000
    assert found.mine == (manifest("mine"),)


def test_doctor_has_nothing_to_say_of_a_healthy_node(tmp_path: Path) -> None:
    with open_data_directory(tmp_path / "data", "demo") as data:
        WorkingDirectories(data.layout, "demo").create(manifest("good"))
    assert doctor(tmp_path / "data", KINDS) == []


def test_doctor_names_everything_and_changes_nothing(tmp_path: Path) -> None:
    with open_data_directory(tmp_path / "data", "demo") as data:
        workers = WorkingDirectories(data.layout, "demo")
        layout = _fill(workers)
        workers.create(manifest("gone"))
        workers.trash(WorkerId("gone"))
        write_record(layout, CreateBatch(BatchId("b1"), ()))
        (layout.journal / "b2.json").write_text("{")
        (layout.staging / "a.0123").mkdir()
        layout.trash.chmod(0o755)
    before = _everything(tmp_path)
    findings = doctor(tmp_path / "data", KINDS, min_free_bytes=2**62)
    assert _everything(tmp_path) == before
    told = {Path(each.path).name.split(".")[0]: each for each in findings}
    expected = {"data", "trash", "torn", "copied", "theirs", "unheard", "empty", "lost+found", "file", "link", "gone", "a", "b1", "b2"}
    assert set(told) == expected
    assert told["lost+found"].severity is Severity.NOTICE
    assert told["torn"].severity is Severity.WRONG
    assert all(each.what and each.would for each in findings)


def test_doctor_works_beside_a_server_and_says_when_it_does_not_answer(data: DataDirectory) -> None:
    assert lock_holders(data.layout) == {data.layout.lock: {os.getpid()}}
    (finding,) = doctor(data.path, KINDS)
    assert f"process {os.getpid()}" in finding.what


def test_doctor_finds_who_works_in_a_directory_without_a_server(tmp_path: Path) -> None:
    with open_data_directory(tmp_path / "data", "demo") as data:
        WorkingDirectories(data.layout, "demo").create(manifest("log_1"))
        lock = data.layout.worker_lock(WorkerId("log_1"))
    program = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        (finding,) = doctor(tmp_path / "data", KINDS)
    assert f"process {holder.pid}" in finding.what


@pytest.mark.parametrize("path", ["nothing", "nul\0", "circle", "file/below", "damaged"])
def test_doctor_raises_for_nothing(tmp_path: Path, path: str) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "file").touch()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "node.json").write_text("{")
    (finding,) = doctor(tmp_path / path, KINDS)
    assert finding.severity is Severity.WRONG


def test_doctor_tells_what_is_missing(tmp_path: Path) -> None:
    open_data_directory(tmp_path / "data", "demo").close()
    for name in ("workers", "journal"):
        (tmp_path / "data" / name).rmdir()
    findings = doctor(tmp_path / "data", KINDS)
    assert any("ENOENT" in each.what and each.path.endswith("workers") for each in findings)
