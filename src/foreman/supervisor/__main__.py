"""``python -m foreman.supervisor --run DIR``: one worker supervisor for one run directory.

    --run DIR            where its sockets lie; one supervisor for each directory, held by a lock
    --orphan-grace S     how long workers run on without a server (default 600)
    --start-grace S      how long it waits for the first server (default 10)
    --preload A,B        modules to import for the workers, after it listens
    --ready-fd N         where to write "ready", or one sentence why not, then close

Ends with 0 when it was asked to, 1 when it cannot run, 75 when another supervisor has the directory.
"""

import fcntl
import getopt
import os
import sys
from typing import Final

from foreman.supervisor.leftovers import end_leftovers
from foreman.supervisor.supervisor import Supervisor, log

_OPTIONS: Final = ("run=", "orphan-grace=", "start-grace=", "preload=", "ready-fd=")
_BUSY: Final = 75
_held: Final[list[int]] = []
"""The run directory's lock: held for as long as this process lives."""


def main(arguments: list[str]) -> int:
    """The exit code."""
    try:
        pairs, rest = getopt.getopt(arguments, "", _OPTIONS)
        options = dict(pairs)
        run, ready_fd = os.path.abspath(options["--run"]), int(options.get("--ready-fd", -1))
        orphan_grace_s, start_grace_s = float(options.get("--orphan-grace", 600)), float(options.get("--start-grace", 10))
    except (getopt.GetoptError, KeyError, ValueError) as error:
        log(f"wrong arguments: {error}")
        return 1
    if rest:
        log(f"wrong arguments: {rest}")
        return 1
    _let_go_of_the_caller(ready_fd)
    try:
        if not _take(run):
            _tell(ready_fd, f"busy: another supervisor has {run}")
            return _BUSY
        supervisor = Supervisor(run, orphan_grace_s, start_grace_s)
    except OSError as error:
        _tell(ready_fd, f"cannot run: {error}")
        return 1
    _tell(ready_fd, "ready")
    if left := end_leftovers(f"{run}/notify.sock"):
        log(f"processes of an earlier supervisor do not end: {left}")
    supervisor.preload(tuple(filter(None, options.get("--preload", "").split(","))))
    supervisor.run()
    _clean(run)
    return 0


def _let_go_of_the_caller(ready_fd: int) -> None:
    """Its descriptors and its directory are not ours to keep."""
    last = os.sysconf("SC_OPEN_MAX")
    os.closerange(3, max(3, ready_fd))
    os.closerange(max(3, ready_fd + 1), last)
    os.chdir("/")


def _take(run: str) -> bool:
    """The lock of the run directory; with it, what a dead predecessor left there is ours to replace."""
    fd = os.open(f"{run}/supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return False
    _held.append(fd)
    _clean(run)
    return True


def _clean(run: str) -> None:
    for name in ("supervisor.sock", "notify.sock"):
        try:
            os.unlink(f"{run}/{name}")
        except FileNotFoundError:
            continue


def _tell(ready_fd: int, word: str) -> None:
    if word != "ready":
        log(word)
    if ready_fd >= 0:
        os.write(ready_fd, f"{word}\n".encode())
        os.close(ready_fd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
