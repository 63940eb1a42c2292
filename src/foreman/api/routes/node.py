"""The node: its services, its health, itself, its metrics, its end."""

from typing import Any, Final

from fastapi import APIRouter, Response

from foreman.api.routes.reach import Reached, TheForeman
from foreman.api.routes.strict import NO_QUERY, StrictRoute, problems
from foreman.api.schema import NodeHealth, WithinWait
from foreman.api.wire import JSON, encode
from foreman.core.views import NodeInfo, ServiceInfo

router = APIRouter(tags=["node"], route_class=StrictRoute)


_METRICS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Prometheus text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.get("/v1/services", operation_id="listServices", dependencies=NO_QUERY, response_model=list[ServiceInfo], responses=problems())
async def list_services(foreman: TheForeman) -> Response:
    """The healthy workers as compact tuples: `[[id, kind, name], …]`, sorted by id."""
    return Response(encode(await foreman.get_all_running_services()), media_type=JSON)


@router.get("/v1/health", operation_id="getHealth", dependencies=NO_QUERY, response_model=NodeHealth,
            responses=problems() | {503: {"model": NodeHealth, "description": "Not every worker is ok."}})  # fmt: skip
async def get_health(foreman: TheForeman) -> Response:
    """The aggregate health with each worker's own: 200 when all are ok, else 503."""
    health = await foreman.health()
    workers = {info.id: info.health for info in await foreman.infos()}
    body = {"status": health.status, "reason": health.reason, "workers": workers}
    return Response(encode(body), 200 if health.is_ok else 503, media_type=JSON)


@router.post("/v1/health:wait", operation_id="waitForHealthy", dependencies=NO_QUERY, status_code=204, responses=problems(413, 503, 504))
async def wait_for_healthy(foreman: TheForeman, body: WithinWait | None = None) -> Response:
    """Answers when all workers are ok; early with `workers_unhealthy` when waiting cannot help."""
    await foreman.wait_for_healthy(timeout=(body or WithinWait()).timeout)
    return Response(status_code=204)


@router.get("/v1/node", operation_id="getNode", dependencies=NO_QUERY, response_model=NodeInfo, responses=problems())
async def get_node(foreman: TheForeman) -> Response:
    """The node itself."""
    return Response(encode(await foreman.node()), media_type=JSON)


@router.post(
    "/v1/node:shutdown", operation_id="shutDownNode", dependencies=NO_QUERY, status_code=202, response_class=Response, responses=problems()
)
async def shut_down(foreman: TheForeman) -> Response:
    """Ask the node to end: workers stop in reverse order of start, then the node itself. Answers when accepted."""
    await foreman.shutdown()
    return Response(status_code=202)


@router.get("/metrics", operation_id="getMetrics", dependencies=NO_QUERY, response_class=Response, responses=problems() | _METRICS)
async def get_metrics(reach: Reached) -> Response:
    """For Prometheus. What is counted stands in node/metrics.py."""
    body, content_type = reach.metrics.render(await reach.foreman.infos())
    return Response(body, media_type=content_type)
