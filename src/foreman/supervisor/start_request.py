"""What the supervisor is told of a worker that it shall start. Checked when it is made, on both sides."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from foreman.kernel.wire import ProtocolError

MAX_SECONDS: Final = 10.0**9
MAX_SIGNAL: Final = 64

_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_INCARNATION: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_DOTTED: Final = re.compile(r"\w+(\.\w+)*:\w+")
_TEXT: Final = re.compile(r"[^\0\ud800-\udc7f\udd00-\udfff]*")
"""What a system call takes: no NUL, and nothing that os.fsencode cannot write."""
_PATH: Final = re.compile("/" + _TEXT.pattern)


def require(holds: object, sentence: str) -> None:
    """Raises ProtocolError(sentence)."""
    if not holds:
        raise ProtocolError(sentence)


@dataclass(frozen=True, slots=True)
class Output:
    """Where the worker's stdout and stderr go: ``directory``/current, then 1, 2 …: ``files`` in all, each at most ``max_bytes``."""

    directory: str
    max_bytes: int = 8 << 20
    files: int = 4

    def __post_init__(self) -> None:
        require(_PATH.fullmatch(self.directory), "output.directory must be an absolute path")
        require(self.max_bytes >= 1, "output.max_bytes must be at least 1")
        require(1 <= self.files <= 1_000, "output.files must be 1 to 1000")


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
        require(all(value is None or 0 <= value < 1 << 63 for value in values), "a limit must be 0 or more")


@dataclass(frozen=True, slots=True)
class StopOrder:
    """How the supervisor stops this worker when it must do so by itself: lower ranks first, side by side within one."""

    signal: int = 15
    grace_s: float = 10.0
    rank: int = 0

    def __post_init__(self) -> None:
        require(1 <= self.signal <= MAX_SIGNAL, "stop.signal must be 1 to 64")
        require(0 <= self.grace_s <= MAX_SECONDS, "stop.grace_s must be 0 or more")


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
        require(_ID.fullmatch(self.id), "id is not a worker id")
        require(_INCARNATION.fullmatch(self.incarnation), "incarnation must be 1 to 64 letters, digits, _ or -")
        require(_PATH.fullmatch(self.lock), "lock must be an absolute path")
        require(_PATH.fullmatch(self.cwd), "cwd must be an absolute path")
        require(0 <= self.umask <= 0o777, "umask must be 0 to 0o777")
        require(self.watchdog_s is None or 0 < self.watchdog_s <= MAX_SECONDS, "watchdog_s must be more than 0")
        possible = (name and "=" not in name and _TEXT.fullmatch(name + value) for name, value in self.env.items())
        require(all(possible), "env has an impossible entry")
        if isinstance(self.program, str):
            require(_DOTTED.fullmatch(self.program), "program must be package.module:function")
        else:
            require(self.program and self.program[0], "program must name what to run")
            require(_TEXT.fullmatch("".join(self.program)), "program has an impossible argument")
