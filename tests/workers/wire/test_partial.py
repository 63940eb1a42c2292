"""Where the commands of a stream end, however it is cut: every command is answered when its last byte has come, and what is kept of a
command that is not all there is counted, to the byte that began it."""

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from foreman.workers.wire import Command, Limits, RespConnection, RespServer, replies
from tests.workers.wire.framed import command


class Recorder(asyncio.Transport):
    """What a connection sends."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """None of it is ever held back."""


def echo(_: RespConnection, words: list[bytes]) -> bytes:
    return replies.bulk(words[-1])


WORDS = st.lists(st.binary(max_size=12) | st.integers(60_000, 70_000).map(bytes) | st.just(b"\r\n*3\r\n$1"), max_size=3)


@given(st.lists(WORDS, min_size=1, max_size=6), st.lists(st.integers(0, 10**6), max_size=8))
@settings(max_examples=150, deadline=None)
def test_each_command_is_answered_at_its_last_byte_and_what_is_unfinished_is_counted(commands: list[list[bytes]], cuts: list[int]) -> None:
    frames = [command(b"ECHO", *words) for words in commands]
    stream, ends = b"".join(frames), [sum(map(len, frames[: number + 1])) for number in range(len(frames))]
    server = RespServer({b"ECHO": Command(echo)}, limits=Limits(frame_bytes=1 << 20))
    connection, transport = server.protocol(), Recorder()
    connection.connection_made(transport)
    places = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    for before, after in pairwise(places):
        connection.data_received(stream[before:after])
        whole = sum(end <= after for end in ends)
        assert transport.sent == b"".join(replies.bulk([b"ECHO", *words][-1]) for words in commands[:whole])
        unfinished = after - max((end for end in ends if end <= after), default=0)
        if unfinished:
            assert server.partial_bytes >= unfinished
        else:
            assert server.partial_bytes == 0
    connection.connection_lost(None)
    assert server.partial_bytes == 0


def test_a_large_command_behind_many_small_ones_is_counted_from_where_it_began() -> None:
    server = RespServer({b"ECHO": Command(echo)}, limits=Limits(frame_bytes=300_000))
    connection, transport = server.protocol(), Recorder()
    connection.connection_made(transport)
    small, large = command(b"ECHO", b"x" * 50_000), command(b"ECHO", b"y" * 290_000)
    data = small * 4 + large
    for at in range(0, len(data), 100_000):
        connection.data_received(data[at : at + 100_000])
    assert transport.sent.endswith(b"y\r\n"), transport.sent[-100:]
    assert server.partial_bytes == 0
