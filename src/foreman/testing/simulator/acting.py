"""What the simulated world does with each effect: the counterpart of node.interpreter, with faults."""

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from foreman.core import effects as do
from foreman.core import events as on
from foreman.core.errors import FailedToRemoveDirectory, FailedToStart, ForemanError
from foreman.core.health import Health
from foreman.core.ids import Incarnation, WorkerId
from foreman.core.manifest import Manifest
from foreman.testing.simulator.world import Process

if TYPE_CHECKING:
    from foreman.testing.simulator.driver import Simulation


def begin(sim: "Simulation", effect: do.Effect) -> None:
    """Begin an effect; its answer comes later."""
    match effect:
        case (
            do.PrepareDirectories()
            | do.JudgeDirectory()
            | do.RecordDesired()
            | do.MoveToTrash()
            | do.DeleteTrash()
            | do.WriteJournal()
            | do.ClearJournal()
        ):
            life = sim.life
            sim.later(f"disk:  {type(effect).__name__}", lambda: _disk(sim, effect, life))
        case do.AttachSupervisor() | do.StartWorker() | do.ProbeReadiness() | do.SignalWorker() | do.KillWorker() | do.EndNode():
            _process(sim, effect)
        case do.SetTimer(timer, at):
            sim.set_timer(timer, at)
        case do.CancelTimer(timer):
            sim.cancel_timer(timer)
        case do.Advertise(services):
            sim.gateway.update(WorkerId(service.id) for service in services)
            sim.later("gateway flushes", lambda: flush(sim), 0.005)
        case do.Withdraw(withdrawn, answer):
            sim.gateway.difference_update(withdrawn)
            sim.later("gateway flushes", lambda: _withdraw(sim, withdrawn, answer=answer), 0.005)
        case do.Reply(request, outcome):
            sim.replied(request, outcome)
        case do.PublishChange() | do.PublishRemoval() | do.PublishHealth() | do.Measured():
            pass


# --- disk ---


def _disk(sim: "Simulation", effect: do.DiskEffect, life: int) -> None:
    fails = sim.roll(sim.faults.disk_error)
    if not fails and sim.roll(sim.faults.effect_twice):
        _succeed(sim, effect)  # done, and done again because nobody knows that it was
    answer = _fail(sim, effect) if fails else _succeed(sim, effect)
    for event_of in answer:
        sim.answer(life, event_of)


def _fail(sim: "Simulation", effect: do.DiskEffect) -> list[Callable[[], on.Event]]:
    error = ForemanError("ENOSPC")
    match effect:
        case do.PrepareDirectories(manifests):
            return [_no_directory(sim, m) for m in manifests if sim.world.workers.get(m.id) != m]
        case do.JudgeDirectory(id):
            return [lambda: on.DirectoryJudged(sim.moment(), id, "still broken")]
        case do.RecordDesired(id):
            return [lambda: on.DesiredRecorded(sim.moment(), id, error)]
        case do.MoveToTrash(id):
            sim.world.stuck.add(id)
            problem = FailedToRemoveDirectory(id, errno.EPERM, "EPERM", f"workers/{id}")
            return [lambda: on.TrashFailed(sim.moment(), id, problem)] if id in sim.world.workers else []
        case do.DeleteTrash(id, path):
            left = FailedToRemoveDirectory(id, errno.EIO, "EIO", path)
            return [lambda: on.TrashDeleted(sim.moment(), id, path, left)]
        case do.WriteJournal(record):
            return [lambda: on.JournalWritten(sim.moment(), record.batch, error)] if record.batch not in sim.world.journal else []
        case do.ClearJournal(batch):
            sim.world.uncleared.add(batch)
            return [lambda: on.JournalCleared(sim.moment(), batch, error)] if batch in sim.world.journal else []


def _no_directory(sim: "Simulation", manifest: Manifest) -> Callable[[], on.Event]:
    return lambda: on.DirectoryFailed(sim.moment(), manifest.id, FailedToStart(manifest.id, "ENOSPC"))


