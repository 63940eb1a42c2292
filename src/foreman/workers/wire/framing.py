"""Where commands begin and end, checked before the parser sees them when they look dangerous. Pure.

hiredis allocates a list as soon as it reads the count in an array's header, so ``*1000000000`` alone would cost gigabytes. Looking at
every header here would cost more than parsing does; so :func:`suspicious` asks one cheap question of each chunk, and only when the
answer is yes (a header with five digits or more, or a payload that looks like one), :func:`walk` goes through the frames.
"""

import re
from typing import Final

_MANY_ELEMENTS: Final = re.compile(rb"\*\d{5}")  # one literal byte first: the regex engine then searches with memchr
_MANY_PUSHED: Final = re.compile(rb">\d{5}")
_PUSHED: Final = ord(">")
"""As a number: looking for one is several times faster than looking for a string of one byte."""

SEAM_BYTES: Final = 8
"""A header cut in two by a chunk's end is found when this many bytes of both sides are looked at together."""

_MAX_HEADER_BYTES: Final = 32


def suspicious(data: bytes) -> bool:
    """Whether some array header in ``data`` may announce 10,000 elements or more."""
    return _MANY_ELEMENTS.search(data) is not None or (_PUSHED in data and _MANY_PUSHED.search(data) is not None)


def walk(data: bytes, elements: int, size_bytes: int) -> tuple[int, str | None]:
    """Walk the commands in ``data``, which starts at the beginning of one.

    Where the last whole command ends, and what is wrong with what follows, if anything is. A command is an array of at most
    ``elements`` bulk strings of at most ``size_bytes`` each. An unfinished one is judged by what has come of it.
    """
    whole = position = 0
    while position < len(data):
        count, position = _header(data, position, b"*")
        if count is None:
            return whole, None if position < 0 else "Protocol error: expected an array of bulk strings"
        if count > elements:
            return whole, f"Protocol error: a command has at most {elements} arguments"
        for _ in range(count):
            length, position = _header(data, position, b"$")
            if length is None:
                return whole, None if position < 0 else "Protocol error: expected a bulk string"
            if length > size_bytes:
                return whole, "Protocol error: invalid bulk length"
            position += length + 2
            if position > len(data):
                return whole, None
        whole = position
    return whole, None


def _header(data: bytes, position: int, kind: bytes) -> tuple[int | None, int]:
    """The number in a header and where it ends; (None, -1) when it is not all there yet, (None, position) when it is no header."""
    end = data.find(b"\r\n", position, position + _MAX_HEADER_BYTES)
    if end < 0:
        unfinished = data[position : position + _MAX_HEADER_BYTES]
        if len(unfinished) < _MAX_HEADER_BYTES and unfinished[:1] in {b"", kind} and _few_digits(unfinished[1:].rstrip(b"\r")):
            return None, -1
        return None, position
    digits = data[position + 1 : end]
    if data[position : position + 1] != kind or not digits.isdigit() or not _few_digits(digits):
        return None, position
    return int(digits), end + 2


def _few_digits(digits: bytes) -> bool:
    return not digits or (digits.isdigit() and len(digits) <= 9)
