"""The walk over frames agrees with how frames are made, whatever chunks they come in, and never believes a lie about sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreman.workers.wire.framing import suspicious, walk
from tests.workers.wire.framed import command

words = st.lists(st.binary(max_size=40) | st.just(b"\r\n*99999999\r\n"), max_size=6)


@given(st.lists(words, max_size=6), st.data())
def test_finds_where_the_last_whole_command_ends(commands: list[list[bytes]], data: st.DataObject) -> None:
    frames = [command(*parts) for parts in commands]
    stream = b"".join(frames)
    cut = data.draw(st.integers(0, len(stream)))
    ends = [0]
    for frame in frames:
        ends.append(ends[-1] + len(frame))
    assert walk(stream[:cut], 10, 100) == (max(end for end in ends if end <= cut), None)


@pytest.mark.parametrize(
    "hostile",
    [
        b"*1000000000\r\n",
        b"*99999999999999999999\r\n",
        b"*-5\r\n",
        b"*1\r\n*1000000000\r\n",
        b"*1\r\n$999999999\r\n",
        b"*1\r\n:5\r\n",
        b"PING\r\n",
        b"*" + b"1" * 100,
        b"%99999\r\n",
    ],
)
def test_refuses_what_is_no_command_or_too_big(hostile: bytes) -> None:
    assert walk(hostile, 10, 100)[1] is not None


def test_suspects_every_header_that_announces_much() -> None:
    assert suspicious(b"*12345\r\n")
    assert suspicious(b">12345\r\n")
    assert not suspicious(command(b"GET", b"12345678"))
    assert not suspicious(b"*9999\r\n")
