"""Calls to an etcd cluster: one channel for each endpoint, failover between them, a token when there is a user.

Every call ends by its deadline. What changes nothing, or changes the same when done twice, is tried again at the next endpoint, with
jittered waits after each whole round; anything else only when it was surely not done. Knows nothing of what the calls mean.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import structlog
from aetcd import rpc

from foreman.directory.errors import DirectoryUnavailable
from foreman.directory.etcd.address import EtcdAddress
from foreman.directory.etcd.failures import Failure, failure_of
from foreman.directory.following import Backoff

CLOSED: Final = "it was closed here"
ATTEMPTS_SHARE: Final = 3
"""An attempt that may be repeated gets so small a part of the whole time, so that one hanging member does not use it up."""
_RETRY: Final = Backoff(0.05, 0.5)
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),  # also the time a connection attempt gets
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_time_ms", 6_000),  # etcd allows one in 5 s by default
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),  # of every ping; the one of keepalive alone does not find a stopped member
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)

_END: Final = grpc.aio.EOF  # type: ignore[attr-defined] # the stubs are older than it
_log = structlog.get_logger("foreman.directory")


class EtcdFailure(Exception):
    """A call failed in a way that only its caller can judge."""

    def __init__(self, failure: Failure, sentence: str) -> None:
        super().__init__(failure, sentence)
        self.failure, self.sentence = failure, sentence


class _Member:
    """The stubs of one endpoint, on one channel."""

    def __init__(self, endpoint: str, address: EtcdAddress) -> None:
        self.endpoint = endpoint
        self.channel = _channel(endpoint, address)
        self.kv, self.lease, self.watch = rpc.KVStub(self.channel), rpc.LeaseStub(self.channel), rpc.WatchStub(self.channel)
        self.auth = rpc.AuthStub(self.channel)


Method = Callable[[_Member], Any]
"""Chooses the stub's method, such as ``lambda member: member.kv.Range``."""


class Connection:
    def __init__(self, address: EtcdAddress, timeout_s: float) -> None:
        self._address, self._timeout_s = address, timeout_s
        self._members: dict[str, _Member] = {}
        self._index = random.randrange(len(address.endpoints))  # many clients spread over the members
        self._token: str | None = None
        self._closed = False
        if address.user and not address.tls:
            _log.warning("password_in_the_clear", url=address.shown)

    async def call(self, method: Method, request: Any, *, repeatable: bool) -> Any:
        """The answer. Raises DirectoryUnavailable, EtcdFailure."""
        return await self._tried(lambda member, left_s: self._unary(method, member, request, left_s), repeatable=repeatable)

    async def converse_once(self, method: Method, request: Any) -> Any:
        """The first answer of a stream to one request, repeatable. Raises DirectoryUnavailable, EtcdFailure."""
        return await self._tried(lambda member, left_s: self._first_of_stream(method, member, request, left_s), repeatable=True)

    @asynccontextmanager
    async def stream(self, method: Method, request: Any) -> AsyncGenerator["Stream", None]:
        """A stream at the current endpoint, which is left when it fails; the caller begins again. Needs a member with a leader."""
        member = self._current()
        call = method(member)(metadata=(*await self._metadata(member, self._timeout_s), ("hasleader", "true")))
        try:
            with self._told_as_failures(member):
                await asyncio.wait_for(call.write(request), self._timeout_s)
            yield Stream(self, member, call)
        finally:
            call.cancel()

    async def close(self) -> None:
        self._closed = True
        members, self._members = self._members, {}
        await asyncio.gather(*(member.channel.close(None) for member in members.values()))

    # --- attempts ---

    async def _tried(self, attempt: Callable[[_Member, float], Any], *, repeatable: bool) -> Any:
        loop = asyncio.get_running_loop()
        deadline, failures = loop.time() + self._timeout_s, 0
        renewed = False
        while True:
            member, left_s = self._current(), deadline - loop.time()
            try:
                with self._told_as_failures(member):
                    return await attempt(member, min(left_s, self._timeout_s / ATTEMPTS_SHARE) if repeatable else left_s)
            except EtcdFailure as error:
                if error.failure is Failure.TOKEN and self._address.user and not renewed:
                    renewed, self._token = True, None
                    continue
                if error.failure not in {Failure.AWAY, Failure.NOT_SENT}:
                    raise
                failures += 1
                pause_s = self._pause_s(failures)
                may_again = repeatable or error.failure is Failure.NOT_SENT
                if not may_again or loop.time() + pause_s >= deadline:
                    raise DirectoryUnavailable(self._address.shown, f"{member.endpoint}: {error.sentence}") from None
                await asyncio.sleep(pause_s)

    async def _unary(self, method: Method, member: _Member, request: Any, left_s: float) -> Any:
        return await method(member)(request, timeout=left_s, metadata=await self._metadata(member, left_s))

    async def _first_of_stream(self, method: Method, member: _Member, request: Any, left_s: float) -> Any:
        call = method(member)(timeout=left_s, metadata=await self._metadata(member, left_s))
        try:
            await call.write(request)
            answer = await call.read()
            if answer is _END:
                raise EtcdFailure(failure_of(await call.code(), await call.details()), await call.details())
            return answer
        finally:
            call.cancel()

    async def _metadata(self, member: _Member, left_s: float) -> tuple[tuple[str, str], ...]:
        if self._address.user is None:
            return ()
        if self._token is None:
            request = rpc.AuthenticateRequest(name=self._address.user, password=self._address.password)
            with self._told_as_failures(member):
                self._token = (await member.auth.Authenticate(request, timeout=left_s)).token
        return (("token", self._token),)

    # --- endpoints ---

    def _current(self) -> _Member:
        if self._closed:
            raise DirectoryUnavailable(self._address.shown, CLOSED)
        endpoint = self._address.endpoints[self._index]
        if endpoint not in self._members:
            self._members[endpoint] = _Member(endpoint, self._address)
        return self._members[endpoint]

    def _leave(self, member: _Member) -> None:
        """Go to the next endpoint, unless another call has gone already."""
        if self._address.endpoints[self._index] == member.endpoint:
            self._index = (self._index + 1) % len(self._address.endpoints)

    def _pause_s(self, failures: int) -> float:
        """None while there are endpoints that were not asked."""
        rounds = failures // len(self._address.endpoints)
        return _RETRY.delay_s(rounds, random.random()) if rounds else 0.0

    def _told_as_failures(self, member: _Member) -> "_Translation":
        return _Translation(self, member)


