"""Every effect on the disk as a numbered step, so that a test can die, or fail, before or after each.

The functions of ``os`` that change the disk, and renameat2, are wrapped for the time of the test; nothing in the product knows of it.
"""

import errno
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch

from foreman.kernel import files

_NAMES: Final = ("mkdir", "open", "write", "fsync", "rename", "unlink", "rmdir", "symlink", "chmod")


@dataclass
class Steps:
    """``at``: the step that meets its fate (counted from 0). ``trace``: what was done, as "fsync /path"."""

    at: int = -1
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    trace: list[str] = field(default_factory=list)

    def take(self, name: str, path: str, step: Callable[[], Any]) -> Any:
        number = len(self.trace)
        self.trace.append(f"{name} {path}")
        if number == self.at:
            self.before()
        result = step()
        if number == self.at:
            self.after()
        return result


@contextmanager
def counted(steps: Steps) -> Iterator[None]:
    """All steps from here on go through ``steps``."""
    real = {name: getattr(os, name) for name in _NAMES}
    real_rename = files._renameat2()

    def wrap(name: str) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return real["open"](*args, **kwargs)
            return steps.take(name, _path_of(args[0]), lambda: real[name](*args, **kwargs))

        return wrapped

    def rename(source: bytes, target: bytes) -> int:
        try:
            done: int = steps.take("rename_new", f"{os.fsdecode(source)} {os.fsdecode(target)}", lambda: real_rename(source, target))
        except OSError as error:
            return error.errno or errno.EIO
        return done

    with ExitStack() as patches:
        for name in _NAMES:
            patches.enter_context(patch.object(os, name, wrap(name)))
        patches.enter_context(patch.object(files, "_renameat2", lambda: rename))
        yield


def dies_at(step: int, operation: Callable[[], object], *, after: bool) -> bool:
    """Run ``operation`` in a child that is killed at ``step``, before or after it. False: it ended before it came to that."""

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside pytest-timeout's thread: the child only makes system calls
        child = os.fork()
    if child == 0:
        try:
            with counted(Steps(step, after=die) if after else Steps(step, before=die)):
                operation()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def every_death(operation: Callable[[], object], prepare: Callable[[], object] = lambda: None) -> Iterator[str]:
    """Die before and after each step of ``operation``, one at a time, each after ``prepare``; the test looks after each."""
    for step in range(1_000):
        for after in (False, True):
            prepare()
            if not dies_at(step, operation, after=after):
                assert step > 0, "nothing was counted"
                return
            yield f"killed {'after' if after else 'before'} step {step}"
    raise AssertionError("it never ends")


def failing(number: int) -> Callable[[], None]:
    """A fate for a step: it fails with this errno."""

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


def _path_of(what: Any) -> str:
    if isinstance(what, int):
        return os.readlink(f"/proc/self/fd/{what}")
    return os.fsdecode(what)
