"""The coordinator: does what ``coordinating`` decides. One on each node with the capability ``coordination``.

Owns the tasks: following the directory, keeping the lease, the director. When the lease is lost, or may be, the director is stopped before
anything else happens: its fence shuts by its own clock, then its task is cancelled.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import structlog

from foreman.control import coordinating as decide
from foreman.control.attempt import Attempt
from foreman.control.cluster_view import ClusterFold
from foreman.control.director import Director
from foreman.control.errors import Deposed
from foreman.control.feed import Feed
from foreman.control.fence import boot_time_s
from foreman.control.foremen import Foremen
from foreman.control.leading import Term, campaign, keep_term, resign, take_epoch
from foreman.control.memory import Memory
from foreman.control.naming import lasting_names
from foreman.control.ports import Connect, DataPlane
from foreman.control.recovery.outcome import Stalled
from foreman.control.recovery.recovery import Tools
from foreman.control.settings import ControlSettings
from foreman.control.telling import Teller
from foreman.core.generations import Generation
from foreman.directory.errors import DirectoryUnavailable
from foreman.directory.following import Backoff, follow
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Changes, Directory, Snapshot
from foreman.directory.records import LeaderRecord

_log = structlog.get_logger("foreman.coordinator")


def _fresh_id() -> str:
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class World:
    """What a coordinator is given. ``clock`` never jumps and goes on while the machine sleeps; ``wall`` is for people.

    ``fresh_id``: 8 hex digits, never the same twice.
    """

    directory: Directory
    cluster: str
    me: LeaderRecord
    connect: Connect
    data: DataPlane
    settings: ControlSettings = field(default_factory=ControlSettings)
    clock: Callable[[], float] = boot_time_s
    wall: Callable[[], float] = time.time
    fresh_id: Callable[[], str] = _fresh_id
    chance: Callable[[], float] = random.random
    log_params: Mapping[str, object] = field(default_factory=dict)
    storage_params: Mapping[str, object] = field(default_factory=dict)


class Coordinator:
    """:meth:`run` until it is cancelled."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._keys = ClusterKeys(world.cluster)
        self.machine = decide.CoordinatorMachine()
        self.feed = Feed()
        self._inbox: asyncio.Queue[decide.Event] = asyncio.Queue()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._term: Term | None = None
        self._director: Director | None = None
        self._memory = Memory()
        self._foremen: Foremen | None = None
        self._teller: Teller | None = None
        self._stalls = 0

    async def run(self) -> None:
        """Campaign, lead, and campaign again. Cancelled: resign, so that another can lead at once."""
        self._begin("follow", self._follow())
        try:
            while True:
                event = await self._inbox.get()
                for effect in self.machine.handle(event):
                    await self._do(effect)
                self.machine.check()
                for task in list(self._tasks.values()):
                    if task.done() and not task.cancelled():
                        task.result()
        finally:
            await self._end_term()
            await self._end_tasks(list(self._tasks))

    # --- what is seen ---

    async def _follow(self) -> None:
        fold = ClusterFold(self._keys)
        async with aclosing(self._news()) as news:
            async for told in news:
                view = fold.see(told)
                self.feed.put(view)
                term = self._term
                if term is not None and view.revision >= term.revision and view.revisions.get(self._keys.leader) != term.revision:
                    term.end()  # somebody took the record away: another may lead
                self._tell(decide.ClusterSeen(self._keys.leader in view.revisions, view.fingerprint()))

    def _news(self) -> AsyncGenerator[Snapshot | Changes, None]:
        return follow(self._world.directory, self._keys.everything, backoff=Backoff(0.1, 1.0), witness=self._keys.identity)

    def _tell(self, event: decide.Event) -> None:
        self._inbox.put_nowait(event)

    # --- what is done ---

    async def _do(self, effect: decide.Effect) -> None:
        match effect:
            case decide.Campaign():
                self._begin("campaign", self._campaign())
            case decide.ReadWhole():
                self._begin("lead", self._read_whole())
            case decide.TakeEpoch(above):
                self._begin("lead", self._take_epoch(above))
            case decide.StartDirector(epoch):
                self._begin("direct", self._direct(epoch))
            case decide.LetDirectorGoOn():
                if self._director is not None:
                    self._director.go_on()
            case decide.StopDirector():
                await self._end_term()
            case decide.SetTimer(timer, in_s):
                self._begin(f"timer {timer}", self._fire(timer, in_s))

    async def _campaign(self) -> None:
        world = self._world
        await asyncio.sleep(world.chance() * 0.05)  # not all at the same moment
        term = await campaign(world.directory, self._keys, world.me, world.settings.lease_s, world.clock)
        if term is None:
            self._tell(decide.NotElected())
            return
        self._term, self._memory = term, Memory()
        settings = world.settings
        self._foremen = Foremen(world.connect, term.fence, world.clock, timeout_s=settings.command_timeout_s, avoid_s=settings.avoid_s)
        self._teller = Teller(world.directory, self._keys, world.me.node, world.wall, lambda lines: lasting_names(self.feed.view, lines))
        _log.info("elected", node=world.me.node, revision=term.revision)
        self._begin("keep", self._keep(term))
        self._tell(decide.Elected())

    async def _keep(self, term: Term) -> None:
        keeping = asyncio.create_task(keep_term(self._world.directory, term, self._world.clock))
        try:
            await term.ended.wait()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        self._stop_directing()
        _log.warning("lease_lost", node=self._world.me.node)
        self._tell(decide.LeaseLost())

    async def _read_whole(self) -> None:
        """Until the feed has seen the election: then it has seen all that was before it."""
        term = self._term
        assert term is not None
        seen = self.feed.view
        while seen.revision < term.revision:
            await self.feed.after(seen)
            seen = self.feed.view
        assert self._teller is not None
        self._teller.go_on_after(seen.story)
        self._begin("tell", self._teller.run(term.lease, term.revision))
        highest = seen.layout.epoch if seen.layout is not None else 0
        self._tell(decide.WholeRead(max(seen.epoch, highest)))

    async def _take_epoch(self, above: int) -> None:
        term = self._term
        while term is not None and term.fence.left_s > 0:
            try:
                epoch = await take_epoch(self._world.directory, self._keys, term, above, self._world.me.node)
            except DirectoryUnavailable:
                await asyncio.sleep(0.1)
                continue
            if epoch is None:
                term.end()
            else:
                self._tell(decide.EpochTaken(epoch))
            return

    async def _direct(self, epoch: int) -> None:
        term, teller, world = self._term, self._teller, self._world
        if term is None or teller is None or self._foremen is None:
            return
        attempt = Attempt(epoch, world.fresh_id())
        teller.begin(epoch, attempt.recovery_id)
        await self._foremen.begin(Generation(epoch, attempt.recovery_id, term.directory))
        tools = Tools(
            world.directory, self._keys, self.feed, self._foremen, world.data, term.fence, world.settings, self._memory.absences,
            world.clock, teller.tell, term.revision, term.epoch_revision, world.log_params, world.storage_params,
        )  # fmt: skip
        self._director = Director(attempt, tools, self._memory, teller, lambda stall: self._stalled(epoch, stall))
        self._stalls, began_s = 0, world.clock()
        try:
            end = await self._director.run()
        except Deposed:
            term.end()
            return
        self._tell(decide.DirectorEnded(max(epoch, end.epoch), world.clock() - began_s))

    def _stalled(self, epoch: int, stall: Stalled) -> None:
        self._stalls += 1
        again_s = stall.again_in_s
        if again_s is not None:
            again_s = min(self._world.settings.again_cap_s, again_s * 2.0 ** min(self._stalls - 1, 10))
        self._tell(decide.DirectorStalled(epoch, stall.why, self.feed.view.fingerprint(), again_s))

    async def _fire(self, timer: decide.Timer, in_s: float) -> None:
        await asyncio.sleep(in_s * (0.75 + self._world.chance() / 2))
        self._tell(decide.TimerFired(timer))

    # --- tasks ---

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        old = self._tasks.get(name)
        if old is not None and not old.done():
            old.cancel()
        self._tasks[name] = asyncio.create_task(work, name=f"coordinator {name}")
        self._tasks[name].add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A task that failed is a fault of the program; :meth:`run` raises it."""
        if not task.cancelled() and task.exception() is not None:
            _log.critical("coordinator_failed", task=task.get_name(), exc_info=task.exception())
            self._tell(decide.LeaseLost())

    def _stop_directing(self) -> None:
        for name in ("direct", "lead", "tell"):
            if name in self._tasks:
                self._tasks[name].cancel()

    async def _end_term(self) -> None:
        """The director first; then the lease."""
        term, self._term = self._term, None
        if term is not None:
            term.end()
        self._stop_directing()
        await self._end_tasks(["direct", "lead", "tell", "keep", "campaign"])
        foremen, self._foremen, self._director = self._foremen, None, None
        if foremen is not None:
            await foremen.close()
            await self._world.data.close()
        if term is not None:
            await resign(self._world.directory, term.lease)

    async def _end_tasks(self, names: list[str]) -> None:
        tasks = [self._tasks.pop(name) for name in names if name in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
