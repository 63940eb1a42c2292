"""The commands of a storage worker, from words to types.

Pure. Owns the wire form of what data-plane.md leaves open:

    GET key [AT version] [WAIT ms]
    MGET key… [AT version] [WAIT ms]
    RANGE begin end [AT version] [LIMIT n] [BYTES n] [REV] [WAIT ms] [BEGIN selector [offset]] [END selector [offset] | END last]
    GETKEY selector key [OFFSET n] [AT version] [WAIT ms]
    LOCK generation recovery_id
    UNLOCK durable_version layout
    INFO [fact…]

``selector`` is one of first_greater_or_equal, first_greater_than, last_less_or_equal, last_less_than. In RANGE, ``BEGIN`` and
``END`` say how its first two arguments are meant: plainly, as ``first_greater_or_equal`` would, or as that selector; ``END last``
means through the last key there is, whatever ``end`` says. ``begin`` is included, ``end`` is not. GETKEY answers a key, or nil when the
selector runs off either end. RANGE answers [[key, value, key, value, …], more], ``more`` 0 or 1. ``WAIT`` is how long a version
that is too new is waited for. ``layout`` is JSON: see layout.py.

Of MGET, a last ``AT n`` or ``WAIT n`` is always an option.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from foreman.core.data_errors import InvalidCommand, TooLarge
from foreman.core.mutations import MAX_KEY_BYTES, MAX_VERSION, Version
from foreman.workers.storage.layout import parse_layout
from foreman.workers.storage.selectors import MAX_OFFSET, KeySelector, SelectorName
from foreman.workers.wire.arguments import parse_text, parse_unsigned

DEFAULT_LIMIT: Final = 1_000
MAX_LIMIT: Final = 100_000
DEFAULT_BYTES: Final = 1 << 20
MAX_BYTES: Final = 16 << 20
MAX_KEYS_AT_ONCE: Final = 10_000
MAX_WAIT_S: Final = 60.0
MAX_LAYOUT_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class At:
    """Which version to read: None is the latest. ``wait_s``: how long to wait for one that is too new; None is the worker's default."""

    version: Version | None = None
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Get:
    key: bytes
    at: At


@dataclass(frozen=True, slots=True)
class GetMany:
    keys: tuple[bytes, ...]
    at: At


@dataclass(frozen=True, slots=True)
class GetRange:
    """``end`` None: through the last key."""

    begin: bytes | KeySelector
    end: bytes | KeySelector | None
    at: At
    limit: int
    max_bytes: int
    reverse: bool


@dataclass(frozen=True, slots=True)
class GetKey:
    selector: KeySelector
    at: At


@dataclass(frozen=True, slots=True)
class LockFor:
    generation: int
    recovery_id: str


@dataclass(frozen=True, slots=True)
class Unlock:
    durable_version: Version
    layout: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Info:
    """Empty: all, as text."""

    facts: tuple[str, ...]


Read = Get | GetMany | GetRange | GetKey
Command = Read | LockFor | Unlock | Info


def parse_command(words: Sequence[bytes]) -> Command | None:
    """The command; None when it is none of ours. Raises InvalidCommand or TooLarge."""
    parse = _PARSERS.get(words[0].upper()) if words else None
    return None if parse is None else parse(words[1:])


def _get(words: Sequence[bytes]) -> Get:
    if not words:
        raise _wrong_number("get")
    options = _Options("get", words[1:])
    at = options.at()
    options.end()
    return Get(_key(words[0]), at)


def _mget(words: Sequence[bytes]) -> GetMany:
    count = len(words)
    while count > 2 and words[count - 2].upper() in {b"AT", b"WAIT"} and words[count - 1].isdigit():
        count -= 2
    if not count:
        raise _wrong_number("mget")
    if count > MAX_KEYS_AT_ONCE:
        raise InvalidCommand(f"mget takes at most {MAX_KEYS_AT_ONCE} keys")
    return GetMany(tuple(_key(word) for word in words[:count]), _Options("mget", words[count:]).at())


def _range(words: Sequence[bytes]) -> GetRange:
    if len(words) < 2:
        raise _wrong_number("range")
    options = _Options("range", words[2:])
    begin = options.bound("BEGIN", _bound(words[0]))
    end = None if options.took("END", b"LAST") else options.bound("END", _bound(words[1]))
    reverse = options.take("REV", 0) is not None
    limit = options.number("LIMIT", DEFAULT_LIMIT, 1, MAX_LIMIT)
    max_bytes = options.number("BYTES", DEFAULT_BYTES, 1, MAX_BYTES)
    at = options.at()
    options.end()
    return GetRange(begin, end, at, limit, max_bytes, reverse)


def _getkey(words: Sequence[bytes]) -> GetKey:
    if len(words) < 2:
        raise _wrong_number("getkey")
    options = _Options("getkey", words[2:])
    offset = options.number("OFFSET", 0, -MAX_OFFSET, MAX_OFFSET)
    at = options.at()
    options.end()
    return GetKey(KeySelector(_selector_name(words[0]), _bound(words[1]), offset), at)


