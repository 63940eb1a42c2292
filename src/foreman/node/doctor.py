"""``foreman doctor``: says what is wrong with a data directory and what would be done about it, and changes nothing.

Works beside a running server and without one. It takes no lock, not even for an instant (a worker could be starting): who holds
what is read from /proc.
"""

import enum
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from foreman.core.errors import DataDirectoryInvalid, ForemanError
from foreman.core.judgement import Broken, Busy, Foreign, Mine, judge, worker_name
from foreman.core.kinds import Kinds
from foreman.core.space import SpaceVerdict, space_verdict
from foreman.kernel.files import errno_name, free_space, printable
from foreman.node.data_directory import read_identity
from foreman.node.generations import read_generation
from foreman.node.journal import read_journal
from foreman.node.layout import Layout
from foreman.node.other_user import MODES
from foreman.node.run_directory import is_listening, run_directory_of
from foreman.node.scan import entries, list_trash


class Severity(enum.StrEnum):
    WRONG = "wrong"
    """Somebody has to do something."""
    NOTICE = "notice"
    """Foreman deals with it by itself, or it may be as it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``what`` is the case at ``path``; ``would`` be done by foreman, or should be by somebody."""

    severity: Severity
    path: str
    what: str
    would: str


def doctor(data: str | Path, kinds: Kinds | None = None, min_free_bytes: int = 0) -> list[Finding]:
    """Everything worth knowing about the data directory; empty when all is in order. ``kinds`` None: kinds are not judged.

    Raises nothing for what the disk holds or refuses: that is a finding.
    """
    try:
        layout = Layout(Path(data).resolve())
        identity = read_identity(layout)
    except DataDirectoryInvalid as error:
        return [Finding(Severity.WRONG, error.path, error.reason, "put node.json right, or choose another data directory")]
    except OSError as error:
        return [_refused(Path(data), error)]
    except (RuntimeError, ValueError) as error:  # resolve(): a circle of links, a NUL in the path
        return [Finding(Severity.WRONG, repr(str(data)), f"this is no path: {error}", "give another data directory")]
    if identity is None:
        return [_wrong(layout.root, "there is no node here (no node.json)", "`foreman up` makes one")]
    holders = lock_holders(layout)
    looks = (
        partial(_permissions, layout),
        partial(_space, layout, min_free_bytes),
        partial(_generation, layout),
        partial(_server, layout, holders),
        partial(_workers, layout, identity.cluster, kinds, holders),
        partial(_left_over, layout, running=bool(holders.get(layout.lock))),
    )
    return [finding for look in looks for finding in _findings_of(look, layout)]


def _findings_of(look: Callable[[], Iterable[Finding]], layout: Layout) -> list[Finding]:
    findings: list[Finding] = []
    try:
        findings.extend(look())
    except OSError as error:
        findings.append(_refused(layout.root, error))
    return findings


def lock_holders(layout: Layout) -> dict[Path, set[int]]:
    """Which processes have DATA/lock and the workers' locks open, as far as this user may see."""
    prefix = os.fsencode(layout.root) + b"/"
    found: dict[Path, set[int]] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        for target in _open_files(process):
            if target.startswith(prefix) and target.endswith(b"/lock"):
                found.setdefault(Path(os.fsdecode(target)), set()).add(int(process.name))
    return found


def _open_files(process: Path) -> Iterator[bytes]:
    try:
        with os.scandir(os.fsencode(process / "fd")) as descriptors:
            for descriptor in descriptors:
                yield os.readlink(descriptor.path)  # noqa: PTH115  bytes: a name of any process need not be UTF-8
    except OSError:  # it has ended, or is another user's
        return


def _permissions(layout: Layout) -> Iterator[Finding]:
    for path in (layout.root, layout.workers, layout.staging, layout.trash, layout.journal):
        facts = path.lstat()
        if not stat.S_ISDIR(facts.st_mode):
            yield _wrong(path, "it is not a directory", "move away what is there")
        elif stat.S_IMODE(facts.st_mode) not in MODES:
            yield _wrong(path, f"others may look into it (mode {stat.S_IMODE(facts.st_mode):04o})", f"chmod 0700 {path}")


