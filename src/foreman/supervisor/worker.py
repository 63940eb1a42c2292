"""One worker as the supervisor knows it: what was asked, what it said, how it ended. A record; the child table changes it."""

import json
import os
from dataclasses import dataclass, field
from resource import struct_rusage
from typing import Protocol

from foreman.supervisor.loop import Timer
from foreman.supervisor.output import WorkerOutput
from foreman.supervisor.protocol import Exited, Notified, Refusal, RunningWorker, Started, StartFailed, StartRequest
from foreman.supervisor.spawn import Spawned


class StartWaiter(Protocol):
    """Somebody who asked for the start and is told how it went."""

    def __call__(self, outcome: Started | Refusal) -> None: ...


@dataclass(slots=True)
class Worker:
    request: StartRequest
    process: Spawned
    output: WorkerOutput
    started_at: float
    lock_file: tuple[int, int]
    """Device and inode of its lock: how a descendant is known that hides everything else."""
    waiters: list[StartWaiter] = field(default_factory=list)
    report_open: bool = True
    started: bool = False
    failure: StartFailed | None = None
    ended: tuple[int, struct_rusage] | None = None
    """Wait status and usage, once its leader is reaped."""
    ready: bool = False
    stopping: bool = False
    status: str | None = None
    endpoint: str | None = None
    health: str | None = None
    errno: int | None = None
    silent_from: float | None = None
    """When the watchdog is overdue, if nothing is heard. None: the watchdog is not running."""
    watch_timer: Timer | None = None

    @property
    def id(self) -> str:
        return self.request.id

    @property
    def incarnation(self) -> str:
        return self.request.incarnation

    @property
    def pid(self) -> int:
        return self.process.pid

    def learn(self, said: Notified) -> Notified | None:
        """Remember what it said; return what of it is new, None when nothing is."""
        fresh = Notified(
            self.id,
            self.incarnation,
            ready=said.ready and not self.ready,
            stopping=said.stopping and not self.stopping,
            status=None if said.status == self.status else said.status,
            endpoint=None if said.endpoint == self.endpoint else said.endpoint,
            health=None if said.health == self.health else said.health,
            errno=None if said.errno == self.errno else said.errno,
            extend_timeout_s=said.extend_timeout_s,
        )
        self.ready, self.stopping = self.ready or said.ready, self.stopping or said.stopping
        self.status = self.status if said.status is None else said.status
        self.endpoint = self.endpoint if said.endpoint is None else said.endpoint
        self.health = self.health if said.health is None else said.health
        self.errno = self.errno if said.errno is None else said.errno
        return None if fresh == Notified(self.id, self.incarnation) else fresh

    def read_report(self) -> None:
        """The start report: one sign when the program runs, an object when it cannot; nothing when exec closed the pipe."""
        try:
            report = os.read(self.process.report, 4096)
        except BlockingIOError:
            report = b""  # it ended without a word, and somebody it started still has the pipe
        if report in {b"", b"+"}:
            self.started = True
            return
        try:
            facts = json.loads(report)
            self.failure = StartFailed(self.id, self.incarnation, str(facts["reason"]), facts.get("errno"), facts.get("path"))
        except (ValueError, KeyError, TypeError):
            self.failure = StartFailed(self.id, self.incarnation, report.decode("utf-8", "replace"))

    def view(self) -> RunningWorker:
        return RunningWorker(
            self.id,
            self.incarnation,
            self.pid,
            self.started_at,
            self.started,
            self.ready,
            self.stopping,
            self.ended is not None,
            self.status,
            self.endpoint,
            self.health,
            self.errno,
            self.output.lost_bytes,
        )

    def end(self) -> Exited | StartFailed:
        """The last news of it. Only when nothing of it lives."""
        if self.failure is not None:
            return self.failure
        assert self.ended is not None
        status, usage = self.ended
        return Exited(
            self.id,
            self.incarnation,
            self.pid,
            code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            core_dumped=os.WCOREDUMP(status),
            cpu_s=usage.ru_utime + usage.ru_stime,
            max_rss_bytes=usage.ru_maxrss * 1024,
        )
