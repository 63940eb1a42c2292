"""The words of a log's commands into values. Pure.

    PUSH epoch version previous_version transaction
    PULL start_after [LIMIT n] [LAST version] [RECOVERY] [SUBSCRIBER id durable_version] [BLOCK ms]
    LOCK generation recovery_id
    RECOVER FROM endpoint|NONE first last [LOCK generation recovery_id]
    INFO [fact…]

``PUSH epoch * * transaction`` lets the log give the next version and answers it: for a single writer that keeps no versions of its
own, and for load generators. Such a push is not idempotent: repeated after a lost answer, it is another transaction.
"""

from dataclasses import dataclass
from typing import Final

from foreman.core.data_errors import InvalidCommand
from foreman.core.mutations import Version
from foreman.workers.log.pulling import Pull
from foreman.workers.log.standing import Recovery
from foreman.workers.wire.arguments import parse_text, parse_unsigned

DEFAULT_LIMIT: Final = 1000
MAX_LIMIT: Final = 100_000
MAX_BLOCK_MS: Final = 600_000
_RECOVER: Final = "syntax: RECOVER FROM endpoint|NONE first last [LOCK generation recovery_id]"


@dataclass(frozen=True, slots=True)
class PullCommand:
    """``subscriber``: who pulls, and how far it is durable itself."""

    pull: Pull
    subscriber: tuple[str, Version] | None


@dataclass(frozen=True, slots=True)
class RecoverCommand:
    """``source``: another log's endpoint, or None. ``lock``: generation and recovery id of whoever asks, who must be who locked the log."""

    source: str | None
    recovery: Recovery
    lock: tuple[int, str] | None = None


def parse_pull(words: list[bytes]) -> PullCommand:
    """Raises InvalidCommand."""
    start_after = parse_unsigned(words[1], "start_after")
    limit, through, block_ms = DEFAULT_LIMIT, None, None
    recovery, subscriber = False, None
    rest = words[2:]
    while rest:
        option = rest[0].upper()
        match option, rest[1:]:
            case b"LIMIT", [count, *rest]:
                limit = max(1, parse_unsigned(count, "LIMIT", MAX_LIMIT))
            case b"LAST", [version, *rest]:
                through = parse_unsigned(version, "LAST")
            case b"RECOVERY", rest:
                recovery = True
            case b"SUBSCRIBER", [name, version, *rest]:
                subscriber = (parse_text(name, "a subscriber's id"), parse_unsigned(version, "durable_version"))
            case b"BLOCK", [time_ms, *rest]:
                block_ms = parse_unsigned(time_ms, "BLOCK", MAX_BLOCK_MS)
            case _:
                raise InvalidCommand(
                    "syntax: PULL start_after [LIMIT n] [LAST version] [RECOVERY] [SUBSCRIBER id durable_version] [BLOCK ms]"
                )
    return PullCommand(Pull(start_after, limit, through, recovery, block_ms), subscriber)


def parse_lock(words: list[bytes]) -> tuple[int, str]:
    """Generation and recovery id. Raises InvalidCommand."""
    return parse_unsigned(words[1], "generation"), parse_text(words[2], "recovery_id")


def parse_recover(words: list[bytes]) -> RecoverCommand:
    """Raises InvalidCommand."""
    lock = None
    match words[5:]:
        case []:
            pass
        case [option, _, _] as given if option.upper() == b"LOCK":
            lock = parse_lock(given)
        case _:
            raise InvalidCommand(_RECOVER)
    if words[1].upper() != b"FROM":
        raise InvalidCommand(_RECOVER)
    source = None if words[2].upper() == b"NONE" else parse_text(words[2], "the endpoint")
    return RecoverCommand(source, Recovery(parse_unsigned(words[3], "first"), parse_unsigned(words[4], "last")), lock)
