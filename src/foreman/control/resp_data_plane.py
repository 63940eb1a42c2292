"""The workers' commands over LogClient and StorageClient: the DataPlane of a real cluster.

Owns the connections: one client for each endpoint that was asked, until :meth:`RespDataPlane.close`, after which it may be used on.
"""

from collections.abc import Mapping
from typing import Any, Final

from foreman.control.attempt import Attempt
from foreman.control.ports import Following, LogState, StorageState
from foreman.core.data_errors import InvalidCommand
from foreman.core.mutations import Version
from foreman.workers.clients import LogClient, StorageClient
from foreman.workers.storage.key_range import KeyRange, parse_key_range

_LOG_FACTS: Final = ("generation", "oldest_version", "last_version", "recovered")
_STORAGE_FACTS: Final = ("layout", "durable_version", "latest_version", "key_ranges")


class RespDataPlane:
    """``timeout_s``: of one command, retries included. ``security``: the params ``tls`` and ``auth_file`` of workers that listen on TCP."""

    def __init__(self, timeout_s: float, security: Mapping[str, Any] | None = None) -> None:
        self._timeout_s, self._security = timeout_s, security
        self._logs: dict[str, LogClient] = {}
        self._storages: dict[str, StorageClient] = {}

    async def log_state(self, endpoint: str) -> LogState:
        facts = await self._log(endpoint).info(*_LOG_FACTS)
        return LogState(facts["generation"] or 0, facts["oldest_version"] or 0, facts["last_version"] or 0, facts["recovered"] == 1)

    async def lock_log(self, endpoint: str, attempt: Attempt) -> LogState:
        client = self._log(endpoint)
        locked = await client.lock(attempt.epoch, attempt.recovery_id)
        facts = await client.info("recovered")
        return LogState(attempt.epoch, locked.oldest_version, locked.last_version, facts["recovered"] == 1)

    async def recover_log(self, endpoint: str, attempt: Attempt, source: str | None, first: Version, last: Version) -> None:
        await self._log(endpoint).recover_from(source, first, last, lock=(attempt.epoch, attempt.recovery_id))

    async def storage_state(self, endpoint: str) -> StorageState:
        facts = await self._storage(endpoint).info(*_STORAGE_FACTS)
        return StorageState(_epoch_of(facts["layout"]), facts["durable_version"], facts["latest_version"], _keys_of(facts["key_ranges"]))

    async def lock_storage(self, endpoint: str, attempt: Attempt) -> StorageState:
        client = self._storage(endpoint)
        locked = await client.lock(attempt.epoch, attempt.recovery_id)
        facts = await client.info(*_STORAGE_FACTS)
        return StorageState(_epoch_of(facts["layout"]), locked.durable_version, facts["latest_version"], _keys_of(facts["key_ranges"]))

    async def unlock_storage(self, endpoint: str, attempt: Attempt, version: Version, following: Following) -> None:
        layout: dict[str, Any] = {
            "epoch": attempt.epoch, "recovery_id": attempt.recovery_id, "logs": dict(following.logs),
            "replicas": list(following.replicas), "last_version": following.last,
            "key_range": following.key_range.as_json(), "reset": following.reset,
        }  # fmt: skip
        await self._storage(endpoint).unlock(version, layout)

    async def close(self) -> None:
        logs, self._logs = self._logs, {}
        storages, self._storages = self._storages, {}
        for log in logs.values():
            await log.close()
        for storage in storages.values():
            await storage.close()

    def _log(self, endpoint: str) -> LogClient:
        if endpoint not in self._logs:
            self._logs[endpoint] = LogClient.connect(endpoint, timeout=self._timeout_s, security=self._security)
        return self._logs[endpoint]

    def _storage(self, endpoint: str) -> StorageClient:
        if endpoint not in self._storages:
            self._storages[endpoint] = StorageClient.connect(endpoint, timeout=self._timeout_s, security=self._security)
        return self._storages[endpoint]


def _epoch_of(layout: object) -> int:
    """The epoch that an UNLOCK of a director left there; 0: it was none of a director."""
    epoch = layout.get("epoch") if isinstance(layout, dict) else None
    return epoch if isinstance(epoch, int) else 0


def _keys_of(ranges: object) -> KeyRange:
    """The one range of a storage worker. Raises InvalidCommand: it says something else."""
    try:
        [keys] = ranges if isinstance(ranges, list) else []
        return parse_key_range(keys)
    except ValueError as error:
        raise InvalidCommand(f"a storage worker says that it holds {str(ranges)[:200]}: {error}") from None
