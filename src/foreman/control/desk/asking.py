"""What is written down when somebody says what the cluster should be, asks it for a worker, or asks again. Pure.

The record of the request is the memory that makes a retry the same request: once it is placed, every later asking, by whomever and under
whatever leader, is for the same worker on the same node.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from foreman.control.cluster_view import ClusterView
from foreman.core.error_base import error_from_facts
from foreman.core.errors import ForemanError, InvalidParams, InvalidRequest, WorkerBusy, WorkerExists
from foreman.core.generations import is_directed
from foreman.core.ids import parse_worker_id
from foreman.core.manifest import params_problems
from foreman.directory.records import ClusterSpec, Placement, encode
from foreman.directory.worker_request import ASKED, FAILED, MADE, REMOVING, WorkerRequest


def changed_wish(
    before: ClusterSpec | None,
    *,
    logs: int | None,
    storage_replicas: int | None,
    splits: Sequence[bytes] | None,
    replace_after_s: float | None,
) -> ClusterSpec:
    """The wish; None stays as it was before. Raises InvalidRequest."""
    cuts = None if splits is None else tuple(sorted(set(splits)))
    parts = {"logs": logs, "storage_replicas": storage_replicas, "splits": cuts, "replace_after_s": replace_after_s}
    said: dict[str, Any] = {name: value for name, value in parts.items() if value is not None}
    try:
        if before is not None:
            return replace(before, **said)
        if {"logs", "storage_replicas"} <= said.keys():
            return ClusterSpec(**said)
    except ValueError as error:
        raise InvalidRequest([str(error)]) from error
    raise InvalidRequest(["the first time logs and storage_replicas are both needed (--logs, --storage-replicas)"])


def request_of(id: object, kind: str, params: Mapping[str, Any] | None, now: float) -> WorkerRequest:
    """A request as it comes in. Raises InvalidWorkerId, InvalidParams, InvalidRequest."""
    worker = parse_worker_id(id)
    if is_directed(worker):
        raise InvalidRequest([f"{worker} is a name that only directors give; choose another id"])
    given = {} if params is None else params
    problems = params_problems(given)
    if problems:
        raise InvalidParams(str(kind)[:80], problems)
    try:
        request = WorkerRequest(worker, kind, dict(given), now)
    except (TypeError, ValueError) as error:
        raise InvalidRequest([f"kind: {error}"]) from None
    try:
        encode(request)
    except UnicodeEncodeError:
        raise InvalidParams(kind, ["params hold text that is no Unicode, which the directory cannot keep"]) from None
    return request


def check_possible(request: WorkerRequest, view: ClusterView) -> None:
    """Raises InvalidRequest when nobody could do it: there is no director, or no node that can."""
    if view.spec is None:
        raise InvalidRequest(["this cluster has no director: first say what it should be (`foreman cluster configure`)"])
    if request.id not in view.requests and not any(request.kind in node.capabilities for node in view.nodes.values()):
        known = sorted({capability for node in view.nodes.values() for capability in node.capabilities})
        raise InvalidRequest(
            [f"no node has the capability {request.kind[:80]!r}; they have {', '.join(known) or 'none'} ([node] capabilities)"]
        )


def asked_again(there: WorkerRequest | None, asked: WorkerRequest, view: ClusterView) -> WorkerRequest | None:
    """What is to be written; None when what is there will do. Raises WorkerExists, WorkerBusy."""
    if there is None:
        return asked
    same = (there.kind, there.params) == (asked.kind, asked.params)
    if there.state == REMOVING:
        raise WorkerBusy(there.id, "being removed")
    if not same and (there.state != FAILED or there.node):  # without a node nothing was made, so it may become another
        raise WorkerExists(there.id)
    if there.state == FAILED:
        return replace(asked, since=there.since, node=there.node)
    if there.state == MADE and Placement(there.id, there.node) not in view.services:  # removed behind the cluster's back, or away
        return replace(there, state=ASKED, problem="")
    return None


def outcome_of(request: WorkerRequest) -> ForemanError | None:
    """Why it could not be made; None when it was, or may still be."""
    if request.state != FAILED:
        return None
    told = request.error
    return error_from_facts(str(told.get("code", "")), str(told.get("detail", "no reason given")), told)
