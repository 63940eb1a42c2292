"""INFO: what a log tells about itself, by name.

Text, as Redis gives it (``name:value`` lines under a heading): for eyes, and because every Redis client has a parser that expects
nothing else. All facts, or just those named; what is not known is empty.
"""

import os
import time
from typing import TYPE_CHECKING, Final

import foreman
from foreman.core.data_errors import InvalidCommand
from foreman.workers.wire import replies

if TYPE_CHECKING:
    from foreman.workers.log.service import LogService

Fact = str | int | None
_SECTIONS: Final = frozenset({"all", "default", "everything", "server", "log"})


def facts_of(log: "LogService") -> dict[str, Fact]:
    """All of them, as they are now."""
    lock = log.standing.lock
    return {
        "kind": "log",
        "id": log.host.environment.id,
        "cluster": log.host.environment.cluster,
        "health": str(log.health),
        "last_version": log.writer.durable,
        "oldest_version": log.segments.oldest,
        "minimum_durable_version": log.subscribers.minimum(),
        "subscribers": len(log.subscribers),
        "bytes": log.segments.data_bytes(),
        "disk_bytes": log.segments.disk_bytes(),
        "segments": len(log.segments.all),
        "path": log.segments.directory,
        "epoch": log.standing.epoch,
        "locked": int(log.standing.locked),
        "generation": lock.generation if lock is not None else None,
        "recovery_id": lock.recovery_id if lock is not None else None,
        "recovered": int(log.standing.recovery is not None),
        "parked": log.taking.parking.count,
        "blocked_pulls": log.readers.blocked_count,
        "writes": log.writer.writes,
        "incarnation": log.host.environment.incarnation,
        "process_id": os.getpid(),
        "uptime_in_seconds": int(time.monotonic() - log.started),
        "foreman_version": foreman.__version__,
    }


def answer_info(log: "LogService", words: list[bytes]) -> bytes:
    """The reply to INFO. Raises InvalidCommand for a name that is no fact."""
    facts = facts_of(log)
    names = [word.decode("ascii", "replace").lower() for word in words]
    unknown = [name for name in names if name not in facts and name not in _SECTIONS]
    if unknown:
        raise InvalidCommand(f"no fact {unknown[0][:40]!r}; there are {', '.join(facts)}")
    wanted = list(facts) if not names or _SECTIONS.intersection(names) else names
    return replies.text("# Log\r\n" + "".join(f"{name}:{_as_text(facts[name])}\r\n" for name in wanted))


def _as_text(fact: Fact) -> str:
    return "" if fact is None else str(fact).replace("\r", " ").replace("\n", " ")
