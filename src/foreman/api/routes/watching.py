"""What streams: events as they happen, and what a worker writes."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from foreman.api.routes.reach import Reached
from foreman.api.routes.streaming import NO_STORE, event_stream, streamed, until_ending
from foreman.api.routes.strict import StrictRoute, WorkerIdPath, problems
from foreman.api.schema import EventsQuery, OutputQuery
from foreman.api.sse import after_of, format_event
from foreman.core.errors import InvalidRequest

router = APIRouter(prefix="/v1", tags=["watching"], route_class=StrictRoute)


@router.get("/events", operation_id="watchEvents", response_class=StreamingResponse,
            responses=problems() | streamed("text/event-stream", "Events, one message each; ids are for Last-Event-ID."))  # fmt: skip
async def watch_events(
    reach: Reached, query: Annotated[EventsQuery, Query()], last_event_id: Annotated[str | None, Header(max_length=100)] = None
) -> StreamingResponse:
    """Everything that changes from now on, or after the event in Last-Event-ID, as server-sent events."""
    after = query.after
    if last_event_id:
        after = after_of(last_event_id, reach.life)
        if after is None:
            raise InvalidRequest(["Last-Event-ID is no id of an event of this stream"])
    return event_stream(reach.foreman.events(after=after), reach, lambda event: format_event(event, reach.life))


@router.get("/workers/{id}/output", operation_id="getOutput", response_class=StreamingResponse,
            responses=problems(404) | streamed("text/plain", "What the worker wrote to stdout and stderr, oldest kept byte first."),
            )  # fmt: skip
async def get_output(reach: Reached, id: WorkerIdPath, query: Annotated[OutputQuery, Query()]) -> StreamingResponse:
    """The worker's output; with `follow`, goes on with what it writes."""
    await reach.foreman.info(id)  # an unknown worker is an answer of its own, not a stream that breaks
    output = reach.foreman.output(id, follow=query.follow)

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in until_ending(output, reach, None):
            if chunk:
                yield chunk

    headers = {**NO_STORE, "x-content-type-options": "nosniff"}
    return StreamingResponse(chunks(), media_type="text/plain; charset=utf-8", headers=headers)
