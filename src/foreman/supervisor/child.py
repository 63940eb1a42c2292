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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final, NoReturn

from foreman.kernel.processes import die_with_parent, set_name
from foreman.supervisor.start_request import StartRequest

_REPORT_FD: Final = 4
_FAILED: Final = 127
_RUNS: Final = b"+"


@dataclass(frozen=True, slots=True)
class ChildPlan:
    request: StartRequest
    parent: int
    descriptor_limits: tuple[int, int]
    not_default: Sequence[int]
    """Signals that are not as at the start of a program."""
    environment: Mapping[bytes, bytes]
    show: Callable[[], None]  # its name and environment to ps(1), laid out before the fork
    descriptors: Sequence[int]
    """What becomes 0, 1, 2, 3 (the lock) and 4 (the report, closed when the program runs)."""


def become_worker(plan: ChildPlan) -> NoReturn:
    """In the child: be the worker until it ends."""
    try:
        gc.freeze()
        die_with_parent(plan.parent)
        os.setsid()
        _arrange_descriptors(plan.descriptors)
        os.umask(plan.request.umask)
        _set_limits(plan)
        _change_user(plan)
        os.chdir(plan.request.cwd)
        run = _python(plan) if isinstance(plan.request.program, str) else _program(plan, plan.request.program)
    except BaseException as error:  # the edge of a process: whatever it is, the parent must hear of it
        _report_failure(error)
        os._exit(_FAILED)
    os.write(_REPORT_FD, _RUNS)
    os.close(_REPORT_FD)
    os._exit(_call(run))


def _arrange_descriptors(descriptors: Sequence[int]) -> None:
    """Everything moves out of the way first, so that no step overwrites what a later one needs."""
    moved = [fd if fd > _REPORT_FD else fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _REPORT_FD + 1) for fd in descriptors]
    for target, fd in enumerate(moved):
        os.dup2(fd, target, inheritable=target != _REPORT_FD)
    os.closerange(_REPORT_FD + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _reset_signals(plan: ChildPlan, but: Sequence[int] = ()) -> None:
    """Default dispositions, none blocked: as at the start of any program. ``but``: stay as they are."""
    signal.set_wakeup_fd(-1)
    for signum in plan.not_default:
        if signum not in but:
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


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


def _program(plan: ChildPlan, argv: tuple[str, ...]) -> NoReturn:
    _reset_signals(plan)
    try:
        os.execvpe(argv[0], argv, dict(plan.request.env))
    except OSError as error:
        raise OSError(error.errno, error.strerror, argv[0]) from error


def _python(plan: ChildPlan) -> Callable[[], object]:
    """The function to call, in a process that looks like one that was started for it alone."""
    request = plan.request
    assert isinstance(request.program, str)
    _be_in(plan.environment)
    plan.show()
    set_name(f"fm-{request.id}")
    sys.argv = [request.program]
    _reset_signals(plan, but=(signal.SIGPIPE, signal.SIGXFSZ))  # Python ignores them
    signal.signal(signal.SIGINT, signal.default_int_handler)
    module, _, function = request.program.partition(":")
    found: Callable[[], object] = getattr(import_module(module), function)
    return found


def _be_in(environment: Mapping[bytes, bytes]) -> None:
    """This and no other environment. Here and not before the fork, because setenv(3) keeps every value it ever had for ever.

    Past the mapping's own methods, which encode and check each value anew: that costs a child 50 pages of the 700 that it touches.
    """
    mapping = os.environ._data  # type: ignore[attr-defined]  # noqa: SLF001 - bytes, as the system has them
    for name in mapping.keys() - environment.keys():
        os.unsetenv(name)
    mapping.clear()
    mapping.update(environment)
    for name, value in environment.items():
        os.putenv(name, value)


def _report_failure(error: BaseException) -> None:
    if isinstance(error, OSError):
        failure = {"reason": error.strerror or str(error), "errno": error.errno, "path": error.filename}
    else:
        failure = {"reason": f"{type(error).__name__}: {error}"}
    try:
        os.write(_REPORT_FD, json.dumps(failure, default=str).encode()[:4096])
    except OSError:  # it failed before the descriptor was in its place, or the supervisor is gone
        traceback.print_exception(error)


def _call(function: Callable[[], object]) -> int:
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
