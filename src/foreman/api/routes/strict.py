"""How routes read and document: strict JSON in, problems in the OpenAPI document for everything that can go wrong."""

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Path, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from foreman.api.schema import Problem
from foreman.api.wire import PROBLEM_JSON, strict_json
from foreman.core.errors import InvalidRequest

_PROBLEM: Final = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}


class _StrictRequest(Request):
    """A body is what RFC 8259 calls JSON, nothing more: Python's own parser takes NaN and lone surrogates."""

    async def json(self) -> Any:
        if not hasattr(self, "_strict"):
            body = await self.body()
            try:
                self._strict = strict_json(body)
            except ValueError as error:
                raise json.JSONDecodeError(str(error).replace("\n", " "), "", 0) from error
        return self._strict


class StrictRoute(APIRoute):
    """FastAPI's documented way to give routes a request of their own."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await answer(_StrictRequest(request.scope, request.receive))

        return strictly


async def _no_query(request: Request) -> None:
    if request.query_params:
        raise InvalidRequest([f"unknown parameter {next(iter(request.query_params))[:80]!r}; this takes none"])


WorkerIdPath = Annotated[str, Path(json_schema_extra={"pattern": r"^[a-z0-9][a-z0-9_-]{0,62}$"}, examples=["log_1"])]

NO_QUERY: Final = (Depends(_no_query),)
"""The ``dependencies`` of a route without query parameters: unknown ones are refused, as unknown fields are."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that may answer with these; 422 and everything unforeseen belong to all."""
    said = {status: _SENTENCES[status] for status in sorted({*statuses, 422})}
    return {status: {"description": sentence, "content": _PROBLEM} for status, sentence in said.items()} | {
        "default": {"description": "Any other error.", "content": _PROBLEM}
    }


_SENTENCES: Final = {
    404: "There is no such worker.",
    409: "The worker's state does not allow it.",
    413: "The body is larger than 1 MiB.",
    422: "The request is not valid.",
    500: "It was tried, and failed.",
    502: "The worker could not be started.",
    503: "Not healthy, and waiting cannot help.",
    504: "Not done within the timeout; the work goes on.",
    507: "Too little space on the disk.",
}


def problem_document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: FastAPI's, with the problem's schema, and without its own error models that are never sent."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        app.openapi_schema = document
    return app.openapi_schema
