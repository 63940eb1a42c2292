"""What a worker is: a kind, described as plain facts that the machine, the supervisor and the command line all read.

A kind says which program runs, what it starts after, how it says that it is ready, when it is started again, how it is stopped, and
what it may use. ``log`` and ``storage`` are built in; others come from configuration or an entry point. Pure: it names programs
and never loads one.
"""

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from foreman.core.errors import InvalidConfiguration, InvalidParams, UnknownKind

Params = Mapping[str, Any]
CheckParams = Callable[[Params], list[str]]
"""A pure function: one sentence for each thing that is wrong with the params; none when they fit."""


class RestartType(enum.StrEnum):
    """When a worker whose process ended is started again (Erlang/OTP supervisor(3), "Restart")."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """Only after an abnormal end: an exit code that is not 0, or a signal nobody here sent."""
    TEMPORARY = "temporary"
    """Never."""


@dataclass(frozen=True, slots=True)
class PythonProgram:
    """A function ``package.module:name``, called without arguments in a process forked from the warm supervisor."""

    function: str


@dataclass(frozen=True, slots=True)
class CommandProgram:
    """Any program. Each argument may hold ``{data}``, ``{run}``, ``{id}``, ``{cluster}`` and ``{params.NAME}``."""

    argv: tuple[str, ...]


Program = PythonProgram | CommandProgram


@dataclass(frozen=True, slots=True)
class NotifyReadiness:
    """Ready when the worker says READY=1 (sd_notify(3))."""


@dataclass(frozen=True, slots=True)
class StartedReadiness:
    """Ready as soon as its program runs: for programs that cannot say more."""


@dataclass(frozen=True, slots=True)
class TcpReadiness:
    """Ready when a TCP connection to 127.0.0.1:port is accepted."""

    port: int


@dataclass(frozen=True, slots=True)
class HttpReadiness:
    """Ready when a GET of ``url`` answers 2xx."""

    url: str


@dataclass(frozen=True, slots=True)
class ExecReadiness:
    """Ready when the command exits 0. The same placeholders as the program's."""

    argv: tuple[str, ...]


Readiness = NotifyReadiness | StartedReadiness | TcpReadiness | HttpReadiness | ExecReadiness


@dataclass(frozen=True, slots=True)
class StopSpec:
    """``signal`` first, to the worker's leader; after ``grace_s`` seconds KILL, to everything it started."""

    signal: str = "TERM"
    grace_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of one worker (setrlimit(2)).

    None: inherited. ``memory_bytes`` bounds its data
    (RLIMIT_DATA: an address space bound would count what LMDB maps).
    """

    nofile: int | None = None
    memory_bytes: int | None = None
    nproc: int | None = None
    core_bytes: int | None = 0


def _no_params(params: Params) -> list[str]:
    return [f"unknown param {name!r}; this kind takes none" for name in sorted(params)]


@dataclass(frozen=True, slots=True)
class KindSpec:
    """One kind. Where a time is None the node's default ([supervision]) holds.

    ``listens``: its params may say ``listen``, ``tls`` and ``auth_file``; a worker without a ``listen`` of its own is given the node's
    ([data_plane]) at each start.
    """

    name: str
    program: Program
    after: tuple[str, ...] = ()
    ready: Readiness = NotifyReadiness()
    restart: RestartType = RestartType.TRANSIENT
    stop: StopSpec = StopSpec()
    limits: Limits = Limits()
    watchdog_s: float | None = None
    start_timeout_s: float | None = None
    user: str | None = None
    preload: tuple[str, ...] = ()
    listens: bool = False
    check_params: CheckParams = field(default=_no_params, compare=False)


PLACEHOLDER: Final = re.compile(r"\{([a-z]+(?:\.[A-Za-z0-9_]+)?)\}")
PLAIN_PLACEHOLDERS: Final = frozenset({"data", "run", "id", "cluster"})


def command_params(argv: Sequence[str]) -> frozenset[str]:
    """The params that a command's ``{params.NAME}`` ask for."""
    names = (match.group(1) for word in argv for match in PLACEHOLDER.finditer(word))
    return frozenset(name.removeprefix("params.") for name in names if name.startswith("params."))


def check_command_params(argv: Sequence[str]) -> CheckParams:
    """The check for a configured program: exactly the params its command names, each a string, number or boolean."""
    wanted = command_params(argv)

    def check(params: Params) -> list[str]:
        missing = [f"param {name!r} is missing" for name in sorted(wanted - params.keys())]
        unknown = [f"unknown param {name!r}" for name in sorted(params.keys() - wanted)]
        wrong = [
            f"param {n!r} must be a string, number or boolean" for n, v in sorted(params.items()) if not isinstance(v, str | int | float)
        ]
        hostile = [f"param {n!r} must not hold NUL" for n, v in sorted(params.items()) if isinstance(v, str) and "\0" in v]
        return missing + unknown + wrong + hostile

    return check


def fill(argv: Sequence[str], values: Mapping[str, str], params: Params) -> tuple[str, ...]:
    """``argv`` with its placeholders filled. What is put in is never read for placeholders again."""

    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        if name.startswith("params."):
            return str(params.get(name.removeprefix("params."), match.group(0)))
        return values.get(name, match.group(0))

    return tuple(PLACEHOLDER.sub(value_of, word) for word in argv)


class Kinds:
    """The kinds one node knows, with their order of start. Immutable."""

    def __init__(self, specs: Sequence[KindSpec]) -> None:
        """Raises InvalidConfiguration for a kind named twice, an ``after`` that names no kind, or a circle."""
        self._specs = {spec.name: spec for spec in specs}
        problems = [f"kind {s.name}: after names {a!r}, which is no kind" for s in specs for a in s.after if a not in self._specs]
        if len(self._specs) < len(specs):
            problems.append("a kind is defined twice")
        if problems:
            raise InvalidConfiguration(problems)
        self._ranks = _ranks(self._specs)
        self._before = {name: self._all_before(name) for name in self._specs}

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __getitem__(self, name: str) -> KindSpec:
        return self._specs[name]

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._specs))

    def specs(self) -> tuple[KindSpec, ...]:
        return tuple(self._specs[name] for name in self.names())

    def rank(self, name: str) -> int:
        """0 for a kind that starts after none; else one more than the highest it starts after."""
        return self._ranks[name]

    def before(self, name: str) -> frozenset[str]:
        """All kinds that start before this one, near and far."""
        return self._before[name]

    def check(self, name: object, params: object) -> KindSpec:
        """The kind, when it exists and the params fit it. Raises UnknownKind, InvalidParams."""
        if not isinstance(name, str) or name not in self._specs:
            raise UnknownKind(str(name), self.names())
        if not isinstance(params, Mapping) or not all(isinstance(key, str) for key in params):
            raise InvalidParams(name, ["params must be an object with names as keys"])
        problems = self._specs[name].check_params(params)
        if problems:
            raise InvalidParams(name, problems)
        return self._specs[name]

    def _all_before(self, name: str) -> frozenset[str]:
        near = self._specs[name].after
        return frozenset(near).union(*(self._all_before(other) for other in near))


def _ranks(specs: Mapping[str, KindSpec]) -> dict[str, int]:
    try:
        order = tuple(TopologicalSorter({name: spec.after for name, spec in specs.items()}).static_order())
    except CycleError as error:
        raise InvalidConfiguration([f"kinds start after one another in a circle: {' after '.join(error.args[1])}"]) from error
    ranks: dict[str, int] = {}
    for name in order:
        ranks[name] = max((ranks[before] + 1 for before in specs[name].after), default=0)
    return ranks
