"""The data directory of one node: made when it is not there, checked when it is, and held by one server at a time.

Making it is crash safe and can be repeated: node.json comes last, and until it is there nothing else counts. The lock is an flock
on DATA/lock; the kernel frees it with the server, however that ends. Never looks into a worker's directory.
"""

import errno
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from foreman.core.canonical_json import JsonProblem, read_json, write_json
from foreman.core.errors import DataDirectoryInUse, DataDirectoryInvalid, InvalidClusterName
from foreman.core.ids import parse_cluster_name
from foreman.kernel.files import LockedFile, atomic_write, errno_name, fsync_directory, hold_directory, printable, read_bounded, try_lock
from foreman.node.layout import Layout
from foreman.node.other_user import MODES
from foreman.node.run_directory import prepare_run_directory, release_run_directory

FORMAT: Final = 1
MAX_NODE_FILE_BYTES: Final = 4_096
_FOLDERS: Final = ("workers", "staging", "trash", "journal")
_MAY_BE_THERE: Final = frozenset({*_FOLDERS, "run", "lock", "lost+found", "foreman.toml"})
"""What a directory without node.json may hold and still be taken: what a crash in the middle of making it leaves, the root of a file
system, a configuration laid there beforehand. Anything else is somebody's, and is not turned into a data directory."""

_HINTS: Final = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "the system does not allow it (immutable? see lsattr)",
    errno.ENOSPC: "the file system is full",
    errno.EDQUOT: "the quota is used up",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EEXIST: "there is a file in the way",
    errno.ENAMETOOLONG: "the path is too long",
    errno.ELOOP: "the path is a circle of links",
    errno.ENOLCK: "the file system cannot lock files",
    errno.EOPNOTSUPP: "the file system cannot lock files",
}


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """node.json: which node of which cluster this directory is."""

    cluster: str
    node_id: str


class DataDirectory:
    """An open data directory. Holds the lock until :meth:`close`.

    ``run``: the run directory, where sockets lie; DATA/run itself, or what it links to when that would be too long for a socket.
    """

    def __init__(self, layout: Layout, identity: NodeIdentity, run: Path, *locks: LockedFile) -> None:
        self.layout = layout
        self.path = layout.root
        self.cluster = identity.cluster
        self.node_id = identity.node_id
        self.run = run
        self._locks = locks
        self._open = True

    def close(self) -> None:
        """Let another server have it. Idempotent."""
        if self._open:
            release_run_directory(self.path, self.run)
        self._open = False
        for lock in self._locks:
            lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def open_data_directory(path: str | Path, cluster: str | None) -> DataDirectory:
    """Open the data directory, making it when there is none. ``cluster`` None: whichever it belongs to.

    Raises DataDirectoryInUse, DataDirectoryInvalid (with what is wrong and what to do), InvalidClusterName.
    """
    if cluster is not None:
        parse_cluster_name(cluster)
    try:
        root = Path(path).resolve()
        return _open(Layout(root), cluster)
    except (OSError, RuntimeError, ValueError) as error:  # resolve(): a circle of links is a RuntimeError, a NUL a ValueError
        raise DataDirectoryInvalid(_shown(path), _reason(error)) from error


def _open(layout: Layout, cluster: str | None) -> DataDirectory:
    _make_root(layout.root)
    _check_root(layout)
    lock = try_lock(str(layout.lock))
    if lock is None:
        raise DataDirectoryInUse(_shown(layout.root))
    try:
        identity = _known_identity(layout, cluster)
        for name in _FOLDERS:
            _make_folder(layout.root / name, layout)
        if identity is None:
            identity = _new_identity(layout, cluster)
        run = prepare_run_directory(layout.root)
        return DataDirectory(layout, identity, run, hold_directory(str(run)), lock)
    except BaseException:  # whatever ends this, the lock must not stay
        lock.release()
        raise


