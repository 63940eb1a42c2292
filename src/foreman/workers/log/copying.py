"""The copy in a recovery: from another log's range into this one, durably, chunk by chunk.

Trusts the source with nothing: each transaction is checked as a push would be, and versions must ascend. Whatever goes wrong, this log
stays locked with what it has, and the same RECOVER goes on from there.
"""

from collections.abc import Mapping
from typing import Any, Final

from foreman.core.data_errors import InvalidCommand, StorageFault
from foreman.core.errors import ForemanTimeout, ForemanUnavailable
from foreman.core.mutations import Version
from foreman.workers.log.recovering import COPY_LIMIT
from foreman.workers.log.writer import Writer
from foreman.workers.wire import check_transaction

EMPTY_TRANSACTION: Final = b"\x90"


async def copy_from(source: str, writer: Writer, last: Version, params: Mapping[str, Any]) -> None:
    """Until the log has everything through ``last``. Raises DataPlaneError."""
    from foreman.workers.clients.log_client import LogClient  # only a recovery needs a client

    try:
        async with LogClient.connect(source, security=params) as client:
            while writer.last < last:
                chunk = await client.pull_encoded(writer.last, limit=COPY_LIMIT, last=last, recovery=True)
                if not chunk:
                    chunk = [(last, EMPTY_TRANSACTION)]  # nothing is at ``last``, and the next push names it as its predecessor
                await _take(writer, chunk, last)
    except (ForemanUnavailable, ForemanTimeout, OSError) as error:
        raise InvalidCommand(f"the source {source} cannot be read: {error}") from error


async def _take(writer: Writer, chunk: list[tuple[Version, bytes]], last: Version) -> None:
    for version, transaction in chunk:
        if not writer.last < version <= last:
            raise InvalidCommand(f"the source gives version {version} after {writer.last}")
        check_transaction(transaction)
        writer.append(version, transaction, None)
    await writer.quiet()
    if writer.durable != chunk[-1][0]:
        raise writer.failed or StorageFault("ENOSPC", "the segments")
