"""The run directory: where a node's sockets lie, private, and short enough for a socket's name.

A Unix socket's name has 107 bytes (unix(7)), and RUN/ID/resp.sock takes up to 74 after RUN. Where DATA/run is longer than what is
left, it is a symbolic link to a short private directory elsewhere. The link is the only truth about where that is: its name cannot
be guessed by a client, who reads the link, and a stranger who takes the name first in /tmp gains nothing. In that directory the
file ``data.path`` names the data directory it belongs to, so that a copy of a data directory never reaches the original's sockets.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM, SOCK_STREAM, socket
from typing import Final

from foreman.core.errors import DataDirectoryInvalid
from foreman.core.ids import WorkerId
from foreman.kernel.files import atomic_write, printable, read_bounded, try_lock, unlink_if_there
from foreman.node.other_user import MODES

LONGEST_RUN_BYTES: Final = 33
SERVER_SOCKET: Final = "foreman.sock"
_OWNER_FILE: Final = "data.path"
_MAX_PATH_BYTES: Final = 4_096


def prepare_run_directory(data: Path) -> Path:
    """Make the run directory of ``data`` (absolute, without links; its lock held) and return it. Done twice: the same one.

    One that is in use by running workers is kept. Raises OSError, or DataDirectoryInvalid when no private place can be had.
    """
    link = data / "run"
    found = _resolve(data)
    if found is not None:
        return found
    if link.is_symlink():
        link.unlink()  # to a place that is gone (a reboot empties /run), is not private, or is another data directory's
    if _short(link):
        link.mkdir(mode=0o700, exist_ok=True)
        link.chmod(0o700)
        return link
    if link.is_dir():
        shutil.rmtree(link)  # made when the data directory had a shorter path: sockets nobody can reach by it now
    run = _private_directory(data)
    link.symlink_to(run)
    return run


def release_run_directory(data: Path, run: Path) -> None:
    """The server ends (its lock still held): a place outside of ``data`` that nobody has anything in any more is not left behind.

    While a supervisor lives, and only then, workers may live: it stays as it is, for the next server.
    """
    link = data / "run"
    try:
        if link.is_symlink() and link.readlink() == run and not _supervised(run):
            link.unlink()
            shutil.rmtree(run)
    except OSError:
        return  # left behind after all; the next server finds it and uses it


def _supervised(run: Path) -> bool:
    """Whether a supervisor has it. None comes meanwhile: only a server that holds the data directory's lock starts one."""
    try:
        taken = try_lock(str(run / "supervisor.lock"), create=False)
    except FileNotFoundError:
        return False
    if taken is not None:
        taken.release()
    return taken is None


def run_directory_of(data: str | Path) -> Path:
    """Where the sockets of the node on ``data`` are, for anybody who wants to reach it. Changes nothing; need not exist."""
    root = Path(data).resolve()
    return _resolve(root) or (root / "run" if _short(root / "run") else next(_candidates(root)))


def address_of(data: str | Path) -> str:
    """The address of the node on ``data``: ``unix:RUN/foreman.sock``."""
    return f"unix:{run_directory_of(data) / SERVER_SOCKET}"


def worker_run_directory(run: Path, id: WorkerId) -> Path:
    """Make the run directory of one worker, 0700. Idempotent."""
    path = run / id
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def remove_worker_run_directory(run: Path, id: WorkerId) -> None:
    """Idempotent. Only when no process of the worker is left."""
    shutil.rmtree(run / id, ignore_errors=True)


def remove_stale_socket(path: Path) -> bool:
    """Unlink a socket that nobody listens on any more. False: somebody does; True: the name is free now."""
    if is_listening(path):
        return False
    unlink_if_there(str(path))
    return True


def is_listening(path: Path) -> bool:
    """Whether a process has this socket, of either type, open to be connected to."""
    return any(_connects(path, type_) for type_ in (SOCK_STREAM, SOCK_DGRAM))


def _connects(path: Path, type_: int) -> bool:
    with socket(AF_UNIX, type_) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # its queue of connections is full: very much alive
        except OSError:
            return False
    return True


def _resolve(data: Path) -> Path | None:
    """The run directory that is there and to be trusted: DATA/run itself, or what it links to."""
    link = data / "run"
    if not link.is_symlink():
        return link if _short(link) and _private(link, _user_of(data)) else None
    run = link.readlink()
    trusted = run.is_absolute() and _short(run) and _private(run, _user_of(data)) and _owner(run) == data
    return run if trusted else None


def _short(path: Path) -> bool:
    return len(os.fsencode(path)) <= LONGEST_RUN_BYTES


def _user_of(data: Path) -> int:
    """Whose node it is. A server runs only on its own user's; a client of root may look at anybody's."""
    try:
        return data.stat().st_uid
    except OSError:
        return os.geteuid()


def _private(path: Path, user: int) -> bool:
    """A directory itself (not a link to one), of this user, in which nobody else can list or make anything."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == user and stat.S_IMODE(facts.st_mode) in MODES


def _owner(run: Path) -> Path | None:
    try:
        return Path(os.fsdecode(read_bounded(str(run / _OWNER_FILE), _MAX_PATH_BYTES)).removesuffix("\n"))
    except OSError:
        return None


def _candidates(data: Path) -> Iterator[Path]:
    """Short places, best first. The hash keeps data directories of one user apart."""
    user = os.geteuid()
    name = f"foreman-{sha256(f'{user}:'.encode() + os.fsencode(data)).hexdigest()[:10]}"
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    places = [Path(session)] if session.startswith("/") else []
    places += [Path("/run")] if user == 0 else []
    yield from (place / name for place in (*places, Path("/tmp")) if _short(place / name))


def _private_directory(data: Path) -> Path:
    for path in _candidates(data):
        try:
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            continue
        if _private(path, os.geteuid()) and _owner(path) in {None, data}:
            return _claim(path, data)
    try:
        path = Path(tempfile.mkdtemp(prefix="foreman-", dir="/tmp"))
    except OSError as error:
        raise DataDirectoryInvalid(
            printable(str(data)), f"its path is too long for a socket, and no short private directory can be made ({error})"
        ) from error
    return _claim(path, data)


def _claim(run: Path, data: Path) -> Path:
    for half_written in run.glob(f"{_OWNER_FILE}.*.tmp"):
        half_written.unlink()
    atomic_write(str(run / _OWNER_FILE), os.fsencode(data) + b"\n")
    return run
