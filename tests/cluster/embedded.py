"""Two nodes in this process on one directory, with kinds of the test's own: the quickest real cluster there is; and its events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Final

from foreman import Foreman
from foreman.bootstrap.logs import configure_logs
from foreman.control.cluster_view import ClusterView
from foreman.control.desk.plain import view_from
from foreman.core.cluster import ClusterEvent, ClusterInterface
from foreman.core.interface import ForemanInterface
from foreman.core.kinds import CommandProgram, KindSpec, StartedReadiness

WITHIN_S: Final = 20.0
KINDS: Final = (
    KindSpec(name="good", program=CommandProgram(("sleep", "infinity")), ready=StartedReadiness()),
    KindSpec(name="bad", program=CommandProgram(("sh", "-c", "echo no such disk >&2; exit 3"))),
)


def node_on(folder: Path, name: str, *, called: str | None = None) -> AbstractAsyncContextManager[ForemanInterface]:
    """Node ``name``, while the block runs. ``called``: what people call it instead; "": nobody has said."""
    settings = {
        "directory.url": f"sqlite:{folder / 'directory.db'}",
        "directory.lease": 2,
        "node.capabilities": ["log", "storage", "coordination", "good", "bad"],
        "node.fault_domain": name,
        "supervision.max_restarts": 1,
        "supervision.backoff.base": "20ms",
        "supervision.stop_grace": 1,
    }
    if called != "":
        settings["node.name"] = called or name
    return Foreman.open(folder / name, cluster="demo", kinds=KINDS, settings=settings)


@asynccontextmanager
async def two_nodes(folder: Path) -> AsyncIterator[tuple[ForemanInterface, ForemanInterface]]:
    """Nodes a and b."""
    configure_logs("error")
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(node_on(folder, "a")), await stack.enter_async_context(node_on(folder, "b"))


async def until_told(events: AsyncIterator[ClusterEvent], what: str, *, within_s: float = WITHIN_S) -> list[ClusterEvent]:
    """All through the first of this kind."""
    told: list[ClusterEvent] = []
    async with asyncio.timeout(within_s):
        async for event in events:
            told.append(event)
            if event.what == what:
                return told
    raise AssertionError("events end only with the node")


async def until(cluster: ClusterInterface, holds: Callable[[ClusterView], bool], *, within_s: float = WITHIN_S) -> ClusterView:
    """The view in which it is so, looked for again after each event."""
    async with asyncio.timeout(within_s), aclosing(cluster.events()) as events:
        async for _ in events:
            view = view_from(await cluster.status())
            if holds(view):
                return view
    raise AssertionError("events end only with the node")
