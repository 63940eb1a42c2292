"""SIGKILL before and after every step that changes the disk: afterwards each thing is there whole, or not at all."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, assert_never

import pytest

from foreman.core.batches import CreateBatch, JournalRecord, RemovalTarget, RemoveBatch
from foreman.core.ids import BatchId, WorkerId
from foreman.core.kinds import Kinds, KindSpec, PythonProgram
from foreman.core.manifest import Desired, Manifest
from foreman.node.data_directory import open_data_directory
from foreman.node.journal import clear_record, write_record
from foreman.node.scan import NodeScan, scan
from foreman.node.working_directory import WorkingDirectories
from tests.processes.disk_steps import Steps, counted, every_death

KINDS: Final = Kinds([KindSpec("log", PythonProgram("package.module:main"), check_params=lambda _: [])])
IDS: Final = tuple(WorkerId(name) for name in ("a", "b", "c"))
BATCH: Final = BatchId("b1")


def manifest(id: str, batch: BatchId | None = None) -> Manifest:
    return Manifest("demo", WorkerId(id), "log", {"text": "x" * 2_000}, 1.0, batch=batch)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[WorkingDirectories]:
    with open_data_directory(tmp_path / "data", "demo") as data:
        yield WorkingDirectories(data.layout, "demo")


def recover(workers: WorkingDirectories) -> NodeScan:
    """What a server does at its start: resolve, finish the journal, delete what is in trash. Then look again."""
    found = scan(workers.layout, "demo", KINDS)
    assert not found.unusable, "half a worker"
    assert not found.unreadable_records, "half a record"
    for record in found.journal:
        for target in _targets(record, found.mine):
            workers.trash(target.id, target.created_at)
        clear_record(workers.layout, record.batch)
    for id, path in scan(workers.layout, "demo", KINDS).trash:
        workers.delete_trash(id or WorkerId("unknown"), str(path))
    found = scan(workers.layout, "demo", KINDS)
    assert not any((found.unusable, found.strays, found.journal, found.unreadable_records, found.trash, found.stuck))
    for folder in (workers.layout.staging, workers.layout.trash, workers.layout.journal):
        assert os.listdir(folder) == []
    return found


def _targets(record: JournalRecord, mine: tuple[Manifest, ...]) -> tuple[RemovalTarget, ...]:
    """What the record says must go: all that a batch made, or all that was to be removed."""
    match record:
        case CreateBatch(batch):
            return tuple(RemovalTarget(each.id, each.created_at) for each in mine if each.batch == batch)
        case RemoveBatch(_, targets):
            return targets
        case _:
            assert_never(record)


def remove_all(workers: WorkingDirectories) -> None:
    for id in IDS:
        workers.delete_trash(id, workers.trash(id))


def test_a_created_worker_is_there_whole_or_not_at_all(workers: WorkingDirectories) -> None:
    for where in every_death(lambda: workers.create(manifest("a")), lambda: remove_all(workers)):
        found = recover(workers).mine
        assert found in ((), (manifest("a"),)), where
        path = workers.create(manifest("a"))  # the effect again
        assert sorted(os.listdir(path)) == ["data", "lock", "manifest.json", "output"], where
        assert recover(workers).mine == (manifest("a"),), where


def test_of_many_created_each_is_there_whole_or_not_at_all(workers: WorkingDirectories) -> None:
    wanted = tuple(manifest(id) for id in IDS)
    for where in every_death(lambda: workers.create_many(wanted), lambda: remove_all(workers)):
        assert {each.id for each in recover(workers).mine} <= set(IDS), where
        assert workers.create_many(wanted) == dict.fromkeys(IDS), where
        assert recover(workers).mine == wanted, where


def test_a_batch_is_there_with_all_or_with_none(workers: WorkingDirectories) -> None:
    wanted = tuple(manifest(id, BATCH) for id in IDS)

    def create_batch() -> None:
        write_record(workers.layout, CreateBatch(BATCH, IDS))
        workers.create_many(wanted)
        clear_record(workers.layout, BATCH)

    seen = set()
    for where in every_death(create_batch, lambda: remove_all(workers)):
        found = recover(workers).mine
        assert found == wanted or not found, where
        seen.add(len(found))
    assert seen == {0, 3}


def test_desired_is_the_old_or_the_new(workers: WorkingDirectories) -> None:
    workers.create(manifest("a"))
    stopped = replace(manifest("a"), desired=Desired.STOPPED)

    def start() -> None:
        workers.set_desired(IDS[0], Desired.RUNNING)

    seen = []
    for where in every_death(lambda: workers.set_desired(IDS[0], Desired.STOPPED), start):
        (found,) = recover(workers).mine
        assert found in (manifest("a"), stopped), where
        seen.append(found)
        assert workers.set_desired(IDS[0], Desired.STOPPED) == stopped
    assert stopped in seen
    assert manifest("a") in seen


def test_a_removed_worker_is_there_whole_or_gone(workers: WorkingDirectories) -> None:
    def fill() -> None:
        path = workers.create(manifest("a"))
        (path / "data" / "below").mkdir(exist_ok=True)
        (path / "data" / "below" / "file").write_text("text")

    def remove() -> None:
        workers.delete_trash(IDS[0], workers.trash(IDS[0]))

    for where in every_death(remove, fill):
        found = recover(workers).mine
        assert found in ((), (manifest("a"),)), where
        if found:
            assert (workers.layout.data(IDS[0]) / "below" / "file").read_text() == "text", where
        remove()
        assert recover(workers).mine == (), where


def test_a_batch_of_removals_that_was_accepted_is_finished(workers: WorkingDirectories) -> None:
    record = RemoveBatch(BATCH, tuple(RemovalTarget(id, 1.0) for id in IDS))

    def remove_batch() -> None:
        write_record(workers.layout, record)
        for path in [workers.trash(id) for id in IDS]:
            workers.delete_trash(IDS[0], path)
        clear_record(workers.layout, BATCH)

    for where in every_death(remove_batch, lambda: workers.create_many(manifest(id) for id in IDS)):
        accepted = bool(os.listdir(workers.layout.journal))
        found = recover(workers).mine
        assert not found or (not accepted and len(found) == 3), where


def test_recovery_itself_may_die_at_every_step(workers: WorkingDirectories) -> None:
    def half_done() -> None:
        workers.create_many(manifest(id, BATCH) for id in IDS)
        write_record(workers.layout, CreateBatch(BATCH, IDS))
        (workers.layout.staging / "d.01" / "data").mkdir(parents=True, exist_ok=True)
        (workers.layout.trash / "e.01" / "data").mkdir(parents=True, exist_ok=True)

    for where in every_death(lambda: recover(workers), half_done):
        assert recover(workers).mine == (), where


def test_a_data_directory_may_die_at_every_step_of_its_making(tmp_path: Path) -> None:
    paths = iter(tmp_path / f"{number}" / "data" for number in range(1_000))
    current = [tmp_path]

    def fresh() -> None:
        current[0] = next(paths)

    for where in every_death(lambda: open_data_directory(current[0], "demo"), fresh):
        with open_data_directory(current[0], "demo") as data:
            assert data.cluster == "demo", where
            scan(data.layout, "demo", KINDS)
            assert os.listdir(data.layout.staging) == [], where
        assert not os.path.lexists(current[0] / "run") or not (current[0] / "run").is_symlink(), where
    open_data_directory(current[0], "demo").close()  # the one that did not die


def test_what_a_rename_names_is_durable_before_and_both_parents_after(workers: WorkingDirectories) -> None:
    """The contract's order, for the only two renames there are of a directory."""
    steps = Steps()
    with counted(steps):
        workers.create(manifest("a"))
    made = [each.replace(str(workers.layout.root), "") for each in steps.trace if each.startswith(("fsync", "rename"))]
    staged = made[0].split(" ")[1].removesuffix("/manifest.json")
    assert made == [
        f"fsync {staged}/manifest.json",
        f"fsync {staged}",
        f"rename_new {staged} /workers/a",
        "fsync /workers",
        "fsync /staging",
    ]
    steps = Steps()
    with counted(steps):
        path = workers.trash(IDS[0]).replace(str(workers.layout.root), "")
    moved = [each.replace(str(workers.layout.root), "") for each in steps.trace if each.startswith(("fsync", "rename"))]
    assert moved == ["fsync /workers/a", f"rename_new /workers/a {path}", "fsync /trash", "fsync /workers"]
