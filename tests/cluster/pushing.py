"""A client that never stops pushing, by whatever layout there is, and knows what it was promised.

It keeps the layout that it has for as long as the logs take its pushes: it needs the directory only to find the next one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from foreman.core.errors import ForemanError
from foreman.directory.records import Layout
from foreman.workers.clients import LogSet
from tests.cluster.nodes import RealCluster, transaction
from tests.cluster.steps import all_members_have
from tests.deadline import wait_until_async

PACE_S: Final = 0.02
PUSH_WITHIN_S: Final = 1.5


class Pushing:
    """``acknowledged``: the last version that was promised. ``lost``: what of that a later layout did not have."""

    def __init__(self, cluster: RealCluster) -> None:
        self._cluster = cluster
        self.acknowledged = 0
        self.lost: list[str] = []

    async def run(self) -> None:
        while True:
            try:
                layout = await self._cluster.serving()
                async with asyncio.timeout(PUSH_WITHIN_S):
                    endpoints = [await self._cluster.endpoint(log) for log in layout.logs]
                await self._push_by(layout, endpoints)
            except (ForemanError, AssertionError, TimeoutError):  # a recovery is under way, or nobody knows the layout: again
                await asyncio.sleep(PACE_S)

    async def _push_by(self, layout: Layout, endpoints: list[str]) -> None:
        async with LogSet.connect(endpoints, timeout=PUSH_WITHIN_S) as logs:
            version = await logs.last_version()
            if version < self.acknowledged:
                self.lost.append(f"layout {layout.epoch} ends at {version}, and {self.acknowledged} was acknowledged")
            while True:
                await logs.push(version + 1, version, transaction(version), epoch=layout.epoch)
                version += 1
                self.acknowledged = max(self.acknowledged, version)
                await asyncio.sleep(PACE_S)

    async def go_on(self, pushes: int = 10, within_s: float = 60.0) -> None:
        """Wait until so many more are acknowledged."""
        goal = self.acknowledged + pushes
        await wait_until_async(lambda: self.acknowledged >= goal, timeout_s=within_s, what=f"version {goal} is acknowledged")

    async def go_on_for(self, seconds: float) -> None:
        """Pushes are acknowledged all that time."""
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            await self.go_on(1)


@asynccontextmanager
async def pushing(cluster: RealCluster) -> AsyncIterator[Pushing]:
    """While the block runs. Afterwards all that was promised is on every member of the layout."""
    client = Pushing(cluster)
    task = asyncio.create_task(client.run())
    try:
        yield client
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert client.lost == []
    count = client.acknowledged + 1  # the one that was on its way may be there; pushed again it is the same
    await cluster.push_to(count)
    await all_members_have(cluster, count)
