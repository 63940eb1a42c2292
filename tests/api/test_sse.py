"""Server-sent events, parsed: whole messages whatever the chunks, and where a client goes on after a stream that broke."""

from foreman.api.sse import Message, Parser

STREAM = b'retry: 1000\n\n: still here\n\nevent: a\nid: x-1\ndata: 1\n\nevent: b\r\nid: x-2\r\ndata: {"n":\r\ndata: 2}\r\n\r\n'


def test_chunks_of_any_size_are_the_same_messages() -> None:
    for size in range(1, len(STREAM) + 1):
        parser = Parser()
        found = [message for at in range(0, len(STREAM), size) for message in parser.feed(STREAM[at : at + size])]
        assert found == [Message("a", "x-1", b"1"), Message("b", "x-2", b'{"n":\n2}')], size


def test_half_a_message_is_none_and_is_asked_for_again() -> None:
    """Its id may have come before the stream broke."""
    whole = STREAM.index(b"event: b")
    for end in range(whole, len(STREAM)):
        parser = Parser()
        messages = list(parser.feed(STREAM[:end]))
        assert (len(messages), parser.last_id) == (1, "x-1"), end
