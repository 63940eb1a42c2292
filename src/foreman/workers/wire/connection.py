"""One peer: bytes in, commands run in order, answers out in the same order.

Owns the parser, the places of answers that come later (:class:`Pending`), and the peer's share of every limit: a peer that asks faster
than it reads, or sends what is no command, slows down or loses its own connection and nobody else's. Never knows what a command means.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import hiredis

from foreman.core.data_errors import TooLarge
from foreman.workers.wire import replies
from foreman.workers.wire.framing import SEAM_BYTES, suspicious, walk

if TYPE_CHECKING:
    from foreman.workers.wire.server import RespServer

_NEED_MORE: Final = object()
_AT_ONCE_BYTES: Final = 65536
"""A larger answer is written by itself, so that the transport's high-water mark is seen before the next command runs."""


class Pending:
    """The place of an answer that comes later. ``on_abandoned`` is called when the peer has gone before."""

    __slots__ = ("_connection", "on_abandoned", "reply")

    def __init__(self, connection: "RespConnection", reply: bytes | None = None) -> None:
        self._connection = connection
        self.reply = reply
        self.on_abandoned: Callable[[], None] | None = None

    @property
    def connection(self) -> "RespConnection":
        return self._connection

    def resolve(self, reply: bytes) -> None:
        """Answer. On the loop only; a second answer, or one to a peer that has gone, is dropped."""
        if self.reply is None:
            self.reply = reply
            self.on_abandoned = None
            self._connection.resolved(self, len(reply))


