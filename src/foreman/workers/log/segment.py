"""One segment file: created, grown, written at its end, sealed, read, and used again.

Owns the descriptor and what is known of the file's content. Not thread-safe: one thread writes; others may call the ``read`` methods.
Every OSError names the file.
"""

import contextlib
import errno
import os
import secrets
from collections.abc import Callable
from typing import Final

import google_crc32c

from foreman.kernel.files import fsync_directory, naming
from foreman.workers.log.segment_form import (
    DATA_START,
    SEAL_BYTES,
    Seal,
    SegmentHeader,
    SparseIndex,
    decode_seal,
    encode_header,
    encode_seal,
    index_bytes,
)

FIRST_GROWTH_BYTES: Final = 128 * 1024
MAX_GROWTH_BYTES: Final = 8 << 20
NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
PREFIX, SUFFIX, SPARE = "segment-", ".log", "spare-"


class SyncFailed(OSError):
    """An fsync failed. Whatever its errno (a thin disk under the file system says ENOSPC here, too): nobody knows what the disk holds."""


def segment_name(ordinal: int) -> str:
    """Names sort as ordinals do."""
    return f"{PREFIX}{ordinal:016d}{SUFFIX}"


class Segment:
    """``end``: where the next record goes. ``last``: the last version in it, or its base. ``sealed``: nothing more is written."""

    def __init__(self, path: str, descriptor: int, header: SegmentHeader) -> None:
        self.path, self.header = path, header
        self._descriptor = descriptor
        self.end, self.last = DATA_START, header.base
        self.data_crc = 0
        self.index = SparseIndex()
        self.sealed = False
        self._allocated = os.fstat(descriptor).st_size

    @classmethod
    def create(cls, directory: str, header: SegmentHeader, spare: str | None = None) -> "Segment":
        """A new segment, durable under its name; made of the file ``spare`` when there is one."""
        path = os.path.join(directory, segment_name(header.ordinal))
        temporary = spare if spare is not None else f"{path}.new"
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with naming(path):
                if spare is None:
                    os.ftruncate(descriptor, 0)
                    os.posix_fallocate(descriptor, 0, FIRST_GROWTH_BYTES)
                os.pwrite(descriptor, encode_header(header), 0)
                sync(os.fsync, descriptor, path)
                os.rename(temporary, path)
            fsync_directory(directory)
        except OSError:
            os.close(descriptor)
            raise
        return cls(path, descriptor, header)

    def append(self, data: bytes) -> None:
        """Write ``data`` at the end and make it durable. The caller keeps ``last`` and the index.

        Raises OSError; with an errno of NO_SPACE nothing of ``data`` is left in the file.
        """
        with naming(self.path):
            try:
                self._grow(len(data))
                written = 0
                while written < len(data):
                    written += os.pwrite(self._descriptor, data[written:] if written else data, self.end + written)
            except OSError as error:
                if error.errno in NO_SPACE:
                    self.cut()
                raise
        sync(os.fdatasync, self._descriptor, self.path)
        self.end_append(data)

    def begin_append(self, data: bytes) -> int | None:
        """Write ``data`` at the end where there is room already; what descriptor to sync before :meth:`end_append`.

        None: :meth:`append` must do it all, and will tell what is wrong if something is.
        """
        if self.end + len(data) > self._allocated:
            return None
        try:
            written = os.pwrite(self._descriptor, data, self.end)
        except OSError:
            return None
        return self._descriptor if written == len(data) else None

    def end_append(self, data: bytes) -> None:
        """It is durable."""
        self.data_crc = google_crc32c.extend(self.data_crc, data)
        self.end += len(data)

    def _grow(self, size_bytes: int) -> None:
        """Allocate ahead in steps that double, so that an empty log is small and a busy one rarely changes its file's size."""
        needed = self.end + size_bytes - self._allocated
        if needed <= 0:
            return
        step = max(needed, min(MAX_GROWTH_BYTES, self._allocated))
        try:
            os.posix_fallocate(self._descriptor, self._allocated, step)
        except OSError as error:
            if error.errno not in NO_SPACE or step == needed:
                raise
            step = needed
            os.posix_fallocate(self._descriptor, self._allocated, step)
        self._allocated += step

    def cut(self) -> None:
        """Let nothing stand beyond the end, durably."""
        with naming(self.path):
            os.ftruncate(self._descriptor, self.end)
        sync(os.fsync, self._descriptor, self.path)
        self._allocated = self.end

    def seal(self) -> None:
        """Write the footer. Idempotent."""
        footer = encode_seal(Seal(self.index, self.data_crc, self.end, self.last), self.header.marker)
        with naming(self.path):
            os.ftruncate(self._descriptor, self.end)
            os.pwrite(self._descriptor, footer, self.end)
        sync(os.fdatasync, self._descriptor, self.path)
        self.sealed = True

    def read(self, offset: int, size: int) -> bytes:
        """Bytes at ``offset``, fewer at the end of the file."""
        with naming(self.path):
            data = os.pread(self._descriptor, size, offset)
            while 0 < len(data) < size:
                more = os.pread(self._descriptor, size - len(data), offset + len(data))
                if not more:
                    break
                data += more
        return data

    def read_seal(self) -> Seal | None:
        """The footer, if the file ends with a good one."""
        size = os.fstat(self._descriptor).st_size
        before = index_bytes(self.read(max(DATA_START, size - SEAL_BYTES), SEAL_BYTES))
        if before is None or size - SEAL_BYTES - before < DATA_START:
            return None
        start = size - SEAL_BYTES - before
        seal = decode_seal(self.read(start, size - start), self.header.marker)
        return seal if seal is not None and seal.data_end == start else None

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def disk_bytes(self) -> int:
        return os.fstat(self._descriptor).st_blocks * 512

    def read_ahead(self) -> None:
        """All of it will be read soon: the disk may begin."""
        with naming(self.path):
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_WILLNEED)

    def forget_cached(self) -> None:
        """Make durable what a killed process may have left in the page cache, then read the disk itself from now on.

        After an fsync has failed the cache may hold pages that never reached the disk, and calls them clean.
        """
        with naming(self.path):
            os.fdatasync(self._descriptor)
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def sync(how: Callable[[int], None], descriptor: int, path: str) -> None:
    """``how``: os.fsync or os.fdatasync. Raises SyncFailed."""
    try:
        how(descriptor)
    except OSError as error:
        raise SyncFailed(error.errno, error.strerror, path) from error


def is_full_disk(error: OSError) -> bool:
    """Whether it means that there was no room and nothing else happened."""
    return error.errno in NO_SPACE and not isinstance(error, SyncFailed)


def new_marker(other: int = 0) -> int:
    """A random number that is not zero, so that what was never written is no record, and not ``other``."""
    while (marker := secrets.randbits(32)) in {0, other}:
        pass
    return marker
