"""The whole cluster, asked through any of its nodes: its status and its changes, the wish, drains, and workers wherever there is room."""

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from starlette.responses import StreamingResponse

from foreman.api.cluster_schema import ClusterEventsQuery, NewClusterWorker, RemoveClusterWorkerQuery, Wish
from foreman.api.routes.reach import Reached, TheForeman
from foreman.api.routes.streaming import event_stream, streamed
from foreman.api.routes.strict import NO_QUERY, StrictRoute, WorkerIdPath, problems
from foreman.api.wire import JSON, encode
from foreman.core.cluster import ClusterEvent, PlacedWorker
from foreman.core.errors import InvalidRequest

router = APIRouter(prefix="/v1/cluster", tags=["cluster"], route_class=StrictRoute)
NodePath = Annotated[str, Path(max_length=1_000, examples=["0123456789abcdef"])]


@router.get("", operation_id="getCluster", dependencies=NO_QUERY, response_model=dict[str, Any], responses=problems(503))
async def get_cluster(foreman: TheForeman) -> Response:
    """All that the cluster's directory says now: wish, leader, director, layout, nodes, their health and ailing workers, requests."""
    return Response(encode(await foreman.cluster.status()), media_type=JSON)


@router.get("/events", operation_id="watchCluster", response_class=StreamingResponse,
            responses=problems(503) | streamed("text/event-stream", "Events, one message each; ids are for Last-Event-ID."))  # fmt: skip
async def watch_cluster(
    reach: Reached, query: Annotated[ClusterEventsQuery, Query()], last_event_id: Annotated[str | None, Header(max_length=100)] = None
) -> StreamingResponse:
    """First how the cluster is now, an event for each line of it; then, or after Last-Event-ID at once, everything that changes."""
    after = query.after if not last_event_id else _revision(last_event_id)
    return event_stream(reach.foreman.cluster.events(after=after), reach, _message)


def _message(event: ClusterEvent) -> bytes:
    return b"event: %b\nid: %d\ndata: %b\n\n" % (event.what.encode(), event.after, encode(event))


def _revision(last_event_id: str) -> int:
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= 16):
        raise InvalidRequest(["Last-Event-ID is no id of an event of this stream"])
    return int(last_event_id)


@router.patch("/spec", operation_id="configureCluster", dependencies=NO_QUERY, status_code=204, responses=problems(413, 503))
async def configure_cluster(foreman: TheForeman, body: Wish) -> Response:
    """Say what the cluster should be; what is not said stays as it was."""
    try:
        splits = None if body.splits is None else [base64.b64decode(split, validate=True) for split in body.splits]
    except ValueError:
        raise InvalidRequest(["splits: each is a key in base64"]) from None
    await foreman.cluster.configure(
        logs=body.logs, storage_replicas=body.storage_replicas, splits=splits, replace_after_s=body.replace_after_s
    )
    return Response(status_code=204)


@router.put("/draining/{node:path}", operation_id="drainNode", dependencies=NO_QUERY, status_code=204, responses=problems(404, 409, 503))
async def drain_node(foreman: TheForeman, node: NodePath) -> Response:
    """Nothing of the cluster's layout is to be on this node any more. By its id or its name. Answers when that is said; idempotent."""
    await foreman.cluster.drain(node)
    return Response(status_code=204)


@router.delete(
    "/draining/{node:path}", operation_id="undrainNode", dependencies=NO_QUERY, status_code=204, responses=problems(404, 409, 503)
)
async def undrain_node(foreman: TheForeman, node: NodePath) -> Response:
    """Take the node back. Idempotent."""
    await foreman.cluster.undrain(node)
    return Response(status_code=204)


@router.post("/workers", operation_id="newClusterWorker", dependencies=NO_QUERY, status_code=201, response_model=PlacedWorker,
             responses=problems(409, 413, 502, 503, 504))  # fmt: skip
async def new_cluster_worker(foreman: TheForeman, body: NewClusterWorker) -> Response:
    """Ask the cluster for a worker: its director places it. Answers where, when it is healthy; the same again is the same worker."""
    placed = await foreman.cluster.new_worker(body.id, body.kind, body.params, timeout=body.timeout)
    return Response(encode(placed), 201, media_type=JSON)


@router.delete("/workers/{id}", operation_id="removeClusterWorker", status_code=204, responses=problems(404, 503, 504))
async def remove_cluster_worker(foreman: TheForeman, id: WorkerIdPath, query: Annotated[RemoveClusterWorkerQuery, Query()]) -> Response:
    """Remove a worker that the cluster was asked for, with its data."""
    await foreman.cluster.remove_worker(id, timeout=query.timeout)
    return Response(status_code=204)
