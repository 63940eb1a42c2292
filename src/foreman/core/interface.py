"""The Foreman's methods, once, for every way in.

``node.foreman.LocalForeman`` is the node in this process, ``api.client.RemoteForeman`` a running node behind HTTP. Both are
this interface, with the same meaning, errors and types; the command line uses nothing else. Times are seconds.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from foreman.core.cluster import ClusterInterface
from foreman.core.errors import ForemanError
from foreman.core.health import Health
from foreman.core.views import NodeEvent, NodeInfo, ServiceInfo, StoryLine, WorkerInfo, WorkerRef

NewWorkerItem = tuple[str, str] | tuple[str, str, Mapping[str, Any]]
"""``(id, kind)`` or ``(id, kind, params)``."""

DEFAULT_NEW_TIMEOUT_S = 30.0
DEFAULT_BATCH_TIMEOUT_S = 60.0
DEFAULT_WAIT_TIMEOUT_S = 30.0
DEFAULT_REMOVE_TIMEOUT_S = 30.0


class ForemanInterface(ABC):
    """One node's Foreman."""

    @property
    def cluster(self) -> ClusterInterface:
        """The whole cluster that the node belongs to."""
        raise ForemanError("this Foreman knows of no cluster")

    @abstractmethod
    async def new_worker(
        self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = DEFAULT_NEW_TIMEOUT_S
    ) -> WorkerRef:
        """Create a worker and return when it is healthy and handed to registration.

        The same id, kind and params again is the same worker, with no second start.

        Raises InvalidWorkerId, UnknownKind, InvalidParams, WorkerExists, WorkerBusy, WorkerDirectoryBusy, InsufficientSpace,
        FailedToStart (the worker stays and is retried until removed) or ForemanTimeout (the start goes on).
        """

    @abstractmethod
    async def new_workers(self, items: Iterable[NewWorkerItem], *, timeout: float = DEFAULT_BATCH_TIMEOUT_S) -> list[WorkerRef]:
        """Create all or none. Raises BatchFailed naming each reason, after everything made has been removed again."""

    @abstractmethod
    async def all(self) -> list[WorkerRef]:
        """All workers, sorted by id, whatever their health."""

    @abstractmethod
    async def workers(self, *, kind: str | None = None) -> list[WorkerRef]: ...

    async def storage_workers(self) -> list[WorkerRef]:
        return await self.workers(kind="storage")

    async def log_workers(self) -> list[WorkerRef]:
        return await self.workers(kind="log")

    @abstractmethod
    async def info(self, id: str) -> WorkerInfo:
        """Raises WorkerNotFound."""

    @abstractmethod
    async def infos(self, *, kind: str | None = None) -> list[WorkerInfo]:
        """All workers with their state, sorted by id: one call for a whole listing."""

    @abstractmethod
    async def health(self) -> Health:
        """The aggregate health of the node."""

    @abstractmethod
    async def wait_for_healthy(self, *, timeout: float = DEFAULT_WAIT_TIMEOUT_S) -> None:
        """Return when all workers are ok; at once when they are, or there is none.

        Raises WorkersUnhealthy as soon as waiting cannot help, ForemanTimeout at the deadline; both name each worker and why.
        """

    @abstractmethod
    async def report_health(self, id: str, health: Health) -> None:
        """A worker (or somebody for it) reports its health. Idempotent. Raises WorkerNotFound."""

    @abstractmethod
    async def get_all_running_services(self) -> list[ServiceInfo]:
        """The healthy workers as compact tuples, sorted by id."""

    @abstractmethod
    async def restart_worker(self, id: str, *, timeout: float = DEFAULT_NEW_TIMEOUT_S) -> None:
        """Stop and start again; returns when it is healthy. A worker that had given up gets a clean history."""

    @abstractmethod
    async def stop_worker(self, id: str, *, timeout: float = DEFAULT_REMOVE_TIMEOUT_S) -> None:
        """Stop and keep stopped, also over a restart of the node. Returns when the process is gone. Idempotent."""

    @abstractmethod
    async def start_worker(self, id: str, *, timeout: float = DEFAULT_NEW_TIMEOUT_S) -> None:
        """Start a stopped, finished or given-up worker; returns when it is healthy. Idempotent."""

    @abstractmethod
    async def remove_worker(self, id: str, *, timeout: float = DEFAULT_REMOVE_TIMEOUT_S) -> None:
        """Unadvertise, stop, prove the exit, rename the directory into trash, delete it, forget.

        Raises WorkerNotFound, FailedToRemoveDirectory (errno and path) or ForemanTimeout (the removal goes on).
        """

    @abstractmethod
    async def remove_workers(self, ids: Sequence[str], *, timeout: float = DEFAULT_REMOVE_TIMEOUT_S) -> dict[str, ForemanError | None]:
        """Remove many: one journal record, one deregistration, stops side by side. A result for each id; None is success."""

    @abstractmethod
    async def why(self, id: str) -> list[StoryLine]:
        """The worker's story, oldest first. Raises WorkerNotFound."""

    @abstractmethod
    def events(self, *, after: int | None = None) -> AsyncIterator[NodeEvent]:
        """Everything that changes from now on (or after event number ``after``, as far back as is still kept)."""

    @abstractmethod
    def output(self, id: str, *, follow: bool = False) -> AsyncIterator[bytes]:
        """What the worker wrote to stdout and stderr, oldest kept byte first; with ``follow``, goes on. Raises WorkerNotFound."""

    @abstractmethod
    async def node(self) -> NodeInfo: ...

    @abstractmethod
    async def shutdown(self) -> None:
        """Ask the node to end: workers stop in reverse order of start, then supervisor and server end. Returns when accepted."""