def read_identity(layout: Layout) -> NodeIdentity | None:
    """What node.json says; None when it is not there. Raises DataDirectoryInvalid."""
    try:
        data = read_bounded(str(layout.node_file), MAX_NODE_FILE_BYTES)
    except FileNotFoundError:
        return None
    value = read_json(data)
    if isinstance(value, JsonProblem):
        raise DataDirectoryInvalid(_shown(layout.root), f"its node.json is damaged: {value.sentence}")
    if not isinstance(value, dict):
        raise DataDirectoryInvalid(_shown(layout.root), "its node.json is damaged: it is not an object")
    if type(value.get("format")) is not int or value["format"] != FORMAT:
        known = f"this foreman knows format {FORMAT}"
        raise DataDirectoryInvalid(_shown(layout.root), f"its node.json has format {value.get('format')!r:.40}; {known}")
    return _identity_of(value, layout)


def _identity_of(value: dict[str, Any], layout: Layout) -> NodeIdentity:
    try:
        return NodeIdentity(parse_cluster_name(value.get("cluster")), parse_cluster_name(value.get("node_id")))
    except InvalidClusterName as error:
        raise DataDirectoryInvalid(_shown(layout.root), f"its node.json is damaged: cluster or node_id: {error}") from error


def _known_identity(layout: Layout, cluster: str | None) -> NodeIdentity | None:
    identity = read_identity(layout)
    if identity is None and cluster is None:
        raise DataDirectoryInvalid(_shown(layout.root), "it is new; say which cluster it is for (--cluster)")
    if identity is not None and cluster is not None and identity.cluster != cluster:
        raise DataDirectoryInvalid(
            _shown(layout.root), f"it belongs to cluster {identity.cluster}, not {cluster}; use that cluster's name or another --data"
        )
    return identity


def _new_identity(layout: Layout, cluster: str | None) -> NodeIdentity:
    assert cluster is not None
    identity = NodeIdentity(cluster, secrets.token_hex(8))
    facts = {"format": FORMAT, "cluster": identity.cluster, "node_id": identity.node_id}
    atomic_write(str(layout.node_file), write_json(facts), temporary_in=str(layout.staging))
    return identity


def _make_root(root: Path) -> None:
    """Make it and what is missing above it, each name durable."""
    missing = [path for path in (root, *root.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700 if path == root else 0o755, exist_ok=True)
        fsync_directory(str(path.parent))


def _check_root(layout: Layout) -> None:
    facts = layout.root.stat()
    if not stat.S_ISDIR(facts.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "not a directory", str(layout.root))
    if facts.st_uid != os.geteuid():
        raise DataDirectoryInvalid(
            _shown(layout.root),
            f"it belongs to user {facts.st_uid}, and foreman runs as user {os.geteuid()}; chown it, or run as its owner",
        )
    if not os.path.lexists(layout.node_file):
        strange = sorted(path.name for path in layout.root.iterdir() if path.name not in _MAY_BE_THERE)
        if strange:
            raise DataDirectoryInvalid(
                _shown(layout.root), f"it is not empty ({printable(strange[0])} …) and has no node.json; choose a new or empty directory"
            )
    if stat.S_IMODE(facts.st_mode) not in MODES:
        layout.root.chmod(0o700)


def _make_folder(path: Path, layout: Layout) -> None:
    try:
        path.mkdir(mode=0o700)
        fsync_directory(str(layout.root))
    except FileExistsError:
        facts = path.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
            raise DataDirectoryInvalid(_shown(layout.root), f"its {path.name} is not a directory of this user's") from None


def _reason(error: Exception) -> str:
    if not isinstance(error, OSError) or error.errno is None:
        return f"the path is not valid ({error})"
    where = f" at {printable(error.filename)}" if isinstance(error.filename, str) else ""
    return f"{_HINTS.get(error.errno, os.strerror(error.errno))} ({errno_name(error.errno)}{where})"


def _shown(path: str | Path) -> str:
    return printable(str(path).replace("\0", "\\0"))
