"""Where a ClusterClient has a cluster's layout from when it reaches no directory: the nodes tell, over the same HTTP API as anything else.

Two nodes are listened to at once, so that the loss of one delays nothing; one that goes silent is replaced by another that the cluster is
known to have. Owns these streams, and one connection to each node that was asked for a worker.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from foreman.api.client import RemoteForeman
from foreman.api.cluster_layouts import Nodes, news
from foreman.control.desk.plain import view_from
from foreman.core.errors import ForemanError, InvalidRequest, NotAuthorized
from foreman.directory.records import Layout
from foreman.workers.clients.cluster_layout import ClusterLayout

LISTENED_TO: Final = 2
AGAIN_S: Final = 0.2
_CHANGES: Final = frozenset({"state", "layout_published", "node_came", "node_changed"})
"""Events after which there may be another layout, or another way to its workers."""


class NodeLayouts:
    """The ``Layouts`` of a ClusterClient. ``targets``: one node at least, by data directory, ``unix:PATH`` or ``https://HOST:PORT``.

    :meth:`after` raises NotAuthorized when the first node that answers lets this client not in.
    """

    def __init__(self, targets: Sequence[str], connect: Callable[[str], RemoteForeman] = RemoteForeman.connect) -> None:
        if not targets:
            raise InvalidRequest(["a cluster is reached through one node at least"])
        self._targets = list(dict.fromkeys(targets))
        self._nodes = Nodes(connect)
        self._layout: Layout | None = None
        self._changed = asyncio.Event()
        self._listened_to: set[str] = set()
        self._turn = 0
        self._listening: list[asyncio.Task[None]] = []

    async def after(self, epoch: int) -> ClusterLayout:
        if not self._listening:
            self._listening = [asyncio.create_task(self._listen(), name="listen to a node") for _ in range(LISTENED_TO)]
        while self._layout is None or self._layout.epoch <= epoch:
            await news(self._changed, self._listening)
        return self._nodes.known(self._layout)

    async def close(self) -> None:
        listening, self._listening = self._listening, []
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
        await self._nodes.close()

    async def _listen(self) -> None:
        """To one node after the other, each for as long as it answers."""
        while True:
            address = self._next()
            if address is not None:
                self._listened_to.add(address)
                try:
                    await self._follow(self._nodes.foreman(address))
                except NotAuthorized:
                    if self._layout is None:
                        raise  # nobody has told anything yet: it is the caller who must hear it
                except ForemanError:
                    pass  # the next one may know more
                finally:
                    self._listened_to.discard(address)
            await asyncio.sleep(AGAIN_S)

    def _next(self) -> str | None:
        """A node that nobody listens to, each in its turn: those that were named and those that the cluster is known to have."""
        free = [address for address in dict.fromkeys((*self._targets, *self._nodes.addresses)) if address not in self._listened_to]
        self._turn += 1
        return free[self._turn % len(free)] if free else None

    async def _follow(self, foreman: RemoteForeman) -> None:
        whole_at = -1
        async with aclosing(foreman.cluster.events()) as events:
            async for event in events:
                again = event.what == "state" and event.after == whole_at  # another line of the same state
                whole_at = event.after if event.what == "state" else whole_at
                if event.what in _CHANGES and not again:
                    await self._look(foreman)

    async def _look(self, foreman: RemoteForeman) -> None:
        try:
            view = view_from(await foreman.cluster.status())
        except msgspec.ValidationError as error:
            raise InvalidRequest([f"{foreman.address} tells what is no cluster: {error}"]) from error
        for record in view.nodes.values():
            self._nodes.see(record)
        if view.layout is not None and (self._layout is None or view.layout.epoch > self._layout.epoch):
            self._layout = view.layout
            self._changed.set()
            self._changed = asyncio.Event()
