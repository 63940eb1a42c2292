"""One storage worker, put together: the store, its flusher, its puller, and the commands that clients give.

Owns the lifetime of these parts and the worker's health. The only place where they know of one another.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import lmdb

from foreman.core.data_errors import DataPlaneError, StorageFault
from foreman.core.health import Health
from foreman.core.mutations import MAX_KEY_BYTES
from foreman.workers.host import Host, WorkerFailed
from foreman.workers.storage.commands import Info, LockFor, Unlock, parse_command
from foreman.workers.storage.engine import FATAL, Engine, storage_fault
from foreman.workers.storage.facts import Facts, answer_info, as_json, as_reply
from foreman.workers.storage.finding import Finder
from foreman.workers.storage.flushing import Flusher
from foreman.workers.storage.params import StorageParams
from foreman.workers.storage.pulling import Puller
from foreman.workers.storage.reading import Reader
from foreman.workers.storage.store import Store
from foreman.workers.storage.waiting import WaitingReads
from foreman.workers.wire import Command, Pending, RespConnection, replies


class StorageService:
    def __init__(self, host: Host, params: StorageParams, engine: Engine) -> None:
        environment = host.environment
        self._host, self._params, self._engine = host, params, engine
        self.store = Store(engine, window_s=params.window_s, memory_bytes=params.memory_bytes)
        self._waiting = WaitingReads()
        self._reader = Reader(self.store, self._waiting, params.version_wait_s)
        self.flusher = Flusher(self.store, self._disk_is, self._show)
        self.puller = Puller(environment.id, self.store, Finder(environment.foreman_address or "", environment.run), self._show)
        self.store.on_applied = self._applied
        self._fault: StorageFault | None = None
        self._broken = asyncio.Event()
        self._finished = False
        self._flushing: asyncio.Task[None]
        self._said: tuple[Health, str] | None = None
        self._changing: set[asyncio.Task[None]] = set()
        self._one_change = asyncio.Lock()

    # Life.

    def follow(self) -> None:
        """Pull from the logs of the layout, or of the params before there is one; not while locked."""
        if not self._engine.stored.locked and not self._finished:
            self.puller.follow(self._logs())
        self._show()

    async def run_until(self, stopping: asyncio.Event) -> None:
        """Follow the logs and flush. Raises WorkerFailed when LMDB refuses all further work: a new start opens it anew."""
        self._flushing = asyncio.create_task(self.flusher.run(), name="flush")
        self.follow()
        waits = [asyncio.create_task(event.wait()) for event in (stopping, self._broken)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self.puller.leave()
        if self._broken.is_set():
            raise WorkerFailed(f"the store cannot be used any more: {self._fault}")

    async def finish(self) -> None:
        """Flush everything; once no client can ask for anything any more."""
        self._finished = True
        if self._changing:
            await asyncio.wait(self._changing)
        self.puller.leave()
        await self.flusher.stop(self._flushing)

    def _logs(self) -> tuple[str, ...]:
        layout = self._engine.stored.layout
        logs = self._params.logs if layout is None else layout.get("logs", ())
        return tuple(logs.values()) if isinstance(logs, Mapping) else tuple(logs)

    def _applied(self) -> None:
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
        failures, durable = set(self.puller.sources.failures), self.store.durable
        if self.puller.sources.all_failed and self.puller.lost_to_us == failures:
            return Health.error(f"VERSIONTOOOLD no log has what follows version {durable} any more; rebuild this worker")
        if self.puller.sources.all_failed and self.puller.behind_us == failures:
            return Health.error(f"VERSIONTOONEW every log ends before version {durable}, which is durable here; rebuild this worker")
        return Health.ok()

    def _show(self) -> None:
        """Say health and status, if they are news."""
        failures = self.puller.sources.failures
        status = f"locked at version {self.store.durable}" if self.store.locked else f"version {self.store.latest}, {self._lag()}"
        status += "".join(f"; {log}: {why}" for log, why in failures.items())
        health = self.health
        if self._said != (health, status):
            if self._said is None or self._said[0] != health:
                self._host.notify.health(health)
            self._host.notify.status(status)
            self._said = (health, status)

    def _lag(self) -> str:
        current, lag_s = self.puller.sources.current, self.puller.lag_s()
        if current is None:
            return "follows no log"
        return f"not yet level with {current}" if lag_s is None else f"{lag_s:.1f} s behind {current}"

    # Commands.

    def commands(self) -> dict[bytes, Command]:
        return {
            b"GET": Command(self._get, 1, 5),
            b"MGET": Command(self._command, 1),
            b"RANGE": Command(self._command, 2, 20),
            b"GETKEY": Command(self._command, 2, 8),
            b"LOCK": Command(self._command, 2, 2),
            b"UNLOCK": Command(self._command, 2, 2),
            b"INFO": Command(self._command, 0, 100),
        }

    def _get(self, connection: RespConnection, words: list[bytes]) -> bytes | Pending:
        """GET of the latest version takes the shortest way; all else the common one."""
        if len(words) != 2 or len(words[1]) > MAX_KEY_BYTES:
            return self._command(connection, words)
        try:
            value = self.store.get_latest(words[1])
        except lmdb.Error as error:
            raise storage_fault(error, self._engine.path) from error
        return replies.NULL if value is None else b"$%d\r\n%b\r\n" % (len(value), value)

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
        return replies.OK

    def facts(self) -> Facts:
        """INFO's facts. ``oldest_durable_version``: LMDB holds one version, so it is the durable one."""
        store, engine, puller, environment = self.store, self._engine, self.puller, self._host.environment
        return {
            "kind": lambda: "storage",
            "id": lambda: environment.id,
            "health": lambda: str(self.health),
            "durable_version": lambda: store.durable,
            "oldest_durable_version": lambda: store.durable,
            "latest_version": lambda: store.latest,
            "key_ranges": lambda: as_json([["", None]]),
            "keys": lambda: engine.keys,
            "size_in_bytes": lambda: engine.size_bytes,
            "path": lambda: engine.path,
            "lag": puller.lag_s,
            "source": lambda: puller.sources.current,
            "logs": lambda: as_json(list(self._logs())),
            "failures": lambda: as_json(puller.sources.failures),
            "locked": lambda: int(engine.stored.locked),
            "generation": lambda: engine.stored.lock.generation if engine.stored.lock else None,
            "recovery_id": lambda: engine.stored.lock.recovery_id if engine.stored.lock else None,
            "window_versions": lambda: len(store.window),
            "window_bytes": lambda: store.window.cost,
            "window_bytes_max": lambda: self._params.memory_bytes,
            "map_bytes": lambda: engine.map_bytes,
        }
