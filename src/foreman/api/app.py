"""The HTTP application over any ForemanInterface: one route for each thing a caller can ask (contract, "HTTP").

Owns how requests become calls and how answers and errors become JSON; decides nothing about workers. Who may connect at all is
decided by what it is served on (``listeners``). Every error, whoever finds it, leaves as application/problem+json.
"""

import asyncio
import secrets
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from foreman import __version__
from foreman.api.doors import caught, limited, same_origin
from foreman.api.problems import problem, problem_of, too_large
from foreman.api.routes import cluster, node, watching, workers
from foreman.api.routes.reach import Reach
from foreman.api.routes.strict import problem_document
from foreman.api.schema import MAX_BODY_BYTES
from foreman.api.wire import PROBLEM_JSON, encode
from foreman.core.errors import ForemanError, InvalidRequest
from foreman.core.interface import ForemanInterface
from foreman.node.generations import Generations
from foreman.node.metrics import Metrics

DESCRIPTION = """Creates, watches and removes the workers of one node; shows the whole cluster, and asks of it.

Every error is `application/problem+json` (RFC 9457) with a stable `code` and the facts of the error beside it. All times are
seconds. An operation that is not done within its `timeout` goes on; ask again, or watch `/v1/events`.

Directors of a cluster send `Foreman-Generation` with all they ask. A node that has heard a newer one refuses (409 `stale_generation`).
Nobody else sends it."""


ROOMS = (workers, node, watching, cluster)


def create_app(foreman: ForemanInterface, *, metrics: Metrics | None = None, generations: Generations | None = None) -> FastAPI:
    """The application. ``metrics``: what /metrics shows; one of its own (states only) when not given.

    ``generations``: which directors are listened to; remembered only here when not given.
    """
    app = FastAPI(title="Foreman", version=__version__, description=DESCRIPTION, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.reach = Reach(foreman, metrics or Metrics(), secrets.token_hex(4), asyncio.Event(), generations or Generations(None, tuple))
    for room in ROOMS:
        app.include_router(room.router)
    app.add_exception_handler(ForemanError, _foreman_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    for door in (limited, same_origin, caught):  # the last added is passed first
        app.add_middleware(_as_middleware, door=door)
    app.openapi = lambda: problem_document(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
    return app


def end_streams(app: FastAPI) -> None:
    """End every open event and output stream: the node is closing. Other requests are not touched."""
    app.state.reach.ending.set()


def _as_middleware(app: Any, door: Any) -> Any:
    return door(app)


def _problem_response(body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(encode(body), body["status"], headers, PROBLEM_JSON)


async def _foreman_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ForemanError)
    return _problem_response(problem_of(error))


async def _invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _problem_response(problem_of(InvalidRequest([_sentence(one) for one in error.errors()[:20]])))


def _sentence(one: dict[str, Any]) -> str:
    """Where and what. The input itself is not echoed: it may be large, and is known to whoever sent it."""
    where = ".".join(str(part) for part in one["loc"])
    if one["type"] == "json_invalid":
        return f"the body is not JSON: {one.get('ctx', {}).get('error', 'unreadable')}"[:300]
    if one["type"] == "extra_forbidden":
        return f"unknown field {where}"[:300]
    if one["type"] == "model_attributes_type" and one["loc"] == ("body",):
        return "the body must be a JSON object, sent with Content-Type: application/json"
    return f"{where}: {one['msg']}"[:300]


async def _http_error(request: Request, error: Exception) -> Response:
    """What the framework itself answers: no such route, no such method, a body that is too large."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _problem_response(too_large(MAX_BODY_BYTES), {"connection": "close"})
    phrase = HTTPStatus(error.status_code).phrase
    methods = _methods_at(request.url.path) if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else []
    headers = {"Allow": ", ".join(methods)} if methods else dict(error.headers or {})
    detail = f"{request.method} {request.url.path[:200]}: {phrase.lower()} (what there is: GET /openapi.json)"
    return _problem_response(problem(phrase.lower().replace(" ", "_"), error.status_code, detail), headers)


def _methods_at(path: str) -> list[str]:
    """All methods of a path of ours; the framework's own header names only those of the first route that has it."""
    routes = (route for room in ROOMS for route in room.router.routes if isinstance(route, APIRoute) and route.path_regex.match(path))
    return sorted({method for route in routes for method in route.methods or ()})
