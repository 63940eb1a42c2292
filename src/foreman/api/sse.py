"""Server-sent events (WHATWG HTML, "Server-sent events"): written for one side, parsed for the other. Pure.

An event's id is ``{life}-{sequence}``: sequences begin anew with each life of a server, so a client that comes back to another
life than it left is told everything that is kept, instead of silently missing it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from foreman.api.wire import encode, event_name
from foreman.core.views import NodeEvent

HEARTBEAT = b": still here\n\n"


def format_event(event: NodeEvent, life: str) -> bytes:
    """The event as one message. ``life``: the name of this application's life."""
    return b"event: %b\nid: %b-%d\ndata: %b\n\n" % (event_name(event).encode(), life.encode(), event.sequence, encode(event))


def after_of(last_event_id: str, life: str) -> int | None:
    """The number after which a client wants to go on. A plain number is one of ours; another life's means from the beginning.

    None when it is no event id at all.
    """
    told_life, dash, number = last_event_id.rpartition("-")
    if not (number.isascii() and number.isdigit() and len(number) <= 16):
        return None
    return int(number) if told_life in {life, ""} and (told_life or not dash) else 0


@dataclass(slots=True)
class Message:
    """One message of a stream, as it came."""

    event: str
    id: str
    data: bytes


@dataclass(slots=True)
class Parser:
    """Bytes in, whole messages out. ``last_id``: of the last whole message, and what to send as Last-Event-ID."""

    last_id: str = ""
    _id: str | None = None
    _buffer: bytes = b""
    _event: str = ""
    _data: list[bytes] = field(default_factory=list)

    def feed(self, chunk: bytes) -> Iterator[Message]:
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            message = self._line(line.removesuffix(b"\r"))
            if message is not None:
                yield message

    def _line(self, line: bytes) -> Message | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"event":
                self._event = value.decode("utf-8", "replace")
            case b"id":
                self._id = value.decode("utf-8", "replace")
            case b"data":
                self._data.append(value)
            case _:  # a comment (an empty name), or a field we have no use for
                pass
        return None

    def _dispatch(self) -> Message | None:
        event, data = self._event, self._data
        self._event, self._data = "", []
        if self._id is not None:
            self.last_id = self._id
        return Message(event or "message", self.last_id, b"\n".join(data)) if data else None
