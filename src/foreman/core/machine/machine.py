"""ForemanMachine: the whole Foreman, decided purely. One event in, the effects it asks for out.

It never waits, so a slow start or a slow removal of one worker never delays another. The verbs stand in the files beside this one.
"""

from collections.abc import Mapping
from typing import assert_never

from foreman.core import events as on
from foreman.core.effects import ClearJournal, Effect
from foreman.core.errors import WorkerNotFound
from foreman.core.health import Health
from foreman.core.ids import RequestId, WorkerId
from foreman.core.kinds import Kinds
from foreman.core.machine import (
    booting,
    creating,
    ending,
    exiting,
    invariants,
    removing,
    reporting,
    starting,
    stopping,
    waiting,
)
from foreman.core.machine.node import Node
from foreman.core.machine.settings import MachineSettings
from foreman.core.machine.turn import Turn
from foreman.core.machine.worker import Worker
from foreman.core.views import ServiceInfo, StoryLine, WorkerInfo, WorkerRef


class ForemanMachine:
    """One node's Foreman. Not thread-safe; one loop owns it. The queries are cheap and may be called between any two events."""

    def __init__(self, settings: MachineSettings, kinds: Kinds, cluster: str) -> None:
        self._node = Node(settings, kinds, cluster)

    def reconfigure(self, settings: MachineSettings, kinds: Kinds) -> None:
        """From now on these hold. What runs, and every deadline that is set, stays as it is. ``kinds`` has every kind a worker is of."""
        self._node.settings, self._node.kinds = settings, kinds

    # --- events ---

    def handle(self, event: on.Event) -> list[Effect]:
        """Decide. The effects are to be begun in their order. Raises InvalidMove only for a bug in here."""
        effects = self._turn(event)
        if self._node.booted and self._node.deferred:
            kept = list(self._node.deferred.values())
            self._node.deferred.clear()
            for command in kept:
                effects += self._turn(command)
        return effects

    def _turn(self, event: on.Event) -> list[Effect]:
        turn = Turn(self._node, event.at, type(event).__name__)
        self._dispatch(turn, event)
        turn.conclude()
        ending.review(turn)
        starting.admit(turn)
        creating.review(turn, turn.publish())
        waiting.review(turn)
        return turn.close()

    def _dispatch(self, turn: Turn, event: on.Event) -> None:
        match event:
            case on.RequestAbandoned():
                waiting.abandoned(turn, event)
            case on.ShutdownRequested():
                ending.requested(turn, event)
            case (
                on.NewWorkers()
                | on.RemoveWorkers()
                | on.StartWorkerRequested()
                | on.StopWorkerRequested()
                | on.RestartWorkerRequested()
                | on.WaitForHealthy()
                | on.ReportHealth()
            ):
                self._command(turn, event)
            case on.NodeScanned():
                booting.scanned(turn, event)
            case on.SupervisorAttached():
                booting.attached(turn, event)
            case on.SupervisorLost():
                booting.supervisor_lost(turn, event)
            case on.WorkerStarted() | on.StartRefused() | on.WorkerReady() | on.WorkerSaid() | on.WorkerSilent() | on.WorkerExited():
                self._news(turn, event)
            case on.TimerFired(_, timer):
                self._timer(turn, timer)
            case _:
                self._answer(turn, event)

    def _command(
        self,
        turn: Turn,
        event: on.NewWorkers
        | on.RemoveWorkers
        | on.StartWorkerRequested
        | on.StopWorkerRequested
        | on.RestartWorkerRequested
        | on.WaitForHealthy
        | on.ReportHealth,
    ) -> None:
        if not self._node.booted and not self._node.ending:
            self._node.deferred[event.request] = event
            return
        match event:
            case on.NewWorkers():
                creating.requested(turn, event)
            case on.RemoveWorkers():
                removing.requested(turn, event)
            case on.StartWorkerRequested():
                stopping.start_requested(turn, event)
            case on.StopWorkerRequested():
                stopping.stop_requested(turn, event)
            case on.RestartWorkerRequested():
                stopping.restart_requested(turn, event)
            case on.WaitForHealthy():
                waiting.wait_for_healthy(turn, event)
            case on.ReportHealth():
                reporting.report(turn, event)
            case _:
                assert_never(event)

    def _news(self, turn: Turn, event: on.News) -> None:
        worker = self._node.workers.get(event.id)
        if worker is None or worker.incarnation != event.incarnation:
            return  # stale: of a start that is over, or of a worker that is gone
        match event:
            case on.WorkerStarted():
                starting.started(turn, worker, event)
            case on.StartRefused():
                starting.refused(turn, worker, event)
            case on.WorkerReady():
                starting.said_ready(turn, worker, event)
            case on.WorkerSaid():
                reporting.said(turn, worker, event)
            case on.WorkerSilent():
                reporting.silent(turn, worker, event)
            case on.WorkerExited():
                exiting.exited(turn, worker, event)
            case _:
                assert_never(event)

    def _answer(self, turn: Turn, event: on.Answer) -> None:
        match event:
            case on.DirectoryPrepared():
                creating.prepared(turn, event)
            case on.DirectoryFailed():
                creating.not_prepared(turn, event)
            case on.DirectoryJudged():
                stopping.judged(turn, event)
            case on.DesiredRecorded():
                stopping.recorded(turn, event)
            case on.Trashed():
                removing.trashed(turn, event)
            case on.TrashFailed():
                removing.trash_failed(turn, event)
            case on.TrashDeleted():
                removing.trash_deleted(turn, event)
            case on.JournalWritten():
                self._journal_written(turn, event)
            case on.JournalCleared():
                self._journal_cleared(turn, event)
            case on.Withdrawn():
                ending.withdrawn(turn, event)
                stopping.withdrawn(turn, event)
            case _:
                assert_never(event)

    def _journal_written(self, turn: Turn, event: on.JournalWritten) -> None:
        if event.batch in self._node.creations:
            creating.journal_written(turn, self._node.creations[event.batch], event)
        elif event.batch in self._node.removals:
            removing.journal_written(turn, self._node.removals[event.batch], event)
        elif event.error is None:
            turn.do(ClearJournal(event.batch))  # its workers went another way while it was being written

    def _journal_cleared(self, turn: Turn, event: on.JournalCleared) -> None:
        if event.batch in self._node.creations:
            creating.journal_cleared(turn, self._node.creations[event.batch], event)
        elif event.batch in self._node.removals:
            removing.journal_cleared(turn, self._node.removals[event.batch])

    def _timer(self, turn: Turn, timer: on.Timer) -> None:
        if timer.kind is on.TimerKind.REQUEST:
            waiting.late(turn, RequestId(int(timer.key)))
            return
        worker = self._node.workers.get(WorkerId(timer.key))
        if worker is None:
            return
        match timer.kind:
            case on.TimerKind.BACK_OFF:
                exiting.back_off_over(turn, worker)
            case on.TimerKind.START_DEADLINE:
                starting.deadline_passed(turn, worker)
            case on.TimerKind.START_SLOT:
                starting.slot_late(turn, worker)
            case on.TimerKind.STOP_GRACE:
                stopping.grace_over(turn, worker)
            case _:
                assert_never(timer.kind)

    # --- invariants and queries ---

    def check(self) -> None:
        """Every invariant holds, or AssertionError says which does not and tells the story of the worker."""
        invariants.check(self._node)

    @property
    def health(self) -> Health:
        """The aggregate health of the node."""
        return self._node.health

    @property
    def booted(self) -> bool:
        """The supervisor has told what it runs; commands are handled from now on."""
        return self._node.booted

    @property
    def worker_count(self) -> int:
        return len(self._node.workers)

    def refs(self, kind: str | None = None) -> tuple[WorkerRef, ...]:
        """All workers (of a kind), sorted by id. The same tuple until something changes."""
        return self._node.refs(kind)

    def services(self) -> tuple[ServiceInfo, ...]:
        """The healthy workers, sorted by id: exactly what is advertised."""
        return self._node.services()

    def info(self, id: WorkerId) -> WorkerInfo:
        """Raises WorkerNotFound."""
        return self._node.info(self._worker(id))

    def infos(self, kind: str | None = None) -> tuple[WorkerInfo, ...]:
        return self._node.infos(kind)

    def story(self, id: WorkerId) -> tuple[StoryLine, ...]:
        """Raises WorkerNotFound."""
        return tuple(self._worker(id).story)

    def unhealthy(self) -> Mapping[str, str]:
        """Each worker that is neither ok nor stopped, and why."""
        return waiting.unhealthy(self._node)

    def _worker(self, id: WorkerId) -> Worker:
        worker = self._node.workers.get(id)
        if worker is None:
            raise WorkerNotFound(id)
        return worker
