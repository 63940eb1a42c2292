"""Where a ClusterClient has a cluster's layout from: the directory tells which workers, and the nodes' foremen tell where those listen.

Owns one connection to each node that was asked. The directory is followed, so a new layout is known as soon as it is published, and an
outage of it changes nothing: the last layout known is the layout.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from contextlib import aclosing
from typing import Any

import structlog

from foreman.api.client import RemoteForeman
from foreman.core.errors import ForemanUnavailable
from foreman.core.views import WorkerInfo
from foreman.directory.errors import InvalidRecord
from foreman.directory.following import Backoff, follow
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Deleted, Directory, KeyRange, KeyValue, Snapshot
from foreman.directory.records import Layout, NodeRecord, Placement, decode
from foreman.workers.clients.cluster_layout import ClusterLayout, Team, news

_log = structlog.get_logger("foreman.client")
_BACKOFF = Backoff(0.05, 1.0)


class Nodes:
    """The cluster's nodes and their foremen. ``connect``: from a node's address to its Foreman."""

    def __init__(self, connect: Callable[[str], RemoteForeman]) -> None:
        self._connect = connect
        self._records: dict[str, NodeRecord] = {}
        self._foremen: dict[str, RemoteForeman] = {}

    def see(self, record: NodeRecord) -> None:
        """There is this node. One that goes is not forgotten: it may be that only its lease is gone."""
        self._records[record.id] = record

    @property
    def addresses(self) -> list[str]:
        return [record.address for _, record in sorted(self._records.items())]

    def foreman(self, address: str) -> RemoteForeman:
        if address not in self._foremen:
            self._foremen[address] = self._connect(address)
        return self._foremen[address]

    def known(self, layout: Layout) -> ClusterLayout:
        """The layout with its workers as a client finds them."""
        return ClusterLayout(
            layout.epoch,
            layout.last_version,
            tuple(self._where(log) for log in layout.logs),
            tuple(Team(team.begin, team.end, tuple(self._where(member) for member in team.members)) for team in layout.teams),
            layout.durable_version,
        )

    async def info(self, node: str, id: str) -> WorkerInfo:
        """Raises ForemanUnavailable, WorkerNotFound."""
        record = self._records.get(node)
        if record is None:
            raise ForemanUnavailable(node, "its node is not there")
        return await self.foreman(record.address).info(id)

    async def close(self) -> None:
        foremen, self._foremen = self._foremen, {}
        for foreman in foremen.values():
            await foreman.close()

    def _where(self, worker: Placement) -> "tuple[_OnNode, str]":
        return _OnNode(self, worker.node), worker.id


class _OnNode:
    """A node's foreman for whoever looks for a worker of its: found anew at each call."""

    def __init__(self, nodes: Nodes, node: str) -> None:
        self._nodes, self._node = nodes, node

    async def info(self, id: str) -> WorkerInfo:
        return await self._nodes.info(self._node, id)


class FollowedLayouts(ABC):
    """The ``Layouts`` of a ClusterClient, for whoever knows how to follow them: the tasks that do, and what they have brought so far."""

    def __init__(self, connect: Callable[[str], RemoteForeman]) -> None:
        self._nodes = Nodes(connect)
        self._layout: Layout | None = None
        self._changed = asyncio.Event()
        self._following: list[asyncio.Task[None]] = []

    @abstractmethod
    def _works(self) -> Iterable[Coroutine[Any, Any, None]]:
        """Each without end. What one raises, :meth:`after` raises: waiting does not mend it."""

    async def after(self, epoch: int) -> ClusterLayout:
        if not self._following:
            self._following = [asyncio.create_task(work) for work in self._works()]
        while self._layout is None or self._layout.epoch <= epoch:
            await news(self._changed, self._following)
        return self._nodes.known(self._layout)

    async def close(self) -> None:
        following, self._following = self._following, []
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await self._nodes.close()

    def _become(self, layout: Layout) -> None:
        self._layout = layout
        self._changed.set()
        self._changed = asyncio.Event()


class DirectoryLayouts(FollowedLayouts):
    """From the directory, which is the caller's, and stays open. :meth:`after` raises DirectoryError."""

    def __init__(self, directory: Directory, cluster: str, connect: Callable[[str], RemoteForeman] = RemoteForeman.connect) -> None:
        super().__init__(connect)
        self._directory, self._keys = directory, ClusterKeys(cluster)

    def _works(self) -> Iterable[Coroutine[Any, Any, None]]:
        return self._follow(self._keys.nodes, self._see_node), self._follow(KeyRange.of_key(self._keys.layout), self._see_layout)

    async def _follow(self, keys: KeyRange, see: Callable[[KeyValue | Deleted], None]) -> None:
        async with aclosing(follow(self._directory, keys, backoff=_BACKOFF, witness=self._keys.identity)) as changes:
            async for told in changes:
                for event in told.entries if isinstance(told, Snapshot) else told.events:
                    see(event)

    def _see_node(self, event: KeyValue | Deleted) -> None:
        if isinstance(event, KeyValue):
            with contextlib.suppress(InvalidRecord):  # the directors complain of it; here it is a node that cannot be found
                self._nodes.see(decode(NodeRecord, event.key, event.value))

    def _see_layout(self, event: KeyValue | Deleted) -> None:
        if isinstance(event, Deleted):
            return
        try:
            layout = decode(Layout, event.key, event.value)
        except InvalidRecord as error:
            _log.error("layout_unreadable", reason=str(error))
            return
        self._become(layout)
