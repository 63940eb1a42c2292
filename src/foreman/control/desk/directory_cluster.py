"""The whole cluster, asked through its directory. What is asked for stands there until the director has done it.

Every write compares what it was decided on, so that two people at once do not undo one another. Never speaks to a node.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from foreman.control.cluster_view import ClusterFold, ClusterView, view_of
from foreman.control.desk.asking import asked_again, changed_wish, check_possible, outcome_of, request_of
from foreman.control.desk.changes import changes, state
from foreman.control.desk.plain import plain_of
from foreman.control.desk.words import request_words
from foreman.control.naming import name_of, node_meant, shown_nodes, with_names
from foreman.core.cluster import DEFAULT_NEW_TIMEOUT_S, ClusterEvent, ClusterInterface, PlacedWorker
from foreman.core.errors import ForemanTimeout, WorkerNotFound
from foreman.core.ids import WorkerId, parse_worker_id, service_name
from foreman.core.timeouts import checked_timeout
from foreman.directory.errors import Compacted, FutureRevision
from foreman.directory.following import follow
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Absent, Delete, Directory, KeyValue, Put, Unchanged, as_it_is
from foreman.directory.records import ClusterSpec, DrainRecord, decode, encode, readable
from foreman.directory.worker_request import ASKED, REMOVING, WorkerRequest


class DirectoryCluster(ClusterInterface):
    """``wall``: Unix time, for people."""

    def __init__(self, directory: Directory, cluster: str, wall: Callable[[], float] = time.time) -> None:
        self._directory, self._cluster, self._wall = directory, cluster, wall
        self._keys = ClusterKeys(cluster)

    async def view(self) -> ClusterView:
        """How it is now."""
        return view_of(self._keys, await self._directory.read(self._keys.everything))

    async def status(self) -> dict[str, Any]:
        return plain_of(await self.view())

    # --- watching ---

    async def events(self, *, after: int | None = None) -> AsyncGenerator[ClusterEvent, None]:
        seen = None if after is None else await self._view_at(after)
        async with aclosing(self._views()) as views:
            async for view in views:
                told = state(view) if seen is None else changes(seen, view)
                before, at = view.revision if seen is None else seen.revision, self._wall()
                for number, change in enumerate(told, 1):
                    go_on = view.revision if number == len(told) else before
                    yield ClusterEvent(change.what, change.about, change.sentence, go_on, at)
                seen = view

    async def _view_at(self, revision: int) -> ClusterView | None:
        """As it was then; None when the directory does not keep it any more."""
        try:
            return view_of(self._keys, await self._directory.read(self._keys.everything, revision=revision))
        except (Compacted, FutureRevision):
            return None

    async def _views(self) -> AsyncGenerator[ClusterView, None]:
        """The view now, and each one after; an outage of the directory is waited for."""
        fold = ClusterFold(self._keys)
        async with aclosing(follow(self._directory, self._keys.everything, witness=self._keys.identity)) as news:
            async for told in news:
                yield fold.see(told)

    # --- the wish ---

    async def configure(
        self,
        *,
        logs: int | None = None,
        storage_replicas: int | None = None,
        splits: Sequence[bytes] | None = None,
        replace_after_s: float | None = None,
    ) -> None:
        while True:
            there = await self._directory.get(self._keys.spec)
            before = None if there is None else decode(ClusterSpec, there.key, there.value)
            spec = changed_wish(before, logs=logs, storage_replicas=storage_replicas, splits=splits, replace_after_s=replace_after_s)
            if await self._put(self._keys.spec, there, encode(spec)):
                return

    # --- draining ---

    async def drain(self, node: str) -> None:
        id = node_meant(node, await self.view())
        key = self._keys.draining(id)
        await self._directory.transact([Absent(key)], [Put(key, encode(DrainRecord(id, self._wall())))])

    async def undrain(self, node: str) -> None:
        id = node_meant(node, await self.view())
        await self._directory.transact([], [Delete.key(self._keys.draining(id))])

    # --- workers ---

    async def new_worker(
        self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = DEFAULT_NEW_TIMEOUT_S
    ) -> PlacedWorker:
        asked, within_s = request_of(id, kind, params, self._wall()), checked_timeout(timeout)
        view = await self.view()
        check_possible(asked, view)
        while True:
            there = await self._directory.get(self._keys.request(asked.id))
            wanted = asked_again(readable(WorkerRequest, there), asked, view)  # one that cannot be read is written over
            if wanted is None or await self._put(self._keys.request(asked.id), there, encode(wanted)):
                break
        view = await self._until(asked.id, lambda request: request is None or request.state != ASKED, within_s)
        request = view.requests.get(asked.id)
        if request is None or request.state == REMOVING:
            raise WorkerNotFound(asked.id)
        if (error := outcome_of(request)) is not None:
            if not request.node:
                await self._forget(request)
            raise error
        name = service_name(self._cluster, WorkerId(request.id))
        return PlacedWorker(request.id, request.kind, name, request.node, name_of(request.node, view))

    async def _forget(self, request: WorkerRequest) -> None:
        """Nothing was made, and who asked has been told why: nobody needs the record any more."""
        there = await self._directory.get(self._keys.request(request.id))
        if there is not None and readable(WorkerRequest, there) == request:
            await self._directory.transact([Unchanged(there.key, there.mod_revision)], [Delete.key(there.key)])

    async def remove_worker(self, id: str, *, timeout: float = DEFAULT_NEW_TIMEOUT_S) -> None:
        worker, within_s = parse_worker_id(id), checked_timeout(timeout)
        key = self._keys.request(worker)
        while True:
            there = await self._directory.get(key)
            request = readable(WorkerRequest, there)
            if request is None:
                raise WorkerNotFound(worker)
            wanted = replace(request, state=REMOVING, problem="", error={})
            if request.state == REMOVING or await self._put(key, there, encode(wanted)):
                break
        await self._until(worker, lambda request: request is None, within_s)

    async def _until(self, id: str, holds: Callable[[WorkerRequest | None], bool], within_s: float) -> ClusterView:
        """The view, once the request is so. Raises ForemanTimeout that says what it waits for."""
        why = "the directory has not answered"
        try:
            async with asyncio.timeout(within_s), aclosing(self._views()) as views:
                async for view in views:
                    request = view.requests.get(id)
                    if holds(request):
                        return view
                    assert request is not None
                    said = request_words(request, view) if view.leader is not None else "nobody leads the cluster"
                    why = with_names(said, shown_nodes(view))
        except TimeoutError:
            raise ForemanTimeout(f"what was asked of the cluster about {id}", within_s, {id: why}) from None
        raise AssertionError("a directory is followed without end")

    # --- writing ---

    async def _put(self, key: bytes, there: KeyValue | None, value: bytes) -> bool:
        return (await self._directory.transact([as_it_is(key, there)], [Put(key, value)])).succeeded
