"""The copy in a recovery: from another log's range into this one, durably, chunk by chunk.

Trusts the source with nothing: each transaction is checked as a push would be, and versions must ascend. Whatever goes wrong, this log
stays locked with what it has, and the same RECOVER goes on from there.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from foreman.core.data_errors import InvalidCommand, NotReady, StorageFault
from foreman.core.mutations import Version
from foreman.workers.log.recovering import COPY_LIMIT
from foreman.workers.log.writer import Writer
from foreman.workers.wire import check_transaction
from foreman.workers.wire.link import Link

EMPTY_TRANSACTION: Final = b"\x90"
ANSWER_IN_S: Final = 10.0
PATIENCE_S: Final = 3.0
"""How long a source that cannot be read is tried, from the last time it could."""

PAUSE_S: Final = 0.05


async def copy_from(source: str, writer: Writer, last: Version, params: Mapping[str, Any]) -> None:
    """Until the log has everything through ``last``. Raises DataPlaneError."""
    clock = asyncio.get_running_loop().time
    give_up, reached = clock() + PATIENCE_S, writer.last
    while writer.last < last:
        try:
            async with Link.to(source, params) as link:
                await _copy(link, writer, last)
        except (NotReady, OSError, TimeoutError, ValueError, TypeError) as error:
            if writer.last > reached:
                give_up, reached = clock() + PATIENCE_S, writer.last
            if clock() > give_up:
                raise InvalidCommand(f"the source {source} cannot be read: {str(error) or type(error).__name__}") from error
            await asyncio.sleep(PAUSE_S)


async def _copy(link: Link, writer: Writer, last: Version) -> None:
    while writer.last < last:
        words = (b"PULL", b"%d" % writer.last, b"LIMIT", b"%d" % COPY_LIMIT, b"LAST", b"%d" % last, b"RECOVERY")
        answer = await link.call(*words, timeout_s=ANSWER_IN_S)
        chunk = [(int(version), bytes(transaction)) for version, transaction in answer]
        await _take(writer, chunk or [(last, EMPTY_TRANSACTION)], last)  # nothing is at ``last``, and the next push names it


async def _take(writer: Writer, chunk: list[tuple[Version, bytes]], last: Version) -> None:
    for version, transaction in chunk:
        if not writer.last < version <= last:
            raise InvalidCommand(f"the source gives version {version} after {writer.last}")
        check_transaction(transaction)
        writer.append(version, transaction, None)
    await writer.quiet()
    if writer.durable != chunk[-1][0]:
        raise writer.failed or StorageFault("ENOSPC", "the segments")
