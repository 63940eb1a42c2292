"""What the server asks of the worker supervisor: frozen facts, checked when they are made, on both sides."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from foreman.supervisor.strict import ProtocolError

_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_INCARNATION: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_DOTTED: Final = re.compile(r"\w+(\.\w+)*:\w+")
_MAX_SECONDS: Final = 10.0**9
_MAX_SIGNAL: Final = 64


def _require(holds: bool, sentence: str) -> None:  # noqa: FBT001 - an assertion by another name
    if not holds:
        raise ProtocolError(sentence)


def _plain_text(text: str) -> bool:
    return "\0" not in text


@dataclass(frozen=True, slots=True)
class Hello:
    version: int


@dataclass(frozen=True, slots=True)
class Preload:
    """Import these modules now, so that workers forked later have them already."""

    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """Where the worker's stdout and stderr go: ``directory``/current, then 1, 2 …: ``files`` in all, each at most ``max_bytes``."""

    directory: str
    max_bytes: int = 8 << 20
    files: int = 4

    def __post_init__(self) -> None:
        _require(self.directory.startswith("/") and _plain_text(self.directory), "output.directory must be an absolute path")
        _require(self.max_bytes >= 1, "output.max_bytes must be at least 1")
        _require(1 <= self.files <= 1_000, "output.files must be 1 to 1000")


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits, soft and hard. None: as the supervisor was started with.

    ``memory_bytes`` is RLIMIT_DATA: what the worker may write privately. A large file mapping (LMDB) does not count.
    """

    nofile: int | None = None
    memory_bytes: int | None = None
    nproc: int | None = None
    core_bytes: int | None = 0

    def __post_init__(self) -> None:
        values = (self.nofile, self.memory_bytes, self.nproc, self.core_bytes)
        _require(all(value is None or 0 <= value < 1 << 63 for value in values), "a limit must be 0 or more")


@dataclass(frozen=True, slots=True)
class StopOrder:
    """How the supervisor stops this worker when it must do so by itself: lower ranks first, side by side within one."""

    signal: int = 15
    grace_s: float = 10.0
    rank: int = 0

    def __post_init__(self) -> None:
        _require(1 <= self.signal <= _MAX_SIGNAL, "stop.signal must be 1 to 64")
        _require(0 <= self.grace_s <= _MAX_SECONDS, "stop.grace_s must be 0 or more")


@dataclass(frozen=True, slots=True)
class StartRequest:
    """``program``: the dotted name of a Python function "package.module:function", or the arguments of any program."""

    id: str
    incarnation: str
    program: str | tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    lock: str
    output: Output
    limits: Limits = field(default_factory=Limits)
    stop: StopOrder = field(default_factory=StopOrder)
    user: str | None = None
    umask: int = 0o077
    watchdog_s: float | None = None

    def __post_init__(self) -> None:
        _require(_ID.fullmatch(self.id) is not None, "id is not a worker id")
        _require(_INCARNATION.fullmatch(self.incarnation) is not None, "incarnation must be 1 to 64 letters, digits, _ or -")
        _require(self.lock.startswith("/") and _plain_text(self.lock), "lock must be an absolute path")
        _require(self.cwd.startswith("/") and _plain_text(self.cwd), "cwd must be an absolute path")
        _require(0 <= self.umask <= 0o777, "umask must be 0 to 0o777")
        _require(self.watchdog_s is None or 0 < self.watchdog_s <= _MAX_SECONDS, "watchdog_s must be more than 0")
        possible = (name and "=" not in name and _plain_text(name + value) for name, value in self.env.items())
        _require(all(possible), "env has an impossible entry")
        if isinstance(self.program, str):
            _require(_DOTTED.fullmatch(self.program) is not None, "program must be package.module:function")
        else:
            _require(bool(self.program) and bool(self.program[0]), "program must name what to run")
            _require(all(_plain_text(word) for word in self.program), "program must not hold NUL")


@dataclass(frozen=True, slots=True)
class Signal:
    """To the worker's leader, or to its whole process group."""

    id: str
    incarnation: str
    signum: int
    group: bool = False

    def __post_init__(self) -> None:
        _require(1 <= self.signum <= _MAX_SIGNAL, "signum must be 1 to 64")


@dataclass(frozen=True, slots=True)
class Kill:
    """KILL everything the worker started."""

    id: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class List:
    pass


@dataclass(frozen=True, slots=True)
class Ack:
    """All news up to ``seq`` was taken."""

    seq: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop all workers, then end: ``now`` by KILL, else in their stop order."""

    now: bool = False


@dataclass(frozen=True, slots=True)
class Configure:
    """``orphan_grace_s``: how long workers run on without a server."""

    orphan_grace_s: float

    def __post_init__(self) -> None:
        _require(0 <= self.orphan_grace_s <= _MAX_SECONDS, "orphan_grace_s must be 0 or more")


Request = Hello | Preload | StartRequest | Signal | Kill | List | Ack | Shutdown | Configure

REQUESTS: Final[dict[str, type[Request]]] = {
    "hello": Hello,
    "preload": Preload,
    "start": StartRequest,
    "signal": Signal,
    "kill": Kill,
    "list": List,
    "ack": Ack,
    "shutdown": Shutdown,
    "configure": Configure,
}
