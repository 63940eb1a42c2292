"""What the server and the worker supervisor say to one another: requests, replies, news. Shared by both sides.

On the wire (kernel/wire.py), each an object:

    request   {"n": 7, "do": "start", "with": {...}}            n: chosen by the server, given back in the reply
    reply     {"n": 7, "ok": {...}}                             or {"n": 7, "error": {"code", "detail", "errno", "path"}}
    news      {"seq": 12, "news": "exited", "with": {...}}      sent again after a reconnect until acknowledged

What a start needs is in start_request.py. The first request must be ``hello`` with the same version. ``ack`` has no reply. All times are
CLOCK_MONOTONIC seconds, the same in both processes. An incarnation is one start of a worker; every message about a worker names it.
All are frozen facts, checked when they are made, on both sides.
"""

from dataclasses import dataclass
from typing import Any, Final

from foreman.kernel.wire import ProtocolError, from_plain
from foreman.supervisor.start_request import MAX_SECONDS, MAX_SIGNAL, StartRequest, require

PROTOCOL_VERSION: Final = 1
MAX_REQUEST_BYTES: Final = 1 << 20
MAX_REPLY_BYTES: Final = 64 << 20
"""``list`` of some thousand workers, each with its longest texts."""
MAX_OUTSTANDING_NEWS: Final = 10_000
MAX_STATUS_CHARS: Final = 1_024
MAX_ENDPOINT_CHARS: Final = 512

# --- requests ---


@dataclass(frozen=True, slots=True)
class Hello:
    version: int


@dataclass(frozen=True, slots=True)
class Signal:
    """To the worker's leader, or to its whole process group. KILL to the group takes everything the worker started with it."""

    id: str
    incarnation: str
    signum: int
    group: bool = False

    def __post_init__(self) -> None:
        require(1 <= self.signum <= MAX_SIGNAL, "signum must be 1 to 64")


@dataclass(frozen=True, slots=True)
class List:
    """Every worker there is. The reply's ``workers`` are RunningWorkers."""


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
        require(0 <= self.orphan_grace_s <= MAX_SECONDS, "orphan_grace_s must be 0 or more")


# --- replies ---


@dataclass(frozen=True, slots=True)
class Welcome:
    """``start_id``: fresh for each start of a supervisor. ``stopping``: it is on its way out and starts nothing any more."""

    version: int
    pid: int
    start_id: str
    stopping: bool


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """One worker the supervisor has, and the newest of all it said. ``started_at``: monotonic."""

    id: str
    incarnation: str
    pid: int
    started_at: float
    ready: bool
    status: str | None
    endpoint: str | None
    health: str | None
    output_lost_bytes: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """``code``: busy, already_running, already_ended, not_running, stopping, failed, news_full, invalid, version, replaced."""

    code: str
    detail: str
    errno: int | None = None
    path: str | None = None


class Refused(Exception):
    """A request that was not done."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


# --- news ---


@dataclass(frozen=True, slots=True)
class Started:
    """Its program runs."""

    id: str
    incarnation: str
    pid: int


@dataclass(frozen=True, slots=True)
class StartFailed:
    """Its program could not be run; no process of it exists and its lock is free."""

    id: str
    incarnation: str
    reason: str
    errno: int | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Notified:
    """What a worker said of itself (sd_notify(3)), as far as it changed. None: not said now. ``health``: "ok" or "error:REASON"."""

    id: str
    incarnation: str
    ready: bool = False
    stopping: bool = False
    status: str | None = None
    endpoint: str | None = None
    health: str | None = None
    errno: int | None = None
    extend_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class WatchdogOverdue:
    """It promised WATCHDOG=1 and was silent for longer than ``watchdog_s``."""

    id: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class OutputLost:
    """Output could not be written and was dropped; ``lost_bytes`` so far, in all."""

    id: str
    incarnation: str
    lost_bytes: int
    errno: int


@dataclass(frozen=True, slots=True)
class Exited:
    """Proof of exit: its leader is reaped, nothing it started lives, its lock is free. Either ``code`` or ``signal`` is set."""

    id: str
    incarnation: str
    pid: int
    code: int | None
    signal: int | None


# --- their names on the wire ---

Request = Hello | StartRequest | Signal | List | Ack | Shutdown | Configure
News = Started | StartFailed | Notified | WatchdogOverdue | OutputLost | Exited

_REQUESTS: Final[dict[str, type[Request]]] = {
    "hello": Hello,
    "start": StartRequest,
    "signal": Signal,
    "list": List,
    "ack": Ack,
    "shutdown": Shutdown,
    "configure": Configure,
}
_NEWS: Final[dict[str, type[News]]] = {
    "started": Started,
    "start_failed": StartFailed,
    "notified": Notified,
    "watchdog_overdue": WatchdogOverdue,
    "output_lost": OutputLost,
    "exited": Exited,
}
_NAMES: Final = {kind: name for name, kind in (*_REQUESTS.items(), *_NEWS.items())}


def request_message(number: int, request: Request) -> dict[str, Any]:
    """The server's side of :func:`parse_request`."""
    return {"n": number, "do": _NAMES[type(request)], "with": request}


def parse_request(message: dict[str, Any]) -> tuple[int, Request]:
    """Raises ProtocolError."""
    number, name = message.get("n"), message.get("do")
    if type(number) is not int or not message.keys() <= {"n", "do", "with"}:
        raise ProtocolError("a request has n, do and with")
    if not isinstance(name, str) or name not in _REQUESTS:
        raise ProtocolError(f"there is no request {str(name)[:80]!r}")
    return number, from_plain(_REQUESTS[name], message.get("with", {}), name)


def news_message(seq: int, news: News) -> dict[str, Any]:
    """The supervisor's side of :func:`parse_news`."""
    return {"seq": seq, "news": _NAMES[type(news)], "with": news}


def parse_news(message: dict[str, Any]) -> tuple[int, News]:
    """Raises ProtocolError."""
    seq, name = message.get("seq"), message.get("news")
    if type(seq) is not int or not isinstance(name, str) or name not in _NEWS:
        raise ProtocolError("not news")
    return seq, from_plain(_NEWS[name], message.get("with"), name)
