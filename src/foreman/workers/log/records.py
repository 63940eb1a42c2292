"""One transaction in a segment file: a header of 32 bytes, then the transaction. Pure.

    crc32c u32 · marker u32 · length u32 · durable u32 · version u64 · previous version u64 · transaction      (little-endian)

``crc32c`` covers all that follows it. ``marker`` is the segment's own random number: what an earlier use of a recycled file left
behind has another one and is no record here. ``durable`` is the offset up to which the segment was durable when the record was
written, because one write goes out at a time: a good record with ``durable`` beyond a bad one proves that the bad one had been
acknowledged, so it is damage and no torn write.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import google_crc32c

from foreman.core.mutations import MAX_TRANSACTION_BYTES, Version

_HEADER: Final = struct.Struct("<IIIIQQ")
_COVERED: Final = struct.Struct("<IIIQQ")
_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEADER.size
_CHUNK_BYTES: Final = 4 << 20

Read = Callable[[int, int], bytes]
"""``read(offset, size)``: the bytes there, fewer at the end of the file."""


class Record(NamedTuple):
    version: Version
    previous: Version
    durable: int
    transaction: bytes
    offset: int

    @property
    def end(self) -> int:
        return self.offset + HEADER_BYTES + len(self.transaction)


def encode_record(marker: int, durable: int, version: Version, previous: Version, transaction: bytes) -> tuple[bytes, bytes, bytes]:
    """The record in three pieces, to be written one after the other; the last is the transaction, which is not copied."""
    covered = _COVERED.pack(marker, len(transaction), durable, version, previous)
    return _CRC.pack(google_crc32c.extend(google_crc32c.value(covered), transaction)), covered, transaction


def decode_record(data: bytes, position: int, marker: int, offset: int) -> Record | int | None:
    """The record at ``position`` of ``data``, which lies at ``offset`` of its file.

    An integer: more data is needed, that many bytes from ``position`` on. None: there is no good record here.
    """
    available = len(data) - position
    if available < HEADER_BYTES:
        return HEADER_BYTES
    crc, found, length, durable, version, previous = _HEADER.unpack_from(data, position)
    if found != marker or length > MAX_TRANSACTION_BYTES:
        return None
    end = position + HEADER_BYTES + length
    if end > len(data):
        return HEADER_BYTES + int(length)
    if google_crc32c.value(data[position + 4 : end]) != crc:
        return None
    return Record(version, previous, durable, data[position + HEADER_BYTES : end], offset)


def read_records(read: Read, start: int, marker: int, end: int | None = None, chunk_bytes: int = _CHUNK_BYTES) -> Iterator[Record]:
    """Good records one after another from ``start`` until ``end``, or until there is none."""
    offset, size = start, chunk_bytes
    while end is None or offset < end:
        data = read(offset, size)
        position = 0
        while True:
            record = decode_record(data, position, marker, offset)
            if not isinstance(record, Record):
                break
            yield record
            position += HEADER_BYTES + len(record.transaction)
            offset = record.end
            if end is not None and offset >= end:
                return
        if record is None or len(data) < size:
            return
        size = max(chunk_bytes, record)


def find_remains(read: Read, start: int, marker: int) -> tuple[bool, Record | None]:
    """What stands in a file from ``start`` on, where no good record is: the remains of a torn write, or proof of damage.

    Whether the segment's marker stands anywhere, and a good record that was written when more than everything before ``start`` had
    been durable, if there is one.
    """
    mark = _CRC.pack(marker)
    offset, overlap, torn = start, len(mark) - 1, False
    while True:
        data = read(offset, _CHUNK_BYTES)
        found = data.find(mark)
        while found >= 0:
            torn = True
            place = offset + found - _CRC.size
            record = next(read_records(read, place, marker, place + 1, HEADER_BYTES), None) if place >= start else None
            if record is not None and start < record.durable <= place:
                return True, record
            found = data.find(mark, found + 1)
        if len(data) < _CHUNK_BYTES:
            return torn, None
        offset += len(data) - overlap
