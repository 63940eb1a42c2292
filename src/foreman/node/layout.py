"""Where everything lies in a data directory (the contract's "Data directory"), and how a refusal of the disk is told.

Names only: nothing here reads or changes the disk, except to say how much is free when it is full.
"""

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foreman.core.errors import DiskFault, ForemanError, InsufficientSpace
from foreman.core.ids import WorkerId
from foreman.kernel.files import errno_name, free_space, printable

WORKER_BYTES: Final = 65_536
"""What an empty worker takes on disk, generously: three directories, a manifest, a lock."""


@dataclass(frozen=True, slots=True)
class Layout:
    """``root``: the data directory, absolute, without links."""

    root: Path

    @property
    def node_file(self) -> Path:
        return self.root / "node.json"

    @property
    def generation(self) -> Path:
        """The newest director that was heard (node/generations.py)."""
        return self.root / "generation.json"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def workers(self) -> Path:
        return self.root / "workers"

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    @property
    def trash(self) -> Path:
        return self.root / "trash"

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    def worker(self, id: WorkerId) -> Path:
        return self.workers / id

    def manifest(self, id: WorkerId) -> Path:
        return self.workers / id / "manifest.json"

    def worker_lock(self, id: WorkerId) -> Path:
        return self.workers / id / "lock"

    def data(self, id: WorkerId) -> Path:
        """The worker's own files; its current directory."""
        return self.workers / id / "data"

    def output(self, id: WorkerId) -> Path:
        """Its stdout and stderr, rotated."""
        return self.workers / id / "output"


def disk_error(error: OSError, path: Path, min_free_bytes: int = 0) -> ForemanError:
    """What the caller is told: InsufficientSpace when the disk is full, else DiskFault with errno and path."""
    number = error.errno or errno.EIO
    where = printable(error.filename) if isinstance(error.filename, str) else printable(str(path))
    if number in {errno.ENOSPC, errno.EDQUOT}:
        free, needed = _free_or_none(path), max(min_free_bytes, WORKER_BYTES)
        if free < needed:  # else it is out of inodes or over quota, and bytes would be the wrong story
            return InsufficientSpace(where, free, needed)
    return DiskFault(number, errno_name(number), where)


def _free_or_none(path: Path) -> int:
    try:
        return free_space(str(path))
    except OSError:
        return 0
