"""Errors as RFC 9457 problems, and back to the same class with the same facts. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from foreman.core.error_base import error_from_facts
from foreman.core.errors import ForemanError, InvalidRequest, NotAuthorized


def status_of(error: ForemanError) -> int:
    """The HTTP status: of the class, except that only the case knows whether it is 401 or 403."""
    return error.status if isinstance(error, NotAuthorized) else error.http_status


def problem_of(error: ForemanError) -> dict[str, Any]:
    """The problem's members: type, title, status, detail, code, and the error's own facts beside them."""
    return problem(error.code, status_of(error), str(error), error.facts())


def problem(code: str, status: int, detail: str, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A problem that has no error class, such as a route that does not exist."""
    return {
        **(facts or {}),
        "type": f"urn:foreman:error:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
    }


def too_large(limit: int) -> dict[str, Any]:
    """A body over the limit: an InvalidRequest with the status that says so."""
    error = InvalidRequest([f"the body is larger than {limit} bytes"])
    return {**problem_of(error), "status": 413}


def error_of(body: Mapping[str, Any]) -> ForemanError:
    """The error that a problem tells of; an unknown code, or facts that do not fit, is a plain ForemanError with the detail."""
    code, detail = str(body.get("code", "")), str(body.get("detail", "the node answered with an error and no reason"))
    try:
        return error_from_facts(code, detail, body)
    except (TypeError, ValueError, AttributeError):
        return ForemanError(detail)  # a node of another version: same code, other facts


def error_of_answer(status: int, body: bytes) -> ForemanError:
    """The error behind an answer that is not a success, whatever its body is."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        told = None
    if isinstance(told, dict) and "code" in told:
        return error_of(told)
    return ForemanError(f"the node answered with HTTP status {status}")
