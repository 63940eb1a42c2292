"""Workers: create, list, look, report, stop, start, restart, remove."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from foreman.api.routes.reach import TheForeman
from foreman.api.routes.strict import NO_QUERY, StrictRoute, WorkerIdPath, problems
from foreman.api.schema import HealthReport, KindQuery, NewWorker, NewWorkers, RemoveQuery, RemoveWorkers, WithinStart, WithinStop
from foreman.api.wire import JSON, encode, results_to_plain
from foreman.core.health import Health
from foreman.core.views import StoryLine, WorkerInfo, WorkerRef

router = APIRouter(prefix="/v1", tags=["workers"], route_class=StrictRoute)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Views go out straight through msgspec; what a response model would check is already frozen and typed."""
    return Response(encode(value), status, headers, JSON)


@router.get("/workers", operation_id="listWorkers", response_model=list[WorkerInfo], responses=problems())
async def list_workers(foreman: TheForeman, query: Annotated[KindQuery, Query()]) -> Response:
    """All workers with their state, sorted by id."""
    return _json(await foreman.infos(kind=query.kind))


@router.post("/workers", operation_id="newWorker", dependencies=NO_QUERY, status_code=201, response_model=WorkerRef,
             responses=problems(409, 413, 502, 504, 507))  # fmt: skip
async def new_worker(foreman: TheForeman, body: NewWorker) -> Response:
    """Create a worker; answers when it is healthy. The same id, kind and params again is the same worker."""
    ref = await foreman.new_worker(body.id, body.kind, body.params, timeout=body.timeout)
    return _json(ref, 201, {"location": f"/v1/workers/{ref.id}"})


@router.post("/workers:batchCreate", operation_id="newWorkers", dependencies=NO_QUERY, status_code=201, response_model=list[WorkerRef],
             responses=problems(409, 413, 502, 504, 507))  # fmt: skip
async def new_workers(foreman: TheForeman, body: NewWorkers) -> Response:
    """Create all or none."""
    items = [(item.id, item.kind, item.params) for item in body.workers]
    return _json(await foreman.new_workers(items, timeout=body.timeout), 201)


@router.post("/workers:batchRemove", operation_id="removeWorkers", dependencies=NO_QUERY, response_model=dict[str, dict[str, Any] | None],
             responses=problems(413, 504))  # fmt: skip
async def remove_workers(foreman: TheForeman, body: RemoveWorkers) -> Response:
    """Remove many; a result for each id: null, or the problem."""
    return _json(results_to_plain(await foreman.remove_workers(body.ids, timeout=body.timeout)))


@router.get("/workers/{id}", operation_id="getWorker", dependencies=NO_QUERY, response_model=WorkerInfo, responses=problems(404))
async def get_worker(foreman: TheForeman, id: WorkerIdPath) -> Response:
    """Everything about one worker, now."""
    return _json(await foreman.info(id))


@router.delete("/workers/{id}", operation_id="removeWorker", status_code=204, responses=problems(404, 409, 500, 504))
async def remove_worker(foreman: TheForeman, id: WorkerIdPath, query: Annotated[RemoveQuery, Query()]) -> Response:
    """Stop the worker, delete its directory, forget it."""
    await foreman.remove_worker(id, timeout=query.timeout)
    return Response(status_code=204)


@router.post("/workers/{id}/health", operation_id="reportHealth", dependencies=NO_QUERY, status_code=204, responses=problems(404, 413))
async def report_health(foreman: TheForeman, id: WorkerIdPath, body: HealthReport) -> Response:
    """A worker, or somebody for it, reports its health. Idempotent."""
    await foreman.report_health(id, Health.ok() if body.status == "ok" else Health.error(body.reason or "no reason given"))
    return Response(status_code=204)


@router.post(
    "/workers/{id}/restart",
    operation_id="restartWorker",
    dependencies=NO_QUERY,
    status_code=204,
    responses=problems(404, 409, 413, 502, 504),
)
async def restart_worker(foreman: TheForeman, id: WorkerIdPath, body: WithinStart | None = None) -> Response:
    """Stop and start again; answers when it is healthy."""
    await foreman.restart_worker(id, timeout=(body or WithinStart()).timeout)
    return Response(status_code=204)


@router.post(
    "/workers/{id}/stop", operation_id="stopWorker", dependencies=NO_QUERY, status_code=204, responses=problems(404, 409, 413, 504)
)
async def stop_worker(foreman: TheForeman, id: WorkerIdPath, body: WithinStop | None = None) -> Response:
    """Stop and keep stopped; answers when the process is gone. Idempotent."""
    await foreman.stop_worker(id, timeout=(body or WithinStop()).timeout)
    return Response(status_code=204)


@router.post(
    "/workers/{id}/start", operation_id="startWorker", dependencies=NO_QUERY, status_code=204, responses=problems(404, 409, 413, 502, 504)
)
async def start_worker(foreman: TheForeman, id: WorkerIdPath, body: WithinStart | None = None) -> Response:
    """Start a stopped, finished or given-up worker; answers when it is healthy. Idempotent."""
    await foreman.start_worker(id, timeout=(body or WithinStart()).timeout)
    return Response(status_code=204)


@router.get("/workers/{id}/story", operation_id="getStory", dependencies=NO_QUERY, response_model=list[StoryLine], responses=problems(404))
async def get_story(foreman: TheForeman, id: WorkerIdPath) -> Response:
    """What happened to the worker and what was decided, oldest first."""
    return _json(await foreman.why(id))
