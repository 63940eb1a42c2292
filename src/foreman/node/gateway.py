"""The node's gateway: the directory shows what the foreman says, as soon and for as long as there is a directory.

Registers the node, its capabilities and all running services in one transaction, follows the foreman from then on, keeps the lease
alive, and puts the whole truth back after every outage. The truth is here, never in the directory: workers, and the calls
that change them, do not notice when it is away. Also holds the latest layout for clients.
"""

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any, Final

import structlog

from foreman.core.views import ServiceInfo
from foreman.directory.errors import DirectoryError, DirectoryUnavailable, InvalidRecord
from foreman.directory.following import DEFAULT_BACKOFF, Backoff, follow
from foreman.directory.health_record import HealthRecord
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Changes, Deleted, Directory, KeyRange, KeyValue, Snapshot
from foreman.directory.records import Layout, NodeRecord, ServiceRecord, decode
from foreman.kernel.together import together
from foreman.node.gateway_registration import Registration

DEFAULT_LEASE_S: Final = 10.0
DEFAULT_COALESCE_S: Final = 0.005
DEFAULT_WITHDRAW_S: Final = 2.0
HEALTH_COALESCE_S: Final = 0.25
"""How long a change of health waits for a change of services to go with; most are over by then."""

_log = structlog.get_logger("foreman.gateway")


