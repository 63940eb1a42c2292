"""``python -m foreman.supervisor --run DIR``: one worker supervisor for one run directory.

    --run DIR            where its sockets lie; one supervisor for each directory, held by a lock
    --orphan-grace S     how long workers run on without a server (default 600)
    --start-grace S      how long it waits for the first server (default 10)
    --preload A,B        modules to import for the workers, after it listens
    --ready-fd N         where to write "ready", or one sentence why not, then close

Ends with 0 when it was asked to, 1 when it cannot run, 75 when another supervisor has the directory.
"""

import getopt
import io
import os
import sys
from typing import Final

from foreman.kernel.files import try_lock, unlink_if_there
from foreman.supervisor.leftovers import end_leftovers
from foreman.supervisor.supervisor import Supervisor

_OPTIONS: Final = ("run=", "orphan-grace=", "start-grace=", "preload=", "ready-fd=")
_BUSY: Final = 75


def main(arguments: list[str]) -> int:
    """The exit code."""
    try:
        pairs, rest = getopt.getopt(arguments, "", _OPTIONS)
        options = dict(pairs)
        run, ready_fd = os.path.abspath(options["--run"]), int(options.get("--ready-fd", -1))
        graces_s = float(options.get("--orphan-grace", 600)), float(options.get("--start-grace", 10))
        if rest:
            raise ValueError(rest)
    except (getopt.GetoptError, KeyError, ValueError) as error:
        _log(f"wrong arguments: {error}")
        return 1
    _let_go_of_the_caller(ready_fd)
    try:
        lock = try_lock(f"{run}/supervisor.lock")
        if lock is None:
            _tell(ready_fd, f"busy: another supervisor has {run}")
            return _BUSY
        _clean(run)  # with the lock, what a dead predecessor left is ours to replace
        supervisor = Supervisor(run, *graces_s)
    except OSError as error:
        _tell(ready_fd, f"cannot run: {error}")
        return 1
    _tell(ready_fd, "ready")
    if left := end_leftovers(f"{run}/notify.sock"):
        _log(f"processes of an earlier supervisor do not end: {left}")
    supervisor.run(tuple(filter(None, options.get("--preload", "").split(","))))
    _clean(run)
    lock.release()
    return 0


def _let_go_of_the_caller(ready_fd: int) -> None:
    """Its descriptors and its directory are not ours to keep. The streams are as a worker's shall be: they are inherited by the fork."""
    os.closerange(3, max(3, ready_fd))
    os.closerange(max(3, ready_fd + 1), os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _clean(run: str) -> None:
    for name in ("supervisor.sock", "notify.sock"):
        unlink_if_there(f"{run}/{name}")


def _tell(ready_fd: int, word: str) -> None:
    if word != "ready":
        _log(word)
    if ready_fd >= 0:
        os.write(ready_fd, f"{word}\n".encode())
        os.close(ready_fd)


def _log(sentence: str) -> None:
    """To stderr, at once: there is nothing else to tell it to."""
    sys.stderr.write(f"foreman supervisor {os.getpid()}: {sentence}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
