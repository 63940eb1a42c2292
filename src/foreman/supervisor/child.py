"""The child's half of a fork: from a copy of the supervisor to a worker. Never returns.

It dies with the supervisor, leads a session of its own, has descriptors 0-2 and the lock (3) and no other, signals as at the start of any
program, its own umask, limits, user, directory and environment, and nothing else of ours. In order: what needs our rights comes before
the change of user, what the worker's rights must allow comes after it.
"""

import atexit
import fcntl
import gc
import json
import os
import pwd
import resource
import signal
import sys
import traceback
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, NoReturn

from foreman.kernel.processes import ProcessArea, die_with_parent, set_name
from foreman.supervisor.protocol import StartRequest

LOCK_FD: Final = 3
_REPORT_FD: Final = 4
_FAILED: Final = 127
_RUNS: Final = b"+"
_PYTHON_IGNORES: Final = (signal.SIGPIPE, signal.SIGXFSZ)


@dataclass(frozen=True, slots=True)
class ChildPlan:
    request: StartRequest
    parent: int
    null: int
    output: int
    lock: int
    report: int
    area: ProcessArea
    descriptor_limits: tuple[int, int]


def become_worker(plan: ChildPlan) -> NoReturn:
    """In the child: be the worker until it ends."""
    try:
        gc.freeze()
        die_with_parent(plan.parent)
        os.setsid()
        _arrange_descriptors(plan)
        os.umask(plan.request.umask)
        _set_limits(plan)
        _change_user(plan)
        os.chdir(plan.request.cwd)
        run = _python(plan) if isinstance(plan.request.program, str) else _program(plan.request.program, plan.request.env)
    except BaseException as error:  # the edge of a process: whatever it is, the parent must hear of it
        _report_failure(error)
        os._exit(_FAILED)
    os.write(_REPORT_FD, _RUNS)
    os.close(_REPORT_FD)
    os._exit(_call(run))


def _arrange_descriptors(plan: ChildPlan) -> None:
    """Everything moves out of the way first, so that no step overwrites what a later one needs."""
    wanted = ((plan.null, 0), (plan.output, 1), (plan.output, 2), (plan.lock, LOCK_FD), (plan.report, _REPORT_FD))
    moved = [(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _REPORT_FD + 1), target) for fd, target in wanted]
    for fd, target in moved:
        os.dup2(fd, target, inheritable=target != _REPORT_FD)
    os.closerange(_REPORT_FD + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _reset_signals(ignored: tuple[int, ...]) -> None:
    """Default dispositions, none blocked: as at the start of any program."""
    signal.set_wakeup_fd(-1)
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(signum, signal.SIG_IGN if signum in ignored else signal.SIG_DFL)


def _set_limits(plan: ChildPlan) -> None:
    limits = plan.request.limits
    soft, hard = plan.descriptor_limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard) if limits.nofile is None else (limits.nofile, limits.nofile))
    for which, value in (
        (resource.RLIMIT_DATA, limits.memory_bytes),
        (resource.RLIMIT_NPROC, limits.nproc),
        (resource.RLIMIT_CORE, limits.core_bytes),
    ):
        if value is not None:
            resource.setrlimit(which, (value, value))


def _change_user(plan: ChildPlan) -> None:
    name = plan.request.user
    if name is None:
        return
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        raise LookupError(f"there is no user {name!r}") from None
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    die_with_parent(plan.parent)


def _program(argv: tuple[str, ...], env: Any) -> NoReturn:
    _reset_signals(ignored=())
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvpe(argv[0], argv, dict(env))
    except OSError as error:
        raise OSError(error.errno, error.strerror, argv[0]) from error


def _python(plan: ChildPlan) -> Any:
    """The function to call, in a process that looks like one that was started for it alone."""
    request = plan.request
    assert isinstance(request.program, str)
    os.environ.clear()
    os.environ.update(request.env)
    entries = [os.fsencode(f"{name}={value}") for name, value in request.env.items()]
    plan.area.rewrite(f"foreman worker {request.id}".encode(), sorted(entries, key=lambda entry: not entry.startswith(b"FOREMAN_INC")))
    set_name(f"fm-{request.id}")
    sys.argv = [request.program]
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    _reset_signals(_PYTHON_IGNORES)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    gc.enable()
    module, _, function = request.program.partition(":")
    return getattr(import_module(module), function)


def _report_failure(error: BaseException) -> None:
    if isinstance(error, OSError):
        failure = {"reason": error.strerror or str(error), "errno": error.errno, "path": error.filename}
    else:
        failure = {"reason": f"{type(error).__name__}: {error}"}
    try:
        os.write(_REPORT_FD, json.dumps(failure, default=str).encode()[:4096])
    except OSError:  # it failed before the descriptor was in its place, or the supervisor is gone
        traceback.print_exception(error)


def _call(function: Any) -> int:
    """The exit code, as Python itself would give it."""
    code = 0
    try:
        function()
    except SystemExit as end:
        code = _code_of(end.code)
    except BaseException as error:  # the edge of a process: the traceback goes to its output
        traceback.print_exception(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
        code = 1
    try:
        if (threading := sys.modules.get("threading")) is not None:
            threading._shutdown()  # noqa: SLF001 - as multiprocessing does: there is no public name for what Python does at its end
        atexit._run_exitfuncs()  # noqa: SLF001 - the same
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:  # the edge of a process, still
        traceback.print_exception(error)
        code = code or 1
    return code


def _code_of(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1
