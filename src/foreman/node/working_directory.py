"""Working directories: made whole or not at all, moved away before they are deleted, never touched while somebody uses them.

**Making.** In staging: the directory, ``data/``, ``output/``, ``lock``, and ``manifest.json`` written and fsynced; then fsync of the
directory (its names, and with them the empty files and folders they name); then a rename into workers that never replaces; then
fsync of both parents. Only then is it said to be there. Many at once share the last step.

**Removing.** The worker's lock is taken first, so nothing is moved that a process still uses; then one rename into trash, then
deletion, which may take long, fail, and be done again.

Each operation may be cut off at any instant and be done again. Everything here blocks; the server calls it in threads. Two calls
for the same worker at the same time are the caller's mistake; for different workers they are independent.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from foreman.core.errors import (
    DiskFault,
    FailedToRemoveDirectory,
    ForemanError,
    InsufficientSpace,
    WorkerDirectoryBusy,
    WorkerExists,
    WorkerNotFound,
)
from foreman.core.ids import WorkerId
from foreman.core.manifest import MAX_MANIFEST_BYTES, Desired, Manifest, ManifestProblem, Missing, Unreadable, encode, parse
from foreman.kernel.files import (
    atomic_write,
    errno_name,
    free_space,
    fsync_directory,
    fsync_path,
    printable,
    read_bounded,
    rename_new,
    try_lock,
    write_new,
)
from foreman.kernel.removal import remove_tree
from foreman.node.layout import Layout, disk_error

GONE: Final = ""
"""The path of a directory that :meth:`WorkingDirectories.trash` found already moved away."""


def read_manifest(path: Path) -> Manifest | ManifestProblem:
    """The manifest in the working directory ``path``. Total: whatever lies there, it is read without waiting and without raising."""
    try:
        return parse(read_bounded(str(path / "manifest.json"), MAX_MANIFEST_BYTES + 1))
    except FileNotFoundError:
        return Missing()
    except OSError as error:
        why = {errno.ELOOP: "a symbolic link", errno.EISDIR: "a directory", errno.EINVAL: "not a regular file"}
        return Unreadable(why.get(error.errno or 0, errno_name(error.errno or errno.EIO)))


@dataclass(frozen=True, slots=True)
class _Staged:
    manifest: Manifest
    path: Path


class WorkingDirectories:
    """The working directories of one node. ``min_free_bytes``: no new one is made when less than this would be left."""

    def __init__(self, layout: Layout, cluster: str, min_free_bytes: int = 0) -> None:
        self.layout = layout
        self.cluster = cluster
        self.min_free_bytes = min_free_bytes

    def create(self, manifest: Manifest) -> Path:
        """Make one, durably. Already there for the same worker: fine, the same path.

        Raises WorkerExists (something else has the name), InsufficientSpace or DiskFault; then nothing of it is left.
        """
        error = self.create_many([manifest])[manifest.id]
        if error is not None:
            raise error
        return self.layout.worker(manifest.id)

    def create_many(self, manifests: Iterable[Manifest]) -> dict[WorkerId, ForemanError | None]:
        """Make many; each succeeds or fails by itself. An error for each id; None: it is there and durable."""
        wanted = {manifest.id: manifest for manifest in manifests}
        shortage = self._shortage()
        results: dict[WorkerId, ForemanError | None] = {}
        made: list[WorkerId] = []
        for id, manifest in wanted.items():
            begun = self._begin(manifest, shortage)
            if isinstance(begun, _Staged):
                begun = self._move_in(begun)
                if begun is None:
                    made.append(id)
            results[id] = begun
        if None in results.values():
            self._make_names_durable(made, results)
        return results

    def set_desired(self, id: WorkerId, desired: Desired) -> Manifest:
        """Write into the manifest, durably, what the worker should be. Raises WorkerNotFound, InsufficientSpace, DiskFault."""
        path = self.layout.manifest(id)
        manifest = read_manifest(path.parent)
        if isinstance(manifest, Missing):
            raise WorkerNotFound(id)
        if not isinstance(manifest, Manifest):
            raise DiskFault(errno.EBADMSG, errno_name(errno.EBADMSG), printable(str(path)))
        changed = replace(manifest, desired=desired)
        try:
            if changed == manifest:
                fsync_directory(str(path.parent))  # it was renamed there, perhaps just before a crash
            else:
                atomic_write(str(path), encode(changed), temporary_in=str(self.layout.staging))
        except OSError as error:
            raise disk_error(error, path, self.min_free_bytes) from error
        return changed

    def trash(self, id: WorkerId, created_at: float | None = None) -> str:
        """Move a worker's directory out of the way, durably; where to, or GONE when it is not there (any more).

        ``created_at``: only that worker's, not a later one's with the same id. The worker must have exited. Raises
        WorkerDirectoryBusy when a process holds its lock, FailedToRemoveDirectory when it cannot be moved; then it is where it was.
        """
        source = self.layout.worker(id)
        try:
            if not self._is_meant(source, id, created_at):
                return GONE
            lock = try_lock(str(self.layout.worker_lock(id)))
            if lock is None:
                raise WorkerDirectoryBusy(id, printable(str(source)))
            with lock:
                return self._move_to_trash(id, source)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not os.path.lexists(source):
                return GONE
            number = error.errno or errno.EIO
            where = error.filename if isinstance(error.filename, str) else str(source)
            raise FailedToRemoveDirectory(id, number, errno_name(number), printable(where)) from error

    def delete_trash(self, id: WorkerId, path: str) -> None:
        """Delete what :meth:`trash` moved. Idempotent. Raises FailedToRemoveDirectory with the first path that is left."""
        if path == GONE:
            return
        if Path(path).parent != self.layout.trash or Path(path).name in {"", ".."}:
            raise FailedToRemoveDirectory(id, errno.EPERM, errno_name(errno.EPERM), printable(path))
        failure = remove_tree(path)
        if failure is not None:
            raise FailedToRemoveDirectory(id, failure.errno, failure.errno_name, failure.path)

    def _shortage(self) -> ForemanError | None:
        try:
            free = free_space(str(self.layout.root))
        except OSError as error:
            return disk_error(error, self.layout.root)
        if free < self.min_free_bytes:
            return InsufficientSpace(printable(str(self.layout.root)), free, self.min_free_bytes)
        return None

    def _begin(self, manifest: Manifest, shortage: ForemanError | None) -> _Staged | ForemanError | None:
        """Stage it; None when it is there already."""
        if os.path.lexists(self.layout.worker(manifest.id)):
            return self._verdict_on_existing(manifest)
        return shortage or self._stage(manifest)

    def _verdict_on_existing(self, manifest: Manifest) -> ForemanError | None:
        found = read_manifest(self.layout.worker(manifest.id))
        same = isinstance(found, Manifest) and found.same_worker(manifest)
        return None if same else WorkerExists(manifest.id)

    def _stage(self, manifest: Manifest) -> _Staged | ForemanError:
        path = self.layout.staging / f"{manifest.id}.{secrets.token_hex(8)}"
        try:
            path.mkdir(mode=0o700)
            (path / "data").mkdir(mode=0o700)
            (path / "output").mkdir(mode=0o700)
            os.close(os.open(path / "lock", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            write_new(str(path / "manifest.json"), encode(manifest))
            fsync_directory(str(path))
        except OSError as error:
            told = disk_error(error, self.layout.staging, self.min_free_bytes)  # asks what is free before anything is freed
            remove_tree(str(path))
            return told
        return _Staged(manifest, path)

    def _move_in(self, staged: _Staged) -> ForemanError | None:
        try:
            rename_new(str(staged.path), str(self.layout.worker(staged.manifest.id)))
        except FileExistsError:
            remove_tree(str(staged.path))
            return self._verdict_on_existing(staged.manifest)
        except OSError as error:
            told = disk_error(error, self.layout.workers, self.min_free_bytes)
            remove_tree(str(staged.path))
            return told
        return None

    def _make_names_durable(self, made: list[WorkerId], results: dict[WorkerId, ForemanError | None]) -> None:
        """Fsync of both parents, once for all. When that fails, what was ``made`` now is taken back, and nothing of it is there."""
        try:
            fsync_directory(str(self.layout.workers))
            fsync_directory(str(self.layout.staging))
        except OSError as error:
            told = disk_error(error, self.layout.workers, self.min_free_bytes)
            for id in [id for id, result in results.items() if result is None]:
                results[id] = told
            for id in made:
                self._take_back(id)

    def _take_back(self, id: WorkerId) -> None:
        """Undo a rename that could not be made durable. What cannot be undone either stays whole, and is judged at the next start."""
        path = self.layout.staging / f"{id}.{secrets.token_hex(8)}"
        with suppress(OSError):
            rename_new(str(self.layout.worker(id)), str(path))
            remove_tree(str(path))

    def _is_meant(self, source: Path, id: WorkerId, created_at: float | None) -> bool:
        """Whether ``source`` is there and the one to be removed. What is another cluster's or worker's is refused: EPERM."""
        if not stat.S_ISDIR(source.lstat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(source))
        manifest = read_manifest(source)
        if not isinstance(manifest, Manifest):
            return True
        if (manifest.cluster, manifest.id) != (self.cluster, id):
            raise PermissionError(errno.EPERM, "not this node's worker", str(source))
        return created_at is None or manifest.created_at == created_at

    def _move_to_trash(self, id: WorkerId, source: Path) -> str:
        target = str(self.layout.trash / f"{id}.{secrets.token_hex(8)}")
        fsync_path(str(source))
        rename_new(str(source), target)
        try:
            fsync_directory(str(self.layout.trash))
            fsync_directory(str(self.layout.workers))
        except OSError:
            with suppress(OSError):  # not durably moved is not moved; if this fails too, it lies whole in trash
                rename_new(target, str(source))
            raise
        return target
