"""The link to the server: RUN/supervisor.sock, one server at a time.

Owns the listening socket, the connections and the news that wait. Only our own user (or root) gets in, by the kernel's word (SO_PEERCRED);
the newest connection that says hello in our version takes the place of the one before. What does not understand us, or is not understood,
loses its connection and nothing else.
"""

import os
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from foreman.kernel.loop import READ, WRITE, Loop
from foreman.kernel.wire import FrameError, FrameReader, ProtocolError, encode_frame
from foreman.supervisor.news import NewsBuffer
from foreman.supervisor.protocol import (
    MAX_REQUEST_BYTES,
    PROTOCOL_VERSION,
    Ack,
    Hello,
    News,
    Refusal,
    Refused,
    Request,
    Started,
    Welcome,
    news_message,
    parse_request,
)

_READ_BYTES: Final = 16 << 10
"""A turn: some twenty starts, then the others'."""
_MOST_CONNECTIONS: Final = 16
_BACKLOG: Final = 128
_NO_DESCRIPTOR_PAUSE_S: Final = 1.0
_CREDENTIALS: Final = struct.Struct("3i")

Answer = Callable[[Mapping[str, Any] | Welcome | Started | Refusal], None]
"""Give the reply to one request: the content of ``ok``, or why not. At any time, once."""


class Owner(Protocol):
    """Who does what is asked."""

    def welcome(self) -> Welcome: ...

    def do(self, request: Request, answer: Answer) -> None:
        """Raises Refused instead of answering."""

    def on_link(self) -> None:
        """A server has come or gone, or has acknowledged all news."""


class Connection:
    """One peer. It is read only while it takes its answers, and after :meth:`close` everything on it is silently nothing."""

    def __init__(self, link: "ServerLink", peer: socket.socket) -> None:
        self._link, self._peer = link, peer
        self._reader = FrameReader(MAX_REQUEST_BYTES)
        self._out = bytearray()
        self._interest = READ
        self.open = True
        link.loop.watch(peer.fileno(), self._on_event)

    def send(self, message: dict[str, Any]) -> None:
        """What cannot be sent at once is sent when the peer takes it."""
        if self.open:
            waits = bool(self._out)
            self._out += encode_frame(message)
            if not waits:
                self._flush()

    def close(self, why: Refusal | None = None) -> None:
        if why is not None:
            self.send({"n": None, "error": why})
        if self.open:
            self.open = False
            self._link.loop.forget(self._peer.fileno())
            self._peer.close()
            self._link.on_closed(self)

    def _on_event(self, _events: int) -> None:
        if self._out:
            self._flush()
        else:
            self._receive()
        try:
            while self._serves() and (message := next(self._reader.frames(), None)) is not None:
                self._link.on_message(self, message)
        except FrameError as error:
            self.close(Refusal("invalid", str(error)))

    def _serves(self) -> bool:
        return self.open and not self._out

    def _receive(self) -> None:
        try:
            data = self._peer.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._reader.feed(data)
        else:
            self.close()

    def _flush(self) -> None:
        try:
            del self._out[: self._peer.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        interest = WRITE if self._out else READ
        if interest != self._interest:
            self._interest = interest
            self._link.loop.change(self._peer.fileno(), interest)


class ServerLink:
    def __init__(self, loop: Loop, path: str, owner: Owner) -> None:
        self.loop, self._owner = loop, owner
        self.news = NewsBuffer()
        self._current: Connection | None = None
        self._connections: list[Connection] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._listener.bind(path)
        os.chmod(path, 0o600)
        self._listener.listen(_BACKLOG)
        loop.watch(self._listener.fileno(), self._on_connect)

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
        except OSError:  # no descriptor left: the listener would stay ready, and we awake, for as long as that is so
            listener = self._listener.fileno()
            self.loop.change(listener, 0)
            self.loop.after(_NO_DESCRIPTOR_PAUSE_S, lambda: self.loop.change(listener, READ))
            return
        _, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in {0, os.geteuid()}:
            peer.close()
            return
        peer.setblocking(False)
        if len(self._connections) >= _MOST_CONNECTIONS:
            next(other for other in self._connections if other is not self._current).close()
        self._connections.append(Connection(self, peer))

    def on_closed(self, connection: Connection) -> None:
        self._connections.remove(connection)
        if connection is self._current:
            self._current = None
            self._owner.on_link()

    def on_message(self, connection: Connection, message: dict[str, Any]) -> None:
        number = message.get("n")

        def answer(outcome: Mapping[str, Any] | Welcome | Started | Refusal) -> None:
            connection.send({"n": number, "error" if isinstance(outcome, Refusal) else "ok": outcome})

        try:
            number, request = parse_request(message)
            if isinstance(request, Hello):
                self._greet(connection, request, answer)
            elif connection is not self._current:
                connection.close(Refusal("invalid", "say hello first"))
            elif isinstance(request, Ack):
                self._acknowledge(request)
            else:
                self._owner.do(request, answer)
        except ProtocolError as error:  # this request is refused; the stream itself is in order
            number = number if type(number) is int else None
            answer(Refusal("invalid", str(error)))
        except Refused as refused:
            answer(refused.refusal)

    def _greet(self, connection: Connection, hello: Hello, answer: Answer) -> None:
        if hello.version != PROTOCOL_VERSION:
            connection.close(Refusal("version", f"this supervisor speaks version {PROTOCOL_VERSION}, not {hello.version}"))
            return
        answer(self._owner.welcome())
        if connection is self._current or not connection.open:
            return
        before, self._current = self._current, connection
        if before is not None:
            before.close(Refusal("replaced", "another server has taken over"))
        for seq, news in self.news.unacknowledged():
            connection.send(news_message(seq, news))
        self._send_news()
        self._owner.on_link()

    def _acknowledge(self, ack: Ack) -> None:
        self.news.acknowledge(ack.seq)
        self._send_news()
        if self.news.empty:
            self._owner.on_link()
