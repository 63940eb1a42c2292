"""The HTTP API, opened when somebody knocks: the socket listens from the first moment, the framework is loaded at the first connection.

Loading it takes half a second of this process's time and 25 MB, which neither the start of workers nor a program that embeds a node
has to pay. Connections that come meanwhile wait in the socket's queue.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress

import structlog

from foreman.api.listeners import Listener
from foreman.core.interface import ForemanInterface
from foreman.node.generations import Generations
from foreman.node.metrics import Metrics

log = structlog.get_logger("foreman.api")


class Door:
    """One node's listeners. ``knock`` loads the API without waiting for somebody to connect."""

    def __init__(self, listeners: Sequence[Listener], foreman: ForemanInterface, metrics: Metrics, generations: Generations) -> None:
        self._listeners = listeners
        self._foreman = foreman
        self._metrics = metrics
        self._generations = generations
        self._knocked = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(listener.address for listener in self._listeners)

    def open(self) -> None:
        for listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener.sock, self.knock)
        self._task = asyncio.create_task(self._serve(), name="http api")

    def knock(self) -> None:
        self._stop_listening_for_knocks()
        self._knocked.set()

    async def close(self) -> None:
        """Requests under way get a moment to finish; streams end."""
        self._stop_listening_for_knocks()
        self._closing.set()
        if self._task is None:
            return
        if not self._knocked.is_set():
            self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        for listener in self._listeners:
            listener.sock.close()

    async def _serve(self) -> None:
        await self._knocked.wait()
        try:
            enter = await asyncio.to_thread(self._load)
            async with AsyncExitStack() as stack:
                await enter(stack)
                log.info("serving", addresses=self.addresses)
                await self._closing.wait()
        except Exception:  # the edge of the API: without it the node still watches its workers
            log.exception("the HTTP API cannot be served", addresses=self.addresses)

    def _load(self) -> Callable[[AsyncExitStack], Awaitable[None]]:
        """In a thread: importing and building the application must not hold up the loop."""
        from foreman.api.app import create_app
        from foreman.api.serving import serving
        from foreman.web.page import add_page

        app = create_app(self._foreman, metrics=self._metrics, generations=self._generations)
        add_page(app)

        async def enter(stack: AsyncExitStack) -> None:
            await stack.enter_async_context(serving(app, self._listeners))

        return enter

    def _stop_listening_for_knocks(self) -> None:
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            if listener.sock.fileno() >= 0:
                loop.remove_reader(listener.sock)
