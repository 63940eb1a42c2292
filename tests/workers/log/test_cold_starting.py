"""What a log finds after a crash or damage: all that was acknowledged, or an error that says where. Never less in silence."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from foreman.core.mutations import Version
from foreman.workers.log.cold_starting import DamagedLog, cold_start
from foreman.workers.log.records import encode_record
from foreman.workers.log.segment_form import DATA_START
from foreman.workers.log.segments import Batch, Segments, next_header

Batches = Sequence[Sequence[tuple[Version, bytes]]]


def write(directory: Path, batches: Batches, *, turn_over_after: Sequence[int] = ()) -> Segments:
    """Each batch is one write, as group commit makes them."""
    directory.mkdir(exist_ok=True)
    segments = Segments(str(directory), [])
    segments.begin_anew(0)
    for number, batch in enumerate(batches):
        into = next_header(segments.current.header) if number in turn_over_after else None
        header = into or segments.current.header
        start = DATA_START if into else segments.current.end
        previous, offset = segments.current.last, start
        pieces: list[bytes] = []
        places: list[tuple[Version, int]] = []
        for version, transaction in batch:
            places.append((version, offset))
            record = encode_record(header.marker, start, version, previous, transaction)
            pieces += record
            offset, previous = offset + sum(map(len, record)), version
        segments.append(Batch(pieces, places, previous, offset - start, into))
    return segments


def close(segments: Segments) -> None:
    for segment in segments.all:
        segment.close()


def read(directory: Path) -> list[tuple[Version, bytes]]:
    found = cold_start(str(directory), lambda read, total: None)
    segments = Segments(str(directory), found.segments, found.left)
    try:
        return [(record.version, record.transaction) for record in segments.read_after(0, 2**63, 10**6, 2**30)]
    finally:
        close(segments)


def read_or_refusal(directory: Path) -> tuple[DamagedLog | None, list[tuple[Version, bytes]]]:
    try:
        return None, read(directory)
    except DamagedLog as refused:
        return refused, []


BATCHES: Batches = [[(3, b"a" * 10), (4, b"")], [(9, b"b" * 300)], [(10, b"c" * 50), (11, b"d"), (12, b"e" * 70)]]
ALL = [pair for batch in BATCHES for pair in batch]


def last_end(segments: Segments) -> int:
    return segments.current.end


def test_everything_is_there_and_nothing_changes_when_all_is_well(tmp_path: Path) -> None:
    close(write(tmp_path / "log", BATCHES, turn_over_after=[1, 2]))
    for _ in range(3):
        assert read(tmp_path / "log") == ALL


def test_truncated_at_any_byte_only_whole_records_are_there(tmp_path: Path) -> None:
    segments = write(tmp_path / "log", BATCHES, turn_over_after=[1])
    end, path = segments.current.end, segments.current.path
    close(segments)
    seen = set()
    for size in range(DATA_START, end + 1):
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "log", copy)
        os.truncate(copy / os.path.basename(path), size)
        found = read(copy)
        assert found == ALL[: len(found)]
        assert len(found) >= 2
        assert os.stat(copy / os.path.basename(path)).st_size <= size
        assert read(copy) == found
        seen.add(len(found))
        shutil.rmtree(copy)
    assert seen == {2, 3, 4, 5, 6}


def test_any_bit_flipped_anywhere_loses_nothing_in_silence(tmp_path: Path) -> None:
    segments = write(tmp_path / "log", BATCHES, turn_over_after=[1])
    first, last, end = segments.all[0], segments.current, segments.current.end
    acknowledged_before_last_write = 3
    sizes = {first.path: os.stat(first.path).st_size, last.path: end}
    close(segments)
    for path, size in sizes.items():
        for offset in [*range(48), *range(DATA_START, size)]:
            damaged = bytearray(Path(path).read_bytes())
            damaged[offset] ^= 1 << (offset % 8)
            copy = tmp_path / "copy"
            shutil.copytree(tmp_path / "log", copy)
            (copy / os.path.basename(path)).write_bytes(damaged)
            refused, found = read_or_refusal(copy)
            if refused is not None:
                assert os.path.basename(refused.path) == os.path.basename(path)
                assert refused.offset == 0 or abs(refused.offset - offset) < 400
            else:
                assert found == ALL[: len(found)]
                assert len(found) >= acknowledged_before_last_write
                assert path == last.path or found == ALL
            shutil.rmtree(copy)


def test_damage_before_a_later_write_is_told_by_file_and_offset(tmp_path: Path) -> None:
    segments = write(tmp_path / "log", BATCHES)
    path = segments.current.path
    close(segments)
    with open(path, "r+b") as file:
        file.seek(DATA_START + 35)
        file.write(b"X")
    with pytest.raises(DamagedLog, match=f"{path} at offset {DATA_START}"):
        read(tmp_path / "log")


def test_a_torn_write_is_cut_so_that_nothing_of_it_comes_back(tmp_path: Path) -> None:
    segments = write(tmp_path / "log", BATCHES)
    path, start = segments.current.path, segments.current.end - (50 + 1 + 70 + 3 * 32)
    close(segments)
    with open(path, "r+b") as file:  # the first record of the last write never reached the disk, the others did
        file.seek(start)
        file.write(bytes(82))
    assert read(tmp_path / "log") == ALL[:3]
    assert os.stat(path).st_size == start


def test_a_missing_segment_is_told(tmp_path: Path) -> None:
    segments = write(tmp_path / "log", BATCHES, turn_over_after=[1, 2])
    close(segments)
    os.unlink(segments.all[1].path)
    with pytest.raises(DamagedLog, match="is missing"):
        read(tmp_path / "log")


def test_a_recycled_file_shows_nothing_of_its_former_use(tmp_path: Path) -> None:
    segments = write(tmp_path / "log", BATCHES, turn_over_after=[1, 2])
    segments.recycle(2)
    header = next_header(segments.current.header)
    pieces = encode_record(header.marker, DATA_START, 20, 12, b"new")
    segments.append(Batch(pieces, [(20, DATA_START)], 20, sum(map(len, pieces)), header))
    close(segments)
    found = cold_start(str(tmp_path / "log"), lambda read, total: None)
    segments = Segments(str(tmp_path / "log"), found.segments, found.left)
    assert [record.version for record in segments.read_after(9, 100, 100, 10**6)] == [10, 11, 12, 20]
    close(segments)


def test_beginning_anew_leaves_the_old_behind_even_when_interrupted(tmp_path: Path) -> None:
    segments = write(tmp_path / "log", BATCHES, turn_over_after=[1, 2])
    close(segments)
    shutil.copytree(tmp_path / "log", tmp_path / "before")
    segments = Segments(str(tmp_path / "log"), cold_start(str(tmp_path / "log"), lambda read, total: None).segments)
    segments.begin_anew(100)
    close(segments)
    for path in (tmp_path / "before").iterdir():  # as if the crash came before the old files were removed
        shutil.copy(path, tmp_path / "log" / path.name)
    found = cold_start(str(tmp_path / "log"), lambda read, total: None)
    assert [(segment.header.base, segment.last) for segment in found.segments] == [(100, 100)]
    close(Segments(str(tmp_path / "log"), found.segments, found.left))


def test_an_empty_log_takes_little_disk(tmp_path: Path) -> None:
    close(write(tmp_path / "log", []))
    assert sum(path.stat().st_blocks * 512 for path in (tmp_path / "log").iterdir()) <= 1 << 20
