"""One peer: bytes in, commands run in order, answers out in the same order.

Owns the parser, the places of answers that come later (:class:`Pending`), and the peer's share of every limit: a peer that asks faster
than it reads, or sends what is no command, slows down or loses its own connection and nobody else's. Never knows what a command means.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

import hiredis

from foreman.core.data_errors import TooLarge
from foreman.workers.wire import replies
from foreman.workers.wire.framing import SEAM_BYTES, suspicious, walk
from foreman.workers.wire.pending import Pending

if TYPE_CHECKING:
    from foreman.workers.wire.server import RespServer

_NEED_MORE: Final = object()
_AT_ONCE_BYTES: Final = 65536
"""A larger answer is written by itself, so that the transport's high-water mark is seen before the next command runs."""


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
        self._inside = self._mixed = False
        """Whether what has been parsed ends inside a command; whether there is one that ended inside ``_partial``."""
        self.slots: deque[Pending] = deque()
        """The places of answers that are still to come, and of those that wait behind them."""
        self.held_bytes = 0
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
        slots = list(self.slots)
        self.slots.clear()
        for slot in slots:
            if slot.reply is None and slot.on_abandoned is not None:
                slot.on_abandoned()
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._partial or suspicious(data):
            problem = self._find_problem(data)
            if problem is not None:
                self.refuse(f"ERR {problem}")
                return
        self._reader.feed(data)
        if self._run():
            if self._inside:
                self._remember_partial(data)
                self._check_partial()
            elif self._partial:
                self._forget_partial()
        elif not self._refused:
            self._remember_partial(data)
            self._pause_reading()

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

    def _run(self) -> bool:
        """Run what has come. Whether nothing whole is left of it; else the peer has enough waiting, or is refused.

        hiredis does not tell how far it has read, and limits need to know where an unfinished command began. But a command has just
        ended when nothing is unread after it, and what is unread and no whole command is the beginning of one.
        """
        reader, slots, dispatch = self._reader, self.slots, self._server.dispatch
        has_data, gets, pipeline = reader.has_data, reader.gets, self._limits.pipeline
        out: list[bytes] = []
        full = self._is_full()
        try:
            while not full and has_data():
                frame = gets()
                if frame is _NEED_MORE:
                    self._inside = True
                    break
                self._inside, self._mixed = False, True
                reply = dispatch(self, frame)
                if isinstance(reply, Pending):
                    slots.append(reply)
                    full = len(slots) >= pipeline
                    if reply.reply is not None:  # answered before it had its place
                        self._server.schedule(self)
                elif not reply:  # QUIT, or no command at all
                    full = self._refused
                elif slots:
                    slots.append(Pending(self, reply))
                    self.held_bytes += len(reply)
                    full = self._is_full()
                else:
                    out.append(reply)
                    if len(reply) >= _AT_ONCE_BYTES:
                        self._write(out)
                        full = self._is_full()
        except hiredis.ProtocolError as error:
            self._write(out)
            self.refuse(f"ERR {error}")
            return False
        if out:
            self._write(out)
        return not full

    def _is_full(self) -> bool:
        """Whether the peer has enough waiting, or is to be heard no more."""
        limits = self._limits
        return self._refused or self._writing_paused or self.held_bytes >= limits.reply_held_bytes or len(self.slots) >= limits.pipeline

    def _run_on(self) -> None:
        """There may be room again for what had to wait."""
        if not self._run():
            return
        if self._inside:
            self._check_partial()
        else:
            self._forget_partial()
        if self._transport is not None and not self._refused:
            self._reading_paused = False
            self._transport.resume_reading()

    def _check_partial(self) -> None:
        """Whether the command that is not all there yet may grow on."""
        if self._partial_bytes <= _AT_ONCE_BYTES:
            return
        if self._mixed:
            data = b"".join(self._partial)
            rest = data[walk(data, self._limits.elements, self._limits.frame_bytes)[0] :]
            self._forget_partial()
            self._remember_partial(rest)
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
        self._partial, self._partial_bytes, self._mixed = [], 0, False

    def _pause_reading(self) -> None:
        if not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    # Answers out.

    def resolved(self, slot: Pending, size_bytes: int) -> None:
        self.held_bytes += size_bytes
        if self.slots and self.slots[0] is slot:
            self._server.schedule(self)

    def schedule_once(self) -> bool:
        """Whether it was not on the server's list of connections to flush yet."""
        fresh, self._dirty = not self._dirty, True
        return fresh

    def flush(self) -> None:
        """Send every answer whose turn has come, then go on with commands that had to wait."""
        self._dirty = False
        slots, out = self.slots, []
        while slots and (reply := slots[0].reply) is not None:
            slots.popleft()
            self.held_bytes -= len(reply)
            out.append(reply)
        self._write(out)
        if self._last_words and not slots:
            self.finish()
        elif self._reading_paused:
            self._run_on()

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
        self.slots.append(Pending(self, reply))
        self.held_bytes += len(reply)
        self._server.schedule(self)
        self._cut_after(self._limits.linger_s)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
