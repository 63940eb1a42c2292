"""Accepts TLS connections: so many handshakes at once, each in bounded time, and said why one failed.

Owns a connection until its handshake is done; from then on it is its protocol's. asyncio's own server would begin as many handshakes as
strangers open connections, each with a descriptor of this process; here the rest waits in the kernel's queue.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

MOST_HANDSHAKES: Final = 256
HANDSHAKE_WITHIN_S: Final = 5.0
FAREWELL_WITHIN_S: Final = 2.0
PAUSE_S: Final = 1.0
"""After an accept that failed (no descriptor left), and between two lines about refused handshakes."""

Tell = Callable[..., object]
"""Told in a few words what happened, and the facts by name: ``reason``, and ``others`` that failed and were not told of."""


class TlsAccepting:
    """Accepts on ``sock`` from its making until :meth:`stop`. ``make``: the protocol of one connection. ``sock`` stays the caller's."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol], tell: Tell) -> None:
        self._sock, self._context, self._make, self._tell_of = sock, context, make, tell
        self._room = asyncio.Semaphore(MOST_HANDSHAKES)
        self._loop = asyncio.get_running_loop()
        self._told_at, self._untold = self._loop.time() - PAUSE_S, 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._begin(self._accept())

    def stop(self) -> None:
        """No more are accepted; handshakes under way are broken off. :meth:`close` waits for that."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Stop, and let go of ``sock``."""
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            await self._room.acquire()
            try:
                sock, _ = await self._loop.sock_accept(self._sock)
            except OSError as error:
                self._room.release()
                self._tell_of("no connection can be accepted", reason=error.strerror)
                await asyncio.sleep(PAUSE_S)
            else:
                self._begin(self._shake_hands(sock), sock)

    async def _shake_hands(self, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._make, sock, ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_WITHIN_S, ssl_shutdown_timeout=FAREWELL_WITHIN_S,
            )  # fmt: skip
        except OSError as error:  # what a stranger does, in all its forms
            sock.close()
            self._tell(error)
        finally:
            self._room.release()

    def _tell(self, error: OSError) -> None:
        """At most a line a second: whoever knocks cannot fill the log."""
        if self._loop.time() - self._told_at < PAUSE_S:
            self._untold += 1
            return
        reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or error.strerror or str(error)
        self._tell_of("a TLS handshake failed", reason=reason, others=self._untold)
        self._told_at, self._untold = self._loop.time(), 0

    def _begin(self, work: Coroutine[Any, Any, None], sock: socket.socket | None = None) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, sock))

    def _ended(self, sock: socket.socket | None, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if sock is not None and task.cancelled():  # maybe before its first step
            sock.close()