class _Translation:
    """Turns what gRPC raises into EtcdFailure, and leaves an endpoint that did not answer."""

    def __init__(self, connection: Connection, member: _Member) -> None:
        self._connection, self._member = connection, member

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, grpc.aio.AioRpcError):
            self._fail(error.code(), error.details() or error.code().name)
        if isinstance(error, TimeoutError):
            self._fail(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time")
        if isinstance(error, asyncio.InvalidStateError | grpc.aio.UsageError):
            self._fail(grpc.StatusCode.UNAVAILABLE, "the stream ended")
        if isinstance(error, asyncio.CancelledError) and self._connection._closed and not _is_cancelled():  # noqa: SLF001 - one idea, two classes
            raise DirectoryUnavailable(self._connection._address.shown, CLOSED) from None  # noqa: SLF001 - as above

    def _fail(self, code: grpc.StatusCode, sentence: str) -> None:
        failure = failure_of(code, sentence)
        if failure in {Failure.AWAY, Failure.NOT_SENT}:
            self._connection._leave(self._member)  # noqa: SLF001 - as above
        raise EtcdFailure(failure, sentence) from None


def _is_cancelled() -> bool:
    """Whether somebody cancels this task, and not only the call it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Stream:
    """One open stream of answers."""

    def __init__(self, connection: Connection, member: _Member, call: Any) -> None:
        self._connection, self._member, self._call = connection, member, call

    async def read(self, timeout_s: float | None = None) -> Any:
        """The next answer. Raises EtcdFailure, also when the stream ended; DirectoryUnavailable when it was closed here."""
        with self._connection._told_as_failures(self._member):  # noqa: SLF001 - as above
            answer = await asyncio.wait_for(self._call.read(), timeout_s)
            if answer is _END:
                raise EtcdFailure(failure_of(await self._call.code(), await self._call.details()), await self._call.details())
            return answer


def _channel(endpoint: str, address: EtcdAddress) -> grpc.aio.Channel:
    if address.tls is None:
        return grpc.aio.insecure_channel(endpoint, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(address.tls.authorities, address.tls.key, address.tls.certificate)
    return grpc.aio.secure_channel(endpoint, credentials, options=_OPTIONS)