def _lock(words: Sequence[bytes]) -> LockFor:
    if len(words) != 2:
        raise _wrong_number("lock")
    return LockFor(parse_unsigned(words[0], "generation"), parse_text(words[1], "recovery_id"))


def _unlock(words: Sequence[bytes]) -> Unlock:
    if len(words) != 2:
        raise _wrong_number("unlock")
    if len(words[1]) > MAX_LAYOUT_BYTES:
        raise TooLarge("layout", len(words[1]), MAX_LAYOUT_BYTES)
    try:
        layout = msgspec.json.decode(words[1])
    except msgspec.DecodeError as error:
        raise InvalidCommand(f"the layout is not JSON: {error}") from None
    parse_layout(layout)
    return Unlock(parse_unsigned(words[0], "durable_version"), layout)


def _info(words: Sequence[bytes]) -> Info:
    return Info(tuple(word.decode("ascii", "replace").lower() for word in words))


_PARSERS: Final[Mapping[bytes, Callable[[Sequence[bytes]], Command]]] = {
    b"GET": _get,
    b"MGET": _mget,
    b"RANGE": _range,
    b"GETKEY": _getkey,
    b"LOCK": _lock,
    b"UNLOCK": _unlock,
    b"INFO": _info,
}


class _Options:
    """The words after the fixed arguments, each option at most once, in any order."""

    def __init__(self, command: str, words: Sequence[bytes]) -> None:
        self._command, self._words = command, list(words)
        self._upper = [word.upper() for word in words]

    def take(self, name: str, arguments: int) -> list[bytes] | None:
        """The arguments of option ``name``, removed; None when it is not there."""
        word = name.encode()
        if word not in self._upper:
            return None
        at = self._upper.index(word)
        taken = self._words[at + 1 : at + 1 + arguments]
        if len(taken) < arguments:
            raise InvalidCommand(f"{self._command}: {name} lacks its argument")
        del self._words[at : at + 1 + arguments]
        del self._upper[at : at + 1 + arguments]
        return taken

    def took(self, name: str, word: bytes) -> bool:
        """Whether option ``name`` stands there with ``word``; removed if so."""
        option = name.encode()
        at = self._upper.index(option) if option in self._upper else -1
        if at < 0 or self._upper[at + 1 : at + 2] != [word]:
            return False
        return self.take(name, 1) is not None

    def number(self, name: str, default: int, least: int, most: int) -> int:
        taken = self.take(name, 1)
        return default if taken is None else _integer(taken[0], name, least, most)

    def bound(self, name: str, key: bytes) -> bytes | KeySelector:
        """``key`` as option ``name`` says it is meant: as it is, or a selector with an offset or none."""
        option = name.encode()
        at = self._upper.index(option) if option in self._upper else len(self._words)
        has_offset = at + 2 < len(self._words) and self._words[at + 2].lstrip(b"-").isdigit()
        taken = self.take(name, 2 if has_offset else 1)
        if taken is None:
            return key
        offset = _integer(taken[1], "offset", -MAX_OFFSET, MAX_OFFSET) if has_offset else 0
        return KeySelector(_selector_name(taken[0]), key, offset)

    def at(self) -> At:
        version = self.take("AT", 1)
        wait = self.take("WAIT", 1)
        return At(
            None if version is None else _integer(version[0], "version", 0, MAX_VERSION),
            None if wait is None else _integer(wait[0], "WAIT", 0, int(MAX_WAIT_S * 1000)) / 1000,
        )

    def end(self) -> None:
        if self._words:
            raise InvalidCommand(f"{self._command} does not know {self._words[0][:40]!r}")


def _wrong_number(command: str) -> InvalidCommand:
    return InvalidCommand(f"wrong number of arguments for '{command}' command")


def _key(word: bytes) -> bytes:
    if len(word) > MAX_KEY_BYTES:
        raise TooLarge("key", len(word), MAX_KEY_BYTES)
    return word


def _bound(word: bytes) -> bytes:
    """A bound may be one byte longer than a key: the first after the longest."""
    if len(word) > MAX_KEY_BYTES + 1:
        raise TooLarge("key", len(word), MAX_KEY_BYTES)
    return word


def _selector_name(word: bytes) -> SelectorName:
    try:
        return SelectorName(word.decode("ascii", "replace").lower())
    except ValueError:
        raise InvalidCommand(f"{word[:40]!r} is no selector: use {', '.join(SelectorName)}") from None


def _integer(word: bytes, what: str, least: int, most: int) -> int:
    digits = word[1:] if word[:1] == b"-" else word
    if not digits.isdigit() or len(digits) > 20 or not least <= int(word) <= most:
        raise InvalidCommand(f"{what} must be an integer from {least} to {most}, not {word[:40]!r}")
    return int(word)
