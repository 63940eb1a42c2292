"""A cluster in memory that does at once what it is asked, for tests of what stands before it: the HTTP application and its client."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from foreman.control.cluster_view import ClusterView
from foreman.control.desk.asking import asked_again, changed_wish, request_of
from foreman.control.desk.changes import changes, state
from foreman.control.desk.plain import plain_of
from foreman.control.naming import node_meant
from foreman.core.cluster import DEFAULT_NEW_TIMEOUT_S, ClusterEvent, ClusterInterface, PlacedWorker
from foreman.core.errors import WorkerNotFound
from foreman.core.ids import parse_worker_id
from foreman.directory.records import NodeRecord, Placement, ServiceRecord
from foreman.directory.worker_request import MADE


class FakeCluster(ClusterInterface):
    """``view`` is what there is; each change makes another."""

    def __init__(self, nodes: Sequence[str] = ("a", "b")) -> None:
        self.view = ClusterView(revision=1, nodes={id: NodeRecord(id, f"unix:/{id}", ("log", "storage")) for id in nodes})
        self._views = [self.view]
        self._changed = asyncio.Event()

    def become(self, **changed: Any) -> None:
        """From now on the view has these."""
        self.view = replace(self.view, revision=self.view.revision + 1, **changed)
        self._views.append(self.view)
        self._changed.set()
        self._changed = asyncio.Event()

    async def status(self) -> dict[str, Any]:
        return plain_of(self.view)

    async def events(self, *, after: int | None = None) -> AsyncGenerator[ClusterEvent, None]:
        seen = self.view
        if after is not None and 0 < after <= self.view.revision:
            seen = self._views[after - 1]
        else:
            for change in state(seen):
                yield ClusterEvent(*change, seen.revision, time.time())
        while True:
            for view in self._views[seen.revision :]:
                for change in changes(seen, view):
                    yield ClusterEvent(*change, view.revision, time.time())
                seen = view
            await self._changed.wait()

    async def configure(
        self,
        *,
        logs: int | None = None,
        storage_replicas: int | None = None,
        splits: Sequence[bytes] | None = None,
        replace_after_s: float | None = None,
    ) -> None:
        before = self.view.spec
        wish = changed_wish(before, logs=logs, storage_replicas=storage_replicas, splits=splits, replace_after_s=replace_after_s)
        self.become(spec=wish)

    async def drain(self, node: str) -> None:
        self.become(draining=self.view.draining | {node_meant(node, self.view)})

    async def undrain(self, node: str) -> None:
        self.become(draining=self.view.draining - {node_meant(node, self.view)})

    async def new_worker(
        self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = DEFAULT_NEW_TIMEOUT_S
    ) -> PlacedWorker:
        request = request_of(id, kind, params, 0.0)
        if asked_again(self.view.requests.get(request.id), request, self.view) is not None:
            node = sorted(self.view.nodes)[len(self.view.requests) % len(self.view.nodes)]
            service = {Placement(id, node): ServiceRecord(id, kind, f"demo_{id}", node)}
            made = replace(request, state=MADE, node=node)
            self.become(requests={**self.view.requests, id: made}, services={**self.view.services, **service})
        return PlacedWorker(id, kind, f"demo_{id}", self.view.requests[id].node)

    async def remove_worker(self, id: str, *, timeout: float = DEFAULT_NEW_TIMEOUT_S) -> None:
        worker = parse_worker_id(id)
        if worker not in self.view.requests:
            raise WorkerNotFound(worker)
        requests = {name: request for name, request in self.view.requests.items() if name != worker}
        self.become(requests=requests, services={at: each for at, each in self.view.services.items() if at.id != worker})