class RespConnection(asyncio.Protocol):
    """``protocol`` is 2 or 3 (HELLO); ``name`` what the client calls itself; ``state`` is the worker's own."""

    def __init__(self, server: "RespServer", number: int, *, authenticated: bool) -> None:
        self._server, self._limits = server, server.limits
        self.number, self.authenticated = number, authenticated
        self.protocol, self.name = 2, b""
        self.state: Any = None
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_NEED_MORE)
        self._partial: list[bytes] = []
        """All that came since the last known end of a command."""
        self._partial_bytes = 0
        self._last_byte = b""
        self._frame_ended = self._mixed = False
        """Whether the last byte ended a command; whether there is one that ended inside ``_partial``."""
        self._slots: deque[Pending] = deque()
        self._held_bytes = 0
        self._dirty = self._writing_paused = self._reading_paused = self._refused = self._last_words = False
        self._cut: asyncio.TimerHandle | None = None

    def later(self) -> Pending:
        return Pending(self)

    @property
    def settings(self) -> dict[bytes, bytes]:
        return self._server.settings

    @property
    def command_count(self) -> int:
        return len(self._server.commands)

    @property
    def closed(self) -> bool:
        return self._transport is None

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are none by descent
        self._transport = transport
        transport.set_write_buffer_limits(high=self._limits.write_high_bytes)
        if not self._server.admit(self):
            self.refuse("ERR max number of clients reached")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._forget_partial()
        if self._cut is not None:
            self._cut.cancel()
        slots = list(self._slots)
        self._slots.clear()
        for slot in slots:
            if slot.reply is None and slot.on_abandoned is not None:
                slot.on_abandoned()
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        problem = self._find_problem(data)
        if problem is not None:
            self.refuse(f"ERR {problem}")
            return
        self._reader.feed(self._last_byte + data[:-1])
        self._last_byte = data[-1:]
        self._remember_partial(data)
        self._run()

    def pause_writing(self) -> None:
        self._writing_paused = True
        if not self._refused:
            self._cut_after(self._limits.slow_reader_s)

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._cut is not None and not self._refused:
            self._cut.cancel()
        self._server.schedule(self)

    # Commands in.

    def _find_problem(self, data: bytes) -> str | None:
        seam = self._partial[-1][-SEAM_BYTES:] + data[:SEAM_BYTES] if self._partial else b""
        if not suspicious(data) and not (seam and suspicious(seam)):
            return None
        return walk(b"".join([*self._partial, data]), self._limits.elements, self._limits.frame_bytes)[1]

    def _run(self) -> None:
        """Run what has come, until there is no more or the peer has enough waiting."""
        out: list[bytes] = []
        slots, limits, gets, dispatch = self._slots, self._limits, self._reader.gets, self._server.dispatch
        while len(slots) < limits.pipeline and self._held_bytes < limits.reply_held_bytes and not (self._writing_paused or self._refused):
            try:
                frame = gets()
            except hiredis.ProtocolError as error:
                self._write(out)
                self.refuse(f"ERR {error}")
                return
            if frame is _NEED_MORE:
                if self._feed_last_byte():
                    continue
                self._write(out)
                self._all_run()
                return
            self._frame_ended = self._mixed = True
            reply = dispatch(self, frame)
            if not isinstance(reply, bytes):
                slots.append(reply)
                if reply.reply is not None:  # answered before it had its place
                    self._server.schedule(self)
            elif slots:
                slots.append(Pending(self, reply))
                self._held_bytes += len(reply)
            else:
                out.append(reply)
                if len(reply) >= _AT_ONCE_BYTES:
                    self._write(out)
        self._write(out)
        self._pause_reading()

    def _feed_last_byte(self) -> bool:
        """The last byte of what has come is given to the parser by itself: a command that ends with it ends there and nowhere else.

        hiredis does not tell how far it has read, and limits need to know where an unfinished command began.
        """
        if not self._last_byte:
            return False
        self._reader.feed(self._last_byte)
        self._last_byte, self._frame_ended = b"", False
        return True

    def _all_run(self) -> None:
        """Nothing whole is left unread: keep count of the half command that may be, and read on."""
        if self._frame_ended:
            self._forget_partial()
            self._mixed = False
        elif self._partial_bytes > _AT_ONCE_BYTES:
            self._check_partial()
        if self._reading_paused and self._transport is not None and not self._refused:
            self._reading_paused = False
            self._transport.resume_reading()

    def _check_partial(self) -> None:
        if self._mixed:
            data = b"".join(self._partial)
            rest = data[walk(data, self._limits.elements, self._limits.frame_bytes)[0] :]
            self._forget_partial()
            self._remember_partial(rest)
            self._mixed = False
        limit = self._limits.frame_bytes if self.authenticated else self._limits.frame_bytes_before_auth
        if self._partial_bytes > limit:
            self.refuse(TooLarge("frame", self._partial_bytes, limit).wire())
        elif self._server.partial_bytes > self._limits.partial_total_bytes:
            self.refuse("ERR too many half-sent commands on this server; try again later")

    def _remember_partial(self, data: bytes) -> None:
        self._partial.append(data)
        self._partial_bytes += len(data)
        self._server.partial_bytes += len(data)

    def _forget_partial(self) -> None:
        self._server.partial_bytes -= self._partial_bytes
        self._partial, self._partial_bytes = [], 0

    def _pause_reading(self) -> None:
        if not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    # Answers out.

    def resolved(self, slot: Pending, size_bytes: int) -> None:
        self._held_bytes += size_bytes
        if self._slots and self._slots[0] is slot:
            self._server.schedule(self)

    def schedule_once(self) -> bool:
        """Whether it was not on the server's list of connections to flush yet."""
        fresh, self._dirty = not self._dirty, True
        return fresh

    def flush(self) -> None:
        """Send every answer whose turn has come, then go on with commands that had to wait."""
        self._dirty = False
        slots, out = self._slots, []
        while slots and (reply := slots[0].reply) is not None:
            slots.popleft()
            self._held_bytes -= len(reply)
            out.append(reply)
        self._write(out)
        if self._last_words and not slots:
            self.finish()
        elif self._reading_paused:
            self._run()

    def _write(self, out: list[bytes]) -> None:
        if out and self._transport is not None:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        out.clear()

    # The end.

    def refuse(self, line: str) -> None:
        """Say why (after what is answered before), hear no more, and go once the peer had a moment to read it."""
        self.finish_after(replies.error_line(line))

    def finish(self) -> None:
        """Close after what is written has gone out."""
        self._refused = True
        self._forget_partial()
        self._cut_after(self._limits.linger_s)
        if self._transport is not None:
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()

    def _cut_after(self, delay_s: float) -> None:
        if self._cut is not None:
            self._cut.cancel()
        self._cut = asyncio.get_running_loop().call_later(delay_s, self.abort)

    def finish_after(self, reply: bytes) -> None:
        """Answer last, after all that is still to be answered, then close."""
        self._refused = self._last_words = True
        self._forget_partial()
        self._slots.append(Pending(self, reply))
        self._held_bytes += len(reply)
        self._server.schedule(self)
        self._cut_after(self._limits.linger_s)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
