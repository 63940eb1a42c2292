"""What a log finds on its disk when it starts: every segment read and checked, the torn tail of the last one cut.

The last segment may end with a write that a crash interrupted: it is cut at its first bad record. That is only so where the bad record
can be an unfinished write. A bad record with a good one behind it that was written later had been acknowledged; that, and anything bad
in an earlier segment, is :class:`DamagedLog`, naming file and offset, and nothing is changed.

Owns the order of the checks. Writes only the cut.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import google_crc32c

from foreman.core.mutations import Version
from foreman.workers.log.records import find_remains, read_records
from foreman.workers.log.segment import PREFIX, SPARE, SUFFIX, Segment
from foreman.workers.log.segment_form import DATA_START, Seal, SparseIndex, UnknownFormat, decode_header

_CHUNK_BYTES = 256 << 10
"""Small enough to be still in the processor's cache when its crc is taken."""

Progress = Callable[[int, int], None]
"""Called now and then with the bytes read and the bytes there are."""


class DamagedLog(Exception):
    """Acknowledged transactions are damaged or missing. ``path`` and ``offset`` say where."""

    def __init__(self, path: str, offset: int, what: str) -> None:
        super().__init__(path, offset, what)
        self.path, self.offset, self.what = path, offset, what

    def __str__(self) -> str:
        return f"damaged log: {self.path} at offset {self.offset}: {self.what}; recover this log from another one"


@dataclass(slots=True)
class Found:
    """``segments`` in order, the last one open for writing; none in a fresh directory. ``left``: files that no log needs."""

    segments: list[Segment] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    cut_bytes: int = 0


def cold_start(directory: str, progress: Progress) -> Found:
    """Read and check everything. Raises DamagedLog or OSError."""
    found = Found()
    names = sorted(os.listdir(directory))
    found.left = [os.path.join(directory, name) for name in names if name.startswith(SPARE) or name.endswith((".new", ".tmp"))]
    paths = [os.path.join(directory, name) for name in names if name.startswith(PREFIX) and name.endswith(SUFFIX)]
    segments = [_open(path) for path in paths]
    starts = [number for number, segment in enumerate(segments) if segment.header.begins]
    for old in segments[: starts[-1]] if starts else []:
        old.close()
        found.left.append(old.path)
    found.segments = segments[starts[-1] :] if starts else segments
    _check_order(found.segments)
    total, read = sum(segment.size() for segment in found.segments), 0
    for number, segment in enumerate(found.segments, 1):
        if number == len(found.segments):
            found.cut_bytes = _check_last(segment)
        else:
            if number + 1 < len(found.segments):
                found.segments[number].read_ahead()
            _check_sealed(segment, found.segments[number].header.base)
        read += segment.size()
        progress(read, total)
    return found


def _open(path: str) -> Segment:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        header = decode_header(os.pread(descriptor, DATA_START, 0))
    except UnknownFormat as error:
        os.close(descriptor)
        raise DamagedLog(path, 0, str(error)) from None
    if header is None:
        os.close(descriptor)
        raise DamagedLog(path, 0, "the segment's header is not whole")
    return Segment(path, descriptor, header)


def _check_order(segments: list[Segment]) -> None:
    if segments and not segments[0].header.begins and segments[0].header.ordinal == 0:
        raise DamagedLog(segments[0].path, 0, "the first segment does not say that the log begins in it")
    for before, after in pairwise(segments):
        if after.header.ordinal != before.header.ordinal + 1:
            raise DamagedLog(after.path, 0, f"segment {before.header.ordinal + 1} before it is missing")


def _check_sealed(segment: Segment, next_base: Version) -> None:
    """A segment with others behind it: all of it was acknowledged."""
    seal = segment.read_seal()
    if seal is None or seal.last != next_base or _data_crc(segment, seal) != seal.data_crc:
        seal = _read_all(segment, next_base)
    segment.end, segment.last, segment.index, segment.data_crc = seal.data_end, seal.last, seal.places, seal.data_crc
    segment.sealed = True


def _data_crc(segment: Segment, seal: Seal) -> int:
    crc, offset = 0, DATA_START
    while offset < seal.data_end:
        data = segment.read(offset, min(_CHUNK_BYTES, seal.data_end - offset))
        if not data:
            break
        crc = google_crc32c.extend(crc, data)
        offset += len(data)
    return crc


def _read_all(segment: Segment, next_base: Version) -> Seal:
    """Without a seal that fits: record by record, up to the version that the next segment starts after."""
    _scan(segment, stop_at=next_base)
    if segment.last != next_base:
        raise DamagedLog(segment.path, segment.end, f"no good record after version {segment.last}, and {next_base} was acknowledged")
    return Seal(segment.index, segment.data_crc, segment.end, segment.last)


def _check_last(segment: Segment) -> int:
    """Cut the torn tail; how many bytes of it there were."""
    segment.forget_cached()
    segment.read_ahead()
    _scan(segment)
    size = segment.size()
    torn, later = find_remains(segment.read, segment.end, segment.header.marker)
    if later is not None:
        what = f"no good record after version {segment.last}, but version {later.version} was written after it was acknowledged"
        raise DamagedLog(segment.path, segment.end, what)
    if torn:
        segment.cut()
    return size - segment.end if torn else 0


def _scan(segment: Segment, stop_at: Version | None = None) -> None:
    """Bring the segment's end, last version, index and crc to what good records say."""
    segment.end, segment.last, segment.data_crc, segment.index = DATA_START, segment.header.base, 0, SparseIndex()
    for record in read_records(segment.read, DATA_START, segment.header.marker):
        if record.previous != segment.last or record.version <= record.previous:
            break
        segment.index.add(record.version, record.offset)
        segment.end, segment.last = record.end, record.version
        if record.version == stop_at:
            break
    segment.data_crc = _data_crc(segment, Seal(segment.index, 0, segment.end, segment.last))
