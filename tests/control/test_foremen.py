"""How a director asks foremen: as the director it is now, and never on after a node has heard a newer one."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from foreman.control.errors import Deposed, Overtaken
from foreman.control.fence import Fence
from foreman.control.foremen import Foremen
from foreman.core.errors import ForeignGeneration, ForemanError, StaleGeneration
from foreman.core.generations import Generation
from foreman.core.views import WorkerInfo, WorkerRef
from foreman.directory.records import NodeRecord

NODE = NodeRecord("n1", "unix:/x")


class Node:
    """Answers every call with ``error``, if there is one."""

    def __init__(self) -> None:
        self.asked_by: list[Generation] = []
        self.closed = 0
        self.error: ForemanError | None = None

    def connect(self, _address: str, generation: Generation) -> "Node":
        self.asked_by.append(generation)
        return self

    async def infos(self, *, kind: str | None = None) -> list[WorkerInfo]:
        if self.error is not None:
            raise self.error
        return []

    async def new_worker(self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = 1.0) -> WorkerRef:
        await self.infos()
        return WorkerRef(id, kind, id)

    async def remove_workers(self, ids: Sequence[str], *, timeout: float = 1.0) -> dict[str, ForemanError | None]:
        await self.infos()
        return dict.fromkeys(ids)

    async def close(self) -> None:
        self.closed += 1


def generation(epoch: int) -> Generation:
    return Generation(epoch, "0badcafe", "0123456789abcdef")


async def foremen_of(node: Node) -> Foremen:
    fence = Fence(lambda: 0.0)
    fence.renew(0.0, 10.0)
    foremen = Foremen(node.connect, fence, lambda: 0.0, timeout_s=1.0, avoid_s=10.0)
    await foremen.begin(generation(1))
    return foremen


async def test_each_director_asks_under_its_own_generation() -> None:
    node = Node()
    foremen = await foremen_of(node)
    await foremen.infos(NODE)
    await foremen.new_worker(NODE, "log-1-0badcafe-0-00000000", "log", {}, 1.0)
    await foremen.begin(generation(2))
    assert node.closed == 1
    await foremen.infos(NODE)
    assert node.asked_by == [generation(1), generation(2)]


async def test_a_node_that_heard_a_newer_director_ends_this_one() -> None:
    node = Node()
    foremen = await foremen_of(node)
    node.error = StaleGeneration(1, 4)
    for ask in (foremen.infos(NODE), foremen.remove_workers(NODE, ["x"], 1.0), foremen.new_worker(NODE, "x", "log", {}, 1.0)):
        with pytest.raises(Overtaken) as end:
            await ask
        assert end.value.epoch == 4
    assert not foremen.avoided(), "the node is in order"


async def test_a_node_of_another_directory_is_left_to_itself() -> None:
    node = Node()
    foremen = await foremen_of(node)
    node.error = ForeignGeneration("a" * 16, "b" * 16, ["log-1-0badcafe-0-00000000"])
    with pytest.raises(ForeignGeneration):
        await foremen.new_worker(NODE, "x", "log", {}, 1.0)
    assert foremen.avoided() == {"n1"}


async def test_nothing_is_asked_behind_the_fence() -> None:
    node = Node()
    foremen = Foremen(node.connect, Fence(lambda: 0.0), lambda: 0.0, timeout_s=1.0, avoid_s=10.0)
    await foremen.begin(generation(1))
    with pytest.raises(Deposed):
        await foremen.infos(NODE)
    assert node.asked_by == []
