"""The whole cluster, asked through a running node over HTTP: the same methods, meaning and errors as in the node itself.

Owns nothing: the connections are the client's.
"""

import base64
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import quote

import msgspec

from foreman.api.calls import Calls
from foreman.api.sending import ANSWER_WITHIN_S, MARGIN_S, worker_body
from foreman.api.watching import Subscription
from foreman.core.cluster import DEFAULT_NEW_TIMEOUT_S, ClusterEvent, ClusterInterface, PlacedWorker
from foreman.core.errors import InvalidRequest
from foreman.core.ids import parse_worker_id
from foreman.core.timeouts import checked_timeout

_decode_event: Final = msgspec.json.Decoder(ClusterEvent).decode
_decode_placed: Final = msgspec.json.Decoder(PlacedWorker).decode
_decode_status: Final = msgspec.json.Decoder(dict[str, Any]).decode


class RemoteCluster(ClusterInterface):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def status(self) -> dict[str, Any]:
        return _decode_status(await self._call("GET", "", what="the status of the cluster"))

    async def events(self, *, after: int | None = None) -> AsyncGenerator[ClusterEvent, None]:
        if after is not None and after < 0:
            raise InvalidRequest([f"after must be what an event told, not {after}"])
        subscription = Subscription(self._calls, "/v1/cluster/events", after, lambda message: _decode_event(message.data))
        async with aclosing(subscription.events()) as events:
            async for event in events:
                yield event

    async def configure(
        self,
        *,
        logs: int | None = None,
        storage_replicas: int | None = None,
        splits: Sequence[bytes] | None = None,
        replace_after_s: float | None = None,
    ) -> None:
        cuts = None if splits is None else [base64.b64encode(split).decode() for split in splits]
        said = {"logs": logs, "storage_replicas": storage_replicas, "splits": cuts, "replace_after_s": replace_after_s}
        body = {name: value for name, value in said.items() if value is not None}
        await self._call("PATCH", "/spec", body, what="configure")

    async def drain(self, node: str) -> None:
        await self._call("PUT", f"/draining/{quote(node, safe='')}", what=f"drain {node}")

    async def undrain(self, node: str) -> None:
        await self._call("DELETE", f"/draining/{quote(node, safe='')}", what=f"undrain {node}")

    async def new_worker(
        self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = DEFAULT_NEW_TIMEOUT_S
    ) -> PlacedWorker:
        within_s = checked_timeout(timeout)
        body = {**worker_body(id, kind, params), "timeout": within_s}
        return _decode_placed(await self._call("POST", "/workers", body, what=f"new_worker {id}", timeout=within_s))

    async def remove_worker(self, id: str, *, timeout: float = DEFAULT_NEW_TIMEOUT_S) -> None:
        within_s = checked_timeout(timeout)
        path = f"/workers/{parse_worker_id(id)}?timeout={within_s!r}"
        await self._call("DELETE", path, what=f"remove_worker {id}", timeout=within_s)

    async def _call(self, method: str, path: str, body: Any = None, *, what: str, timeout: float | None = None) -> bytes:
        within_s = ANSWER_WITHIN_S if timeout is None else timeout + MARGIN_S
        return await self._calls.call(method, f"/v1/cluster{path}", body, within_s=within_s, what=what)
