"""ClusterClient: pushes to the logs of a cluster's layout and reads from its storage teams, and moves to the next layout by itself.

    async with ClusterClient(layouts) as cluster:
        version = await cluster.push([Set(b"k", b"v")])         # durable on every log of the layout when it returns
        await cluster.get(b"k", version=version)                # waits until storage has come so far

Owns its connections, and ``layouts``, which it closes. One client at a time pushes to a cluster (``cluster_writer`` says why); any number
read. A push that returned is acknowledged and survives every recovery; one that raised, or that nobody waited for any longer, may be in
the cluster or not, and is told by :attr:`ClusterClient.under_way` until it is known.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from foreman.core.mutations import Mutation, Version
from foreman.workers.clients.cluster_layout import ClusterLayout, Layouts, Newest
from foreman.workers.clients.cluster_reader import ClusterReader
from foreman.workers.clients.cluster_writer import ClusterWriter
from foreman.workers.clients.storage_client import Pairs

DEFAULT_TIMEOUT_S: Final = 60.0
"""A lost machine is noticed when its lease ends, and the recovery takes a moment more."""


class ClusterClient:
    """``security``: the params ``tls`` and ``auth_file`` of a worker, to be used as the client's own; used for TCP only."""

    def __init__(self, layouts: Layouts, *, timeout: float = DEFAULT_TIMEOUT_S, security: Mapping[str, Any] | None = None) -> None:
        self._timeout_s = timeout
        self._newest = Newest(layouts)
        self._writer, self._reader = ClusterWriter(self._newest, security), ClusterReader(self._newest, security)

    async def __aenter__(self) -> Self:
        self._newest.begin()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Whoever still waits hears ForemanUnavailable; pushes that are under way may be in the cluster or not."""
        self._newest.end()
        await self._writer.close()
        await self._reader.close()
        await self._newest.close()

    async def layout(self, *, after: int = -1) -> ClusterLayout:
        """The newest layout, once there is one of an epoch above ``after``. Waits without end."""
        return await self._newest.after(after)

    # Writing.

    async def push(self, mutations: Sequence[Mutation], *, timeout: float | None = None) -> Version:
        """Durable on every log when it returns; the version it has. In the order of the calls; many may wait at once.

        Raises TooLarge (nothing was taken), ForemanTimeout (it goes on, see :attr:`under_way`), and, for this push and all after it,
        TransactionOutOfOrder (somebody else writes to this cluster) or AcknowledgedLost (the cluster lost what it had acknowledged).
        """
        return await self._writer.push(mutations, self._timeout_s if timeout is None else timeout)

    @property
    def acknowledged(self) -> Version:
        """The newest version that is acknowledged, and with it all before it; 0: none that this client knows of."""
        return self._writer.acknowledged

    @property
    def under_way(self) -> list[Version]:
        """Versions taken and not acknowledged, ascending: each may be in the cluster or not, and is tried on until :meth:`close`."""
        return self._writer.under_way

    # Reading.

    async def get(self, key: bytes, *, version: Version | None = None, timeout: float | None = None) -> bytes | None:
        """The value at ``version``, which is waited for, or at what its storage worker has now. Raises VersionTooOld, VersionTooNew, …"""
        return await self._reader.get(key, version, self._within(timeout))

    async def get_many(self, keys: Sequence[bytes], *, version: Version | None = None, timeout: float | None = None) -> list[bytes | None]:
        """The values in the order of the keys; of one state only where ``version`` is named: each team follows the logs by itself."""
        return await self._reader.get_many(keys, version, self._within(timeout))

    async def get_range(
        self, begin: bytes, end: bytes | None = None, *, version: Version | None = None, limit: int = 1000, timeout: float | None = None
    ) -> tuple[Pairs, bool]:
        r"""One page of begin <= key < end (None: through the last key), and whether there may be more: from ``last + b"\0"`` on.

        A page ends early when it has many bytes, or where the next team's keys begin.
        """
        return await self._reader.get_range(begin, end, version, limit, self._within(timeout))

    def _within(self, timeout: float | None) -> float:
        return self._timeout_s if timeout is None else timeout
