"""All segments of a log, oldest first: the last is written, the others are sealed, the files of recycled ones wait to be used again.

One thread writes (``append``, ``recycle``, ``begin_anew``); another may read at the same time, because the tuple of segments is only ever
replaced and a file that was recycled under a reader shows by its marker. Knows no policy: what is recycled, and when, is decided elsewhere.
"""

import contextlib
import errno
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from foreman.core.data_errors import VersionTooOld
from foreman.core.mutations import Version
from foreman.kernel.files import fsync_directory, unlink_if_there
from foreman.workers.log.records import HEADER_BYTES, Record, read_records
from foreman.workers.log.segment import SPARE, Segment, is_full_disk, new_marker
from foreman.workers.log.segment_form import SegmentHeader

MAX_SPARES: Final = 2
_READ_BYTES: Final = 512 * 1024
_WRITTEN_AT_ONCE_BYTES: Final = 1 << 20
"""More is written by the disk's thread: copying it to the page cache would keep the loop from its clients."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one write makes durable: records in pieces, which of them go into the index, the last version, how many bytes all are.

    ``into``: the segment it begins, None: it goes on in the last one.
    """

    pieces: Sequence[bytes]
    places: Sequence[tuple[Version, int]]
    last: Version
    size_bytes: int
    into: SegmentHeader | None = None


class DamagedRecord(OSError):
    """A record that was good when it was written or last read is not any more."""


def next_header(before: SegmentHeader) -> SegmentHeader:
    """Of the segment after; its base is known when it is created."""
    return SegmentHeader(before.ordinal + 1, new_marker(before.marker), 0, begins=False)


class Segments:
    def __init__(self, directory: str, segments: Sequence[Segment], left: Sequence[str] = ()) -> None:
        self.directory = directory
        self.all = tuple(segments)
        self._spares: list[str] = []
        for path in left:
            self._spare(path)

    @property
    def current(self) -> Segment:
        return self.all[-1]

    @property
    def oldest(self) -> Version:
        """Reading may start after this version."""
        return self.all[0].header.base

    def append(self, batch: Batch) -> None:
        """Durable when it returns. Raises OSError: with no space left (segment.is_full_disk) nothing has changed."""
        if batch.into is not None and self.current.header.ordinal != batch.into.ordinal:
            self._roll(batch.into)
        self.current.append(b"".join(batch.pieces))
        self._appended(batch)

    def begin_append(self, batch: Batch) -> tuple[int, bytes] | None:
        """The same in two steps that do not wait for the disk: a descriptor to sync, and what to give :meth:`end_append` then.

        None: :meth:`append` must do it all. It may be called also after this one has returned something.
        """
        if batch.into is not None or batch.size_bytes > _WRITTEN_AT_ONCE_BYTES:
            return None
        data = b"".join(batch.pieces)
        descriptor = self.current.begin_append(data)
        return None if descriptor is None else (descriptor, data)

    def end_append(self, batch: Batch, data: bytes) -> None:
        self.current.end_append(data)
        self._appended(batch)

    def _appended(self, batch: Batch) -> None:
        segment = self.current
        for version, offset in batch.places:
            segment.index.add(version, offset)
        segment.last = batch.last

    def _roll(self, header: SegmentHeader) -> None:
        full = self.current
        self.all = (*self.all, Segment.create(self.directory, header._replace(base=full.last), self._take_spare()))
        try:
            full.seal()
        except OSError as error:
            if not is_full_disk(error):  # a seal saves time at the next start and nothing else
                raise

    def recycle(self, count: int) -> None:
        """Let go of the first ``count`` sealed segments."""
        gone, self.all = self.all[:count], self.all[count:]
        for segment in gone:
            segment.close()
            self._spare(segment.path)
        if gone:
            fsync_directory(self.directory)

    def begin_anew(self, base: Version) -> None:
        """A log that begins after ``base``; everything before is let go of."""
        before = self.all
        ordinal = before[-1].header.ordinal + 1 if before else 0
        marker = new_marker(before[-1].header.marker if before else 0)
        fresh = Segment.create(self.directory, SegmentHeader(ordinal, marker, base, begins=True))
        self.all = (fresh,)
        for segment in before:
            segment.close()
            self._spare(segment.path)
        fsync_directory(self.directory)

    def _spare(self, path: str) -> None:
        """Keep the file for a new segment, or delete it when there are enough. Never in the way of more important work."""
        with contextlib.suppress(OSError):
            if len(self._spares) >= MAX_SPARES or not path.endswith(".log"):
                unlink_if_there(path)
                return
            spare = os.path.join(self.directory, SPARE + os.path.basename(path).removeprefix(SPARE))
            os.rename(path, spare)
            self._spares.append(spare)

    def _take_spare(self) -> str | None:
        return self._spares.pop() if self._spares else None

    def disk_bytes(self) -> int:
        return sum(segment.disk_bytes() for segment in self.all)

    def data_bytes(self) -> int:
        return sum(segment.end for segment in self.all)

    # Reading, in a thread of its own.

    def read_after(self, start_after: Version, through: Version, limit: int, max_bytes: int) -> list[Record]:
        """Records after ``start_after`` through ``through``, at least one if there is one.

        Raises VersionTooOld when they have been recycled meanwhile, DamagedRecord when one is not good any more, OSError.
        """
        if start_after < self.oldest:
            raise VersionTooOld(self.oldest)
        try:
            return self._collect(self.all, start_after, through, limit, max_bytes)
        except OSError:
            if self.oldest > start_after:  # recycled under the reader: its file is closed, or another's by now
                raise VersionTooOld(self.oldest) from None
            raise

    def _collect(self, segments: Sequence[Segment], start_after: Version, through: Version, limit: int, max_bytes: int) -> list[Record]:
        found: list[Record] = []
        size = 0
        first = max(0, bisect_right([segment.header.base for segment in segments], start_after) - 1)
        for segment in segments[first:]:
            for record in self._read_segment(segment, start_after, through):
                size += HEADER_BYTES + len(record.transaction)
                if found and (size > max_bytes or len(found) >= limit):
                    return found
                found.append(record)
        return found

    def find(self, version: Version) -> tuple[Version, bytes] | None:
        """The version before it, and the transaction at ``version``; None when the log has none there. Raises as read_after."""
        found = self.read_after(version - 1, version, 1, 1)
        return (found[0].previous, found[0].transaction) if found else None

    def _read_segment(self, segment: Segment, start_after: Version, through: Version) -> Iterator[Record]:
        if segment.last <= max(start_after, segment.header.base) or segment.header.base >= through:
            return
        wanted, last = min(through, segment.last), start_after
        place = max(0, bisect_right(segment.index.versions, start_after + 1) - 1)
        offset = segment.index.offsets[place]
        for record in read_records(segment.read, offset, segment.header.marker, segment.end, _READ_BYTES):
            offset = record.end
            if record.version > through:
                return
            if record.version > start_after:
                last = record.version
                yield record
        if last < wanted:
            raise DamagedRecord(errno.EIO, "no good record", f"{segment.path}:{offset}")
