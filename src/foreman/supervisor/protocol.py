"""What the server and the worker supervisor say to one another: requests, replies, news. Shared by both sides.

On the wire, in frames (frames.py), each an object:

    request   {"n": 7, "do": "start", "with": {...}}            n: chosen by the server, given back in the reply
    reply     {"n": 7, "ok": {...}}                             or {"n": 7, "error": {"code", "detail", "errno", "path"}}
    news      {"seq": 12, "news": "exited", "with": {...}}      sent again after a reconnect until acknowledged

The first request must be ``hello`` with the same version. ``ack`` has no reply. All times are CLOCK_MONOTONIC seconds, the same in
both processes. An incarnation is one start of a worker; every message about a worker names it.
"""

from typing import Any, Final

from foreman.supervisor.answers import (
    NEWS,
    Exited,
    News,
    Notified,
    OutputLost,
    Refusal,
    Refused,
    RunningWorker,
    Started,
    StartFailed,
    WatchdogOverdue,
    Welcome,
)
from foreman.supervisor.requests import (
    REQUESTS,
    Ack,
    Configure,
    Hello,
    Kill,
    Limits,
    List,
    Output,
    Preload,
    Request,
    Shutdown,
    Signal,
    StartRequest,
    StopOrder,
)
from foreman.supervisor.strict import ProtocolError, from_plain, to_plain

__all__ = [
    "MAX_ENDPOINT_CHARS",
    "MAX_OUTSTANDING_NEWS",
    "MAX_STATUS_CHARS",
    "PROTOCOL_VERSION",
    "Ack",
    "Configure",
    "Exited",
    "Hello",
    "Kill",
    "Limits",
    "List",
    "News",
    "Notified",
    "Output",
    "OutputLost",
    "Preload",
    "ProtocolError",
    "Refusal",
    "Refused",
    "Request",
    "RunningWorker",
    "Shutdown",
    "Signal",
    "StartFailed",
    "StartRequest",
    "Started",
    "StopOrder",
    "WatchdogOverdue",
    "Welcome",
    "news_message",
    "parse_news",
    "parse_request",
    "request_message",
]

PROTOCOL_VERSION: Final = 1
MAX_OUTSTANDING_NEWS: Final = 10_000
MAX_STATUS_CHARS: Final = 1_024
MAX_ENDPOINT_CHARS: Final = 512

_NEWS_NAMES: Final = {kind: name for name, kind in NEWS.items()}
_REQUEST_NAMES: Final = {kind: name for name, kind in REQUESTS.items()}


def request_message(number: int, request: Request) -> dict[str, Any]:
    """The server's side of :func:`parse_request`."""
    return {"n": number, "do": _REQUEST_NAMES[type(request)], "with": to_plain(request)}


def parse_request(message: dict[str, Any]) -> tuple[int, Request]:
    """Raises ProtocolError."""
    number, name = message.get("n"), message.get("do")
    if type(number) is not int or not message.keys() <= {"n", "do", "with"}:
        raise ProtocolError("a request has n, do and with")
    if not isinstance(name, str) or name not in REQUESTS:
        raise ProtocolError(f"there is no request {str(name)[:80]!r}")
    return number, from_plain(REQUESTS[name], message.get("with", {}), name)


def news_message(seq: int, news: News) -> dict[str, Any]:
    """The supervisor's side of :func:`parse_news`."""
    return {"seq": seq, "news": _NEWS_NAMES[type(news)], "with": to_plain(news)}


def parse_news(message: dict[str, Any]) -> tuple[int, News]:
    """Raises ProtocolError."""
    seq, name = message.get("seq"), message.get("news")
    if type(seq) is not int or not isinstance(name, str) or name not in NEWS:
        raise ProtocolError("not news")
    return seq, from_plain(NEWS[name], message.get("with"), name)
