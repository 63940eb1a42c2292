"""A running node as a ForemanInterface: the same methods with the same meaning, errors and types as the embedded one, over HTTP.

Ids and time-outs are checked before anything is sent, so that a wrong one is the same error here as there. Each call waits a
little longer than the node was told to take, because the node's own time-out says more.
"""

import ssl
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from foreman.api import wire
from foreman.api.address import Address, TcpAddress, UnixAddress, resolve_address
from foreman.api.calls import Calls
from foreman.api.cluster_client import RemoteCluster
from foreman.api.problems import error_of
from foreman.api.sending import ANSWER_WITHIN_S, MARGIN_S, parts, worker_body
from foreman.api.watching import Subscription
from foreman.core.errors import ForemanError, InvalidRequest
from foreman.core.generations import HEADER, Generation
from foreman.core.health import Health, HealthStatus
from foreman.core.ids import parse_worker_id
from foreman.core.interface import (
    DEFAULT_BATCH_TIMEOUT_S,
    DEFAULT_NEW_TIMEOUT_S,
    DEFAULT_REMOVE_TIMEOUT_S,
    DEFAULT_WAIT_TIMEOUT_S,
    ForemanInterface,
    NewWorkerItem,
)
from foreman.core.timeouts import checked_timeout
from foreman.core.views import NodeEvent, NodeInfo, ServiceInfo, StoryLine, WorkerInfo, WorkerRef


