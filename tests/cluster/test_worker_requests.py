"""A worker is asked of the cluster: the director places it, a retry finds it where it is, a recovery leaves it alone, and it is removed."""

import asyncio
from pathlib import Path

import pytest

from foreman.control.desk.plain import view_from
from foreman.core.errors import FailedToStart, InvalidParams, WorkerExists, WorkerNotFound
from foreman.core.interface import ForemanInterface
from tests.cluster.embedded import two_nodes, until

WITHIN_S = 30.0
pytestmark = pytest.mark.timeout(90)


async def ids(*nodes: ForemanInterface) -> list[str]:
    return sorted([worker.id for node in nodes for worker in await node.workers(kind="good")])


async def test_asked_of_the_cluster_made_on_a_node_and_removed_again(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (a, b):
        await a.cluster.configure(logs=1, storage_replicas=1)
        asking = [b.cluster.new_worker(f"w{number}", "good", timeout=WITHIN_S) for number in range(4)]
        placed = await asyncio.gather(*asking)
        where = [each.node for each in placed]
        assert [where.count((await node.node()).node_id) for node in (a, b)] == [2, 2], "apart, by fault domain"
        assert await b.cluster.new_worker("w0", "good", timeout=WITHIN_S) == placed[0]
        assert await ids(a, b) == ["w0", "w1", "w2", "w3"], "none is made twice"

        with pytest.raises(WorkerExists):
            await a.cluster.new_worker("w0", "good", {"other": 1}, timeout=WITHIN_S)
        with pytest.raises(InvalidParams):
            await a.cluster.new_worker("w9", "good", {"other": 1}, timeout=WITHIN_S)
        with pytest.raises(FailedToStart, match="exit 3"):
            await a.cluster.new_worker("x", "bad", timeout=WITHIN_S)

        epoch = view_from(await a.cluster.status()).epoch
        await a.cluster.configure(logs=2)
        await until(a.cluster, lambda view: view.watched is not None and view.watched.epoch > epoch, within_s=WITHIN_S)
        assert await ids(a, b) == ["w0", "w1", "w2", "w3"], "no recovery touches them"

        for id in ("w0", "w1", "w2", "w3", "x"):
            await b.cluster.remove_worker(id, timeout=WITHIN_S)
        assert await ids(a, b) == []
        assert not await a.workers(kind="bad") + await b.workers(kind="bad")
        with pytest.raises(WorkerNotFound):
            await b.cluster.remove_worker("w0")
        status = await a.cluster.status()
        assert status["requests"] == []