def _space(layout: Layout, min_free_bytes: int) -> Iterator[Finding]:
    free = free_space(str(layout.root))
    match space_verdict(free, min_free_bytes):
        case SpaceVerdict.TOO_LITTLE:
            told = f"{free} bytes are free, [disk] min_free is {min_free_bytes}"
            yield _wrong(layout.root, told, "no new worker is made until there is more room")
        case SpaceVerdict.LOW:
            yield _notice(layout.root, f"only {free} bytes are free", f"below {min_free_bytes} no new worker would be made")
        case SpaceVerdict.ENOUGH:
            return


def _generation(layout: Layout) -> Iterator[Finding]:
    try:
        read_generation(layout)
    except DataDirectoryInvalid as error:
        yield _wrong(layout.generation, error.reason, "until then no director of a cluster can do anything here")
    except ForemanError as error:
        yield _wrong(layout.generation, str(error), "until it can be read no director of a cluster can do anything here")


def _server(layout: Layout, holders: Mapping[Path, set[int]]) -> Iterator[Finding]:
    socket = run_directory_of(layout.root) / "foreman.sock"
    running, listening = bool(holders.get(layout.lock)), is_listening(socket)
    if socket.exists() and not listening and not running:
        yield _notice(socket, "the socket of a server that has ended", "the next `foreman up` takes its place")
    if running and not listening:
        pids = ", ".join(map(str, sorted(holders[layout.lock])))
        yield _wrong(
            socket, f"process {pids} holds the data directory, but nobody answers here", "it may be starting; else see what it does"
        )


def _workers(layout: Layout, cluster: str, kinds: Kinds | None, holders: Mapping[Path, set[int]]) -> Iterator[Finding]:
    held = {path.parent.name: pids for path, pids in holders.items() if path.parent.parent == layout.workers}
    running = bool(holders.get(layout.lock))
    for entry in entries(layout, held.__contains__):
        path = layout.workers / entry.name
        match judge(entry, cluster, kinds):
            case Mine():
                continue
            case Foreign(reason):
                severity = Severity.NOTICE if worker_name(entry.name) is None else Severity.WRONG
                yield Finding(
                    severity, printable(str(path)), reason, "it is not started and never touched; move it away if it does not belong here"
                )
            case Broken(reason):
                yield _wrong(path, reason, "it is not started and never touched; put it right or move it away")
            case Busy():
                if not running:
                    pids = ", ".join(map(str, sorted(held[entry.name])))
                    told = f"process {pids} works in it, and no server runs"
                    yield _wrong(
                        path, told, "a new server adopts it when its supervisor is alive; else it stays off until that process ends"
                    )


def _left_over(layout: Layout, *, running: bool) -> Iterator[Finding]:
    when = "unless it is in the making now, it is" if running else "it is"
    for path in sorted(layout.staging.iterdir()):
        yield _notice(path, "half made", f"{when} deleted at the next start")
    for id, path in list_trash(layout):
        yield _notice(path, f"half deleted (worker {id})" if id else "half deleted", "deleted in the background, or at the next start")
    records, unreadable = read_journal(layout)
    for record in records:
        yield _notice(
            layout.journal / f"{record.batch}.json", "a batch that is not finished", f"{when} finished or undone at the next start"
        )
    for each in unreadable:
        yield Finding(Severity.WRONG, each.path, each.reason, "it is kept and not acted on; another version of foreman may know it")


def _wrong(path: Path, what: str, would: str) -> Finding:
    return Finding(Severity.WRONG, printable(str(path)), what, would)


def _notice(path: Path, what: str, would: str) -> Finding:
    return Finding(Severity.NOTICE, printable(str(path)), what, would)


def _refused(path: Path, error: OSError) -> Finding:
    where = Path(error.filename) if isinstance(error.filename, str) else path
    return _wrong(
        where, f"it cannot be read: {errno_name(error.errno or 0)}", "run doctor as the user foreman runs as; see that the disk is in order"
    )
