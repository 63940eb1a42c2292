"""Reading every key back from a storage worker at the last version, and comparing it with what was in the files."""

import hashlib
from dataclasses import dataclass
from typing import Final

from rich.progress import Progress

from foreman.cli.demo.tree import Expected, combined
from foreman.core.interface import ForemanInterface
from foreman.workers.clients import StorageClient

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


async def verify(foreman: ForemanInterface, id: str, last: int, expected: Expected, progress: Progress) -> Verdict:
    """Compare one storage worker, at version ``last``, with the files. Waits until it has that version."""
    found: dict[bytes, bytes] = {}
    bar = progress.add_task(f"reading {id}", total=len(expected.digests))
    async with StorageClient.connect((foreman, id), timeout=READ_S) as storage:
        begin, more = b"", True
        while more:
            pairs, more = await storage.get_range(begin, b"\xff" * 8, version=last, limit=READ_AT_ONCE)
            found |= {key: hashlib.sha256(value).digest() for key, value in pairs}
            begin = pairs[-1][0] + b"\0" if pairs else begin
            progress.advance(bar, len(pairs))
    missing = expected.digests.keys() - found.keys()
    different = sum(1 for key, digest in expected.digests.items() if found.get(key, digest) != digest)
    extra = len(found.keys() - expected.digests.keys())
    return Verdict(id, len(found), len(missing), different, extra, combined(found))
