"""What a storage worker can be told when it is made, and what is wrong with it.

Pure, and cheap to import: the Foreman checks params with it before it makes anything. Where params are silent, the defaults here hold.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from foreman.core.errors import InvalidParams, InvalidWorkerId
from foreman.core.ids import parse_worker_id
from foreman.workers.storage.key_range import ALL_KEYS, KeyRange, parse_key_range
from foreman.workers.wire.listen_params import LISTEN_PARAMS, check_listen_params, check_security_params

MAX_LOGS: Final = 64
DEFAULT_WINDOW_S: Final = 5.0
DEFAULT_MEMORY_BYTES: Final = 128 << 20
LEAST_MEMORY_BYTES: Final = 1 << 20
DEFAULT_VERSION_WAIT_S: Final = 1.0
_ENDPOINT: Final = re.compile(r"unix:/[^\0]{1,200}|[A-Za-z0-9_.\[\]:-]{1,255}:[0-9]{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class StorageParams:
    """The checked params.

    ``logs``: ids of log workers of this node, or endpoints; none: nothing is followed until an UNLOCK brings a layout. ``replicas``: ids or
    endpoints of storage workers that hold the same keys, to copy from when the logs do not go back far enough. ``key_range``: which keys
    to hold, ``[begin, end]``; all without it. An UNLOCK's layout takes the place of these three. ``link``: how to show oneself to logs
    and replicas over TCP: ``{"tls": {…}, "auth_file": …}``, as in ``listen``'s; without it, with those. ``window_s``:
    how long versions stay readable, seconds. ``memory_bytes``: what the window may take; at half of it versions go to disk early,
    at the whole of it pulling pauses. ``version_wait_s``: how long a read waits for a version that is too new. How it is reached besides
    its Unix socket (``listen``, ``tls``, ``auth_file``) is workers/wire's.
    """

    logs: tuple[str, ...] = ()
    replicas: tuple[str, ...] = ()
    key_range: KeyRange = ALL_KEYS
    link: Mapping[str, Any] = field(default_factory=dict)
    window_s: float = DEFAULT_WINDOW_S
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    version_wait_s: float = DEFAULT_VERSION_WAIT_S


def check_params(params: Mapping[str, Any]) -> list[str]:
    """One sentence for each thing that is wrong with ``params``; none: they are good."""
    known = {"logs", "replicas", "key_range", "link", "window_s", "memory_bytes", "version_wait_s"} | LISTEN_PARAMS
    problems = [f"unknown param {name!r}; a storage worker knows {', '.join(sorted(known))}" for name in sorted(params.keys() - known)]
    problems += _check_names(params, "logs") + _check_names(params, "replicas")
    problems += _check_key_range(params.get("key_range"))
    problems += check_security_params(params.get("link", {}), "link")
    problems += check_listen_params(params)
    problems += _check_number(params, "window_s", 0, 3_600)
    problems += _check_number(params, "version_wait_s", 0, 60)
    memory = params.get("memory_bytes", DEFAULT_MEMORY_BYTES)
    if isinstance(memory, bool) or not isinstance(memory, int) or not LEAST_MEMORY_BYTES <= memory <= 1 << 40:
        problems.append(f"param 'memory_bytes' must be a whole number of bytes, {LEAST_MEMORY_BYTES} at least")
    return problems


def parse_params(params: Mapping[str, Any]) -> StorageParams:
    """The params as types. Raises InvalidParams."""
    problems = check_params(params)
    if problems:
        raise InvalidParams("storage", problems)
    return StorageParams(
        logs=tuple(params.get("logs", ())),
        replicas=tuple(params.get("replicas", ())),
        key_range=ALL_KEYS if params.get("key_range") is None else parse_key_range(params["key_range"]),
        link=params.get("link") or {name: params[name] for name in ("tls", "auth_file") if name in params},
        window_s=float(params.get("window_s", DEFAULT_WINDOW_S)),
        memory_bytes=params.get("memory_bytes", DEFAULT_MEMORY_BYTES),
        version_wait_s=float(params.get("version_wait_s", DEFAULT_VERSION_WAIT_S)),
    )


def is_log_name(text: object) -> bool:
    """A worker id, or an endpoint: ``unix:/path`` or ``host:port``."""
    if isinstance(text, str) and _ENDPOINT.fullmatch(text):
        return True
    try:
        parse_worker_id(text)
    except InvalidWorkerId:
        return False
    return True


def _check_names(params: Mapping[str, Any], param: str) -> list[str]:
    value = params.get(param, [])
    if not isinstance(value, list) or len(value) > MAX_LOGS:
        return [f"param {param!r} must be a list of at most {MAX_LOGS} worker ids or endpoints"]
    problems = [f"param {param!r} holds {name!r}, which is neither a worker id nor an endpoint" for name in value if not is_log_name(name)]
    names = [name for name in value if isinstance(name, str)]
    if len(set(names)) < len(names):
        problems.append(f"param {param!r} names one twice")
    return problems


def _check_key_range(value: object) -> list[str]:
    try:
        if value is not None:
            parse_key_range(value)
    except ValueError as error:
        return [f"param {error}"]
    return []


def _check_number(params: Mapping[str, Any], name: str, least: float, most: float) -> list[str]:
    value = params.get(name, least)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        return [f"param {name!r} must be a number from {least} to {most}"]
    return []
