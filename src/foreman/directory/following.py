"""Following a range of keys for ever: the whole first, then every change, through outages, compaction and a replaced directory.

A directory that was emptied or replaced mostly has not come as far as its follower, who is told so. When it has come further in the
meantime, only a *witness* shows it: a key with a random value, which the old directory did not have.

A follower that was away too long gets the whole again instead of the changes it missed, so what it makes of both is always right: a
Snapshot replaces everything known before, Changes are applied on top.
"""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from foreman.directory.errors import Compacted, DirectoryUnavailable, FutureRevision
from foreman.directory.port import Changes, Directory, KeyRange, Snapshot

_log = structlog.get_logger("foreman.directory")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between tries: ``base_s`` doubled up to ``cap_s``, each drawn from its upper half, so that many do not come at once."""

    base_s: float = 0.1
    cap_s: float = 5.0

    def delay_s(self, failures: int, chance: float) -> float:
        """After ``failures`` in a row, at least 1. ``chance``: a random number in [0, 1)."""
        nominal_s = min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 62))
        return nominal_s * (0.5 + chance / 2)


DEFAULT_BACKOFF = Backoff()


async def follow(
    directory: Directory, keys: KeyRange, *, backoff: Backoff = DEFAULT_BACKOFF, witness: bytes | None = None
) -> AsyncGenerator[Snapshot | Changes, None]:
    """Without end; waits while the directory is away. Close the iterator (``contextlib.aclosing``).

    ``witness``: a key that is written once in the life of a directory. When it is another, or is there now, all is read again.
    """
    revision: int | None = None
    known: bytes | None = None
    failures = 0
    while True:
        try:
            seen = known if witness is None else await _value_of(directory, witness)
            if seen != known:
                if known is not None and revision is not None:
                    _log.warning("directory_reset", url=directory.url, known=revision)
                known, revision = seen, None
            if revision is None:
                snapshot = await directory.read(keys)
                revision = snapshot.revision
                yield snapshot
            failures = 0
            async with aclosing(directory.watch(keys, after=revision)) as watch:
                async for changes in watch:
                    yield changes
                    revision, failures = changes.revision, 0
        except Compacted:
            revision = None
        except FutureRevision as error:
            _log.warning("directory_reset", url=directory.url, known=revision, current=error.current)
            revision = None
        except DirectoryUnavailable:
            failures += 1
            await asyncio.sleep(backoff.delay_s(failures, random.random()))


async def _value_of(directory: Directory, key: bytes) -> bytes | None:
    there = await directory.get(key)
    return None if there is None else there.value
