"""The first and the last bytes of a segment file. Pure.

A segment begins with a block of 4,096 bytes that is written, and durable, before the file gets its name:

    magic · format u32 · marker u32 · ordinal u64 · base version u64 · begins u32 · crc32c u32

``base`` is the last version before the segment. ``begins``: the log starts here, whatever segments there are before.

A segment that is full is sealed with a footer, so that a cold start reads it as one piece instead of record by record:

    [version u64, offset u64]… · magic · count u32 · data crc32c u32 · data end u64 · last version u64 · marker u32 · crc32c u32

The pairs are the sparse index. A seal saves time and nothing else: without a good one the records are read.
"""

import struct
from array import array
from typing import Final, NamedTuple

import google_crc32c

from foreman.core.mutations import Version

MAGIC: Final = b"FOREMLOG"
FORMAT: Final = 1
DATA_START: Final = 4096
_HEADER: Final = struct.Struct("<8sIIQQII")
_SEAL_MAGIC: Final = b"FOREMEND"
_SEAL: Final = struct.Struct("<8sIIQQII")
SEAL_BYTES: Final = _SEAL.size
INDEX_EVERY_BYTES: Final = 64 * 1024
_MAX_INDEX: Final = 1 << 20


class SegmentHeader(NamedTuple):
    ordinal: int
    marker: int
    base: Version
    begins: bool


class UnknownFormat(ValueError):
    """A segment of a format that this program does not know."""


def encode_header(header: SegmentHeader) -> bytes:
    """A whole block."""
    covered = _HEADER.pack(MAGIC, FORMAT, header.marker, header.ordinal, header.base, int(header.begins), 0)[:-4]
    return (covered + struct.pack("<I", google_crc32c.value(covered))).ljust(DATA_START, b"\0")


def decode_header(data: bytes) -> SegmentHeader | None:
    """None when it is no header, or a damaged one. Raises UnknownFormat."""
    if len(data) < _HEADER.size or data[:8] != MAGIC:
        return None
    _, form, marker, ordinal, base, begins, crc = _HEADER.unpack_from(data)
    if google_crc32c.value(data[: _HEADER.size - 4]) != crc:
        return None
    if form != FORMAT:
        raise UnknownFormat(f"segment format {form}; this program knows {FORMAT}")
    return SegmentHeader(ordinal, marker, base, bool(begins))


class SparseIndex:
    """Where to begin to look for a version: one entry for each 64 KiB of a segment."""

    def __init__(self) -> None:
        self.versions = array("Q")
        self.offsets = array("Q")

    def add(self, version: Version, offset: int) -> None:
        """A record starts at ``offset``. Kept when it is far enough from the last that was."""
        if not self.offsets or offset - self.offsets[-1] >= INDEX_EVERY_BYTES:
            self.versions.append(version)
            self.offsets.append(offset)

    def encode(self) -> bytes:
        pairs = array("Q", bytes(16 * len(self.versions)))
        pairs[0::2], pairs[1::2] = self.versions, self.offsets
        return pairs.tobytes()

    @classmethod
    def decode(cls, data: bytes) -> "SparseIndex":
        index, pairs = cls(), array("Q", data)
        index.versions, index.offsets = pairs[0::2], pairs[1::2]
        return index


class Seal(NamedTuple):
    places: SparseIndex
    data_crc: int
    data_end: int
    last: Version


def encode_seal(seal: Seal, marker: int) -> bytes:
    """The index and the seal itself."""
    index = seal.places.encode()
    fixed = _SEAL.pack(_SEAL_MAGIC, len(seal.places.versions), seal.data_crc, seal.data_end, seal.last, marker, 0)[:-4]
    return index + fixed + struct.pack("<I", google_crc32c.value(index + fixed))


def index_bytes(tail: bytes) -> int | None:
    """How many bytes of index stand before the seal that ends ``tail``; None when there is no seal."""
    if len(tail) < SEAL_BYTES or tail[-SEAL_BYTES:][:8] != _SEAL_MAGIC:
        return None
    count = _SEAL.unpack(tail[-SEAL_BYTES:])[1]
    return count * 16 if count <= _MAX_INDEX else None


def decode_seal(data: bytes, marker: int) -> Seal | None:
    """``data``: index and seal as written. None when they are damaged or those of another use of the file."""
    _, _, data_crc, data_end, last, found, crc = _SEAL.unpack(data[-SEAL_BYTES:])
    if found != marker or google_crc32c.value(data[:-4]) != crc:
        return None
    return Seal(SparseIndex.decode(data[:-SEAL_BYTES]), data_crc, data_end, last)
