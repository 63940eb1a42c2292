"""The link to the server: RUN/supervisor.sock, one server at a time.

Owns the listening socket, the connections and the news that wait. Only our own user (or root) gets in, by the kernel's word (SO_PEERCRED);
the newest connection that says hello in our version takes the place of the one before. What does not understand us, or is not understood,
loses its connection and nothing else.
"""

import os
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol

from foreman.supervisor.frames import MAX_REQUEST_BYTES, FrameError, FrameReader, encode_frame
from foreman.supervisor.loop import READ, WRITE, Loop
from foreman.supervisor.news import NewsBuffer
from foreman.supervisor.protocol import (
    PROTOCOL_VERSION,
    Ack,
    Hello,
    News,
    ProtocolError,
    Refusal,
    Refused,
    Request,
    Welcome,
    news_message,
    parse_request,
)
from foreman.supervisor.strict import to_plain

_REQUESTS_PER_TURN: Final = 8
_READ_BYTES: Final = 64 << 10
_PAUSE_READING_ABOVE: Final = 4 << 20
_MOST_CONNECTIONS: Final = 16
_BACKLOG: Final = 128
_CREDENTIALS: Final = struct.Struct("3i")

Answer = Callable[[dict[str, Any] | Refusal], None]
"""Give the reply to one request: the content of ``ok``, or why not. At any time, once."""


class Requests(Protocol):
    """Who does what is asked."""

    def do(self, request: Request, answer: Answer) -> None:
        """Raises Refused instead of answering."""


class Connection:
    """One peer. After :meth:`close` everything on it is silently nothing."""

    def __init__(self, link: "ServerLink", peer: socket.socket) -> None:
        self._link, self._peer = link, peer
        self._reader = FrameReader(MAX_REQUEST_BYTES)
        self._out = bytearray()
        self._interest = READ
        self._resumes = False
        self.open = True
        link.loop.watch(peer.fileno(), self._on_event)

    def send(self, message: dict[str, Any]) -> None:
        if self.open:
            self._out += encode_frame(message)
            self._flush()

    def close(self, why: Refusal | None = None) -> None:
        if not self.open:
            return
        if why is not None:
            self.send({"n": None, "error": to_plain(why)})
        self._let_go()

    def _let_go(self) -> None:
        if self.open:
            self.open = False
            self._link.loop.forget(self._peer.fileno())
            self._peer.close()
            self._link.on_closed(self)

    def _on_event(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if not self.open or not events & ~WRITE:
            return
        try:
            data = self._peer.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._reader.feed(data)
        self._serve()

    def _serve(self) -> None:
        """A few requests, then the others' turn; the rest of what was read comes after it."""
        if self._resumes:
            return
        try:
            for count, message in enumerate(self._reader.frames(), 1):
                self._link.on_message(self, message)
                if not self.open:
                    return
                if count == _REQUESTS_PER_TURN:
                    self._resumes = True
                    self._link.loop.after(0, self._resume)
                    break
        except FrameError as error:
            self.close(Refusal("invalid", str(error)))
            return
        self._adjust()

    def _resume(self) -> None:
        self._resumes = False
        if self.open:
            self._serve()

    def _flush(self) -> None:
        try:
            while self._out and (sent := self._peer.send(self._out[:_PAUSE_READING_ABOVE])):
                del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()
            self.close()
            return
        self._adjust()

    def _adjust(self) -> None:
        """Write when there is something to write; read unless the peer does not take its answers, or has requests to be done yet."""
        reads = len(self._out) <= _PAUSE_READING_ABOVE and not self._resumes
        interest = (READ if reads else 0) | (WRITE if self._out else 0)
        if self.open and interest != self._interest:
            self._interest = interest
            self._link.loop.change(self._peer.fileno(), interest)


class ServerLink:
    def __init__(self, loop: Loop, path: str, requests: Requests, welcome: Callable[[], Welcome]) -> None:
        self.loop, self._requests, self._welcome = loop, requests, welcome
        self.news = NewsBuffer()
        self._current: Connection | None = None
        self._connections: list[Connection] = []
        self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._listener.bind(path)
        os.chmod(path, 0o600)
        self._listener.listen(_BACKLOG)
        loop.watch(self._listener.fileno(), self._on_connect)
        self.on_attached: Callable[[bool], None] = lambda _attached: None
        """Called with whether there is a server now."""
        self.on_quiet: Callable[[], None] = lambda: None
        """Called when all news is acknowledged."""

    @property
    def attached(self) -> bool:
        return self._current is not None

    def publish(self, news: News) -> None:
        self.news.add(news)
        self._send_news()

    def _send_news(self) -> None:
        if self._current is not None:
            for seq, news in self.news.take():
                self._current.send(news_message(seq, news))

    def _on_connect(self, _events: int) -> None:
        try:
            peer, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            self._turn_away()
            return
        _, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in {0, os.geteuid()}:
            peer.close()
            return
        peer.setblocking(False)
        if len(self._connections) >= _MOST_CONNECTIONS:
            next(other for other in self._connections if other is not self._current).close()
        self._connections.append(Connection(self, peer))

    def _turn_away(self) -> None:
        """No descriptor left: the spare one takes the connection and closes it, else the listener would stay ready for ever."""
        os.close(self._spare)
        try:
            self._listener.accept()[0].close()
        except OSError:
            pass
        finally:
            self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def on_closed(self, connection: Connection) -> None:
        self._connections.remove(connection)
        if connection is self._current:
            self._current = None
            self.on_attached(False)

    def on_message(self, connection: Connection, message: dict[str, Any]) -> None:
        try:
            number, request = parse_request(message)
        except ProtocolError as error:
            # A request that can be answered is refused; the stream itself is in order.
            asked = message.get("n")
            connection.send({"n": asked if type(asked) is int else None, "error": to_plain(Refusal("invalid", str(error)))})
            return

        def answer(outcome: dict[str, Any] | Refusal) -> None:
            name = "error" if isinstance(outcome, Refusal) else "ok"
            connection.send({"n": number, name: to_plain(outcome) if isinstance(outcome, Refusal) else outcome})

        if isinstance(request, Hello):
            self._greet(connection, request, answer)
        elif connection is not self._current:
            connection.close(Refusal("invalid", "say hello first"))
        elif isinstance(request, Ack):
            self.news.acknowledge(request.seq)
            self._send_news()
            if self.news.empty:
                self.on_quiet()
        else:
            try:
                self._requests.do(request, answer)
            except Refused as error:
                answer(error.refusal)

    def _greet(self, connection: Connection, hello: Hello, answer: Answer) -> None:
        if hello.version != PROTOCOL_VERSION:
            connection.close(Refusal("version", f"this supervisor speaks version {PROTOCOL_VERSION}, not {hello.version}"))
            return
        answer(to_plain(self._welcome()))
        if connection is self._current or not connection.open:
            return
        before, self._current = self._current, connection
        if before is not None:
            before.close(Refusal("replaced", "another server has taken over"))
        for seq, news in self.news.unacknowledged():
            connection.send(news_message(seq, news))
        self._send_news()
        self.on_attached(True)
