"""What streams: events as they happen, and what a worker writes.

A stream ends when its client goes, when the node closes, or when there is no more. A client that reads slowly is held back by
the transport's own flow control: nothing is queued for it here.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from foreman.api.routes.reach import Reach, Reached
from foreman.api.routes.strict import StrictRoute, WorkerIdPath, problems
from foreman.api.schema import EventsQuery, OutputQuery
from foreman.api.sse import HEARTBEAT, after_of, format_event
from foreman.core.errors import InvalidRequest

router = APIRouter(prefix="/v1", tags=["watching"], route_class=StrictRoute)
HEARTBEAT_S: Final = 15.0
_Item = TypeVar("_Item")


def _streamed(media_type: str, sentence: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": sentence, "content": {media_type: {"schema": {"type": "string"}}}}}


@router.get("/events", operation_id="watchEvents", response_class=StreamingResponse,
            responses=problems() | _streamed("text/event-stream", "Events, one message each; ids are for Last-Event-ID."))  # fmt: skip
async def watch_events(
    reach: Reached, query: Annotated[EventsQuery, Query()], last_event_id: Annotated[str | None, Header(max_length=100)] = None
) -> StreamingResponse:
    """Everything that changes from now on, or after the event in Last-Event-ID, as server-sent events."""
    after = query.after
    if last_event_id:
        after = after_of(last_event_id, reach.life)
        if after is None:
            raise InvalidRequest(["Last-Event-ID is no id of an event of this stream"])
    events = reach.foreman.events(after=after)

    async def messages() -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"
        async for event in _until_ending(events, reach, HEARTBEAT_S):
            yield HEARTBEAT if event is None else format_event(event, reach.life)

    return StreamingResponse(messages(), media_type="text/event-stream", headers={"cache-control": "no-store"})


@router.get("/workers/{id}/output", operation_id="getOutput", response_class=StreamingResponse,
            responses=problems(404) | _streamed("text/plain", "What the worker wrote to stdout and stderr, oldest kept byte first."),
            )  # fmt: skip
async def get_output(reach: Reached, id: WorkerIdPath, query: Annotated[OutputQuery, Query()]) -> StreamingResponse:
    """The worker's output; with `follow`, goes on with what it writes."""
    await reach.foreman.info(id)  # an unknown worker is an answer of its own, not a stream that breaks
    output = reach.foreman.output(id, follow=query.follow)

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in _until_ending(output, reach, None):
            if chunk:
                yield chunk

    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return StreamingResponse(chunks(), media_type="text/plain; charset=utf-8", headers=headers)


async def _until_ending(items: AsyncIterator[_Item], reach: Reach, heartbeat_s: float | None) -> AsyncIterator[_Item | None]:
    """The items until there are no more or the node closes; None whenever ``heartbeat_s`` passed without one."""
    ending = asyncio.ensure_future(reach.ending.wait())
    following = asyncio.ensure_future(_next(items))
    try:
        while True:
            done, _ = await asyncio.wait({following, ending}, timeout=heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
            if following in done:
                found = following.result()
                if found is None:
                    return
                following = asyncio.ensure_future(_next(items))
                yield found[0]
            elif ending in done:
                return
            else:
                yield None
    finally:
        ending.cancel()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        if hasattr(items, "aclose"):
            await items.aclose()


async def _next(items: AsyncIterator[_Item]) -> tuple[_Item] | None:
    """The next item in a tuple, or None at the end: a task cannot carry StopAsyncIteration."""
    try:
        return (await anext(items),)
    except StopAsyncIteration:
        return None
