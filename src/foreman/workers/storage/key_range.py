r"""The keys that a storage worker holds: begin <= key < end. Pure, standard library only.

In JSON (params, layouts, INFO) a range is ``[begin, end]``, ``end`` null for "through the last key". A key is a string, its UTF-8 bytes
being the key; a key that is no UTF-8 is ``{"base64": "…"}``.
"""

import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from foreman.core.data_errors import WrongKeyRange
from foreman.core.mutations import MAX_KEY_BYTES

PAST_ALL_KEYS: Final = b"\xff" * (MAX_KEY_BYTES + 1)
"""After every key there can be."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """``end`` None: through the last key. Not empty."""

    begin: bytes = b""
    end: bytes | None = None

    @property
    def is_all(self) -> bool:
        return not self.begin and self.end is None

    def contains(self, key: bytes) -> bool:
        return self.begin <= key and (self.end is None or key < self.end)

    def covers(self, begin: bytes, end: bytes | None) -> bool:
        """Whether all keys of begin <= key < end are here; of no keys that is always so."""
        if end is not None and begin >= end:
            return True
        return self.begin <= begin and (self.end is None or (end is not None and end <= self.end))

    def clip(self, begin: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        """The part of begin <= key < end that is here; None when there is none."""
        begin, end = max(begin, self.begin), end if self.end is None else min(end, self.end)
        return (begin, end) if begin < end else None

    def intersection(self, other: "KeyRange") -> "KeyRange":
        """The keys that are in both; there are some."""
        ends = [end for end in (self.end, other.end) if end is not None]
        return KeyRange(max(self.begin, other.begin), min(ends, default=None))

    def outside(self) -> tuple["KeyRange", ...]:
        """All keys that are not here, in order."""
        below = (KeyRange(b"", self.begin),) if self.begin else ()
        return below if self.end is None else (*below, KeyRange(self.end))

    def error(self) -> WrongKeyRange:
        """What is answered to who asks beyond it."""
        return WrongKeyRange(show_key(self.begin), "" if self.end is None else show_key(self.end))

    def as_json(self) -> list[Any]:
        return [_key_as_json(self.begin), None if self.end is None else _key_as_json(self.end)]


ALL_KEYS: Final = KeyRange()


def cover(parts: Iterable[KeyRange], keys: KeyRange) -> bool:
    """Whether each of ``keys`` is in one of ``parts``."""
    at = keys.begin
    for part in sorted(parts, key=lambda part: part.begin):
        if part.begin > at:
            return False
        if part.end is None or (keys.end is not None and part.end >= keys.end):
            return True
        at = max(at, part.end)
    return False


def parse_key_range(value: object) -> KeyRange:
    """From JSON. Raises ValueError with what is wrong."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("key_range must be [begin, end], end null for the last key")
    begin, end = _key(value[0]), None if value[1] is None else _key(value[1])
    if end is not None and begin >= end:
        raise ValueError("key_range is empty: its begin is not before its end")
    return KeyRange(begin, end)


def show_key(key: bytes) -> str:
    """In one word, for people: what is not printable is ``%XX``."""
    return "".join(chr(byte) if 33 <= byte <= 126 and byte != 0x25 else f"%{byte:02X}" for byte in key)


def _key(value: object) -> bytes:
    try:
        if isinstance(value, dict) and value.keys() == {"base64"} and isinstance(value["base64"], str):
            key = binascii.a2b_base64(value["base64"], strict_mode=True)
        elif isinstance(value, str):
            key = value.encode()
        else:
            raise ValueError('a key of key_range must be a string or {"base64": "…"}')
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(f"a key of key_range cannot be read: {error}") from None
    if len(key) > MAX_KEY_BYTES:
        raise ValueError(f"a key of key_range has more than {MAX_KEY_BYTES} bytes")
    return key


def _key_as_json(key: bytes) -> Any:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return {"base64": binascii.b2a_base64(key, newline=False).decode()}
