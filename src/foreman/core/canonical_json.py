"""JSON for what is kept on disk: one way to write a value, and a reader that refuses all that is not plainly JSON.

Written: keys sorted, no spaces, ASCII only, one newline at the end, so equal values are equal bytes. Read: total, any bytes give a
value or a :class:`JsonProblem`; what Python's reader lets pass (NaN, Infinity, a key twice, numbers without bound) is refused,
because a second reader would see something else. Owns no file; never raises for what it reads.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

DEEPEST: Final = 64
"""Levels of lists and objects. Far below what any reader of ours could stumble over."""

_LEAST_INTEGER: Final = -(2**63)
_GREATEST_INTEGER: Final = 2**64 - 1
_LONGEST_INTEGER_DIGITS: Final = 20
_NUMBER_CUT_SHORT: Final = re.compile(r"[-+.eE]{0,2}")


@dataclass(frozen=True, slots=True)
class JsonProblem:
    """``sentence`` says what is wrong. ``cut_short``: the text ends before the value does, as a torn write leaves it."""

    sentence: str
    cut_short: bool = False


class _RefusedError(ValueError):
    """Raised inside the reader's hooks, caught in :func:`read_json`."""


def write_json(value: Any) -> bytes:
    """The one way to write ``value``, which must be free of problems (:func:`json_problems`)."""
    return (compact_json(value) + "\n").encode("ascii")


def compact_json(value: Any) -> str:
    """The same without the newline."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def read_json(data: bytes) -> Any | JsonProblem:
    """The value, or what is wrong. A value is never itself a JsonProblem."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return JsonProblem(f"it is not UTF-8 text (byte {error.start})")
    if not text.strip():
        return JsonProblem("it is empty", cut_short=True)
    try:
        return json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite_float, parse_int=_bounded_int, object_pairs_hook=_unique_keys
        )
    except json.JSONDecodeError as error:
        return JsonProblem(f"it is not JSON: {error.msg} at character {error.pos}", cut_short=_ends_early(error))
    except _RefusedError as error:
        return JsonProblem(f"it holds {error}")
    except RecursionError:
        return JsonProblem("it holds lists or objects nested too deep")


def json_problems(value: Any, name: str) -> list[str]:
    """One sentence for each thing in ``value`` (called ``name``) that would not come back from disk as it went."""
    if isinstance(value, Mapping) and not isinstance(value, dict):
        value = dict(value)
    problems: list[str] = []
    level: list[tuple[str, Any]] = [(name, value)]
    for _ in range(DEEPEST):
        level = [inner for path, each in level for inner in _inside(path, each, problems)]
        if not level or problems:
            return problems
    return [f"{name} is nested deeper than {DEEPEST} levels"]


def _inside(path: str, value: Any, problems: list[str]) -> list[tuple[str, Any]]:
    """What ``value`` holds, each with its path; its own faults go to ``problems``."""
    match value:
        case None | bool() | str():
            return []
        case int():
            if not _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
                problems.append(f"{path} is an integer beyond 64 bits")
            return []
        case float():
            if not math.isfinite(value):
                problems.append(f"{path} is not a finite number")
            return []
        case list() | tuple():
            return [(f"{path}[{index}]", each) for index, each in enumerate(value)]
        case Mapping():
            problems.extend(f"{path} has a key that is not text" for key in value if not isinstance(key, str))
            return [(f"{path}.{str(key)[:80]}", each) for key, each in value.items()]
        case _:
            problems.append(f"{path} is a {type(value).__name__}, which JSON does not have")
            return []


def _ends_early(error: json.JSONDecodeError) -> bool:
    """Whether what could not be read may be the beginning of something longer."""
    rest = error.doc[error.pos :].strip()
    return bool(
        error.msg.startswith("Unterminated string")
        or (error.msg.startswith("Invalid \\u") and len(rest) < 6)
        or _NUMBER_CUT_SHORT.fullmatch(rest)
        or any(word.startswith(rest) for word in ("true", "false", "null"))
    )


def _refuse_constant(word: str) -> Any:
    raise _RefusedError(f"{word}, which is no number")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _RefusedError("a number without bound")
    return number


def _bounded_int(text: str) -> int:
    if len(text) > _LONGEST_INTEGER_DIGITS or not _LEAST_INTEGER <= int(text) <= _GREATEST_INTEGER:
        raise _RefusedError("an integer beyond 64 bits")
    return int(text)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _RefusedError("a key twice in one object")
    return value
