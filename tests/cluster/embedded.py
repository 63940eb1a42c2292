"""Two nodes in this process on one directory, with kinds of the test's own: the quickest real cluster there is."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from foreman import Foreman
from foreman.bootstrap.logs import configure_logs
from foreman.core.interface import ForemanInterface
from foreman.core.kinds import CommandProgram, KindSpec, StartedReadiness

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
