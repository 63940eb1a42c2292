"""The nodes' foremen: one connection each, every command behind the fence, with the director's generation and a deadline.

A node that has heard a newer director refuses; then this one is overtaken, and ends. Owns which nodes did not answer lately, or keep
workers of another directory, so that a director asks others first. Decides nothing else.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from foreman.control.errors import Overtaken
from foreman.control.fence import Fence
from foreman.control.ports import Connect, ReachedForeman
from foreman.core.errors import ForeignGeneration, ForemanError, ForemanTimeout, StaleGeneration
from foreman.core.generations import Generation, is_directed
from foreman.core.views import WorkerInfo
from foreman.directory.records import NodeRecord

_Answer = TypeVar("_Answer")
_MARGIN_S: Final = 1.0


class Foremen:
    """:meth:`begin` comes first, and again for each director. Everything raises Overtaken and Deposed."""

    def __init__(self, connect: Connect, fence: Fence, clock: Callable[[], float], *, timeout_s: float, avoid_s: float) -> None:
        self._connect, self._fence, self._clock = connect, fence, clock
        self._timeout_s, self._avoid_s = timeout_s, avoid_s
        self._generation: Generation | None = None
        self._reached: dict[str, ReachedForeman] = {}
        self._silent: dict[str, float] = {}
        self._foreign: set[str] = set()
        self.swept: set[tuple[str, str]] = set()
        """Nodes, by id and incarnation, on which nothing was left that no layout names, and which were asked for no worker since."""

    async def begin(self, generation: Generation) -> None:
        """From now on it is the director of ``generation`` who asks."""
        await self.close()
        self._generation = generation

    def avoided(self) -> frozenset[str]:
        """Nodes that did not answer a short while ago, and those that keep the workers of another directory."""
        now = self._clock()
        return frozenset(self._foreign) | frozenset(node for node, at in self._silent.items() if now - at < self._avoid_s)

    def next_trusted(self, now: float) -> float | None:
        """When the next of these may be asked again like any other."""
        return min((at + self._avoid_s for at in self._silent.values() if now - at < self._avoid_s), default=None)

    async def infos(self, node: NodeRecord, timeout_s: float | None = None) -> dict[str, WorkerInfo]:
        """All workers of the node, by id. Raises ForemanError."""
        within_s = timeout_s or self._timeout_s
        found = await self._ask(node, within_s, f"the workers of node {node.id}", lambda foreman: foreman.infos())
        if not any(is_directed(info.id) for info in found):
            self._foreign.discard(node.id)  # they were given up
        return {info.id: info for info in found}

    async def new_worker(self, node: NodeRecord, id: str, kind: str, params: Mapping[str, Any], timeout_s: float) -> None:
        """Returns when it is healthy. Raises ForemanError."""
        what = f"{id} on node {node.id}"
        self.swept.discard((node.id, node.incarnation))
        await self._ask(node, timeout_s + _MARGIN_S, what, lambda foreman: foreman.new_worker(id, kind, params, timeout=timeout_s))

    async def remove_workers(self, node: NodeRecord, ids: Sequence[str], timeout_s: float) -> dict[str, ForemanError | None]:
        """Raises ForemanError when the node did not do it as a whole."""
        what = f"the removal of {', '.join(ids)} from node {node.id}"
        return await self._ask(node, timeout_s + _MARGIN_S, what, lambda foreman: foreman.remove_workers(ids, timeout=timeout_s))

    async def close(self) -> None:
        reached, self._reached = self._reached, {}
        for foreman in reached.values():
            await foreman.close()

    async def _ask(
        self, node: NodeRecord, timeout_s: float, what: str, ask: Callable[[ReachedForeman], Coroutine[Any, Any, _Answer]]
    ) -> _Answer:
        self._fence.check()
        assert self._generation is not None, "begin comes first"
        if node.address not in self._reached:
            self._reached[node.address] = self._connect(node.address, self._generation)
        try:
            async with asyncio.timeout(timeout_s):
                answer = await ask(self._reached[node.address])
        except TimeoutError as late:
            self._silent[node.id] = self._clock()
            if isinstance(late, ForemanTimeout):
                raise
            raise ForemanTimeout(what, timeout_s) from None
        except StaleGeneration as stale:
            raise Overtaken(stale.newest_epoch) from None
        except ForeignGeneration:
            self._foreign.add(node.id)
            raise
        except ForemanError as error:
            if error.http_status >= 500:  # below, what was asked was wrong, and not the node
                self._silent[node.id] = self._clock()
            raise
        self._silent.pop(node.id, None)
        return answer
