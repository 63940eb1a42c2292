"""What every request passes before the routes, as plain ASGI: size, origin, token, and the last catch. Knows no route.

Limits stand here so that no route can forget them: a body is counted while it comes in, and nothing that goes wrong further in
leaves as anything but a problem.
"""

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from fastapi import HTTPException

from foreman.api.problems import problem, problem_of, too_large
from foreman.api.schema import MAX_BODY_BYTES
from foreman.api.wire import PROBLEM_JSON, encode
from foreman.core.errors import NotAuthorized

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = structlog.get_logger("foreman.api")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == wanted), None)


async def answer_problem(send: Send, body: dict[str, Any], *headers: tuple[bytes, bytes]) -> None:
    """Send a problem as the whole answer."""
    content = encode(body)
    own = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": body["status"], "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": content})


def limited(app: App, limit: int = MAX_BODY_BYTES) -> App:
    """Refuse a body over ``limit`` bytes with 413, whether its length was declared or not."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        declared = _header(scope, b"content-length")
        if declared is not None and (not declared.isdigit() or len(declared) > 18 or int(declared) > limit):
            return await answer_problem(send, too_large(limit), (b"connection", b"close"))
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(413)  # answered as a problem where every HTTPException is
            return message

        return await app(scope, counted, send)

    return guarded


def caught(app: App) -> App:
    """The edge: a bug further in is logged with its traceback and answered as a problem without it."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await app(scope, receive, noted)
        except Exception:  # the edge of the process to its clients: a bug must cost one answer, not the connection
            log.exception("a request failed", method=scope.get("method"), path=scope.get("path"))
            if started:
                raise
            await answer_problem(send, problem("internal_error", 500, "an internal error; the node's log has the details"))

    return guarded


def same_origin(app: App) -> App:
    """Refuse what another site's page sends with this browser's credentials (cross-site request forgery)."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE and _is_foreign(scope):
            return await answer_problem(send, problem_of(NotAuthorized("the request comes from a page of another origin")))
        return await app(scope, receive, send)

    return guarded


def _is_foreign(scope: Scope) -> bool:
    if _header(scope, b"sec-fetch-site") == b"cross-site":
        return True
    origin = _header(scope, b"origin")
    return origin is not None and urlsplit(origin.decode("latin-1")).netloc.encode("latin-1") != (_header(scope, b"host") or b"")


def with_token(app: App, token: str) -> App:
    """Let in only who sends the token: ``Authorization: Bearer TOKEN``, or Basic with it as the password (for browsers)."""
    wanted = token.encode()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        given = _header(scope, b"authorization")
        if given is not None and hmac.compare_digest(_token_in(given), wanted):
            return await app(scope, receive, send)
        if given is not None and given[:6].lower() != b"basic ":
            return await answer_problem(send, problem_of(NotAuthorized("this token is not the node's", 403)))
        # A browser asks its user again only after 401, so a mistyped password is one.
        error = NotAuthorized("send the node's token as `Authorization: Bearer TOKEN`", 401)
        return await answer_problem(send, problem_of(error), (b"www-authenticate", b'Bearer, Basic realm="foreman"'))

    return guarded


def _token_in(authorization: bytes) -> bytes:
    scheme, _, rest = authorization.strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip()
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
    except binascii.Error:
        return b""
