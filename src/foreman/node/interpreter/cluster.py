"""The cluster's view of this node: Advertise and Withdraw to the gateway, and back as Withdrawn.

A withdrawal is answered in bounded time whatever the directory does, so that an outage never keeps a worker from being stopped.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, assert_never

from foreman.core.effects import Advertise, ClusterEffect, Withdraw
from foreman.core.events import Withdrawn
from foreman.core.ids import WorkerId
from foreman.node.gateway import Gateway
from foreman.node.inbox import Inbox

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
                # Called here and not in the task: what is advertised next must not be taken out again.
                shown = self._gateway.withdraw(ids, WITHDRAW_TIMEOUT_S)
                task = asyncio.create_task(self._confirm(ids, shown, answer=answer), name="withdraw")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case _:
                assert_never(effect)

    def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()

    async def _confirm(self, ids: tuple[WorkerId, ...], shown: Coroutine[Any, Any, bool], *, answer: bool) -> None:
        confirmed = False
        try:
            confirmed = await shown
        finally:
            if answer:
                self._inbox.put(lambda at: Withdrawn(at, ids, confirmed))
