"""The forms a value can have: what is written, what it becomes, and the sentence when it does not fit. Pure.

Each form takes what TOML gives (already typed) and what the environment and flags give (text), and says the same of both.
Durations are seconds or text with a unit ("10s", "500ms", "2h"); sizes are bytes or text with a unit ("1GiB", "500MB").
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from foreman.core.errors import InvalidClusterName, InvalidConfiguration
from foreman.core.ids import parse_cluster_name
from foreman.workers.wire.listen_params import split_listen

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_QUANTITY: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_PORTS: Final = re.compile(r":[0-9]+(-[0-9]+)?$", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
LONGEST_DURATION_S: Final = 30 * 86400.0
LARGEST_SIZE_BYTES: Final = 2**60
MOST: Final = 10**9


@dataclass(frozen=True, slots=True)
class Form:
    """``parse`` raises ValueError with what it expects ("a duration such as …"); the caller adds where and what was found.

    ``at_home``: the value with its relative paths begun at the folder where it was written.
    """

    word: str
    unit: str
    parse: Callable[[Any], Any]
    at_home: Callable[[Any, Path], Any] = lambda value, _: value


def _duration(raw: object) -> float:
    expected = 'a duration of 0 to 30 days, in seconds or with a unit (10, "500ms", "10s", "2h")'
    seconds = _number(raw, _SECONDS, default_unit="s")
    if seconds is None or not 0 <= seconds <= LONGEST_DURATION_S:
        raise ValueError(expected)
    return seconds


def _positive_duration(raw: object) -> float:
    seconds = _duration(raw)
    if seconds == 0:
        raise ValueError('a duration above 0, in seconds or with a unit (10, "500ms", "10s", "2h")')
    return seconds


def _size(raw: object) -> int:
    size = _number(raw, _BYTES, default_unit="")
    if size is None or not 0 <= size <= LARGEST_SIZE_BYTES or size != int(size):
        raise ValueError('a size in whole bytes or with a unit (1048576, "500MB", "1GiB")')
    return int(size)


def _number(raw: object, units: dict[str, Any], *, default_unit: str) -> float | None:
    """The quantity in base units, or None. A boolean is an int to Python and none to an operator."""
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int | float):
        return float(raw) if math.isfinite(raw) else None
    match = _QUANTITY.fullmatch(raw) if isinstance(raw, str) else None
    factor = units.get((match.group(2) or default_unit).lower()) if match else None
    return None if match is None or factor is None else float(match.group(1)) * float(factor)


def _count(raw: object) -> int:
    number = int(raw) if isinstance(raw, str) and raw.strip().isascii() and raw.strip().isdigit() and len(raw) < 12 else raw
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MOST:
        raise ValueError("a whole number from 0 to 1000000000")
    return number


def _positive_count(raw: object) -> int:
    number = _count(raw)
    if number == 0:
        raise ValueError("a whole number from 1 to 1000000000")
    return number


def _fraction(raw: object) -> float:
    number = _number(raw, {"": 1.0}, default_unit="")
    if number is None or not 0 <= number <= 1:
        raise ValueError("a number from 0 to 1")
    return number


def _path(raw: object) -> Path:
    if not isinstance(raw, str) or not raw or "\0" in raw:
        raise ValueError("a path")
    return Path(raw).expanduser()


def _cluster(raw: object) -> str:
    try:
        return parse_cluster_name(raw)
    except InvalidClusterName:
        raise ValueError("a name of 1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit") from None


def _word(raw: object) -> str:
    if not isinstance(raw, str) or not _WORD.fullmatch(raw):
        raise ValueError("a name of 1 to 63 letters, digits, dots, _ and -")
    return raw


def _words(raw: object) -> tuple[str, ...]:
    words = _list_of_text(raw)
    if words is None or not all(_WORD.fullmatch(word) for word in words):
        raise ValueError('a list of names (["log", "storage"])')
    return tuple(dict.fromkeys(words))


def _addresses(raw: object) -> tuple[str, ...]:
    addresses = _list_of_text(raw)
    if addresses is None or any(host_and_port(address) is None for address in addresses):
        raise ValueError('a list of HOST:PORT (["127.0.0.1:4500"])')
    return tuple(dict.fromkeys(addresses))


def host_and_port(address: str) -> tuple[str, int] | None:
    """The parts of ``HOST:PORT`` (an IPv6 host in brackets), or None. Port 0 lets the kernel choose."""
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (host, port) if host and port is not None and parts.netloc == address and "@" not in address else None


def is_loopback(host: str) -> bool:
    """Whether what goes to this host never leaves the machine."""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _worker_listen(raw: object) -> str:
    """With port 0 when none is given."""
    expected = 'HOST, or HOST:FIRST-LAST with a port for each worker ("10.0.0.5", "10.0.0.5:7000-7099")'
    if not isinstance(raw, str):
        raise ValueError(expected)  # noqa: TRY004 (one kind of error for the caller: not this form)
    listen = raw if _PORTS.search(raw) else f"{raw}:0"
    try:
        _, ports = split_listen(listen)
    except ValueError:
        raise ValueError(expected) from None
    if len(ports) == 1 and ports.start:
        raise ValueError(expected)
    return listen


def _list_of_text(raw: object) -> list[str] | None:
    if isinstance(raw, str):
        return [word.strip() for word in raw.split(",") if word.strip()]
    return list(raw) if isinstance(raw, list | tuple) and all(isinstance(word, str) for word in raw) else None


def _directory_url(raw: object) -> str:
    """Only its form: who opens the directory reads the files that it names."""
    expected = "sqlite:PATH or etcd://HOST:PORT,HOST:PORT, with ?ca=FILE&cert=FILE&key=FILE for TLS"
    if not isinstance(raw, str):
        raise ValueError(expected)  # noqa: TRY004 (one kind of error for the caller: not this form)
    scheme, _, rest = raw.partition(":")
    if (scheme == "sqlite" and rest) or (scheme == "etcd" and rest.startswith("//") and _is_etcd(raw)):
        return raw
    raise ValueError(expected)


def _is_etcd(url: str) -> bool:
    from foreman.directory.etcd.address import split_etcd_url

    try:
        split_etcd_url(url)
    except InvalidConfiguration:
        return False
    return True


def _directory_at_home(url: str, base: Path) -> str:
    """The files that an etcd URL names; who opens a SQLite directory knows where it stands."""
    place, _, query = url.partition("?")
    if not url.startswith("etcd:") or not query:
        return url
    return f"{place}?{urlencode([(name, str(base / file)) for name, file in parse_qsl(query)], safe='/')}"


DURATION: Final = Form("duration", "s", _duration)
POSITIVE_DURATION: Final = Form("duration", "s", _positive_duration)
SIZE: Final = Form("size", "bytes", _size)
COUNT: Final = Form("count", "", _count)
POSITIVE_COUNT: Final = Form("count", "", _positive_count)
FRACTION: Final = Form("fraction", "", _fraction)
PATH: Final = Form("path", "", _path, lambda path, base: base / path)
CLUSTER: Final = Form("name", "", _cluster)
WORD: Final = Form("name", "", _word)
WORDS: Final = Form("names", "", _words)
ADDRESSES: Final = Form("addresses", "", _addresses)
WORKER_LISTEN: Final = Form("address", "", _worker_listen)
DIRECTORY_URL: Final = Form("url", "", _directory_url, _directory_at_home)
