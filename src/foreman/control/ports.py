"""What a director needs of the world besides the directory: foremen and their workers. Narrow, so that a simulator can be it.

Implemented by ``foremen`` (over the same HTTP API as anybody) and ``resp_data_plane`` (over LogClient and StorageClient).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from foreman.control.attempt import Attempt
from foreman.core.errors import ForemanError
from foreman.core.mutations import Mutation, Version
from foreman.core.views import WorkerInfo, WorkerRef


class ReachedForeman(Protocol):
    """A Foreman, as far as it matters here."""

    async def new_worker(self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = ...) -> WorkerRef: ...

    async def infos(self, *, kind: str | None = None) -> list[WorkerInfo]: ...

    async def remove_workers(self, ids: Sequence[str], *, timeout: float = ...) -> dict[str, ForemanError | None]: ...

    async def close(self) -> None: ...


Connect = Callable[[str], ReachedForeman]
"""From a node's address to its Foreman. Connects when first used."""


@dataclass(frozen=True, slots=True)
class LogState:
    """``generation``: of the newest lock it ever had; 0: none. It has everything after ``oldest``, through ``last``."""

    generation: int
    oldest: Version
    last: Version


@dataclass(frozen=True, slots=True)
class StorageState:
    """``layout_epoch``: of the layout it was last unlocked for; 0: none. ``latest``: what a read without a version sees."""

    layout_epoch: int
    durable: Version
    latest: Version


Transaction = tuple[Version, list[Mutation]]
Page = tuple[list[tuple[bytes, bytes]], bool]


class DataPlane(Protocol):
    """The workers' commands. Each may be repeated. Raises DataPlaneError as the worker answered, ForemanUnavailable when it did not.

    ``lock_*`` and ``recover_log`` raise NewerLockExists when a newer recovery holds the worker.
    """

    async def log_state(self, endpoint: str) -> LogState: ...

    async def lock_log(self, endpoint: str, attempt: Attempt) -> LogState: ...

    async def recover_log(self, endpoint: str, source: str | None, first: Version, last: Version) -> None:
        """Fill a locked log from ``source`` (None: empty after ``last``) and unlock it for the epoch that locked it."""

    async def storage_state(self, endpoint: str) -> StorageState: ...

    async def lock_storage(self, endpoint: str, attempt: Attempt) -> StorageState: ...

    async def unlock_storage(self, endpoint: str, attempt: Attempt, version: Version, logs: Mapping[str, str], *, trusted: bool) -> None:
        """Drop what is above ``version`` in memory and follow ``logs`` (id → endpoint). Refused when another attempt holds the lock.

        ``trusted``: what it has is the cluster's data, so it says the attempt's epoch as its ``layout_epoch`` from now on; else 0.
        """

    async def read_page(self, endpoint: str, begin: bytes) -> Page:
        """Pairs from ``begin`` on, and whether there are more."""

    async def pull(self, endpoint: str, start_after: Version, subscriber: tuple[str, Version], *, limit: int) -> list[Transaction]:
        """What follows ``start_after``; [] when there is nothing. The log keeps what ``subscriber`` has not durably."""

    async def push(self, endpoint: str, epoch: int, version: Version, previous: Version, mutations: Sequence[Mutation]) -> None: ...

    async def close(self) -> None: ...