class Gateway:
    """One a node. ``coalesce_s``: changes so close together are one call to the directory."""

    def __init__(
        self,
        directory: Directory,
        cluster: str,
        node: NodeRecord,
        *,
        lease_s: float = DEFAULT_LEASE_S,
        coalesce_s: float = DEFAULT_COALESCE_S,
        backoff: Backoff = DEFAULT_BACKOFF,
    ) -> None:
        keys = ClusterKeys(cluster)
        self._directory, self._keys = directory, keys
        self._node = replace(node, incarnation=node.incarnation or secrets.token_hex(8))
        self._registration = Registration(directory, keys, self._node, lease_s)
        self._coalesce_s, self._backoff = coalesce_s, backoff
        self._truth: dict[str, ServiceRecord] = {}
        self._changed = asyncio.Event()
        self._health: Callable[[], HealthRecord] | None = None
        self._health_due: asyncio.TimerHandle | None = None
        self._sequence = self._applied = 0  # of changes of the truth: made here, seen in the directory
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._reachable = False
        self._away = False  # tried, and failed: nothing here can be confirmed now
        self._failures, self._registered_at = 0, 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._layout: Layout | None = None

    @property
    def reachable(self) -> bool:
        """The node is registered and the last call to the directory was answered."""
        return self._reachable

    @property
    def layout(self) -> Layout | None:
        """The latest layout seen; None when there is none yet. Kept while the directory is away."""
        return self._layout

    async def start(self, services: Iterable[ServiceInfo]) -> None:
        """Register the node with all that runs on it. Returns at once, whether the directory is there or not."""
        self.advertise(services)
        self._tasks = [asyncio.create_task(self._stay_registered()), asyncio.create_task(self._follow_layout())]
        for task in self._tasks:
            task.add_done_callback(_tell_failure)

    def advertise(self, services: Iterable[ServiceInfo]) -> None:
        """Merge these in. Returns at once; the directory follows within a few milliseconds when it is there."""
        self._note({**self._truth, **{service.id: ServiceRecord.of(service, self._node.id) for service in services}})

    def withdraw(self, ids: Iterable[str], timeout: float = DEFAULT_WITHDRAW_S) -> Coroutine[Any, Any, bool]:
        """Take these out: at once, in the order of calls. What is awaited is only the directory's word.

        True: the directory shows them no more. False: it is away, and they go when it is back.
        """
        gone = frozenset(ids)
        self._note({id: service for id, service in self._truth.items() if id not in gone})
        return self._shown(timeout)

    def show_health(self, health: Callable[[], HealthRecord]) -> None:
        """Show the node's health too, as this says. :meth:`health_changed` tells that it may be another."""
        self._health = health

    def health_changed(self) -> None:
        """It goes along with the next change of the services, or soon by itself."""
        if self._health_due is None:
            self._health_due = asyncio.get_running_loop().call_later(HEALTH_COALESCE_S, self._changed.set)

    async def _shown(self, timeout: float) -> bool:
        return not self._away and await self.settled(timeout)

    async def settled(self, timeout: float) -> bool:
        """Whether, within ``timeout`` seconds, the directory shows the truth as it is now."""
        if self._reachable and self._applied == self._sequence:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting = [(needed, other) for needed, other in self._waiting if not other.done()]
        self._waiting.append((self._sequence, waiter))
        try:
            await asyncio.wait_for(waiter, timeout)
        except TimeoutError:
            return False
        return True

    async def stop(self, *, leave: bool = True) -> None:
        """End. ``leave``: revoke the lease, so that node and services go at once; else they stay until it runs out.

        The latter is for a server that is replaced under running workers: the next one takes the registration over.
        """
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._reachable = False
        self._unset_health_due()
        if leave:
            with contextlib.suppress(DirectoryUnavailable):  # then the lease runs out by itself
                await self._registration.end()

    def _note(self, truth: dict[str, ServiceRecord]) -> None:
        if truth != self._truth:
            self._truth = truth
            self._sequence += 1
            self._changed.set()

    def _settle(self, sequence: int) -> None:
        self._applied, self._away = sequence, False
        if not self._reachable:
            _log.info("registered", directory=self._directory.url, node=self._node.id, services=len(self._truth))
            self._reachable, self._registered_at = True, asyncio.get_running_loop().time()
        for needed, waiter in self._waiting:
            if needed <= sequence and not waiter.done():
                waiter.set_result(None)

    async def _stay_registered(self) -> None:
        while True:
            try:
                await self._put_back()
                await together((self._follow_truth(), self._keep_alive(), self._registration.stand_guard()))
            except DirectoryError as error:
                self._lost(error)
            await asyncio.sleep(self._backoff.delay_s(self._failures, random.random()))

    def _lost(self, error: DirectoryError) -> None:
        """Waits grow until a registration has stood for a lease's time: two nodes with one id must not fight as fast as they can."""
        if not self._away:
            _log.warning("not_registered", directory=self._directory.url, node=self._node.id, reason=str(error))
        if self._reachable and asyncio.get_running_loop().time() - self._registered_at >= self._registration.lease_s:
            self._failures = 0
        self._reachable, self._away = False, True
        self._failures += 1

    async def _put_back(self) -> None:
        self._changed.clear()
        sequence = self._sequence
        await self._registration.put_back(self._truth, self._current_health())
        self._settle(sequence)

    async def _follow_truth(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(self._coalesce_s)
            self._changed.clear()
            sequence, health = self._sequence, self._current_health()
            if sequence != self._applied or self._registration.is_news(health):
                await self._registration.change(self._truth, health)
                self._settle(sequence)

    def _unset_health_due(self) -> None:
        if self._health_due is not None:
            self._health_due.cancel()
            self._health_due = None

    def _current_health(self) -> HealthRecord | None:
        self._unset_health_due()
        return None if self._health is None else self._health()

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._registration.keep_alive_every_s)
            await self._registration.keep_alive()

    # --- the layout ---

    async def _follow_layout(self) -> None:
        layout, keys = KeyRange.of_key(self._keys.layout), self._keys
        async with contextlib.aclosing(follow(self._directory, layout, backoff=self._backoff, witness=keys.identity)) as news:
            async for told in news:
                match told:
                    case Snapshot(entries=()):
                        self._layout = None
                    case Snapshot(entries=entries):
                        self._see_layout(entries[0])
                    case Changes(events=events):
                        self._see_layout(events[-1])

    def _see_layout(self, event: KeyValue | Deleted) -> None:
        if isinstance(event, Deleted):
            self._layout = None
            return
        try:
            self._layout = decode(Layout, event.key, event.value)
        except InvalidRecord as error:
            _log.error("layout_unreadable", reason=str(error))


def _tell_failure(task: asyncio.Task[None]) -> None:
    """Both tasks run until they are cancelled: any other end is a fault of the program, and must be seen."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("gateway_failed", exc_info=error)
