"""INFO: what a storage worker tells about itself, by name.

The answer is text, as Redis gives it (``name:value`` lines under a heading), all facts or just those named: for eyes, and because every
Redis client has a parser that expects nothing else. Lists and maps are JSON in one line; what is not known is empty.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from foreman.core.data_errors import InvalidCommand
from foreman.workers.wire import replies

Fact = str | int | float | None
Facts = Mapping[str, Callable[[], Fact]]
_SECTIONS = frozenset({"all", "default", "everything", "server", "storage"})


def answer_info(facts: Facts, names: Sequence[str]) -> bytes:
    """The reply to INFO. Raises InvalidCommand for a name that is no fact."""
    unknown = [name for name in names if name not in facts and name not in _SECTIONS]
    if unknown:
        raise InvalidCommand(f"no fact {unknown[0][:40]!r}; there are {', '.join(facts)}")
    wanted = facts if _SECTIONS.intersection(names) or not names else names
    return replies.text("# Storage\r\n" + "".join(f"{name}:{_as_text(facts[name]())}\r\n" for name in wanted))


def as_json(value: Any) -> str:
    """A fact that is a list or a map, in one word."""
    return json.dumps(value, separators=(",", ":"))


def _as_text(fact: Fact) -> str:
    return "" if fact is None else str(fact).replace("\r", " ").replace("\n", " ")


def as_reply(fact: Fact) -> bytes:
    """One fact, encoded."""
    if fact is None:
        return replies.NULL
    return replies.integer(fact) if isinstance(fact, int) else replies.text(str(fact))
