"""Frozen dataclasses to plain JSON values and back, strictly: an unknown, missing or wrongly typed field is an error.

Owns nothing of the protocol's meaning. Understands the types the protocol uses: str, int, float, bool, None, unions of those,
tuples of one type, mappings of strings, and dataclasses.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin

_Record = TypeVar("_Record")


class ProtocolError(ValueError):
    """A message that has not the form of any. ``str()`` is one sentence that names the field."""


def to_plain(record: Any) -> Any:
    """JSON values of a dataclass, deeply."""
    if is_dataclass(record):
        return {field.name: to_plain(getattr(record, field.name)) for field in fields(record)}
    if isinstance(record, tuple | list):
        return [to_plain(item) for item in record]
    if isinstance(record, Mapping):
        return dict(record)
    return record


@cache
def _fields_of(kind: Any) -> dict[str, Field[Any]]:
    return {field.name: field for field in fields(kind)}


def from_plain(kind: type[_Record], raw: object, where: str = "") -> _Record:
    """The dataclass that ``raw`` describes. Raises ProtocolError."""
    where = where or kind.__name__
    if not isinstance(raw, dict):
        raise ProtocolError(f"{where} must be an object")
    known = _fields_of(cast("Any", kind))
    if unknown := sorted(str(name)[:80] for name in raw.keys() - known.keys()):
        raise ProtocolError(f"{where} has no field {unknown[0]!r}")
    values = {}
    for name, field in known.items():
        if name in raw:
            values[name] = _value(field.type, raw[name], f"{where}.{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ProtocolError(f"{where}.{name} is missing")
    return kind(**values)


def _value(kind: Any, raw: object, where: str) -> Any:
    origin = get_origin(kind)
    if origin is UnionType:
        return _union(kind, raw, where)
    if origin is tuple:
        if isinstance(raw, list):
            return tuple(_value(get_args(kind)[0], item, f"{where}[{index}]") for index, item in enumerate(raw))
    elif origin is not None:
        if isinstance(raw, dict) and all(isinstance(value, str) for value in raw.values()):
            return raw
    elif is_dataclass(kind) and isinstance(kind, type):
        return from_plain(kind, raw, where)
    elif kind is float:
        if isinstance(raw, int | float) and not isinstance(raw, bool) and _finite(raw):
            return float(raw)
    elif type(raw) is kind:
        return raw
    raise ProtocolError(f"{where} must be {getattr(kind, '__name__', kind)}, not {str(raw)[:80]!r}")


def _finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _union(kind: Any, raw: object, where: str) -> Any:
    members = get_args(kind)
    if raw is None and type(None) in members:
        return None
    problem = ProtocolError(f"{where} must be {kind}")
    for member in members:
        if member is not type(None):
            try:
                return _value(member, raw, where)
            except ProtocolError as error:
                problem = error
    raise problem
