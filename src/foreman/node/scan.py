"""What is on disk when a node starts: half-made things are cleared away, every directory is judged, the journal is read.

Only the server that holds the data directory's lock scans. Staging is emptied at once (it is small); trash may take long to delete,
so what is in it is listed, and deleted by whoever has the time. A directory that is not ours is only looked at.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from foreman.core.batches import JournalRecord
from foreman.core.ids import WorkerId
from foreman.core.judgement import Broken, Busy, Entry, Foreign, Judgement, Mine, judge, worker_name
from foreman.core.kinds import Kinds
from foreman.core.manifest import Manifest, ManifestProblem, Missing
from foreman.kernel.files import errno_name, try_lock
from foreman.kernel.removal import PathFailure, remove_tree
from foreman.node.journal import UnreadableRecord, read_journal
from foreman.node.layout import Layout
from foreman.node.working_directory import read_manifest


@dataclass(frozen=True, slots=True)
class UnusableDirectory:
    """A directory with a worker's name that is not started. ``kind`` "" when nobody can say."""

    id: WorkerId
    kind: str
    judgement: Foreign | Broken | Busy

    @property
    def reason(self) -> str:
        return self.judgement.reason


@dataclass(frozen=True, slots=True)
class Stray:
    """Something under DATA/workers that has not even a worker's name, as ``lost+found``. Not taken for a worker."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class NodeScan:
    """``trash``: still to be deleted (WorkingDirectories.delete_trash). ``stuck``: what is in staging and could not be deleted."""

    mine: tuple[Manifest, ...]
    unusable: tuple[UnusableDirectory, ...]
    strays: tuple[Stray, ...]
    journal: tuple[JournalRecord, ...]
    unreadable_records: tuple[UnreadableRecord, ...]
    trash: tuple[tuple[WorkerId | None, Path], ...]
    stuck: tuple[PathFailure, ...]


def scan(layout: Layout, cluster: str, kinds: Kinds) -> NodeScan:
    """Look at everything, once.

    Not at locks: a surviving supervisor's workers rightly hold theirs, and who else is busy shows when it is started.

    Raises OSError when the data directory itself cannot be read.
    """
    mine: list[Manifest] = []
    unusable: list[UnusableDirectory] = []
    strays: list[Stray] = []
    stuck = resolve_staging(layout)
    for entry in entries(layout, _nobody):
        judgement = judge(entry, cluster, kinds)
        id = worker_name(entry.name)
        if isinstance(judgement, Mine):
            mine.append(judgement.manifest)
        elif id is None:
            strays.append(Stray(layout.workers / entry.name, judgement.reason))
        else:
            unusable.append(UnusableDirectory(id, kind_of(entry), judgement))
    records, unreadable = read_journal(layout)
    return NodeScan(
        mine=tuple(mine),
        unusable=tuple(unusable),
        strays=tuple(strays),
        journal=tuple(records),
        unreadable_records=tuple(unreadable),
        trash=tuple(list_trash(layout)),
        stuck=tuple(stuck),
    )


def judge_directory(layout: Layout, id: WorkerId, cluster: str, kinds: Kinds) -> Judgement | None:
    """Look again at one directory that no worker of ours runs in. None: it is not there."""
    path = layout.worker(id)
    try:
        directory = stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Broken(f"it cannot be read: {errno_name(error.errno or errno.EIO)}")
    return judge(_entry(layout, id, partial(_is_held, layout), directory=directory), cluster, kinds)


def resolve_staging(layout: Layout) -> list[PathFailure]:
    """Delete everything half-made. What could not be deleted is returned, and is tried again at the next start."""
    failures = [remove_tree(str(path)) for path in layout.staging.iterdir()]
    return [failure for failure in failures if failure is not None]


def list_trash(layout: Layout) -> Iterator[tuple[WorkerId | None, Path]]:
    """What is half-deleted, and whose it was (None: a name that was not ours)."""
    for path in sorted(layout.trash.iterdir()):
        yield worker_name(path.name.partition(".")[0]), path


def entries(layout: Layout, is_held: Callable[[WorkerId], bool]) -> Iterator[Entry]:
    """Everything under DATA/workers, by name. ``is_held``: whether somebody not ours holds this worker's lock."""
    with os.scandir(layout.workers) as found:
        names = sorted((each.name, each.is_dir(follow_symlinks=False)) for each in found)
    for name, directory in names:
        yield _entry(layout, name, is_held, directory=directory)


def kind_of(entry: Entry) -> str:
    """The kind its manifest says; "" when nobody can say."""
    return entry.manifest.kind if isinstance(entry.manifest, Manifest) else ""


def _entry(layout: Layout, name: str, is_held: Callable[[WorkerId], bool], *, directory: bool) -> Entry:
    id = worker_name(name)
    manifest: Manifest | ManifestProblem = read_manifest(layout.worker(id)) if directory and id is not None else Missing()
    held = id is not None and isinstance(manifest, Manifest) and is_held(id)
    return Entry(name, directory, manifest, held)


def _nobody(_id: WorkerId) -> bool:
    return False


def _is_held(layout: Layout, id: WorkerId) -> bool:
    """The lock is taken for an instant, and only when it is there: nothing is made in a foreign place."""
    try:
        taken = try_lock(str(layout.worker_lock(id)), create=False)
    except OSError:
        return False  # no lock, or none that can be opened: the start itself will tell
    if taken is None:
        return True
    taken.release()
    return False
