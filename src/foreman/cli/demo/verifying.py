"""Reading every key back from a storage worker at the last version, and comparing it with what was in the files."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.progress import Progress

from foreman.cli.demo.tree import combined
from foreman.core.data_errors import VersionTooNew
from foreman.workers.clients import StorageClient
from foreman.workers.clients.replica import Where

READ_AT_ONCE: Final = 50
READ_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """``missing``, ``different`` and ``extra``: counts of keys."""

    id: str
    keys: int
    missing: int
    different: int
    extra: int
    digest: str

    @property
    def identical(self) -> bool:
        return not (self.missing or self.different or self.extra)

    @property
    def sentence(self) -> str:
        if self.identical:
            return "identical"
        return f"NOT IDENTICAL: {self.missing} missing, {self.different} different, {self.extra} that no file has"


async def verify(
    id: str,
    where: Where,
    last: int,
    expected: Mapping[bytes, bytes],
    progress: Progress,
    *,
    begin: bytes = b"",
    end: bytes | None = None,
    security: Mapping[str, Any] | None = None,
) -> Verdict:
    """Compare what one storage worker has from ``begin`` to ``end`` at version ``last``, which is waited for, with the files.

    ``expected``: the SHA-256 of each value, by key. ``security``: as StorageClient's.
    """
    found: dict[bytes, bytes] = {}
    bar = progress.add_task(f"reading {id}", total=len(expected))
    async with asyncio.timeout(READ_S), StorageClient.connect(where, timeout=READ_S, security=security) as storage:
        more = True
        while more:
            try:
                pairs, more = await storage.get_range(begin, end, version=last, limit=READ_AT_ONCE)
            except VersionTooNew:
                continue  # each time it was waited for on the other side
            found |= {key: hashlib.sha256(value).digest() for key, value in pairs}
            begin = pairs[-1][0] + b"\0" if pairs else begin
            progress.advance(bar, len(pairs))
    missing = expected.keys() - found.keys()
    different = sum(1 for key, digest in expected.items() if found.get(key, digest) != digest)
    extra = len(found.keys() - expected.keys())
    return Verdict(id, len(found), len(missing), different, extra, combined(found))
