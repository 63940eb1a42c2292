"""The cluster's view of this node: Advertise and Withdraw to the gateway, and back as Withdrawn.

A withdrawal is answered in bounded time whatever the directory does, so that an outage never keeps a worker from being stopped.
"""

import asyncio
from typing import Final, assert_never

import structlog

from foreman.core.effects import Advertise, ClusterEffect, Withdraw
from foreman.core.events import Withdrawn
from foreman.core.ids import WorkerId
from foreman.node.gateway import Gateway
from foreman.node.inbox import Inbox

log = structlog.get_logger("foreman.cluster")

WITHDRAW_TIMEOUT_S: Final = 2.0


class Cluster:
    def __init__(self, inbox: Inbox, gateway: Gateway) -> None:
        self._inbox = inbox
        self._gateway = gateway
        self._tasks: set[asyncio.Task[None]] = set()

    def do(self, effect: ClusterEffect) -> None:
        match effect:
            case Advertise(services):
                self._gateway.advertise(services)
            case Withdraw(ids, answer):
                task = asyncio.create_task(self._withdraw(ids, answer=answer), name="withdraw")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case _:
                assert_never(effect)

    def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()

    async def _withdraw(self, ids: tuple[WorkerId, ...], *, answer: bool) -> None:
        confirmed = False
        try:
            async with asyncio.timeout(WITHDRAW_TIMEOUT_S):
                confirmed = await self._gateway.withdraw(ids)
        except TimeoutError:
            log.warning("the directory does not confirm a withdrawal in time; the gateway goes on with it", ids=ids)
        finally:
            if answer:
                self._inbox.put(lambda at: Withdrawn(at, ids, confirmed))
