"""What a director needs of the world besides the directory: foremen and their workers. Narrow, so that a simulator can be it.

Implemented by ``foremen`` (over the same HTTP API as anybody) and ``resp_data_plane`` (over LogClient and StorageClient).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from foreman.control.attempt import Attempt
from foreman.core.errors import ForemanError
from foreman.core.generations import Generation
from foreman.core.mutations import Version
from foreman.core.views import WorkerInfo, WorkerRef
from foreman.workers.storage.key_range import ALL_KEYS, KeyRange


class ReachedForeman(Protocol):
    """A Foreman, as far as it matters here."""

    async def new_worker(self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = ...) -> WorkerRef: ...

    async def infos(self, *, kind: str | None = None) -> list[WorkerInfo]: ...

    async def remove_workers(self, ids: Sequence[str], *, timeout: float = ...) -> dict[str, ForemanError | None]: ...

    async def close(self) -> None: ...


Connect = Callable[[str, Generation], ReachedForeman]
"""From a node's address to its Foreman, as the director of this generation. Connects when first used."""


@dataclass(frozen=True, slots=True)
class LogState:
    """``generation``: of the newest lock it ever had; 0: none. It has everything after ``oldest``, through ``last``.

    ``recovered``: a recovery has filled it. Every log of a layout was, even with nothing; one that was emptied since does not remember.
    """

    generation: int
    oldest: Version
    last: Version
    recovered: bool


@dataclass(frozen=True, slots=True)
class StorageState:
    """``layout_epoch``: of the layout it was last unlocked for; 0: none. ``latest``: what a read without a version sees.

    ``durable`` is 0 while the data is not whole. ``keys``: what it holds, or is being filled with; one that was told nothing yet says all.
    """

    layout_epoch: int
    durable: Version
    latest: Version
    keys: KeyRange = ALL_KEYS


@dataclass(frozen=True, slots=True)
class Following:
    """What a storage worker goes on from. ``logs``: id → endpoint; they hold what the cluster has, through ``last`` at least.

    ``replicas``: endpoints of workers that hold the data, each perhaps a part of it, for one that needs what the logs do not go back to.
    ``key_range``: what it is to hold; of what it has, the rest is dropped. ``reset``: first everything that it has is dropped.
    """

    logs: Mapping[str, str]
    last: Version
    replicas: tuple[str, ...] = ()
    key_range: KeyRange = ALL_KEYS
    reset: bool = False


class DataPlane(Protocol):
    """The workers' commands. Each may be repeated. Raises DataPlaneError as the worker answered, ForemanUnavailable when it did not.

    All but the questions raise NewerLockExists when a newer recovery holds the worker.
    """

    async def log_state(self, endpoint: str) -> LogState: ...

    async def lock_log(self, endpoint: str, attempt: Attempt) -> LogState: ...

    async def recover_log(self, endpoint: str, attempt: Attempt, source: str | None, first: Version, last: Version) -> None:
        """Fill the log that this attempt locked from ``source`` (None: empty after ``last``) and unlock it for its epoch."""

    async def storage_state(self, endpoint: str) -> StorageState: ...

    async def lock_storage(self, endpoint: str, attempt: Attempt) -> StorageState: ...

    async def unlock_storage(self, endpoint: str, attempt: Attempt, version: Version, following: Following) -> None:
        """Drop what memory holds above ``version`` and go on; it says the attempt's epoch as its ``layout_epoch`` from now on.

        Without a reset it has all of the ``key_range``: a range only ever gets narrower.
        """

    async def close(self) -> None: ...
