"""Which family does which effect. ``do`` begins it and returns at once."""

from typing import assert_never

from foreman.core.effects import (
    Advertise,
    AttachSupervisor,
    CancelTimer,
    ClearJournal,
    DeleteTrash,
    Effect,
    EndNode,
    JudgeDirectory,
    KillWorker,
    Measured,
    MoveToTrash,
    PrepareDirectories,
    ProbeReadiness,
    PublishChange,
    PublishHealth,
    PublishRemoval,
    RecordDesired,
    Reply,
    SetTimer,
    SignalWorker,
    StartWorker,
    Withdraw,
    WriteJournal,
)
from foreman.node.interpreter.cluster import Cluster
from foreman.node.interpreter.disk import Disk
from foreman.node.interpreter.people import People
from foreman.node.interpreter.processes import Processes
from foreman.node.interpreter.timers import Timers


class Interpreter:
    def __init__(self, disk: Disk, processes: Processes, timers: Timers, cluster: Cluster, people: People) -> None:
        self._disk = disk
        self._processes = processes
        self._timers = timers
        self._cluster = cluster
        self._people = people

    def do(self, effect: Effect) -> None:
        match effect:
            case Reply() | PublishChange() | PublishRemoval() | PublishHealth() | Measured():
                self._people.do(effect)
            case SetTimer() | CancelTimer():
                self._timers.do(effect)
            case AttachSupervisor() | StartWorker() | ProbeReadiness() | SignalWorker() | KillWorker():
                self._processes.do(effect)
            case EndNode():
                pass  # the server's own: its loop ends
            case (
                PrepareDirectories() | JudgeDirectory() | RecordDesired() | MoveToTrash() | DeleteTrash() | WriteJournal() | ClearJournal()
            ):
                self._disk.do(effect)
            case Advertise() | Withdraw():
                self._cluster.do(effect)
            case _:
                assert_never(effect)

    async def close(self) -> None:
        """Begin nothing any more; let what a thread is doing finish."""
        self._timers.close()
        await self._processes.close()
        self._cluster.close()
        await self._disk.close()
