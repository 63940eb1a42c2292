"""The server's side of the worker supervisor: ask it, hear its news, know when it is lost.

Owns one connection. News is handed out in the order it happened and acknowledged when the consumer comes for the next, so what a server
had not taken when it died is told to its successor. It never restarts a supervisor: that is asked of launch_supervisor by whoever decides.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any, Final, cast

from foreman.kernel.wire import FrameReader, ProtocolError, encode_frame, from_plain
from foreman.supervisor.protocol import (
    MAX_REPLY_BYTES,
    MAX_REQUEST_BYTES,
    PROTOCOL_VERSION,
    Ack,
    Configure,
    Hello,
    List,
    News,
    Refusal,
    Refused,
    Request,
    RunningWorker,
    Shutdown,
    Signal,
    Started,
    Welcome,
    parse_news,
    request_message,
)
from foreman.supervisor.start_request import StartRequest

SOCKET: Final = "supervisor.sock"
_HELLO_TIMEOUT_S: Final = 10.0
_DEATH_PATIENCE_S: Final = 1.0
"""The socket of a dying process closes a moment before its end can be seen."""
_ACK_EVERY: Final = 64


class SupervisorUnavailable(ConnectionError):
    """No supervisor answers there, or the one that did is lost."""


@dataclass(frozen=True, slots=True)
class Lost:
    """``exited``: the supervisor has ended, and its workers with it; else only this connection has."""

    reason: str
    exited: bool


class _Wire(asyncio.Protocol):
    """Frames in, frames out; hands all on to the client."""

    def __init__(self, client: "SupervisorClient") -> None:
        self._client = client
        self._reader = FrameReader(MAX_REPLY_BYTES)
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclass of it

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            for message in self._reader.frames():
                self._client._on_message(message)  # noqa: SLF001 - two halves of one thing
        except ProtocolError as error:
            self._client._fail(f"the supervisor says what nobody understands: {error}")  # noqa: SLF001 - the same

    def connection_lost(self, exc: Exception | None) -> None:
        self._client._on_connection_lost(str(exc) if exc else "the connection was closed")  # noqa: SLF001 - the same


class SupervisorClient:
    """Made by :meth:`connect`. All methods raise SupervisorUnavailable once it is lost."""

    welcome: Welcome

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wire = _Wire(self)
        self._number = 0
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._news: deque[tuple[int, News]] = deque()
        self._news_came = asyncio.Event()
        self._taken = 0
        self._acknowledged = 0
        self._reason: str | None = None
        self._pidfd: int | None = None
        self._death_watch: asyncio.TimerHandle | None = None
        self.lost: asyncio.Future[Lost] = self._loop.create_future()
        """Done when there is nobody to talk to any more; never an exception."""

    @classmethod
    async def connect(cls, run: Path | str) -> "SupervisorClient":
        """Say hello to the supervisor of this run directory. Raises SupervisorUnavailable, Refused (other version)."""
        client = cls()
        path = f"{run}/{SOCKET}"
        try:
            await client._loop.create_unix_connection(lambda: client._wire, path)
        except OSError as error:
            raise SupervisorUnavailable(f"no supervisor listens at {path}: {error.strerror}") from error
        try:
            async with asyncio.timeout(_HELLO_TIMEOUT_S):
                client.welcome = from_plain(Welcome, await client._ask(Hello(PROTOCOL_VERSION)))
            client._watch(client.welcome.pid)
        except TimeoutError:
            raise SupervisorUnavailable(f"the supervisor at {path} does not answer") from None
        finally:
            if client._pidfd is None:
                await client.close()
        return client

    async def start(self, request: StartRequest) -> Started:
        """Returns when the program runs; the same again for an incarnation that runs already.

        Raises Refused: busy (somebody holds the lock), already_running (another incarnation), already_ended, stopping, news_full, or
        failed with errno and path: then no process of it exists. The news say the same in the order of things.
        """
        return from_plain(Started, await self._ask(request))

    async def signal(self, id: str, incarnation: str, signum: int, *, group: bool = False) -> None:
        """Raises Refused (not_running)."""
        await self._ask(Signal(id, incarnation, int(signum), group))

    async def kill(self, id: str, incarnation: str) -> None:
        """KILL to everything it started. Its end is news. Raises Refused (not_running)."""
        await self._ask(Signal(id, incarnation, SIGKILL, group=True))

    async def list(self) -> list[RunningWorker]:
        """Every worker it has: what a new server adopts."""
        answer = await self._ask(List())
        return [from_plain(RunningWorker, raw) for raw in answer["workers"]]

    async def configure(self, *, orphan_grace_s: float) -> None:
        """How long workers go on after this connection is gone."""
        await self._ask(Configure(orphan_grace_s))

    async def shutdown(self, *, now: bool = False) -> None:
        """Accepted: it stops all workers in their stop order (``now``: by KILL) and ends; :attr:`lost` tells when."""
        await self._ask(Shutdown(now))

    async def news(self) -> AsyncIterator[News]:
        """What happens, in order, from the oldest that no server has taken. Ends when the supervisor is lost. One consumer."""
        while True:
            while self._news:
                self._taken, news = self._news.popleft()
                yield news
                if not self._news or self._taken - self._acknowledged >= _ACK_EVERY:
                    self._acknowledge()
            if self._reason is not None:
                return
            self._news_came.clear()
            await self._news_came.wait()

    async def close(self) -> None:
        """Leave; workers and supervisor go on, for its orphan grace."""
        self._on_connection_lost("closed by us")
        if self._wire.transport is not None:
            self._wire.transport.close()
        if not self.lost.done():
            self._lose(exited=False)

    def _acknowledge(self) -> None:
        if self._reason is None and self._taken > self._acknowledged:
            self._acknowledged = self._taken
            self._send(Ack(self._taken))

    def _send(self, request: Request) -> int:
        self._number += 1
        frame = encode_frame(request_message(self._number, request))
        if len(frame) > MAX_REQUEST_BYTES:
            raise ProtocolError(f"a request of {len(frame)} bytes; at most {MAX_REQUEST_BYTES} are taken")
        if self._reason is not None or self._wire.transport is None:
            raise SupervisorUnavailable(self._reason or "not connected")
        self._wire.transport.write(frame)
        return self._number

    async def _ask(self, request: Request) -> dict[str, Any]:
        number = self._send(request)
        reply: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._replies[number] = reply
        try:
            return await reply
        finally:
            self._replies.pop(number, None)

    def _on_message(self, message: dict[str, Any]) -> None:
        if "seq" in message:
            self._news.append(parse_news(message))
            self._news_came.set()
            return
        number, refusal = message.get("n"), None
        if "error" in message:
            refusal = from_plain(Refusal, message["error"])
        if number is None and refusal is not None:
            self._fail(f"the supervisor closed the connection: {refusal.detail}", refusal)
            return
        reply = self._replies.get(number) if isinstance(number, int) else None
        if reply is None or reply.done():
            return
        if refusal is not None:
            reply.set_exception(Refused(refusal))
        else:
            reply.set_result(message["ok"])

    def _fail(self, reason: str, refusal: Refusal | None = None) -> None:
        for reply in self._replies.values():
            if refusal is not None and not reply.done():
                reply.set_exception(Refused(refusal))
        self._on_connection_lost(reason)
        if self._wire.transport is not None:
            self._wire.transport.abort()
        self._lose(exited=False)

    def _on_connection_lost(self, reason: str) -> None:
        if self._reason is not None:
            return
        self._reason = reason
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(SupervisorUnavailable(reason))
        self._news_came.set()
        if self._pidfd is None:
            self._lose(exited=False)
        else:
            self._death_watch = self._loop.call_later(_DEATH_PATIENCE_S, lambda: self._lose(exited=False))

    def _watch(self, pid: int) -> None:
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            raise SupervisorUnavailable("the supervisor ended while it said hello") from None
        self._loop.add_reader(self._pidfd, self._on_death)

    def _on_death(self) -> None:
        assert self._pidfd is not None
        with suppress(ChildProcessError):  # launched by an earlier server: somebody else reaps it
            os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        self._lose(exited=True)

    def _lose(self, *, exited: bool) -> None:
        """The end of it. What it had sent before it died may still be in the socket, and is read first."""
        if self._death_watch is not None:
            self._death_watch.cancel()
            self._death_watch = None
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        if not self.lost.done():
            self.lost.set_result(Lost(self._reason or "the supervisor has ended", exited))
