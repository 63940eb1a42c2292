"""Messages between two processes of one machine: JSON objects on a stream, each after four bytes of length (big-endian).

Owns the cutting of a stream into messages, its bounds, and the way from plain JSON values to frozen dataclasses, driven by their
annotations and strict: an unknown, missing or wrongly typed field is an error. It understands the types that messages need: str, int,
float, bool, None, unions of these, tuples of one type, mappings of strings, and dataclasses. What messages mean it does not know.
"""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from sys import float_info
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, cast, get_args, get_origin

_Record = TypeVar("_Record")
_Reader = Callable[[Any, str], Any]
"""From a plain value, and the place it stands at (for the error), to what it says."""

_LENGTH: Final = struct.Struct(">I")
_SCALARS: Final = (str, int, bool, NoneType)
"""What is as it is; a float must be finite."""


class ProtocolError(ValueError):
    """A message that has not the form of any. ``str()`` is one sentence that names the field."""


class FrameError(ProtocolError):
    """The stream cannot be understood from here on: close it."""


def encode_frame(message: Mapping[str, Any]) -> bytes:
    """One message as bytes on the stream. Dataclasses in it become objects."""
    body = _encode(message).encode()
    return _LENGTH.pack(len(body)) + body


def _plain(value: Any) -> dict[str, Any]:
    """Of a dataclass only what is not as its default says: most of most messages is not said, and the reader has the same defaults."""
    if isinstance(value, Mapping):
        return dict(value)
    return {name: said for name, default in _defaults_of(cast("Any", type(value))) if (said := getattr(value, name)) != default}


@cache
def _defaults_of(kind: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in fields(kind))


_encode: Final = json.JSONEncoder(separators=(",", ":"), default=_plain).encode


class FrameReader:
    """Takes bytes as they come, gives whole messages."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def frames(self) -> Iterator[dict[str, Any]]:
        """Each message that is complete. Raises FrameError when one is too large, no JSON, or no object."""
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > self._max:
                raise FrameError(f"a frame of {size} bytes; at most {self._max} are taken")
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            try:
                message = json.loads(body)
            except (ValueError, RecursionError) as error:
                raise FrameError(f"a frame that is not JSON: {str(error)[:200]}") from error
            if not isinstance(message, dict):
                raise FrameError("a frame that is not a JSON object")
            yield message


def from_plain(kind: type[_Record], raw: object, where: str = "") -> _Record:
    """The dataclass that ``raw`` describes. Raises ProtocolError."""
    return cast("_Record", _reader_of(cast("Any", kind))(raw, where or kind.__name__))


@cache
def _reader_of(kind: Any) -> _Reader:
    """How values of a type are read: worked out from its annotation once."""
    if is_dataclass(kind):
        return _record_reader(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return _union_reader(kind, {member for member in inner if member in _SCALARS}, [_reader_of(member) for member in inner])
    if origin is tuple:
        return _tuple_reader(_reader_of(inner[0]))
    if origin is not None:
        return _texts
    return lambda raw, where: _scalar(kind, raw, where)


def _record_reader(kind: Any) -> _Reader:
    readers = {field.name: _reader_of(cast("Any", field.type)) for field in fields(kind)}
    needed = [field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING]

    def read(raw: Any, where: str) -> Any:
        if not isinstance(raw, dict):
            raise ProtocolError(f"{where} must be an object")
        if unknown := raw.keys() - readers.keys():
            raise ProtocolError(f"{where} has no field {min(unknown)[:80]!r}")
        for name in needed:
            if name not in raw:
                raise ProtocolError(f"{where}.{name} is missing")
        return kind(**{name: readers[name](value, f"{where}.{name}") for name, value in raw.items()})

    return read


def _union_reader(kind: Any, scalars: set[Any], members: list[_Reader]) -> _Reader:
    def read(raw: Any, where: str) -> Any:
        if type(raw) in scalars:
            return raw
        for member in members:
            try:
                return member(raw, where)
            except ProtocolError:
                continue
        raise _wrong(kind, raw, where)

    return read


def _tuple_reader(item: _Reader) -> _Reader:
    def read(raw: Any, where: str) -> Any:
        if not isinstance(raw, list):
            raise _wrong("a list", raw, where)
        return tuple(item(value, where) for value in raw)

    return read


def _texts(raw: Any, where: str) -> Any:
    if not isinstance(raw, dict) or not all(isinstance(value, str) for value in raw.values()):
        raise _wrong("an object of strings", raw, where)
    return raw


def _scalar(kind: Any, raw: Any, where: str) -> Any:
    if kind is float and type(raw) in {int, float} and abs(raw) <= float_info.max:
        return float(raw)
    if type(raw) is not kind or kind is float:
        raise _wrong(kind.__name__, raw, where)
    return raw


def _wrong(kind: Any, raw: Any, where: str) -> ProtocolError:
    return ProtocolError(f"{where} must be {kind}, not {str(raw)[:80]!r}")
