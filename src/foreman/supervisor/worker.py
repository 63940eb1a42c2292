"""One worker as the supervisor knows it: what was asked, what it said, how it ended. A record; the child table changes it."""

import json
import os
from dataclasses import dataclass, field, replace
from resource import struct_rusage
from typing import Final, Protocol

from foreman.supervisor.loop import Timer
from foreman.supervisor.news import NOTHING_SAID, merged
from foreman.supervisor.output import WorkerOutput
from foreman.supervisor.protocol import Exited, Notified, Refusal, RunningWorker, Started, StartFailed, StartRequest
from foreman.supervisor.spawn import Spawned

_LASTING: Final = ("ready", "stopping", "status", "endpoint", "health", "errno")


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
    said: Notified = field(init=False)
    """All it has said of itself, the newest of each."""
    silent_from: float | None = None
    """When the watchdog is overdue, if nothing is heard. None: the watchdog is not running."""
    watch_timer: Timer | None = None

    def __post_init__(self) -> None:
        self.said = Notified(self.id, self.incarnation)

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
        old = {name: getattr(self.said, name) for name in _LASTING}
        fresh = replace(said, **{name: NOTHING_SAID[name] for name in _LASTING if getattr(said, name) == old[name]})
        self.said = merged(self.said, said)
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
            started=self.started,
            exiting=self.ended is not None,
            output_lost_bytes=self.output.lost_bytes,
            **{name: getattr(self.said, name) for name in _LASTING},
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
