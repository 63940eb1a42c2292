"""Process effects, through the worker supervisor; its news, as facts.

Owns the connection to the supervisor. When only the connection breaks, it is made again and what runs is adopted; when the supervisor
is dead, the machine hears so, and asks for another. An effect that meets no connection is dropped on purpose: the next
SupervisorAttached tells the machine what runs, and it decides anew.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, assert_never

import structlog

from foreman.core.effects import AttachSupervisor, KillWorker, ProbeReadiness, SignalWorker, StartWorker
from foreman.core.events import RefusalReason, StartRefused, SupervisorAttached, SupervisorLost, WorkerExited
from foreman.core.ids import Incarnation, WorkerId
from foreman.kernel.files import try_lock
from foreman.kernel.wire import ProtocolError
from foreman.node.inbox import Fact, Inbox
from foreman.node.interpreter.news import facts_of, refusal_of, running_of
from foreman.node.interpreter.probes import Probes
from foreman.node.launching import Launching, signal_number
from foreman.node.supervisor_client import SupervisorClient, SupervisorUnavailable
from foreman.supervisor.protocol import Exited, OutputLost, Refused, RunningWorker

log = structlog.get_logger("foreman.processes")

ATTACH_PAUSE_S: Final = 1.0
LOCK_PAUSE_S: Final = 0.05
LONGEST_LOCK_PAUSE_S: Final = 1.0

ProcessEffect = AttachSupervisor | StartWorker | ProbeReadiness | SignalWorker | KillWorker
Attach = Callable[[], Coroutine[Any, Any, SupervisorClient]]


class Processes:
    """``attach``: connects to the supervisor, starting one when there is none (node/supervisor_launch.py)."""

    def __init__(self, inbox: Inbox, launching: Launching, attach: Attach) -> None:
        self._inbox = inbox
        self._launching = launching
        self._attach = attach
        self._probes = Probes(inbox, launching)
        self._client: SupervisorClient | None = None
        self._first: tuple[SupervisorClient, list[RunningWorker]] | None = None
        self._link: asyncio.Task[None] | None = None
        self._leaving = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def client(self) -> SupervisorClient | None:
        """The supervisor that is connected; None between two."""
        return self._client

    async def leave(self, *, end_it: bool, within_s: float) -> None:
        """Let go of the supervisor, for good; ``end_it``: it ends first."""
        self._leaving = True
        client = self._client or (self._first[0] if self._first else None)
        if client is None:
            return
        if end_it:
            with suppress(SupervisorUnavailable, Refused):
                await client.shutdown()
                await asyncio.wait({client.lost}, timeout=within_s)
        await client.close()
        await asyncio.sleep(0)  # the transport closes in the loop's next turn

    async def meet(self) -> list[RunningWorker]:
        """The first connection, before the machine asks for it. Returns what runs already. Raises SupervisorUnavailable, Refused."""
        client = await self._attach()
        self._first = client, await client.list()
        return self._first[1]

    def do(self, effect: ProcessEffect) -> None:
        match effect:
            case AttachSupervisor():
                if self._link is None or self._link.done():
                    self._link = asyncio.create_task(self._stay_connected(), name="supervisor link")
            case StartWorker():
                self._begin(self._start(effect))
            case ProbeReadiness():
                self._probes.do(effect)
            case SignalWorker(id, incarnation, signal):
                number = signal_number(signal)
                self._begin(self._reach(id, incarnation, lambda client: client.signal(id, incarnation, number)))
            case KillWorker(id, incarnation):
                self._begin(self._reach(id, incarnation, lambda client: client.kill(id, incarnation)))
            case _:
                assert_never(effect)

    async def close(self) -> None:
        tasks = (*self._tasks, *((self._link,) if self._link else ()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(self._probes.close(), *tasks, return_exceptions=True)

    # --- the link ---

    async def _stay_connected(self) -> None:
        """Until the supervisor is dead. A broken connection alone is mended here, and the machine told anew what runs."""
        while True:
            client, running = await self._connect()
            self._inbox.put(self._attached(client, running))
            async for news in client.news():
                if isinstance(news, Exited):
                    self._probes.end(Incarnation(news.incarnation))
                if isinstance(news, OutputLost):
                    log.warning("output lost", id=news.id, lost_bytes=news.lost_bytes, errno=news.errno)
                for fact in facts_of(news):
                    self._inbox.put(fact)
            lost = await client.lost
            await client.close()
            self._client = None
            if not self._leaving:
                log.warning("supervisor lost", reason=lost.reason, exited=lost.exited)
            if lost.exited:
                await self._probes.close()
                self._tell_lost(f"the worker supervisor died ({lost.reason})")
                return

    def _tell_lost(self, reason: str) -> None:
        self._inbox.put(lambda at: SupervisorLost(at, reason))

    def _attached(self, client: SupervisorClient, running: list[RunningWorker]) -> Fact:
        """Starts go to this supervisor only once the machine has heard what it runs: nothing asked for before is in ``running``."""

        def fact(at: Any) -> SupervisorAttached:
            if client.lost.done():
                return SupervisorAttached(at, ())
            self._client = client
            return SupervisorAttached(at, tuple(running_of(found) for found in running))

        return fact

    async def _connect(self) -> tuple[SupervisorClient, list[RunningWorker]]:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        while True:
            try:
                client = await self._attach()
                return client, await client.list()
            except (SupervisorUnavailable, Refused, ProtocolError) as error:
                log.error("no supervisor can be had; trying again", reason=str(error), pause_s=ATTACH_PAUSE_S)
            await asyncio.sleep(ATTACH_PAUSE_S)

    # --- effects on one worker ---

    async def _start(self, effect: StartWorker) -> None:
        """That it runs is news; only a refusal is told here."""
        client = self._client
        if client is None:
            return
        try:
            self._launching.make_room(effect)
            await client.start(self._launching.request(effect))
        except Refused as refused:
            self._inbox.put(refusal_of(refused.refusal, effect.id, effect.incarnation))
        except SupervisorUnavailable:
            return
        except (ProtocolError, OSError) as error:
            detail = f"it cannot be started: {error}"
            self._inbox.put(lambda at: StartRefused(at, effect.id, effect.incarnation, RefusalReason.FAILED, detail))

    async def _reach(self, id: WorkerId, incarnation: Incarnation, ask: Callable[[SupervisorClient], Coroutine[Any, Any, None]]) -> None:
        client = self._client
        if client is None:
            return
        try:
            await ask(client)
        except SupervisorUnavailable:
            return
        except Refused as refused:
            log.info("the supervisor does not know this incarnation", id=id, incarnation=incarnation, detail=refused.refusal.detail)
            await self._prove_exit(id, incarnation)

    async def _prove_exit(self, id: WorkerId, incarnation: Incarnation) -> None:
        """The supervisor has no such process. That it is gone is proven by its lock, which nothing of it can hold any more."""
        pause_s = LOCK_PAUSE_S
        while not await asyncio.to_thread(_is_free, self._launching.lock_of(id)):
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_LOCK_PAUSE_S, pause_s * 2)
        self._inbox.put(lambda at: WorkerExited(at, id, incarnation, None, None))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_free(lock: str) -> bool:
    try:
        taken = try_lock(lock, create=False)
    except OSError:
        return True  # there is no lock to be held
    if taken is None:
        return False
    taken.release()
    return True
