"""The director does what the cluster was asked for: makes the workers of requests, and removes them again.

Runs beside the watch. Where a worker goes is written down, by compare and set, before any node is asked: a retry, or the director of a
later epoch, asks the same node for the same worker, so none is ever made twice. A node that does not answer is asked again; one that is
away is waited for, because the worker may be there. No layout names these workers, and no recovery or clean-up touches them.
"""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any, Final

import msgspec

from foreman.control.cluster_view import ClusterView
from foreman.control.errands import Errands
from foreman.control.placement import Place, domain_at, domain_of, place
from foreman.control.recovery.recovery import Tools
from foreman.core.errors import FailedToStart, ForemanError, ForemanTimeout, ForemanUnavailable, WorkerNotFound
from foreman.directory.checks import fitting
from foreman.directory.errors import DirectoryError
from foreman.directory.port import Delete, Operation, Put, Unchanged
from foreman.directory.records import encode
from foreman.directory.worker_request import ASKED, FAILED, MADE, REMOVING, WorkerRequest

MAX_PROBLEM: Final = 1_000
MAX_FACTS_BYTES: Final = 16 << 10


def chosen_node(request: WorkerRequest, view: ClusterView, avoided: frozenset[str] = frozenset()) -> str | None:
    """Where it goes. None: no node can be asked. Pure.

    Where such a worker runs already, it is the one; else apart from the other requested workers of its kind, by fault domain.
    """
    there = sorted(at.node for at, service in view.services.items() if (at.id, service.kind) == (request.id, request.kind))
    if there:
        return there[0]
    able = view.capable(request.kind)
    able = [node for node in able if node.id not in avoided] or able
    beside = [other.node for other in view.requests.values() if other.kind == request.kind and other.node and other.id != request.id]
    load = Counter(at.node for at in view.services)
    places = [Place(node.id, domain_of(node)) for node in able]
    team = [Place(node, domain_at(node, view.nodes)) for node in beside]
    return next(iter(place(1, places, beside=team, load=load)), None)


def _told(error: ForemanError) -> dict[str, Any]:
    """The error as the record keeps it: with its facts, unless they are no JSON or too much."""
    short: dict[str, Any] = {"code": error.code, "detail": fitting(str(error), MAX_PROBLEM)}
    whole = {**short, **error.facts()}
    try:
        return whole if len(msgspec.json.encode(whole)) <= MAX_FACTS_BYTES else short
    except (TypeError, ValueError):
        return short


class Answering:
    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._errands = Errands[str](tools.feed)
        self._placing = asyncio.Lock()

    async def run(self) -> None:
        """Without end; each request in a task of its own. Cancelling ends them. Raises Deposed, Overtaken."""
        await self._errands.run(self._consider)

    def _consider(self) -> None:
        for id in sorted(self._tools.feed.view.requests):
            if self._open(id) is not None and not self._errands.is_under_way(id):
                self._errands.begin(id, self._answer(id))

    def _open(self, id: str) -> WorkerRequest | None:
        request = self._tools.feed.view.requests.get(id)
        return request if request is not None and request.state in {ASKED, REMOVING} else None

    async def _answer(self, id: str) -> None:
        """Until there is nothing to do about it."""
        settings = self._tools.settings
        pause_s = settings.again_s
        while (request := self._open(id)) is not None:
            done = await (self._make(request) if request.state == ASKED else self._remove(request))
            if done:
                await self._tools.feed.until(lambda view, was=request: view.requests.get(id) != was, settings.again_cap_s)  # type: ignore[misc]
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(settings.again_cap_s, 2 * pause_s)

    async def _place(self, request: WorkerRequest) -> bool:
        """One after the other, each seeing where the one before it went."""
        feed = self._tools.feed
        node = chosen_node(request, feed.view, self._tools.foremen.avoided())
        if node is None:
            return await self._wait_for(request, f"no node that can be asked has the capability {request.kind}")
        placed = await self._write(request, replace(request, node=node, problem=""))
        if placed:
            await feed.until(lambda view: view.requests.get(request.id) != request, self._tools.settings.again_cap_s)
        return placed

    async def _make(self, request: WorkerRequest) -> bool:
        """Whether it came further."""
        tools, view = self._tools, self._tools.feed.view
        if not request.node:
            async with self._placing:
                return await self._place(request)
        record = view.nodes.get(request.node)
        if record is None:
            return await self._wait_for(request, f"node {request.node} is not there")
        try:
            await tools.foremen.new_worker(record, request.id, request.kind, request.params, tools.settings.recruit_timeout_s)
        except (ForemanUnavailable, ForemanTimeout) as error:
            return await self._wait_for(request, str(error))
        except ForemanError as error:
            node = request.node if isinstance(error, FailedToStart) else ""  # else nothing was made there
            told = _told(error)
            tools.tell(f"{request.id} could not be made on node {request.node}", str(error))
            return await self._write(request, replace(request, state=FAILED, node=node, problem="", error=told))
        tools.tell(f"{request.id} was made on node {request.node}", "somebody asked the cluster for it")
        return await self._write(request, replace(request, state=MADE, problem=""))

    async def _remove(self, request: WorkerRequest) -> bool:
        tools = self._tools
        if request.node:
            record = tools.feed.view.nodes.get(request.node)
            if record is None:
                return await self._wait_for(request, f"node {request.node} is not there")
            try:
                results = await tools.foremen.remove_workers(record, [request.id], tools.settings.recruit_timeout_s)
            except ForemanError as error:
                return await self._wait_for(request, str(error))
            problem = results.get(request.id)
            if problem is not None and not isinstance(problem, WorkerNotFound):
                return await self._wait_for(request, str(problem))
            tools.tell(f"{request.id} was removed from node {request.node}", "somebody asked the cluster to")
        return await self._write(request, None)

    async def _wait_for(self, request: WorkerRequest, problem: str) -> bool:
        problem = fitting(problem, MAX_PROBLEM)
        if request.problem != problem:
            await self._write(request, replace(request, problem=problem))
        return False

    async def _write(self, request: WorkerRequest, new: WorkerRequest | None) -> bool:
        """Unless somebody changed the request meanwhile, or leads instead."""
        tools = self._tools
        key = tools.keys.request(request.id)
        unchanged = Unchanged(key, tools.feed.view.revisions.get(key, 0))
        if tools.feed.view.requests.get(request.id) != request:
            return False
        operation: Operation = Delete.key(key) if new is None else Put(key, encode(new))
        try:
            return (await tools.directory.transact([Unchanged(tools.keys.leader, tools.leader_revision), unchanged], [operation])).succeeded
        except DirectoryError:
            return False
