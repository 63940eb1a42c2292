"""ProbeReadiness: finds out when a worker that cannot say so is ready, and tells it as WorkerReady.

One task a probe: it tries, waits, tries again with growing pauses, until it succeeds or the worker is gone. The deadline is the
machine's. Nothing a probed program answers can do more than fail a try.
"""

import asyncio
import os
import re
import signal
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final, assert_never
from urllib.parse import urlsplit, urlunsplit

from foreman.core.effects import ProbeReadiness
from foreman.core.events import WorkerReady
from foreman.core.ids import Incarnation
from foreman.core.kinds import ExecReadiness, HttpReadiness, NotifyReadiness, Readiness, StartedReadiness, TcpReadiness
from foreman.node.inbox import Inbox
from foreman.node.launching import Launching

FIRST_PAUSE_S: Final = 0.01
LONGEST_PAUSE_S: Final = 0.5
TRY_TIMEOUT_S: Final = 5.0
_GOOD_STATUS: Final = re.compile(rb"HTTP/1\.[01] 2\d\d[ \r]")


class Probes:
    def __init__(self, inbox: Inbox, launching: Launching) -> None:
        self._inbox = inbox
        self._launching = launching
        self._tasks: dict[Incarnation, asyncio.Task[None]] = {}

    def do(self, effect: ProbeReadiness) -> None:
        """Begin; a second request for the same incarnation is the same probe."""
        if effect.incarnation not in self._tasks:
            task = asyncio.create_task(self._until_ready(effect), name=f"probe {effect.id}")
            self._tasks[effect.incarnation] = task
            task.add_done_callback(lambda _: self._tasks.pop(effect.incarnation, None))

    def end(self, incarnation: Incarnation) -> None:
        """The worker has exited: nothing is left to find out."""
        task = self._tasks.get(incarnation)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Returns when nothing of any probe is left."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_ready(self, effect: ProbeReadiness) -> None:
        pause_s = FIRST_PAUSE_S
        while not await self._try(effect):
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)
        self._inbox.put(lambda at: WorkerReady(at, effect.id, effect.incarnation))

    async def _try(self, effect: ProbeReadiness) -> bool:
        try:
            async with asyncio.timeout(TRY_TIMEOUT_S):
                return await self._probe(effect, effect.readiness)
        except TimeoutError:
            return False

    def _probe(self, effect: ProbeReadiness, readiness: Readiness) -> Awaitable[bool]:
        match readiness:
            case TcpReadiness(port):
                return _accepts(port)
            case HttpReadiness(url):
                return _answers(self._launching.fill(effect, (url,))[0])
            case ExecReadiness(argv):
                return _succeeds(self._launching.fill(effect, argv), self._launching.working_directory(effect))
            case NotifyReadiness() | StartedReadiness():
                raise ValueError(f"{readiness} needs no probe")  # the machine asks for none
            case _:
                assert_never(readiness)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    await _close(writer)
    return True


async def _answers(url: str) -> bool:
    """Only the first line of the answer counts, so this is all of HTTP that a probe needs; a client library would take 100 ms to load."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or (443 if tls else 80), ssl=tls or None)
    except (OSError, ValueError):
        return False
    try:
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        return _GOOD_STATUS.match(await reader.readline()) is not None
    except (OSError, ValueError):  # cut off, or a line without end
        return False
    finally:
        await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _succeeds(argv: tuple[str, ...], directory: str) -> bool:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    quiet = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=directory, env=environment, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        )
    except OSError:
        return False
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:  # cut off by the time-out or by the worker's end: it and all it started
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await _reaped(process)


async def _reaped(process: asyncio.subprocess.Process) -> None:
    """Returns when the killed process is gone, even if its probe is cancelled once more meanwhile."""
    waiting = asyncio.ensure_future(process.wait())
    again: asyncio.CancelledError | None = None
    while not waiting.done():
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError as cancelled:
            again = cancelled
    if again is not None:
        raise again
