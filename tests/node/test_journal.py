"""The journal: what was promised is found again; what cannot be read is told and kept."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.core.batches import CreateBatch, JournalRecord, RemovalTarget, RemoveBatch
from foreman.core.errors import DiskFault, InvalidWorkerId
from foreman.core.ids import BatchId, WorkerId
from foreman.node.data_directory import open_data_directory
from foreman.node.journal import clear_record, encode_record, parse_record, read_journal, write_record
from foreman.node.layout import Layout

CREATE: Final = CreateBatch(BatchId("b1"), (WorkerId("a"), WorkerId("b")))
REMOVE: Final = RemoveBatch(BatchId("b2"), (RemovalTarget(WorkerId("a"), 1.5), RemovalTarget(WorkerId("b"), None)))
_ids = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,62}\Z")
_targets = st.builds(RemovalTarget, _ids.map(WorkerId), st.none() | st.floats(0, 1e12))
_records = st.builds(CreateBatch, _ids.map(BatchId), st.lists(_ids.map(WorkerId), max_size=5).map(tuple)) | st.builds(
    RemoveBatch, _ids.map(BatchId), st.lists(_targets, max_size=5).map(tuple)
)


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    with open_data_directory(tmp_path / "data", "demo") as data:
        yield data.layout


def test_what_is_written_is_found_until_it_is_cleared(layout: Layout) -> None:
    for record in (REMOVE, CREATE, CREATE):
        write_record(layout, record)
    assert read_journal(layout) == ([CREATE, REMOVE], [])
    for _ in range(2):
        clear_record(layout, CREATE.batch)
    assert read_journal(layout) == ([REMOVE], [])
    assert os.listdir(layout.staging) == []


@given(_records)
def test_parse_undoes_encode(record: JournalRecord) -> None:
    assert parse_record(encode_record(record)) == record


@pytest.mark.parametrize("record", [CREATE, REMOVE])
def test_a_damaged_record_is_never_another_record(record: JournalRecord) -> None:
    written = encode_record(record)
    for size in range(len(written) - 1):
        assert isinstance(parse_record(written[:size]), str)
    for place in range(len(written)):
        assert parse_record(written[:place] + b"\xff" + written[place + 1 :]) == f"it is not UTF-8 text (byte {place})"


@pytest.mark.parametrize(
    "text",
    [
        b'{"format":2,"batch":"b1","create":["a"]}',
        b'{"format":true,"batch":"b1","create":["a"]}',
        b'{"format":1,"batch":"../b1","create":["a"]}',
        b'{"format":1,"batch":"b1","create":["../a"]}',
        b'{"format":1,"batch":"b1","create":"abc"}',
        b'{"format":1,"batch":"b1","remove":["a"]}',
        b'{"format":1,"batch":"b1","remove":[["a","now"]]}',
        b'{"format":1,"batch":"b1","remove":[["a",1,2]]}',
        b'{"format":1,"batch":"b1","create":["a"],"more":1}',
        b'{"format":1,"batch":"b1"}',
        b"[]",
    ],
)
def test_what_is_not_a_record_is_told_and_kept(layout: Layout, text: bytes) -> None:
    (layout.journal / "b1.json").write_bytes(text)
    records, unreadable = read_journal(layout)
    assert records == []
    assert [each.path for each in unreadable] == [str(layout.journal / "b1.json")]
    assert (layout.journal / "b1.json").read_bytes() == text


def test_a_record_under_another_name_or_that_is_no_file_is_told(layout: Layout) -> None:
    (layout.journal / "b9.json").write_bytes(encode_record(CREATE))
    (layout.journal / "b8.json").mkdir()
    os.mkfifo(layout.journal / "b7.json")
    records, unreadable = read_journal(layout)
    assert records == []
    assert len(unreadable) == 3


def test_a_batch_name_never_leaves_the_journal(layout: Layout) -> None:
    with pytest.raises(InvalidWorkerId):
        write_record(layout, CreateBatch(BatchId("../node"), ()))
    with pytest.raises(InvalidWorkerId):
        clear_record(layout, BatchId("../node"))


def test_a_record_that_could_not_be_written_is_not_found_later(layout: Layout) -> None:
    layout.staging.rmdir()
    with pytest.raises(DiskFault):
        write_record(layout, CREATE)
    assert read_journal(layout) == ([], [])
