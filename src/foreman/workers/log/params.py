"""What a log worker can be told when it is made, and what is wrong with it.

Pure, and cheap to import: the Foreman checks params with it before it makes anything. Where params are silent, the defaults here hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from foreman.core.errors import InvalidParams
from foreman.workers.wire.listen_params import LISTEN_PARAMS, check_listen_params

_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class LogParams:
    """The checked params.

    ``segment_bytes``: when a segment file has this size the next is begun; recycling frees whole segments. ``max_parked`` and
    ``max_parked_bytes``: pushes that came before their predecessor and wait for it. ``max_queued_bytes``: pushes that wait for the
    disk. ``recent_bytes``: the newest transactions, kept in memory for those who follow. ``max_blocked_pulls``: pulls that wait for
    news. ``quiet_s``: how long after a start nothing is recycled, seconds: a reader whose last word was lost with the incarnation before
    speaks again first. How it is reached besides its Unix socket (``listen``, ``tls``, ``auth_file``) is workers/wire's.
    """

    segment_bytes: int = 64 * _MEBIBYTE
    max_parked: int = 1000
    max_parked_bytes: int = 64 * _MEBIBYTE
    max_queued_bytes: int = 64 * _MEBIBYTE
    recent_bytes: int = 16 * _MEBIBYTE
    max_blocked_pulls: int = 1000
    quiet_s: int = 60


_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "segment_bytes": (64 * 1024, 1024 * _MEBIBYTE),
    "max_parked": (0, 1_000_000),
    "max_parked_bytes": (0, 1024 * _MEBIBYTE),
    "max_queued_bytes": (_MEBIBYTE, 1024 * _MEBIBYTE),
    "recent_bytes": (0, 1024 * _MEBIBYTE),
    "max_blocked_pulls": (0, 100_000),
    "quiet_s": (0, 3600),
}


def check_params(params: Mapping[str, Any]) -> list[str]:
    """One sentence for each thing that is wrong with ``params``; none: they are good."""
    known = _BOUNDS.keys() | LISTEN_PARAMS
    problems = [f"unknown param {name!r}; a log worker knows {', '.join(sorted(known))}" for name in sorted(params.keys() - known)]
    problems += check_listen_params(params)
    for name, (least, most) in _BOUNDS.items():
        value = params.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            problems.append(f"param {name!r} must be a whole number from {least} to {most}")
    return problems


def parse_params(params: Mapping[str, Any]) -> LogParams:
    """The params as types. Raises InvalidParams."""
    problems = check_params(params)
    if problems:
        raise InvalidParams("log", problems)
    return LogParams(**{field.name: params[field.name] for field in fields(LogParams) if field.name in params})
