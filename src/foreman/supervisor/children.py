"""The child table: which workers there are, from their start to the proof of their exit.

Owns every child of this process. A pid is used only while its process is an unreaped child of ours, so it cannot have become somebody
else's. When a worker's leader ends, everything it left is killed: its process group before the leader is reaped (which keeps the number
from being given anew), then, round by round as they become our children (PR_SET_CHILD_SUBREAPER), those that left the group or the session.
Every descendant has a root among our children, so when none of those is the worker's, nothing of it lives.
"""

import fcntl
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from foreman.kernel.loop import Loop
from foreman.kernel.processes import children, environment_of, open_files, stat_of
from foreman.supervisor.output import WorkerOutput
from foreman.supervisor.protocol import News, OutputLost, Refusal, Refused, Started, StartFailed
from foreman.supervisor.spawn import Prepared, Spawner
from foreman.supervisor.start_request import StartRequest
from foreman.supervisor.worker import StartWaiter, Worker


class ChildTable:
    def __init__(self, loop: Loop, spawner: Spawner, publish: Callable[[News], None], on_end: Callable[[Worker], None]) -> None:
        """``on_end``: called after each proof of exit."""
        self._loop, self._spawner, self._publish, self._on_end = loop, spawner, publish, on_end
        self._by_id: dict[str, Worker] = {}
        self._by_pid: dict[int, Worker] = {}
        self._leaving: dict[int, Worker] = {}
        self._prepared: dict[str, tuple[Prepared, StartWaiter]] = {}
        """Starts of this turn, to be forked at its end, or before anything else is asked of the table."""
        loop.on_signal(signal.SIGCHLD, self._reap)

    def workers(self) -> list[Worker]:
        self._fork()
        return list(self._by_id.values())

    def get(self, id: str, incarnation: str) -> Worker:
        """Raises Refused (not_running)."""
        self._fork()
        worker = self._by_id.get(id)
        if worker is None or worker.incarnation != incarnation:
            raise Refused(Refusal("not_running", f"no incarnation {incarnation} of {id} runs"))
        return worker

    def of_process(self, pid: int) -> Worker | None:
        """The worker of whose living leader this is a descendant, or whose session it is in."""
        try:
            near = self._by_pid.get(pid) or self._by_pid.get(os.getsid(pid))
        except ProcessLookupError:
            return None
        own = os.getpid()
        while near is None and (stat := stat_of(pid)) is not None and stat.parent not in {0, 1, own}:
            pid = stat.parent
            near = self._by_pid.get(pid)
        if near is not None:
            self._hear_report(near)  # that it runs is told before what it says
        return near

    # --- start ---

    def start(self, request: StartRequest, waiter: StartWaiter) -> None:
        """Answers ``waiter`` when the program runs or cannot. Raises Refused (already_running, busy, failed)."""
        if request.id in self._prepared:
            self._fork()
        worker = self._by_id.get(request.id)
        if worker is None:
            self._prepared[request.id] = self._spawner.prepare(request), waiter
            if len(self._prepared) == 1:
                self._loop.after(0, self._fork)
        elif worker.incarnation != request.incarnation:
            raise Refused(Refusal("already_running", f"incarnation {worker.incarnation} of {request.id} is not gone yet"))
        elif worker.report is None and worker.failure is None:
            waiter(Started(worker.id, worker.incarnation, worker.pid))
        else:
            worker.waiters.append(waiter)

    def _fork(self) -> None:
        if not self._prepared:
            return
        starts, self._prepared = list(self._prepared.values()), {}
        forked = self._spawner.fork([prepared for prepared, _ in starts])
        for (prepared, waiter), outcome in zip(starts, forked, strict=True):
            if isinstance(outcome, OSError):
                waiter(Refusal("failed", f"no process can be made: {outcome.strerror}", outcome.errno))
            else:
                self._take_in(outcome, prepared).waiters.append(waiter)

    def _take_in(self, pid: int, prepared: Prepared) -> Worker:
        request = prepared.plan.request

        def on_lost(lost_bytes: int, number: int) -> None:
            self._publish(OutputLost(request.id, request.incarnation, lost_bytes, number))

        output = WorkerOutput(self._loop, request.output, prepared.output, on_lost)
        worker = Worker(request, pid, prepared.lock, prepared.report, output, self._loop.now())
        self._by_id[request.id] = self._by_pid[pid] = worker
        self._loop.watch(prepared.report, lambda _events: self._hear_report(worker))
        return worker

    def _hear_report(self, worker: Worker) -> None:
        if worker.report is None:
            return
        try:
            report = os.read(worker.report, 4096)
        except BlockingIOError:
            if worker.wait_status is None:
                return
            report = b""  # it ended without a word, and somebody it started still has the pipe
        self._loop.forget(worker.report)
        os.close(worker.report)
        worker.report = None
        outcome = worker.understand(report)
        if isinstance(outcome, Started):  # a failure is told when its process is gone and its lock free
            self._publish(outcome)
            self._answer(worker, outcome)

    @staticmethod
    def _answer(worker: Worker, outcome: Started | Refusal) -> None:
        waiters, worker.waiters = worker.waiters, []
        for waiter in waiters:
            waiter(outcome)

    @staticmethod
    def signal(worker: Worker, signum: int, *, group: bool = False) -> None:
        """To the leader or its group. A worker that is leaving gets KILL anyway. Raises Refused (failed)."""
        if worker.wait_status is not None:
            return
        try:
            if group:
                _signal_group(worker.pid, signum)
            else:
                os.kill(worker.pid, signum)
        except PermissionError as error:  # its program changed its user (set-user-ID) to one we may not signal
            raise Refused(Refusal("failed", f"{worker.id} may not be signalled by us", error.errno)) from error

    # --- exit ---

    def _reap(self) -> None:
        while (pid := _next_ended()) is not None:
            worker = self._by_pid.pop(pid, None)
            if worker is not None:
                with suppress(PermissionError):  # what we may not kill is waited for
                    _signal_group(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            if worker is not None:
                worker.wait_status = status
                self._hear_report(worker)
                self._leaving[pid] = worker
        if self._leaving:
            self._clear_up()

    def _clear_up(self) -> None:
        """Kill what leaving workers left; let go of those that left nothing. Their deaths bring us here again."""
        held: set[int] = set()
        for stray in (pid for pid in children() if pid not in self._by_pid):
            owner = self._owner(stray)
            if owner is None or owner.wait_status is not None:
                # One that hides from every sign could belong to any of the leaving: all wait for its end.
                held |= self._leaving.keys() if owner is None else {owner.pid}
                _kill_with_group(stray, self._by_pid)
        for pid in self._leaving.keys() - held:
            self._let_go(self._leaving.pop(pid))

    def _owner(self, stray: int) -> Worker | None:
        """Whose it is: by session, by the incarnation in its environment, by the lock it holds. None: it hides, or is gone."""
        try:
            session = os.getsid(stray)
        except ProcessLookupError:
            return None
        if (worker := self._leaving.get(session) or self._by_pid.get(session)) is not None:
            return worker
        known = [*self._leaving.values(), *self._by_pid.values()]
        incarnation = environment_of(stray).get(b"FOREMAN_INCARNATION", b"").decode("utf-8", "replace")
        if (worker := next((worker for worker in known if worker.incarnation == incarnation), None)) is not None:
            return worker
        files = open_files(stray)
        return next((worker for worker in known if _identity(worker.lock.fileno()) in files), None) if files else None

    def _let_go(self, worker: Worker) -> None:
        if worker.watch_timer is not None:
            worker.watch_timer.cancel()
        worker.output.close()
        # Unlocked, not only closed: a worker that is being forked right now has a copy of every descriptor until it closes them, and
        # would hold this lock for that moment, so that an immediate restart met it busy.
        fcntl.flock(worker.lock, fcntl.LOCK_UN)
        worker.lock.release()
        del self._by_id[worker.id]
        end = worker.end()
        self._publish(end)
        if isinstance(end, StartFailed):
            self._answer(worker, Refusal("failed", end.reason, end.errno, end.path))
        self._on_end(worker)


def _next_ended() -> int | None:
    """A child that has ended, left unreaped."""
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if ended is None else ended.si_pid


def _signal_group(leader: int, signum: int) -> None:
    """To the group it leads; to itself alone as long as it leads none yet."""
    try:
        os.killpg(leader, signum)
    except ProcessLookupError:
        os.kill(leader, signum)


def _kill_with_group(stray: int, leaders: dict[int, Worker]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # gone; or not ours to kill: then it is waited for
        group = os.getpgid(stray)
        if group not in leaders and group != os.getpgrp():
            os.killpg(group, signal.SIGKILL)
        os.kill(stray, signal.SIGKILL)


def _identity(fd: int) -> tuple[int, int]:
    facts = os.fstat(fd)
    return facts.st_dev, facts.st_ino
