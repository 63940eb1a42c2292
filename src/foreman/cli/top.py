"""``foreman top``: the node live on a terminal, redrawn when an event comes; between events only the clocks move. Never polls."""

import asyncio
import sys
from collections import Counter, deque
from typing import Any, Final

import typer

from foreman.cli.shown import WORKER_TITLES, duration, event_row, rich_table, worker_row
from foreman.cli.target import Foreman, client
from foreman.core.errors import InvalidRequest
from foreman.core.views import NodeEvent, NodeInfo, WorkerInfo

AT_MOST_EVERY_S: Final = 0.2
KEPT_EVENTS: Final = 8


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("top", rich_help_panel="Looking")(client(top))


async def top(foreman: Foreman) -> None:
    """Show the node live: its workers and what happens to them. Ctrl-C ends.

    Example:  foreman top
    """
    if not sys.stdout.isatty():
        raise InvalidRequest(["top needs a terminal; in a pipe use `foreman ls` or `foreman events`"])
    from rich.live import Live

    screen = _Screen(foreman)
    watching = asyncio.get_running_loop().create_task(screen.watch())
    try:
        with Live(get_renderable=screen.drawn, screen=True, refresh_per_second=1) as live:
            while not watching.done():
                await screen.read()
                live.refresh()
                await screen.changed()
        await watching
    finally:
        watching.cancel()


class _Screen:
    """What was read last, and the newest events."""

    def __init__(self, foreman: Foreman) -> None:
        self._foreman = foreman
        self._infos: list[WorkerInfo] = []
        self._node: NodeInfo | None = None
        self._read_at = 0.0
        self._events: deque[NodeEvent] = deque(maxlen=KEPT_EVENTS)
        self._change = asyncio.Event()

    async def watch(self) -> None:
        try:
            async for event in self._foreman.events():
                self._events.append(event)
                self._change.set()
        finally:
            self._change.set()

    async def changed(self) -> None:
        """An event came; many that come together are one change."""
        await self._change.wait()
        await asyncio.sleep(AT_MOST_EVERY_S)
        self._change.clear()

    async def read(self) -> None:
        self._node = await self._foreman.node()
        self._infos = await self._foreman.infos()
        self._read_at = asyncio.get_running_loop().time()

    def drawn(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        states = ", ".join(f"{count} {state}" for state, count in sorted(Counter(info.state for info in self._infos).items()))
        events = [event_row(event) for event in reversed(self._events)]
        return Group(
            Text(self._headline(), style="bold"),
            Text(states or "no workers", style="dim"),
            rich_table(WORKER_TITLES, [worker_row(info) for info in self._infos]),
            rich_table(("WHEN", "WORKER", "WHAT", "HEALTH", "WHY"), events) if events else Text("waiting for events …", style="dim"),
        )

    def _headline(self) -> str:
        if self._node is None:
            return "foreman"
        return (
            f"foreman · {self._node.cluster} · {self._node.name or self._node.node_id} · {self._node.health} · {self._node.workers} workers"
            f" · up {duration(self._node.uptime)} · pid {self._node.pid}, supervisor {self._node.supervisor_pid or 'starting'}"
            f" · {self._node.address}"
        )
