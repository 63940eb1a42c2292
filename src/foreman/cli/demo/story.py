"""What the demo does, in order: a node, four workers, files pushed while four things are killed, every byte compared, a table.

The pushes go on while something is dead: the clients repeat what was not answered, which is harmless because each transaction has its
version. Nothing here helps the node to recover; it only waits for it.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress, TaskID

from foreman import Foreman
from foreman.cli.demo.node import NodeProcess, renewed, until
from foreman.cli.demo.telling import Told, progress_on
from foreman.cli.demo.tree import Expected, transactions
from foreman.cli.demo.verifying import Verdict, verify
from foreman.core.interface import ForemanInterface
from foreman.core.mutations import Set
from foreman.workers.clients import LogSet

LOGS: Final = ("log_1", "log_2")
STORAGES: Final = ("storage_1", "storage_2")
IN_FLIGHT: Final = 16
PUSH_S: Final = 60.0


class Demo:
    """One run over one node."""

    def __init__(self, node: NodeProcess, foreman: ForemanInterface, told: Told, progress: Progress) -> None:
        self.node, self.foreman, self.told, self.progress = node, foreman, told, progress
        self.expected = Expected()

    async def create(self) -> None:
        began = time.monotonic()
        params = {"logs": list(LOGS)}
        await self.foreman.new_workers([*((id, "log") for id in LOGS), *((id, "storage", params) for id in STORAGES)])
        services = await self.foreman.get_all_running_services()
        self.told.add("2 log and 2 storage workers created, all or none", began, f"healthy, {len(services)} registered")

    async def push(self, batches: list[list[Set]]) -> int:
        """All batches, IN_FLIGHT at a time, with a misfortune after each fifth of them; the last version."""
        began = time.monotonic()
        bar = self.progress.add_task("pushing", total=len(batches))
        marks = {len(batches) * (n + 1) // 5: fate for n, fate in enumerate(self._misfortunes())}
        async with LogSet.connect([(self.foreman, id) for id in LOGS], timeout=PUSH_S) as logs:
            trouble: asyncio.Task[None] | None = None
            pushing: set[asyncio.Task[None]] = set()
            for version, batch in enumerate(batches, 1):
                pushing.add(asyncio.create_task(self._push_one(logs, version, batch, bar)))
                if len(pushing) >= IN_FLIGHT:
                    done, pushing = await asyncio.wait(pushing, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.gather(*done)
                if version in marks:
                    if trouble is not None:
                        await trouble
                    trouble = asyncio.create_task(marks[version]())
            await asyncio.gather(*pushing)
            if trouble is not None:
                await trouble
        self.told.add(
            f"{len(batches):,} transactions pushed to both logs", began, f"{self.expected.size_bytes / 1e6:,.1f} MB, all acknowledged"
        )
        return len(batches)

    async def _push_one(self, logs: LogSet, version: int, batch: list[Set], bar: TaskID) -> None:
        await logs.push(version, version - 1, batch)
        self.progress.advance(bar)

    # --- misfortunes ---

    def _misfortunes(self) -> tuple[Callable[[], Coroutine[None, None, None]], ...]:
        return (lambda: self._kill_worker("log_1"), lambda: self._kill_worker("storage_1"), self._kill_server, self._kill_supervisor)

    async def _kill_worker(self, id: str) -> None:
        info = await self.foreman.info(id)
        assert info.pid is not None
        began = time.monotonic()
        os.kill(info.pid, signal.SIGKILL)
        infos = await until(self.foreman, renewed([id], {id: info.incarnation}))
        pid = next(found.pid for found in infos if found.id == id)
        self._tell(f"SIGKILL {id}", began, f"restarted, pid {info.pid} → {pid}")

    async def _kill_server(self) -> None:
        before = {info.id: info.incarnation for info in await self.foreman.infos()}
        began = time.monotonic()
        await self.node.kill()
        await self.node.start()
        after = {info.id: info.incarnation for info in await until(self.foreman, renewed([], before))}
        self._tell(
            "SIGKILL the server, started again",
            began,
            "all adopted, none restarted" if before == after else f"NOT adopted: {before} → {after}",
        )

    async def _kill_supervisor(self) -> None:
        before = {info.id: info.incarnation for info in await self.foreman.infos()}
        pid = (await self.foreman.node()).supervisor_pid
        assert pid is not None
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await until(self.foreman, renewed(before, before))
        self._tell("SIGKILL the worker supervisor", began, f"a new one, and all {len(before)} workers again")

    def _tell(self, what: str, began: float, how: str) -> None:
        self.told.add(what, began, how)
        self.progress.console.print(f"  {what}: {how} ({time.monotonic() - began:.2f} s)", highlight=False)


@asynccontextmanager
async def _a_node(data: Path, told: Told) -> AsyncIterator[tuple[NodeProcess, ForemanInterface]]:
    node = NodeProcess(data, ["--data", str(data), "--cluster", "demo"])
    try:
        began = time.monotonic()
        await node.start()
        told.add("foreman up", began, "listening")
        async with Foreman.connect(data) as foreman:
            yield node, foreman
        began = time.monotonic()
        await node.stop()
        told.add("TERM: graceful end", began, "workers stopped in reverse order")
    finally:
        await node.kill()


async def tell(source: Path, files: list[Path], data: Path) -> bool:
    """The whole story; whether every byte came back from both storage workers."""
    console, told = Console(stderr=True), Told()
    with progress_on(console) as progress:
        size_mb = sum(path.stat().st_size for path in files) / 1e6
        console.print(f"{len(files):,} files, {size_mb:,.1f} MB, under {source}", highlight=False)
        async with _a_node(data, told) as (node, foreman):
            demo = Demo(node, foreman, told, progress)
            await demo.create()
            batches = list(transactions(source, files, demo.expected))
            last = await demo.push(batches)
            verdicts = [await _verified(demo, id, last) for id in STORAGES]
    told.print(verdicts, demo.expected)
    return all(verdict.identical for verdict in verdicts)


async def _verified(demo: Demo, id: str, last: int) -> Verdict:
    began = time.monotonic()
    verdict = await verify(id, (demo.foreman, id), last, demo.expected.digests, demo.progress)
    demo.told.add(f"read back from {id}", began, f"{verdict.keys:,} keys, {verdict.sentence}")
    return verdict
