"""Where a ClusterClient has a cluster's layout from when it reaches no directory: the nodes tell, over the same HTTP API as anything else.

Two nodes are listened to at once, so that the loss of one delays nothing; one that goes silent is replaced by another that the cluster is
known to have. Owns these streams, and one connection to each node that was asked for a worker.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec

from foreman.api.client import RemoteForeman
from foreman.api.cluster_layouts import FollowedLayouts
from foreman.control.desk.plain import view_from
from foreman.core.errors import ForemanError, InvalidRequest, NotAuthorized

LISTENED_TO: Final = 2
AGAIN_S: Final = 0.2
_CHANGES: Final = frozenset({"state", "layout_published", "node_came", "node_changed"})
"""Events after which there may be another layout, or another way to its workers."""


class NodeLayouts(FollowedLayouts):
    """From nodes. ``targets``: one node at least, by data directory, ``unix:PATH`` or ``https://HOST:PORT``.

    Raises InvalidRequest. :meth:`after` raises NotAuthorized when the first node that answers lets this client not in.
    """

    def __init__(self, targets: Sequence[str], connect: Callable[[str], RemoteForeman] = RemoteForeman.connect) -> None:
        super().__init__(connect)
        if not targets:
            raise InvalidRequest(["a cluster is reached through one node at least"])
        self._targets = list(dict.fromkeys(targets))
        for target in self._targets:
            self._nodes.foreman(target)  # one that can be none is told of here, rather than passed over as one that is away
        self._listened_to: set[str] = set()
        self._turn = 0

    def _works(self) -> Iterable[Coroutine[Any, Any, None]]:
        return (self._listen() for _ in range(LISTENED_TO))

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
            self._become(view.layout)
