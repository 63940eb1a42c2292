"""One worker as a client sees it: where it is, a pool of connections to it, and its errors as classes.

Owns the connections (redis-py's) and asks the foreman for the address when it was given an id; asks again after a connection failed, as the
worker may have come back elsewhere.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Protocol

import redis.asyncio as redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from foreman.core.data_errors import data_error_from_wire
from foreman.core.errors import ForemanUnavailable
from foreman.core.views import WorkerInfo
from foreman.workers.wire.secret import read_secret
from foreman.workers.wire.tls import client_context


class KnowsWorkers(Protocol):
    """A Foreman, as far as it matters here."""

    async def info(self, id: str) -> WorkerInfo: ...


Where = str | tuple[KnowsWorkers, str]
"""An endpoint (``unix:/path``, ``host:port``), or a foreman and the id of one of its workers."""


class Unreachable(ForemanUnavailable, code="worker_unreachable"):
    """The worker does not answer. What it was asked may or may not have been done."""

    def __str__(self) -> str:
        return f"the worker at {self.address} does not answer: {self.reason}"


async def endpoint_of(where: Where) -> str:
    """Where it listens now, the shortest way. Raises Unreachable: it has not told yet; and what the foreman raises."""
    if isinstance(where, str):
        return where
    foreman, id = where
    info = await foreman.info(id)
    endpoint = info.local_endpoint or info.endpoint
    if endpoint is None:
        raise Unreachable(id, "it has told no endpoint yet")
    return endpoint


class _TlsConnection(redis.SSLConnection):
    """One that trusts our authority alone: redis-py's own context trusts every authority of the system as well."""

    def __init__(self, *, context: SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = context


@dataclass(slots=True)
class _Pool:
    """Connections to one endpoint. ``calls``: under way on them. ``retired``: its last call closes it again, as one may just connect."""

    client: "redis.Redis"
    calls: int = 0
    retired: bool = False


class Replica:
    """``security``: the params ``tls`` and ``auth_file`` of a worker, to be shown to one that is reached over TCP; read anew for each
    pool of connections. ``options`` go to redis-py: ``password``, ``socket_keepalive`` …
    """

    def __init__(self, where: Where, *, timeout_s: float, security: Mapping[str, Any] | None, options: dict[str, Any]) -> None:
        self._where, self._timeout_s, self._security, self._options = where, timeout_s, security or {}, options
        self._pool: _Pool | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    @property
    def name(self) -> str:
        return self._where if isinstance(self._where, str) else self._where[1]

    async def call(self, *words: bytes | int) -> Any:
        """Raises DataPlaneError as the worker answered it, Unreachable when it did not, WorkerNotFound from the foreman."""
        pool = await self._connected()
        pool.calls += 1
        try:
            return await pool.client.execute_command(*words)  # type: ignore[no-untyped-call]
        except ResponseError as error:
            raise data_error_from_wire(str(error)) from None
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            if not isinstance(self._where, str):
                await self._retire(pool)
            raise Unreachable(self.name, str(error) or type(error).__name__) from error
        finally:
            pool.calls -= 1
            if pool.retired and not pool.calls:
                await pool.client.aclose()

    async def close(self) -> None:
        """Calls under way fail, and all that come."""
        self._closed = True
        if self._pool is not None:
            await self._retire(self._pool)

    async def _retire(self, pool: _Pool) -> None:
        """The next call asks anew where the worker is."""
        if self._pool is pool:
            self._pool = None
        pool.retired = True
        await pool.client.aclose()

    async def _connected(self) -> _Pool:
        if self._pool is None:
            async with self._connecting:
                if self._pool is None:
                    endpoint = await endpoint_of(self._where)
                    if self._closed:
                        raise Unreachable(self.name, "this client is closed")
                    self._pool = _Pool(self._open(endpoint))
        return self._pool

    def _open(self, endpoint: str) -> "redis.Redis":
        """Raises Unreachable when there is nothing to show: certificate or password cannot be read."""
        options: dict[str, Any] = {
            "protocol": 2,
            "socket_timeout": self._timeout_s,
            "socket_connect_timeout": self._timeout_s,
            "retry": Retry(NoBackoff(), 0),  # redis-py's own would repeat what may not be repeated; who calls decides
            **self._options,
        }
        if endpoint.startswith("unix:"):
            connected = redis.Redis(unix_socket_path=endpoint.removeprefix("unix:"), **options)
        else:
            host, _, port = endpoint.rpartition(":")
            connected = self._over_tcp({**options, "host": host.strip("[]"), "port": int(port)})
        connected.response_callbacks.clear()  # answers as they are: INFO is parsed by who asks
        return connected

    def _over_tcp(self, options: dict[str, Any]) -> "redis.Redis":
        try:
            secret = read_secret(self._security)
            context = client_context(self._security["tls"]) if "tls" in self._security else None
        except (OSError, ValueError) as error:
            raise Unreachable(self.name, f"nothing can be shown to it: {error}") from error
        if secret is not None:
            options = {"password": secret.decode(), **options}
        if context is None:
            return redis.Redis(**options)
        return redis.Redis.from_pool(redis.ConnectionPool(connection_class=_TlsConnection, context=context, **options))
