"""What may be asked of the whole cluster, once, for every way in: ``foreman.cluster``.

``control.desk.directory_cluster`` answers from the directory, ``api.cluster_client`` asks a running node over HTTP; both are this
interface, with the same meaning, errors and types. Times are seconds.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT_NEW_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """Something changed in the directory: ``what`` (a word) and ``about`` (a node, a worker or "") for programs, ``sentence`` for people.

    ``after``: what to give to :meth:`ClusterInterface.events` to go on with the next one. ``at``: when it was seen, Unix time.
    """

    what: str
    about: str
    sentence: str
    after: int
    at: float


@dataclass(frozen=True, slots=True)
class PlacedWorker:
    """A worker that the cluster made, and on which node. ``name`` is what the cluster calls it, ``node_name`` what people call the node."""

    id: str
    kind: str
    name: str
    node: str
    node_name: str = ""


class ClusterInterface(ABC):
    """The whole cluster. Raises, everywhere: DirectoryUnavailable."""

    @abstractmethod
    async def status(self) -> dict[str, Any]:
        """All that the directory says, as plain JSON values (docs/reference/cluster-events.md); keys of the key space are base64."""

    @abstractmethod
    def events(self, *, after: int | None = None) -> AsyncGenerator[ClusterEvent, None]:
        """First how it is now, one event ``state`` for each line of it; then every change, in order, without end.

        ``after``: instead, what changed since then, if the directory still has it. An outage of the directory only delays it.
        """

    @abstractmethod
    async def configure(
        self,
        *,
        logs: int | None = None,
        storage_replicas: int | None = None,
        splits: Sequence[bytes] | None = None,
        replace_after_s: float | None = None,
    ) -> None:
        """Say what the cluster should be; None stays as it was. Raises InvalidRequest."""

    @abstractmethod
    async def drain(self, node: str) -> None:
        """Nothing of the cluster's layout is to be on this node any more. Returns at once; idempotent.

        ``node``: its id, or its name when no other node has the same. Raises NodeNotFound, AmbiguousNode.
        """

    @abstractmethod
    async def undrain(self, node: str) -> None:
        """Take it back. Idempotent. Raises NodeNotFound, AmbiguousNode."""

    @abstractmethod
    async def new_worker(
        self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = DEFAULT_NEW_TIMEOUT_S
    ) -> PlacedWorker:
        """Ask for a worker somewhere: the director places it, spread over fault domains, and its node makes it.

        Returns when it is healthy. The same id, kind and params again is the same worker on the same node, whoever leads by then.
        Raises InvalidRequest (nobody can make it, or the id is one that only directors give), WorkerExists, what the node answers, or
        ForemanTimeout (it goes on).
        """

    @abstractmethod
    async def remove_worker(self, id: str, *, timeout: float = DEFAULT_NEW_TIMEOUT_S) -> None:
        """Remove a worker that :meth:`new_worker` asked for, with its data. Raises WorkerNotFound or ForemanTimeout (it goes on)."""
