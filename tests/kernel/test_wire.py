"""Messages cut from a stream, and dataclasses read from plain values: whole, bounded, strict."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.kernel.wire import FrameError, FrameReader, ProtocolError, encode_frame, from_plain


@dataclass(frozen=True)
class Inner:
    seconds: float = 1.0


@dataclass(frozen=True)
class Outer:
    name: str
    words: str | tuple[str, ...]
    count: int | None = None
    flag: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)


_outers = st.builds(
    Outer,
    st.text(),
    st.text() | st.lists(st.text()).map(tuple),
    st.none() | st.integers(),
    st.booleans(),
    st.dictionaries(st.text(), st.text()),
    st.builds(Inner, st.floats(allow_nan=False, allow_infinity=False)),
)


@given(records=st.lists(_outers, max_size=5), cut=st.integers(1, 40))
def test_what_is_sent_arrives_however_the_stream_is_cut(records: list[Outer], cut: int) -> None:
    stream = b"".join(encode_frame({"with": record}) for record in records)
    reader, arrived = FrameReader(1 << 20), list[Outer]()
    for start in range(0, len(stream), cut):
        reader.feed(stream[start : start + cut])
        arrived += [from_plain(Outer, message["with"]) for message in reader.frames()]
    assert arrived == records


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ([], "Outer must be an object"),
        ({"name": "a"}, "Outer.words is missing"),
        ({"name": "a", "words": "b", "other": 1}, "Outer has no field 'other'"),
        ({"name": 1, "words": "b"}, "Outer.name must be str"),
        ({"name": "a", "words": [1]}, "Outer.words must be"),
        ({"name": "a", "words": "b", "count": True}, "Outer.count must be"),
        ({"name": "a", "words": "b", "flag": 1}, "Outer.flag must be bool"),
        ({"name": "a", "words": "b", "env": {"a": 1}}, "Outer.env must be an object of strings"),
        ({"name": "a", "words": "b", "inner": {"seconds": "1"}}, "Outer.inner.seconds must be float"),
        ({"name": "a", "words": "b", "inner": {"seconds": True}}, "Outer.inner.seconds must be float"),
        ({"name": "a", "words": "b", "inner": {"seconds": float("nan")}}, "Outer.inner.seconds must be float"),
        ({"name": "a", "words": "b", "inner": {"seconds": 10**400}}, "Outer.inner.seconds must be float"),
    ],
)
def test_what_has_not_the_form_is_refused_by_the_name_of_its_field(raw: object, said: str) -> None:
    with pytest.raises(ProtocolError, match=said.replace(".", r"\.")):
        from_plain(Outer, raw)


@pytest.mark.parametrize("body", [b"[1]", b"abc", b"[" * 200_000, b"\xff", b""])
def test_a_frame_that_is_no_object_ends_the_stream(body: bytes) -> None:
    reader = FrameReader(1 << 20)
    reader.feed(len(body).to_bytes(4, "big") + body)
    with pytest.raises(FrameError):
        list(reader.frames())


def test_a_frame_that_is_too_large_is_refused_before_it_is_kept() -> None:
    reader = FrameReader(10)
    reader.feed(encode_frame({"a": "b" * 10}))
    with pytest.raises(FrameError, match="at most 10"):
        list(reader.frames())


def test_an_integer_is_taken_for_seconds() -> None:
    assert from_plain(Inner, json.loads('{"seconds": 2}')) == Inner(2.0)
