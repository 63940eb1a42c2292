"""A real ``foreman up`` in a process of its own, that can be killed and started again on the same data."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

from foreman.core.errors import ForemanUnavailable
from foreman.core.interface import ForemanInterface
from foreman.core.views import WorkerInfo
from foreman.kernel.processes import die_with_parent

START_S: Final = 30.0
STOP_S: Final = 60.0
RECOVERY_S: Final = 60.0


class NodeProcess:
    """The server. ``arguments``: of ``foreman up``. Its log goes to a file beside the data directory."""

    def __init__(self, data: Path, arguments: Sequence[str]) -> None:
        self.data, self._arguments, self._log = data, tuple(arguments), data.with_name(data.name + ".log")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns when it listens. Raises ForemanUnavailable when it ends instead, or takes longer than START_S."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FOREMAN_")}
        self.data.parent.mkdir(parents=True, exist_ok=True)
        parent = os.getpid()
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "foreman", "up", *self._arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(parent),  # whatever becomes of the demo
            )
        try:
            async with asyncio.timeout(START_S):
                await self._until_it_listens(self._process)
        except TimeoutError:
            raise ForemanUnavailable(str(self.data), f"it did not listen within {START_S:g} s, see {self._log}") from None

    async def _until_it_listens(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            if line.startswith(b"listening on "):
                return
        raise ForemanUnavailable(str(self.data), f"it ended at its start, see {self._log}")

    async def kill(self) -> None:
        """SIGKILL, and gone."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def stop(self) -> None:
        """TERM, and gone: workers and supervisor too."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await self._process.wait()
        except TimeoutError:
            await self.kill()


async def until(foreman: ForemanInterface, holds: Callable[[list[WorkerInfo]], bool]) -> list[WorkerInfo]:
    """Wait, from event to event, until the workers are as wanted. Raises TimeoutError after RECOVERY_S."""
    async with asyncio.timeout(RECOVERY_S), aclosing(foreman.events(after=0)) as events:  # type: ignore[type-var]
        infos = await foreman.infos()
        while not holds(infos):
            await anext(events)
            infos = await foreman.infos()
        return infos


def renewed(ids: Iterable[str], before: dict[str, str | None]) -> Callable[[list[WorkerInfo]], bool]:
    """All are ok, and those named run in another incarnation than before."""
    wanted = set(ids)
    return lambda infos: all(i.health.is_ok and (i.id not in wanted or i.incarnation != before[i.id]) for i in infos)
