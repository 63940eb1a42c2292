"""Answers in RESP form. Pure: values in, bytes out (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""

from collections.abc import Mapping, Sequence
from typing import Final

from foreman.core.data_errors import DataPlaneError

OK: Final = b"+OK\r\n"
PONG: Final = b"+PONG\r\n"
NULL: Final = b"$-1\r\n"
EMPTY: Final = b"*0\r\n"


def simple(text: str) -> bytes:
    """A word of status, such as OK."""
    return b"+%b\r\n" % _line(text)


def integer(value: int) -> bytes:
    """Beyond 63 bits clients cannot take an integer, so a larger one goes as text; ours read both."""
    if -(1 << 63) <= value < 1 << 63:
        return b":%d\r\n" % value
    return bulk(b"%d" % value)


def bulk(data: bytes) -> bytes:
    """Any bytes."""
    return b"$%d\r\n%b\r\n" % (len(data), data)


def text(value: str) -> bytes:
    """Any text, as UTF-8."""
    return bulk(value.encode("utf-8", "backslashreplace"))


def array(items: Sequence[bytes]) -> bytes:
    """``items`` are encoded already."""
    return b"*%d\r\n%b" % (len(items), b"".join(items))


def mapping(items: Mapping[str, bytes], protocol: int) -> bytes:
    """A map for a RESP3 client, a flat array of names and values for a RESP2 one. The values are encoded already."""
    flat = b"".join(text(name) + value for name, value in items.items())
    return (b"%%%d\r\n%b" if protocol == 3 else b"*%d\r\n%b") % (len(items) * (1 if protocol == 3 else 2), flat)


def error(problem: DataPlaneError) -> bytes:
    """The error line that :func:`foreman.core.data_errors.data_error_from_wire` reads back."""
    return error_line(problem.wire())


def error_line(line: str) -> bytes:
    """``line`` starts with its code word."""
    return b"-%b\r\n" % _line(line)


def _line(text: str) -> bytes:
    return text.replace("\r", " ").replace("\n", " ").encode("utf-8", "backslashreplace")
