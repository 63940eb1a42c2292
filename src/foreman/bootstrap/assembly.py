"""One node: its parts put together, started in their order, and taken apart again in reverse.

The order of the start: the data directory and its lock; then, side by side, the supervisor (which loads what workers need) and the
look at the disk; then the machine hears both. The order of the end: workers, in reverse order of start; the HTTP API; the
registration; the supervisor; the lock. A start that fails on its way takes back what it had begun.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import Final

import structlog

from foreman import __version__
from foreman.api.listeners import Listener, open_listeners, reached_at
from foreman.bootstrap.door import Door
from foreman.bootstrap.for_workers import check_files, launch_settings
from foreman.bootstrap.membership import Membership
from foreman.core.effects import Effect, EndNode
from foreman.core.errors import DataDirectoryInvalid, ForemanUnavailable
from foreman.core.events import Event, NodeScanned, ShutdownRequested, Unusable
from foreman.core.ids import WorkerId
from foreman.core.judgement import Mine
from foreman.core.kinds import Kinds, KindSpec
from foreman.core.machine import ForemanMachine, MachineSettings
from foreman.core.manifest import Manifest
from foreman.core.views import NodeInfo
from foreman.node.configuration import Changes, Configuration, changes
from foreman.node.data_directory import DataDirectory, open_data_directory, read_identity
from foreman.node.event_stream import EventStream
from foreman.node.foreman import LocalForeman
from foreman.node.generations import Generations
from foreman.node.inbox import Inbox
from foreman.node.interpreter.cluster import Cluster
from foreman.node.interpreter.disk import Disk
from foreman.node.interpreter.interpreter import Interpreter
from foreman.node.interpreter.people import People
from foreman.node.interpreter.processes import Processes
from foreman.node.interpreter.timers import Timers
from foreman.node.launching import Launching
from foreman.node.layout import Layout
from foreman.node.metrics import Metrics
from foreman.node.output import read_output
from foreman.node.requests import Requests
from foreman.node.run_directory import SERVER_SOCKET
from foreman.node.scan import NodeScan, judge_directory, scan
from foreman.node.server import Server
from foreman.node.supervisor_client import SupervisorClient, SupervisorUnavailable
from foreman.node.supervisor_launch import Launch, attach_or_launch
from foreman.node.working_directory import WorkingDirectories
from foreman.supervisor.protocol import Refused
from foreman.workers.kind import known_kinds

log = structlog.get_logger("foreman.node")

SUPERVISOR_END_S: Final = 15.0
SUPERVISOR_LOG: Final = "supervisor.log"


@dataclass(frozen=True, slots=True)
class NodePlan:
    """``kinds``: besides the built-in, installed and configured ones. ``serve``: whether there is an HTTP API. ``check`` and
    ``boundary`` are for tests (node/server.py).
    """

    configuration: Configuration
    orphan_grace_s: float
    kinds: tuple[KindSpec, ...] = ()
    serve: bool = True
    check: bool = False
    boundary: Callable[[Event | Effect], None] | None = None


class Node:
    """Made by :meth:`start`; ended by :meth:`stop`, or by itself when somebody asks the Foreman to shut down."""

    def __init__(self, plan: NodePlan, data: DataDirectory, listeners: Sequence[Listener] = ()) -> None:
        self.plan, self.data = plan, data
        self.configuration = plan.configuration
        self.kinds = self._read_kinds(plan.configuration)
        self._started = time.monotonic()
        self._stopped = False
        self._inbox, self._stream, self._metrics = Inbox(), EventStream(), Metrics()
        self._requests = Requests(self._inbox)
        self._directories = WorkingDirectories(data.layout, data.cluster, plan.configuration.disk.min_free_bytes)
        launching = Launching(data, lambda: self.kinds, lambda: launch_settings(self.configuration))
        self._processes = Processes(self._inbox, launching, self._attach)
        address = reached_at(plan.configuration.node, listeners) if listeners else self._address()
        self._membership = Membership(lambda: self.configuration, data, address)
        self._gateway = self._membership.gateway
        self._disk = Disk(self._inbox, self._directories, data.run, self._judge)
        people = People(self._requests, self._stream, self._metrics)
        self._interpreter = Interpreter(self._disk, self._processes, Timers(self._inbox), Cluster(self._inbox, self._gateway), people)
        machine = ForemanMachine(self._machine_settings(), self.kinds, data.cluster)
        self._server = Server(machine, self._inbox, self._requests, self._interpreter, check=plan.check, boundary=plan.boundary)
        self._serving: asyncio.Task[EndNode] | None = None
        self.foreman = LocalForeman(
            self._server, lambda: self.kinds, self._stream,
            output_of=self._output_of, node_info=self._node_info, cluster=self._membership.cluster,
        )  # fmt: skip
        generations = Generations(data.layout, lambda: [worker.id for worker in machine.refs()])
        self.door = Door(listeners, self.foreman, self._metrics, generations) if listeners else None

    @classmethod
    async def start(cls, plan: NodePlan) -> "Node":
        """Raises DataDirectoryInUse, DataDirectoryInvalid, InvalidConfiguration, ForemanUnavailable (no supervisor can be had)."""
        check_files(plan.configuration)
        data = await asyncio.to_thread(_open_data, plan.configuration)
        async with AsyncExitStack() as undo:
            undo.callback(data.close)
            listeners = open_listeners(plan.configuration.node, data.run / SERVER_SOCKET) if plan.serve else []
            for listener in listeners:
                undo.callback(listener.sock.close)
            node = cls(plan, data, listeners)
            undo.push_async_callback(node._take_apart, keep_workers=False)
            await node._begin()
            undo.pop_all()
        return node

    @property
    def stopped(self) -> bool:
        return self._stopped

    @property
    def broken(self) -> list[str]:
        """With ``check``: every invariant that did not hold, and after what."""
        return self._server.broken

    async def ended(self) -> EndNode:
        """Returns when the machine has ended the node; :meth:`stop` is still to be called."""
        assert self._serving is not None
        return await asyncio.shield(self._serving)

    async def stop(self, *, keep_workers: bool = False) -> None:
        """Stop all workers in reverse order of start, then everything else. ``keep_workers``: the next server adopts them."""
        self.begin_to_end(keep_workers=keep_workers)
        try:
            ending = await self.ended()
            keep_workers = ending.keep_workers
        finally:
            await self._take_apart(keep_workers=keep_workers)

    def begin_to_end(self, *, keep_workers: bool = False) -> None:
        """Ask for the end, as anybody may. Twice is once."""
        self._server.tell(lambda at: ShutdownRequested(at, request=None, keep_workers=keep_workers))

    async def hurry(self) -> None:
        """Do not wait for graces any more: KILL every worker."""
        client = self._processes.client
        if client is not None:
            with suppress(SupervisorUnavailable, Refused):
                await client.shutdown(now=True)

    def reload(self, configuration: Configuration) -> Changes:
        """Apply what can change under running workers; returns what was applied and what was left. Raises InvalidConfiguration."""
        told = changes(self.configuration, configuration)
        names = {kind.name for kind in configuration.kinds}
        kept = tuple(kind for kind in self.configuration.kinds if kind.name not in names)  # there may be workers of it
        merged = replace(
            configuration, node=self.configuration.node, directory=self.configuration.directory, kinds=configuration.kinds + kept
        )
        check_files(merged)
        self.kinds = self._read_kinds(merged)
        self.configuration = merged
        self._directories.min_free_bytes = merged.disk.min_free_bytes
        self._server.machine.reconfigure(self._machine_settings(), self.kinds)
        return told

    # --- the start ---

    async def _begin(self) -> None:
        scanning = asyncio.create_task(asyncio.to_thread(self._scan))
        try:
            await self._meet_supervisor()
        finally:
            await asyncio.wait({scanning})  # both are over before anything is taken apart
        found = await scanning
        _tell_of(found)
        self._disk.delete_leftovers(found.trash)
        unusable = tuple(Unusable(each.id, each.kind, each.reason) for each in found.unusable)
        self._server.tell(lambda at: NodeScanned(at, found.mine, unusable, found.journal))
        self._serving = asyncio.create_task(self._server.run(), name="foreman server")
        await self._server.booted.wait()
        # Not before the truth is known: workers that ran all along would be taken out and put back.
        await self._membership.start(self.foreman)
        if self.door is not None:
            self.door.open()

    async def _meet_supervisor(self) -> None:
        try:
            await self._processes.meet()
        except SupervisorUnavailable as error:
            raise ForemanUnavailable(self._address(), str(error)) from error
        except Refused as error:
            reason = f"the worker supervisor that runs is of another version ({error}); end its workers with the foreman that started them"
            raise ForemanUnavailable(self._address(), reason) from error

    async def _attach(self) -> SupervisorClient:
        preload = dict.fromkeys(module for spec in self.kinds.specs() for module in spec.preload)
        log_file = self.data.run / SUPERVISOR_LOG
        return await attach_or_launch(Launch(self.data.run, log=log_file, orphan_grace_s=self.plan.orphan_grace_s, preload=tuple(preload)))

    def _scan(self) -> NodeScan:
        """Locks are not looked at: what a dead supervisor's workers still hold for a moment is refused at the start, and tried again."""
        try:
            return scan(self.data.layout, self.data.cluster, self.kinds)
        except OSError as error:
            raise DataDirectoryInvalid(str(self.data.path), f"it cannot be read: {error}") from error

    # --- the end ---

    async def _take_apart(self, *, keep_workers: bool) -> None:
        self._stopped = True
        self._stream.close()
        self._requests.end(ForemanUnavailable(self._address(), "this node has ended"))
        if self.door is not None:
            await self.door.close()
            (self.data.run / SERVER_SOCKET).unlink(missing_ok=True)
        if self._serving is not None:
            self._serving.cancel()
        await self._membership.leave(for_good=not keep_workers)
        await self._processes.leave(end_it=not keep_workers, within_s=SUPERVISOR_END_S)
        await self._interpreter.close()
        await self._membership.close()
        self.data.close()

    # --- what the parts are told ---

    def _read_kinds(self, configuration: Configuration) -> Kinds:
        kinds, problems = known_kinds((*configuration.kinds, *self.plan.kinds), stop_grace_s=configuration.supervision.stop_grace_s)
        for problem in problems:
            log.error("a kind is left out", problem=problem)
        return kinds

    def _machine_settings(self) -> MachineSettings:
        supervision = self.configuration.supervision
        return MachineSettings(
            workers_root=str(self.data.layout.workers),
            restart=supervision.restart_policy(),
            start_timeout_s=supervision.start_timeout_s,
            start_parallelism=supervision.start_parallelism,
        )

    def _judge(self, id: WorkerId) -> Manifest | str:
        judgement = judge_directory(self.data.layout, id, self.data.cluster, self.kinds)
        if judgement is None:
            return "its directory is not there any more"
        return judgement.manifest if isinstance(judgement, Mine) else judgement.reason

    def _output_of(self, id: WorkerId, follow: bool) -> AsyncGenerator[bytes, None]:  # noqa: FBT001 - LocalForeman's callback
        return read_output(self.data.layout.output(id), follow=follow)

    def _address(self) -> str:
        return f"unix:{self.data.run / SERVER_SOCKET}"

    def _node_info(self) -> NodeInfo:
        client, machine = self._processes.client, self._server.machine
        return NodeInfo(
            node_id=self.data.node_id,
            cluster=self.data.cluster,
            data=str(self.data.path),
            address=self._address(),
            version=__version__,
            pid=os.getpid(),
            supervisor_pid=client.welcome.pid if client is not None else None,
            uptime=time.monotonic() - self._started,
            kinds=self.kinds.names(),
            capabilities=self.configuration.node.capabilities,
            directory_reachable=self._gateway.reachable,
            health=machine.health,
            workers=machine.worker_count,
            name=self._membership.name,
        )


def _open_data(configuration: Configuration) -> DataDirectory:
    """A cluster that nobody named is the one the directory belongs to already."""
    node = configuration.node
    named = configuration.origin("node.cluster") != "default"
    known = not named and node.data.is_dir() and read_identity(Layout(node.data)) is not None
    return open_data_directory(node.data, None if known else node.cluster)


def _tell_of(found: NodeScan) -> None:
    for stray in found.strays:
        log.warning("not a worker; it is left alone", path=str(stray.path), reason=stray.reason)
    for each in found.unusable:
        log.error("a directory cannot be used; it is left alone", id=each.id, reason=each.reason)
    for record in found.unreadable_records:
        log.error("a record in the journal cannot be read; it is kept", path=record.path, reason=record.reason)
    for failure in found.stuck:
        log.warning(
            "something in staging cannot be deleted; it is tried again at the next start", path=failure.path, errno=failure.errno_name
        )
