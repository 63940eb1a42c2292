"""What an UNLOCK tells a storage worker about the cluster: which logs to follow, which keys to hold, who else holds them. Pure.

    {"logs": {"log_1": "10.0.0.1:7001"},         ids or endpoints, or id → endpoint
     "key_range": ["a", "m"],                    what to hold; without it, what it holds already
     "replicas": ["storage_2", "10.0.0.2:7002"], who to copy from when the logs do not go back far enough
     "last_version": 41,                         through which the logs hold what the old ones did; without it, the UNLOCK's version
     "reset": true}                              first forget all data that is here

What else stands there is kept and shown by INFO, so a director may remember its own there (its epoch).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from foreman.core.data_errors import InvalidCommand
from foreman.core.mutations import MAX_VERSION, Version
from foreman.workers.storage.key_range import KeyRange, parse_key_range

MAX_NAMES: Final = 1_000
_MAX_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class Layout:
    """``key_range`` None: as it is. ``last_version`` None: the version of the UNLOCK."""

    logs: tuple[str, ...] = ()
    key_range: KeyRange | None = None
    replicas: tuple[str, ...] = ()
    last_version: Version | None = None
    reset: bool = False


def parse_layout(raw: object) -> Layout:
    """Raises InvalidCommand."""
    if not isinstance(raw, Mapping):
        raise InvalidCommand("the layout is not valid: it must be a JSON object")
    last, reset = raw.get("last_version"), raw.get("reset", False)
    if last is not None and (isinstance(last, bool) or not isinstance(last, int) or not 0 <= last <= MAX_VERSION):
        raise InvalidCommand("the layout is not valid: last_version must be a version")
    if not isinstance(reset, bool):
        raise InvalidCommand("the layout is not valid: reset must be true or false")
    try:
        keys = None if raw.get("key_range") is None else parse_key_range(raw["key_range"])
    except ValueError as error:
        raise InvalidCommand(f"the layout is not valid: {error}") from None
    return Layout(_names(raw, "logs", None), keys, _names(raw, "replicas", ()), last, reset)


def _names(raw: Mapping[str, Any], field: str, default: tuple[str, ...] | None) -> tuple[str, ...]:
    """Ids or endpoints; of a mapping id → endpoint the endpoints."""
    value = raw.get(field, default)
    names = list(value.values()) if isinstance(value, Mapping) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and 0 < len(name) <= _MAX_NAME for name in names):
        raise InvalidCommand(f"the layout is not valid: {field} must be a list of worker ids or endpoints")
    if not isinstance(value, Mapping) and len(set(names)) < len(names):
        raise InvalidCommand(f"the layout is not valid: {field} names one twice")
    if len(names) > MAX_NAMES:
        raise InvalidCommand(f"the layout is not valid: {field} names more than {MAX_NAMES}")
    return tuple(names)