def _succeed(sim: "Simulation", effect: do.DiskEffect) -> list[Callable[[], on.Event]]:
    world = sim.world
    match effect:
        case do.PrepareDirectories(manifests):
            return [_prepare(sim, manifest) for manifest in manifests]
        case do.JudgeDirectory(id):
            return [lambda: on.DirectoryJudged(sim.moment(), id, world.workers.get(id, "gone"))]
        case do.RecordDesired(id, desired):
            if id in world.workers:
                world.record_desired(id, desired)
            return [lambda: on.DesiredRecorded(sim.moment(), id, None)]
        case do.MoveToTrash(id):
            path = world.move_to_trash(id)
            return [lambda: on.Trashed(sim.moment(), id, path)]
        case do.DeleteTrash(id, path):
            world.trash.pop(path, None)
            return [lambda: on.TrashDeleted(sim.moment(), id, path, None)]
        case do.WriteJournal(record):
            world.write_journal(record)
            return [lambda: on.JournalWritten(sim.moment(), record.batch, None)]
        case do.ClearJournal(batch):
            world.journal.pop(batch, None)
            return [lambda: on.JournalCleared(sim.moment(), batch, None)]


def _prepare(sim: "Simulation", manifest: Manifest) -> Callable[[], on.Event]:
    sim.world.prepare(manifest)
    return lambda: on.DirectoryPrepared(sim.moment(), manifest.id)


# --- processes ---


def _process(sim: "Simulation", effect: do.ProcessEffect) -> None:
    match effect:
        case do.AttachSupervisor():
            sim.later("attach to the supervisor", lambda: _attach(sim))
        case do.StartWorker(id, incarnation, kind):
            _order(sim, f"start {id}", lambda: _start(sim, id, incarnation, kind), 0.004)
        case do.ProbeReadiness():
            pass
        case do.SignalWorker(id, incarnation):
            _order(sim, f"signal {id}", lambda: _signal(sim, id, incarnation), 0.002)
        case do.KillWorker(id, incarnation):
            _order(sim, f"kill {id}", lambda: _kill(sim, id, incarnation), 0.002)
        case do.EndNode(keep_workers):
            sim.end(keep_workers=keep_workers)


def _order(sim: "Simulation", what: str, act: Callable[[], None], delay: float) -> None:
    """An order on its way to the supervisor dies with it."""
    supervisor = sim.supervisor

    def obey() -> None:
        if sim.supervisor == supervisor:
            act()

    sim.later(f"supervisor: {what}", obey, delay)


def _attach(sim: "Simulation") -> None:
    sim.supervisor_up = True
    running = tuple(on.RunningWorker(p.id, p.incarnation, p.pid, p.ready, None, None, p.health) for p in sim.world.processes.values())
    sim.handle(on.SupervisorAttached(sim.moment(), running))
    sim.later("the gateway registers the node whole", lambda: flush(sim), 0.005)


def news(sim: "Simulation", what: str, event_of: Callable[[], on.Event], delay: float = 0.001) -> None:
    """News reaches whichever server is attached by then; news that no server hears is in the list the next one gets."""

    def deliver() -> None:
        if sim.supervisor_up:
            sim.handle(event_of())
            if sim.roll(sim.faults.stale_news):
                sim.handle(event_of())

    sim.later(f"news   {what}", deliver, delay, of_server=False)


