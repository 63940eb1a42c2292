"""One storage worker, put together: the store, its flusher, its puller, and the commands that clients give.

Owns the lifetime of these parts and the worker's health. The only place where they know of one another.
"""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

import lmdb

from foreman.core.data_errors import DataPlaneError, StorageFault
from foreman.core.health import Health
from foreman.workers.host import Host, WorkerFailed
from foreman.workers.storage.clearing import Clearer
from foreman.workers.storage.commands import Info, LockFor, Unlock, parse_command
from foreman.workers.storage.engine import FATAL, Engine, storage_fault
from foreman.workers.storage.facts import Facts, answer_info, as_json, as_reply
from foreman.workers.storage.finding import Finder
from foreman.workers.storage.flushing import Flusher
from foreman.workers.storage.layout import parse_layout
from foreman.workers.storage.params import StorageParams
from foreman.workers.storage.pulling import Puller
from foreman.workers.storage.quick_get import quick_get
from foreman.workers.storage.reading import Reader
from foreman.workers.storage.refilling import Refiller
from foreman.workers.storage.store import Store
from foreman.workers.storage.waiting import WaitingReads
from foreman.workers.wire import Command, Pending, RespConnection, replies

_MORE_TIME_S: Final = 30.0


class StorageService:
    def __init__(self, host: Host, params: StorageParams, engine: Engine) -> None:
        environment = host.environment
        self._host, self._params, self._engine = host, params, engine
        self.store = Store(engine, window_s=params.window_s, memory_bytes=params.memory_bytes, key_range=params.key_range)
        self._waiting = WaitingReads()
        self._reader = Reader(self.store, self._waiting, params.version_wait_s)
        self.flusher = Flusher(self.store, self._disk_is, self._show)
        self.clearer = Clearer(self.store, self._disk_is, self._ended)
        finder = Finder(environment.foreman_address or "", environment.run)
        self.puller = Puller(environment.id, self.store, finder, params.link, self._sources_changed, self._ended)
        self.refiller = Refiller(
            environment.id,
            self.store,
            finder,
            params.link,
            report=self._disk_is,
            on_change=self._show,
            on_begun=self.follow,
            on_copied=self._copied,
            on_ended=self._ended,
        )
        self._ready = asyncio.Event()
        self.store.on_applied = self._applied
        self._fault: StorageFault | None = None
        self._died: str | None = None
        self._broken = asyncio.Event()
        self._finished = False
        self._flushing: asyncio.Task[None]
        self._said_health: Health | None = None
        self._said_status = ""
        self._changing: set[asyncio.Task[None]] = set()
        self._one_change = asyncio.Lock()

    # Life.

    def follow(self) -> None:
        """Pull from the logs of the layout, or of the params before there is one; not while locked. Go on with a copy that was begun."""
        if not self._engine.stored.locked and not self._finished:
            logs, replicas = self._followed()
            if logs and replicas:
                self.store.expect_proof()
            self.puller.follow(logs)
            if self.store.copying:
                self.refiller.start(replicas, 0)
        self._show()

    async def run_until(self, stopping: asyncio.Event) -> None:
        """Follow the logs and flush; ready once the data is whole. Raises WorkerFailed when LMDB refuses all further work, or when a task
        has died of what nobody foresaw: a new start begins anew, and a worker that only looks as if it worked helps nobody.
        """
        self._flushing = asyncio.create_task(self.flusher.run(), name="flush")
        self._flushing.add_done_callback(self._ended)
        self.follow()
        self.clearer.start()
        starting = asyncio.create_task(self._start(), name="start")
        waits = [asyncio.create_task(event.wait()) for event in (stopping, self._broken)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in (*waits, starting):
            wait.cancel()
        self.puller.leave()
        if self._broken.is_set():
            raise WorkerFailed(self._died or f"the store cannot be used any more: {self._fault}")

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task has ended; it must not have failed."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        traceback.print_exception(error)
        self._died = f"the task {task.get_name()} died: {type(error).__name__}: {error}"
        self._broken.set()

    async def _start(self) -> None:
        """A copy from a replica may take hours, and a lock may come in between: none of it is a failure to start."""
        self._look_ready()
        while not self._ready.is_set():
            self._host.notify.extend(_MORE_TIME_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MORE_TIME_S / 3):
                    await self._ready.wait()

    def _look_ready(self) -> None:
        if self.store.whole and not self._ready.is_set():
            self._ready.set()
            self._show()
            self._host.notify.ready()

    async def finish(self) -> None:
        """Flush everything; once no client can ask for anything any more."""
        self._finished = True
        if self._changing:
            await asyncio.wait(self._changing)
        self.puller.leave()
        await self.refiller.stop()
        await self.clearer.stop()
        await self.flusher.stop(self._flushing)

    def _followed(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The logs and the replicas."""
        raw = self._engine.stored.layout
        layout = None if raw is None else parse_layout(raw)
        return (self._params.logs, self._params.replicas) if layout is None else (layout.logs, layout.replicas)

    def _sources_changed(self) -> None:
        _, replicas = self._followed()
        if self.puller.all_lost and replicas and not self.store.locked:
            self.refiller.start(replicas, min(self.puller.oldest.values()))
        self._show()

    def _copied(self) -> None:
        self.puller.copied()
        self._show()

    def _applied(self) -> None:
        if not self._ready.is_set():
            self._look_ready()
        self._waiting.reached(self.store.latest)
        self.flusher.applied()

    # Health.

    def _disk_is(self, fault: StorageFault | None) -> None:
        self._fault = fault
        if fault is not None and fault.errno_name in FATAL:
            self._broken.set()
        self._show()

    @property
    def health(self) -> Health:
        if self._fault is not None:
            fault = f"{self._fault.errno_name} {self._fault.path}"
            return Health.error(f"{fault}: nothing is written; what follows version {self.store.durable} stays in memory")
        if not self.store.whole:
            told = "".join(f"; {replica}: {why}" for replica, why in self.refiller.failures.items())
            return Health.error(f"refilling: the data is not whole, nothing is read{told}")
        durable = self.store.durable
        if self.puller.all_lost:
            told = "".join(f"; {replica}: {why}" for replica, why in self.refiller.failures.items()) or "; rebuild this worker"
            return Health.error(f"VERSIONTOOOLD no log has what follows version {durable} any more{told}")
        if self.puller.sources.all_failed and self.puller.behind_us == set(self.puller.sources.failures):
            return Health.error(f"VERSIONTOONEW every log ends before version {durable}, which is durable here; rebuild this worker")
        return Health.ok()

    def _show(self) -> None:
        """Say health and status, if they are news. Before all is well for the first time, only what a start does not explain by itself."""
        failures = self.puller.sources.failures
        status = f"locked at version {self.store.durable}" if self.store.locked else f"version {self.store.latest}, {self._lag()}"
        if not self.store.whole:
            status = f"refilling: {self.refilling}" + (", locked" if self.store.locked else "")
        status += "".join(f"; {log}: {why}" for log, why in failures.items())
        if self._said_status != status:
            self._said_status = status
            self._host.notify.status(status)
        health = self.health
        if self._said_health != health and (self._ready.is_set() or not self.store.unproven or self.refiller.failures):
            self._said_health = health
            self._host.notify.health(health)

    @property
    def refilling(self) -> str:
        """How far the copy has got; empty when the data is whole."""
        return "" if self.store.whole else self.refiller.progress() or "whether the logs go back far enough is asked"

    def _lag(self) -> str:
        current, lag_s = self.puller.sources.current, self.puller.lag_s()
        if current is None:
            return "follows no log"
        return f"not yet level with {current}" if lag_s is None else f"{lag_s:.1f} s behind {current}"

    # Commands.

    def commands(self) -> dict[bytes, Command]:
        return {
            b"GET": Command(quick_get(self.store, self._command), 1, 5),
            b"MGET": Command(self._command, 1),
            b"RANGE": Command(self._command, 2, 20),
            b"GETKEY": Command(self._command, 2, 8),
            b"LOCK": Command(self._command, 2, 2),
            b"UNLOCK": Command(self._command, 2, 2),
            b"INFO": Command(self._command, 0, 100),
        }

    def _command(self, connection: RespConnection, words: list[bytes]) -> bytes | Pending:
        command = parse_command(words)
        assert command is not None  # the table above names only what parse_command knows
        try:
            match command:
                case LockFor(generation, recovery_id):
                    return self._change(connection, lambda: self._lock(connection, generation, recovery_id))
                case Unlock(version, layout):
                    return self._change(connection, lambda: self._unlock(version, layout))
                case Info(names):
                    return answer_info(self.facts(), names)
                case _:
                    return self._reader.answer(connection, command)
        except lmdb.Error as error:
            raise storage_fault(error, self._engine.path) from error

    def _change(self, connection: RespConnection, change: Callable[[], Any]) -> Pending:
        """LOCK and UNLOCK wait for the disk; one at a time, in the order they came."""
        pending = connection.later()

        async def run() -> None:
            async with self._one_change:
                try:
                    pending.resolve(await change())
                except DataPlaneError as error:
                    pending.resolve(replies.error(error))

        task = asyncio.create_task(run(), name="lock or unlock")
        self._changing.add(task)
        task.add_done_callback(self._changing.discard)
        return pending

    async def _lock(self, connection: RespConnection, generation: int, recovery_id: str) -> bytes:
        self.puller.leave()
        await self.refiller.stop()
        try:
            await self.store.lock(generation, recovery_id)
        finally:
            self.follow()
        facts = self.facts()
        named = {name: as_reply(facts[name]()) for name in ("kind", "durable_version", "oldest_durable_version")}
        return replies.mapping(named, connection.protocol)

    async def _unlock(self, version: int, layout: Mapping[str, Any]) -> bytes:
        was_locked = self._engine.stored.locked
        await self.store.unlock(version, layout)
        if was_locked:
            self.follow()
            self.clearer.start()
        return replies.OK

    def facts(self) -> Facts:
        """INFO's facts. ``oldest_durable_version``: LMDB holds one version, so it is the durable one."""
        store, engine, puller, environment = self.store, self._engine, self.puller, self._host.environment
        return {
            "kind": lambda: "storage",
            "id": lambda: environment.id,
            "health": lambda: str(self.health),
            "durable_version": lambda: store.sound_durable,
            "oldest_durable_version": lambda: store.sound_durable,
            "latest_version": lambda: store.latest,
            "key_ranges": lambda: as_json([store.keys.as_json()]),
            "leftover_ranges": lambda: as_json([part.as_json() for part in store.leftover]),
            "keys": lambda: engine.keys,
            "size_in_bytes": lambda: engine.size_bytes,
            "path": lambda: engine.path,
            "lag": puller.lag_s,
            "source": lambda: puller.sources.current,
            "logs": lambda: as_json(list(self._followed()[0])),
            "replicas": lambda: as_json(list(self._followed()[1])),
            "layout": lambda: as_json(engine.stored.layout),
            "refilling": lambda: self.refilling,
            "failures": lambda: as_json(puller.sources.failures),
            "locked": lambda: int(engine.stored.locked),
            "generation": lambda: engine.stored.lock.generation if engine.stored.lock else None,
            "recovery_id": lambda: engine.stored.lock.recovery_id if engine.stored.lock else None,
            "window_versions": lambda: len(store.window),
            "window_bytes": lambda: store.window.cost,
            "window_bytes_max": lambda: self._params.memory_bytes,
            "map_bytes": lambda: engine.map_bytes,
        }
