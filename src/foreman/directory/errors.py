"""What the directory answers when it does not answer with data.

    DirectoryError
    ├─ DirectoryUnavailable      nobody answered in time, or could not; a write may or may not have happened
    │  └─ DirectoryCorrupt       the SQLite file is damaged or not ours
    ├─ LeaseExpired              the lease is gone, and with it all that stood under it
    ├─ Compacted                 the revision asked for is no longer kept: read again
    ├─ FutureRevision            the revision asked for has not been: the directory was emptied or replaced
    ├─ InvalidTransaction        no directory could do this
    └─ InvalidRecord             bytes in the directory that are no record

A comparison that does not hold is no error but an answer (``Committed.succeeded``).
"""

from typing import ClassVar

from foreman.core.errors import ForemanError


class DirectoryError(ForemanError):
    code, http_status = "directory_error", 503


class DirectoryUnavailable(DirectoryError):
    """After a write: it may or may not have happened. Read before deciding what to do next."""

    code, http_status = "directory_unavailable", 503
    fields: ClassVar[tuple[str, ...]] = ("url", "reason")

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url, self.reason = url, reason

    def __str__(self) -> str:
        return f"the directory {self.url} does not answer: {self.reason}"


class DirectoryCorrupt(DirectoryUnavailable):
    code, http_status = "directory_corrupt", 503
    fields: ClassVar[tuple[str, ...]] = ("url", "reason")

    def __str__(self) -> str:
        return (
            f"the directory {self.url} cannot be used: {self.reason}. Move the file and its -wal and -shm away: nodes and services come "
            "back by themselves; the cluster's wish must be given again (`foreman cluster configure`)"
        )


class LeaseExpired(DirectoryError):
    code, http_status = "lease_expired", 409
    fields: ClassVar[tuple[str, ...]] = ("lease",)

    def __init__(self, lease: int) -> None:
        super().__init__(lease)
        self.lease = lease

    def __str__(self) -> str:
        return f"lease {self.lease:x} has run out or was revoked"


class Compacted(DirectoryError):
    """``oldest``: the oldest revision that can still be read, or 0 when the engine does not tell."""

    code, http_status = "compacted", 410
    fields: ClassVar[tuple[str, ...]] = ("revision", "oldest")

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(revision, oldest)
        self.revision, self.oldest = revision, oldest

    def __str__(self) -> str:
        return f"revision {self.revision} of the directory is no longer kept (oldest: {self.oldest or 'unknown'}); read again"


class FutureRevision(DirectoryError):
    """``current`` 0 when the engine does not tell."""

    code, http_status = "future_revision", 409
    fields: ClassVar[tuple[str, ...]] = ("revision", "current")

    def __init__(self, revision: int, current: int) -> None:
        super().__init__(revision, current)
        self.revision, self.current = revision, current

    def __str__(self) -> str:
        return (
            f"the directory has no revision {self.revision} yet (it is at {self.current or 'an earlier one'}): "
            "it was emptied, restored from an old copy or replaced"
        )


class InvalidTransaction(DirectoryError):
    code, http_status = "invalid_transaction", 422
    fields: ClassVar[tuple[str, ...]] = ("reason",)

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"no directory can do this transaction: {self.reason}"


class InvalidRecord(DirectoryError):
    code, http_status = "invalid_record", 500
    fields: ClassVar[tuple[str, ...]] = ("key", "reason")

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return f"what stands at {self.key} in the directory is no record: {self.reason}"