def _start(sim: "Simulation", id: WorkerId, incarnation: Incarnation, kind: str) -> None:
    if sim.roll(sim.faults.start_refused):
        news(sim, f"{id} refused", lambda: on.StartRefused(sim.moment(), id, incarnation, on.RefusalReason.FAILED, "ENOENT"))
        return
    process = sim.world.start(id, incarnation, kind)
    if process is None:
        news(sim, f"{id} busy", lambda: on.StartRefused(sim.moment(), id, incarnation, on.RefusalReason.BUSY, "lock held"))
        return
    news(sim, f"{id} started", lambda: on.WorkerStarted(sim.moment(), id, incarnation, process.pid))
    process.obeys = not sim.roll(sim.faults.ignores_term)
    if sim.roll(sim.faults.exit_before_ready):
        sim.later(f"{id} exits", lambda: end(sim, process, sim.chance.choice((0, 1))), sim.chance.uniform(0, 0.1), of_server=False)
    elif not sim.roll(sim.faults.never_ready):
        sim.later(f"{id} is ready", lambda: _ready(sim, process), sim.chance.uniform(0.002, 0.4), of_server=False)


def _ready(sim: "Simulation", process: Process) -> None:
    if sim.world.current(process.id, process.incarnation) is not process:
        return
    process.ready = True
    news(sim, f"{process.id} ready", lambda: on.WorkerReady(sim.moment(), process.id, process.incarnation))
    if sim.roll(sim.faults.exit_later):
        sim.later(f"{process.id} exits", lambda: end(sim, process, sim.chance.choice((0, 3))), sim.chance.uniform(0, 6), of_server=False)
    elif sim.roll(sim.faults.falls_silent):
        process.silent = True
        sim.later(f"{process.id} hangs", lambda: _silent(sim, process), sim.chance.uniform(0, 3), of_server=False)
    elif sim.roll(sim.faults.exit_later):
        process.health = Health.error("disk on fire")
        told = process.health
        news(sim, f"{process.id} ill", lambda: on.WorkerSaid(sim.moment(), process.id, process.incarnation, health=told), 0.5)


def _silent(sim: "Simulation", process: Process) -> None:
    if sim.world.current(process.id, process.incarnation) is process:
        process.obeys = False
        news(sim, f"{process.id} silent", lambda: on.WorkerSilent(sim.moment(), process.id, process.incarnation))
        sim.later(f"{process.id} still hangs", lambda: _silent(sim, process), 2.0, of_server=False)


def _signal(sim: "Simulation", id: WorkerId, incarnation: Incarnation) -> None:
    process = sim.world.current(id, incarnation)
    if process is None:
        return
    sim.world.signal(process)
    if process.obeys:
        sim.later(f"{id} ends", lambda: end(sim, process, 0), sim.chance.uniform(0.001, 0.2), of_server=False)


def _kill(sim: "Simulation", id: WorkerId, incarnation: Incarnation) -> None:
    process = sim.world.current(id, incarnation)
    if process is not None:
        sim.later(f"{id} is killed", lambda: end(sim, process, None), 0.001, of_server=False)


def end(sim: "Simulation", process: Process, code: int | None) -> None:
    """The process is gone, and the proof of it is news."""
    if sim.world.current(process.id, process.incarnation) is not process:
        return
    del sim.world.processes[process.id]
    signal = "SIGKILL" if code is None else None
    news(sim, f"{process.id} exited", lambda: on.WorkerExited(sim.moment(), process.id, process.incarnation, code, signal))


def kill_supervisor(sim: "Simulation") -> None:
    """SIGKILL of the supervisor: the kernel ends its workers with it."""
    if not sim.supervisor_up:
        return
    sim.tell("*** the supervisor is killed ***")
    sim.world.processes.clear()
    sim.supervisor_up = False
    sim.supervisor += 1
    sim.handle(on.SupervisorLost(sim.moment(), "killed by SIGKILL"))


# --- the directory ---


def flush(sim: "Simulation") -> None:
    """The gateway puts its whole truth into the directory, when that is there."""
    if not sim.world.directory_away:
        sim.world.services = set(sim.gateway)


def _withdraw(sim: "Simulation", ids: tuple[WorkerId, ...], *, answer: bool) -> None:
    flush(sim)
    confirmed = not sim.world.directory_away
    if answer:
        sim.handle(on.Withdrawn(sim.moment(), ids, confirmed))
