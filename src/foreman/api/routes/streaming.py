"""How answers stream: until the client goes, the node closes, or there is no more.

A client that reads slowly is held back by the transport's own flow control: nothing is queued for it here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

from starlette.responses import StreamingResponse

from foreman.api.routes.reach import Reach
from foreman.api.sse import HEARTBEAT

HEARTBEAT_S: Final = 15.0
NO_STORE: Final = {"cache-control": "no-store"}
_Item = TypeVar("_Item")


def streamed(media_type: str, sentence: str) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that streams."""
    return {200: {"description": sentence, "content": {media_type: {"schema": {"type": "string"}}}}}


def event_stream(events: AsyncIterator[_Item], reach: Reach, message: Callable[[_Item], bytes]) -> StreamingResponse:
    """Server-sent events: each as ``message`` writes it, and a sign of life when nothing happens."""

    async def messages() -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"
        async for event in until_ending(events, reach, HEARTBEAT_S):
            yield HEARTBEAT if event is None else message(event)

    return StreamingResponse(messages(), media_type="text/event-stream", headers=NO_STORE)


async def until_ending(items: AsyncIterator[_Item], reach: Reach, heartbeat_s: float | None) -> AsyncIterator[_Item | None]:
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