class RemoteForeman(ForemanInterface):
    """Use as ``async with RemoteForeman.connect("data") as foreman:``. Safe for many calls at once on one event loop."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._subscriptions: set[Subscription[NodeEvent]] = set()

    @classmethod
    def connect(
        cls,
        target: str | Path | Address,
        *,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        generation: Generation | None = None,
    ) -> "RemoteForeman":
        """``target``: a data directory, ``unix:PATH`` or ``https://HOST:PORT``. Connects when first used.

        ``tls``: the context for https, with the client's certificate when the node asks for one. ``generation``: of the director who
        asks; a node that has heard a newer one answers StaleGeneration. People give none. Raises InvalidRequest.
        """
        address = target if isinstance(target, UnixAddress | TcpAddress) else resolve_address(target)
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise InvalidRequest(["a token is visible ASCII characters without spaces"])
        return cls(Calls(address, token, tls, {} if generation is None else {HEADER: str(generation)}))

    @property
    def address(self) -> str:
        return str(self._calls.address)

    @property
    def cluster(self) -> RemoteCluster:
        return RemoteCluster(self._calls)

    async def __aenter__(self) -> Self:
        """Asks the node who it is, so that a node that is not there is known at once. Raises ForemanUnavailable."""
        try:
            await self.node()
        except BaseException:  # whatever it was, nobody will call __aexit__
            await self.close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        for subscription in self._subscriptions:
            subscription.abandon()
        self._subscriptions.clear()
        await self._calls.close()

    async def _call(
        self, method: str, path: str, body: Any = None, *, what: str, timeout: float | None = None, also: int | None = None
    ) -> bytes:
        for subscription in [one for one in self._subscriptions if not one.opening.done()]:
            await subscription.opening  # its place in the stream is before what this call causes
        within_s = ANSWER_WITHIN_S if timeout is None else timeout + MARGIN_S
        return await self._calls.call(method, path, body, within_s=within_s, what=what, also=also)

    # --- creating and removing ---

    async def new_worker(
        self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = DEFAULT_NEW_TIMEOUT_S
    ) -> WorkerRef:
        within_s = checked_timeout(timeout)
        body = {**worker_body(id, kind, params), "timeout": within_s}
        return wire.decode_ref(await self._call("POST", "/v1/workers", body, what=f"new_worker {id}", timeout=within_s))

    async def new_workers(self, items: Iterable[NewWorkerItem], *, timeout: float = DEFAULT_BATCH_TIMEOUT_S) -> list[WorkerRef]:
        within_s = checked_timeout(timeout)
        body = {"workers": [worker_body(*parts(item)) for item in items], "timeout": within_s}
        return wire.decode_refs(await self._call("POST", "/v1/workers:batchCreate", body, what="new_workers", timeout=within_s))

    async def remove_worker(self, id: str, *, timeout: float = DEFAULT_REMOVE_TIMEOUT_S) -> None:
        within_s = checked_timeout(timeout)
        await self._call("DELETE", f"{_path(id)}?timeout={within_s!r}", what=f"remove_worker {id}", timeout=within_s)

    async def remove_workers(self, ids: Sequence[str], *, timeout: float = DEFAULT_REMOVE_TIMEOUT_S) -> dict[str, ForemanError | None]:
        if isinstance(ids, str | bytes):
            raise InvalidRequest([f"ids must be a list of worker ids, not {ids!r:.80}"])
        within_s = checked_timeout(timeout)
        body = {"ids": [parse_worker_id(id) for id in ids], "timeout": within_s}
        answer = await self._call("POST", "/v1/workers:batchRemove", body, what="remove_workers", timeout=within_s)
        return {id: None if told is None else error_of(told) for id, told in wire.decode_results(answer).items()}

    # --- running ---

    async def restart_worker(self, id: str, *, timeout: float = DEFAULT_NEW_TIMEOUT_S) -> None:
        await self._do(id, "restart", timeout)

    async def stop_worker(self, id: str, *, timeout: float = DEFAULT_REMOVE_TIMEOUT_S) -> None:
        await self._do(id, "stop", timeout)

    async def start_worker(self, id: str, *, timeout: float = DEFAULT_NEW_TIMEOUT_S) -> None:
        await self._do(id, "start", timeout)

    async def _do(self, id: str, verb: str, timeout: float) -> None:
        within_s = checked_timeout(timeout)
        await self._call("POST", f"{_path(id)}/{verb}", {"timeout": within_s}, what=f"{verb}_worker {id}", timeout=within_s)

    async def shutdown(self) -> None:
        await self._call("POST", "/v1/node:shutdown", what="shutdown")

    # --- looking ---

    async def all(self) -> list[WorkerRef]:
        return await self.workers()

    async def workers(self, *, kind: str | None = None) -> list[WorkerRef]:
        return wire.decode_refs(await self._call("GET", _listing(kind), what="workers"))

    async def infos(self, *, kind: str | None = None) -> list[WorkerInfo]:
        return [self._seen(info) for info in wire.decode_infos(await self._call("GET", _listing(kind), what="infos"))]

    async def info(self, id: str) -> WorkerInfo:
        return self._seen(wire.decode_info(await self._call("GET", _path(id), what="info")))

    def _seen(self, info: WorkerInfo) -> WorkerInfo:
        """From afar a path on the node's own machine leads nowhere, or worse: to another worker of that name."""
        is_afar = isinstance(self._calls.address, TcpAddress) and info.local_endpoint is not None
        return replace(info, local_endpoint=None) if is_afar else info

    async def why(self, id: str) -> list[StoryLine]:
        return wire.decode_story(await self._call("GET", f"{_path(id)}/story", what="why"))

    async def get_all_running_services(self) -> list[ServiceInfo]:
        return wire.decode_services(await self._call("GET", "/v1/services", what="get_all_running_services"))

    async def node(self) -> NodeInfo:
        return wire.decode_node(await self._call("GET", "/v1/node", what="node"))

    # --- health ---

    async def health(self) -> Health:
        told = wire.decode_health(await self._call("GET", "/v1/health", what="health", also=503))
        return Health(HealthStatus(told.status), told.reason)

    async def wait_for_healthy(self, *, timeout: float = DEFAULT_WAIT_TIMEOUT_S) -> None:
        within_s = checked_timeout(timeout)
        await self._call("POST", "/v1/health:wait", {"timeout": within_s}, what="wait_for_healthy", timeout=within_s)

    async def report_health(self, id: str, health: Health) -> None:
        body = {"status": health.status.value} | ({} if health.reason is None else {"reason": health.reason[:1000]})
        await self._call("POST", f"{_path(id)}/health", body, what="report_health")

    # --- watching ---

    def events(self, *, after: int | None = None) -> AsyncIterator[NodeEvent]:
        if after is not None and after < 0:
            raise InvalidRequest([f"after must be the number of an event, not {after}"])
        subscription = Subscription[NodeEvent](
            self._calls, "/v1/events", after, lambda message: wire.decode_event(message.event, message.data)
        )
        self._subscriptions.add(subscription)
        return self._following(subscription)

    async def _following(self, subscription: Subscription[NodeEvent]) -> AsyncIterator[NodeEvent]:
        try:
            async for event in subscription.events():
                yield event
        finally:
            self._subscriptions.discard(subscription)

    async def output(self, id: str, *, follow: bool = False) -> AsyncIterator[bytes]:
        path = f"{_path(id)}/output" + ("?follow=true" if follow else "")
        async with self._calls.streaming(path) as chunks:
            async for chunk in chunks:
                yield chunk


def _path(id: object) -> str:
    return f"/v1/workers/{parse_worker_id(id)}"


def _listing(kind: str | None) -> str:
    return "/v1/workers" if kind is None else f"/v1/workers?kind={quote(str(kind), safe='')}"
