"""A supervisor of one's own, in a short private directory, and a client of it."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from foreman.node.supervisor_client import SupervisorClient
from foreman.node.supervisor_launch import Launch, attach_or_launch
from foreman.supervisor.protocol import Exited, News, Notified, RunningWorker, StartFailed
from foreman.supervisor.start_request import Output, StartRequest

DEADLINE_S = 20.0
_News = TypeVar("_News", bound=News)


class Bench:
    """The run directory, the supervisor's client, and what it has told so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run = root / "run"
        self.run.mkdir(mode=0o700)
        self.heard: list[News] = []
        self._came = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self._client: SupervisorClient | None = None

    @property
    def client(self) -> SupervisorClient:
        assert self._client is not None
        return self._client

    async def attach(self, **launch: Any) -> SupervisorClient:
        self._client = await attach_or_launch(Launch(self.run, self.root / "supervisor.log", **launch))
        self._listener = asyncio.create_task(self._listen(self._client))
        return self._client

    async def detach(self) -> None:
        """As if the server had died: the connection is gone, what it had not taken stays."""
        assert self._listener is not None
        self._listener.cancel()
        with suppress(asyncio.CancelledError):
            await self._listener
        await self.client.close()

    async def _listen(self, client: SupervisorClient) -> None:
        async for news in client.news():
            self.heard.append(news)
            self._came.set()

    async def until(self, kind: type[_News], id: str, holds: Callable[[_News], bool] = lambda _: True) -> _News:
        """The first such news of this worker, past or to come."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for news in self.heard:
                    if isinstance(news, kind) and news.id == id and holds(news):
                        return news
                self._came.clear()
                await self._came.wait()

    async def until_listed(self, client: SupervisorClient, holds: Callable[[list[RunningWorker]], bool]) -> None:
        """Ask for the list until it is so."""
        async with asyncio.timeout(DEADLINE_S):
            while not holds(await client.list()):
                pass

    async def ready(self, id: str) -> Notified:
        return await self.until(Notified, id, lambda news: news.ready)

    async def ended(self, id: str) -> Exited:
        return await self.until(Exited, id)

    async def failed(self, id: str) -> StartFailed:
        return await self.until(StartFailed, id)

    def directory(self, id: str) -> Path:
        return self.root / "workers" / id

    def request(self, id: str, program: str | tuple[str, ...], **changes: Any) -> StartRequest:
        """A start of worker ``id``; a plain name is a function of tests.supervisor.workers."""
        directory = self.directory(id)
        (directory / "data").mkdir(parents=True, exist_ok=True)
        incarnation = changes.pop("incarnation", uuid4().hex[:16])
        env = {
            "PATH": os.environ["PATH"],
            "FOREMAN_WORKER_ID": id,
            "FOREMAN_INCARNATION": incarnation,
            "NOTIFY_SOCKET": f"{self.run}/notify.sock",
            **changes.pop("env", {}),
        }
        if isinstance(program, str) and ":" not in program:
            program = f"tests.supervisor.workers:{program}"
        output = changes.pop("output", Output(str(directory / "output")))
        return StartRequest(id, incarnation, program, str(directory / "data"), env, str(directory / "lock"), output, **changes)

    async def start(self, id: str, program: str | tuple[str, ...], **changes: Any) -> StartRequest:
        request = self.request(id, program, **changes)
        await self.client.start(request)
        return request

    def output(self, id: str, name: str = "current") -> str:
        return (self.directory(id) / "output" / name).read_text()


@pytest.fixture
def root() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="fm-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
async def bench(root: Path) -> AsyncIterator[Bench]:
    """A running supervisor with a connected client; killed, with all its workers, at the end."""
    bench = Bench(root)
    await bench.attach(preload=("tests.supervisor.workers",))
    yield bench
    if not bench.client.lost.done():
        with suppress(ProcessLookupError):
            os.kill(bench.client.welcome.pid, signal.SIGTERM)
        with suppress(ConnectionError):
            await bench.client.shutdown(now=True)
    async with asyncio.timeout(DEADLINE_S):
        await bench.client.lost
    await bench.detach()
