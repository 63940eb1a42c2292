"""From a start request to a process: the parent's half of a fork.

The lock is taken before the fork and inherited, so the kernel holds it for as long as anything of the worker lives. What goes wrong in
the child before its program runs comes back through a pipe that closes by itself when the program runs.
"""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from foreman.kernel.files import LockedFile, try_lock
from foreman.kernel.processes import ProcessArea
from foreman.supervisor.child import ChildPlan, become_worker
from foreman.supervisor.protocol import Refusal, Refused
from foreman.supervisor.start_request import StartRequest


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a worker's process needs, before there is one. Ours: the lock's copy, and where the start report and the output arrive."""

    plan: ChildPlan
    lock: LockedFile
    report: int
    output: int
    its: tuple[int, int]
    """The ends that only the child keeps."""


class Spawner:
    def __init__(self, descriptor_limits: tuple[int, int]) -> None:
        """``descriptor_limits``: RLIMIT_NOFILE as this process was started with, for the workers."""
        self._descriptor_limits = descriptor_limits
        self._area = ProcessArea()
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._not_default: tuple[int, ...] = ()

    def preload(self, modules: tuple[str, ...]) -> None:
        """Import them for all workers that are forked from now on, and be ready to fork. What fails is told on stderr, in full."""
        for module in modules:
            try:
                import_module(module)
            except BaseException:  # somebody else's module: whatever it raises must not end the workers
                traceback.print_exc()
        if len(os.listdir("/proc/self/task")) > 1:
            sys.stderr.write(f"a module of {', '.join(modules)} started a thread; threads do not survive a fork\n")
        sys.stdout.flush()
        self._not_default = tuple(signum for signum in signal.valid_signals() if signal.getsignal(signum) not in {signal.SIG_DFL, None})
        gc.collect()
        gc.freeze()

    def prepare(self, request: StartRequest) -> Prepared:
        """Takes the lock. Raises Refused (busy, failed): then it is not ours."""
        lock, opened = None, list[int]()
        environment = {os.fsencode(name): os.fsencode(value) for name, value in request.env.items()}
        try:
            lock = try_lock(request.lock)
            if lock is None:
                raise Refused(Refusal("busy", f"somebody holds {request.lock}", path=request.lock))
            for _ in range(2):
                opened.extend(os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK))
            report, report_write, output, output_write = opened
            os.set_blocking(output_write, True)
        except OSError as error:
            _close(*opened)
            if lock is not None:
                lock.release()
            raise Refused(Refusal("failed", error.strerror or str(error), error.errno, error.filename)) from error
        show = self._area.lay_out(f"foreman worker {request.id}".encode(), environment, first=b"FOREMAN_INCARNATION")
        descriptors = (self._null, output_write, output_write, lock.fileno(), report_write)
        plan = ChildPlan(request, os.getpid(), self._descriptor_limits, self._not_default, environment, show, descriptors)
        return Prepared(plan, lock, report, output, (report_write, output_write))

    def fork(self, prepared: Sequence[Prepared]) -> list[int | OSError]:
        """Each one's pid, or why it has none: then nothing of it is left.

        One after the other with nothing between, because after each fork this process copies, page by page, all it touches.
        The signals we handle are blocked meanwhile, so that none reaches a child while it still has our handlers.
        """
        forked: list[int | OSError] = []
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._not_default)
        for one in prepared:
            try:
                pid = os.fork()
            except OSError as error:
                forked.append(error)
                continue
            if pid == 0:
                become_worker(one.plan)
            forked.append(pid)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for one, outcome in zip(prepared, forked, strict=True):
            _close(*one.its)
            if isinstance(outcome, OSError):
                _close(one.report, one.output)
                one.lock.release()
        return forked


def _close(*descriptors: int) -> None:
    for fd in descriptors:
        os.close(fd)
