"""What a directory does, whatever stands behind it: SQLite on one machine, etcd in a cluster.

A small ordered map of bytes to bytes with one history: each transaction that changes something makes the next *revision*. The
meaning is etcd's (version 3): a key carries the revisions at which it was created and last changed; a *lease* that runs out takes
its keys with it, all in one revision; a *watch* tells every change in order, from any revision that is still kept.

Every call answers or fails within the engine's time-out. Nothing here waits for a directory to come back: that is for the caller,
who knows what to do meanwhile (``directory.following`` for watches, the gateway for registrations). Raises, everywhere:
DirectoryUnavailable.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, NewType, Self

from foreman.directory.errors import InvalidTransaction

LeaseId = NewType("LeaseId", int)

MAX_OPERATIONS: Final = 4_096
"""In one transaction. etcd allows 128 at each level by default; its engine nests them."""
MAX_COMPARISONS: Final = 64
MAX_KEY_BYTES: Final = 1_024
MAX_TRANSACTION_BYTES: Final = 1_400_000
"""Keys and values together: etcd refuses requests over 1.5 MiB by default."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """All keys with ``begin <= key < end``; ``end`` None: to the last key."""

    begin: bytes
    end: bytes | None

    @classmethod
    def of_key(cls, key: bytes) -> Self:
        return cls(key, key + b"\0")

    @classmethod
    def of_prefix(cls, prefix: bytes) -> Self:
        """All keys that begin with ``prefix``, which is not empty."""
        stem = prefix.rstrip(b"\xff")
        return cls(prefix, stem[:-1] + bytes([stem[-1] + 1]) if stem else None)

    def __contains__(self, key: bytes) -> bool:
        return self.begin <= key and (self.end is None or key < self.end)


@dataclass(frozen=True, slots=True)
class KeyValue:
    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    lease: LeaseId | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The entries of a range, sorted by key, as they were at ``revision``. ``more``: a limit cut it short."""

    revision: int
    entries: tuple[KeyValue, ...]
    more: bool = False


# --- transactions ---


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Holds when the key was last changed at exactly this revision."""

    key: bytes
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Absent:
    key: bytes


@dataclass(frozen=True, slots=True)
class Present:
    key: bytes


Comparison = Unchanged | Absent | Present


def as_it_is(key: bytes, there: KeyValue | None) -> Comparison:
    """That nobody has changed the key since ``there`` (None: nothing) was read there."""
    return Absent(key) if there is None else Unchanged(key, there.mod_revision)


@dataclass(frozen=True, slots=True)
class Put:
    """Under a lease, the key goes when the lease does. Without, it stays, also through a loss of power."""

    key: bytes
    value: bytes
    lease: LeaseId | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Deleting what is not there changes nothing."""

    keys: KeyRange

    @classmethod
    def key(cls, key: bytes) -> Self:
        return cls(KeyRange.of_key(key))


Operation = Put | Delete


@dataclass(frozen=True, slots=True)
class Committed:
    """``succeeded`` False: a comparison did not hold and nothing was changed. ``revision``: of the directory after it."""

    succeeded: bool
    revision: int


# --- watching ---


@dataclass(frozen=True, slots=True)
class Deleted:
    key: bytes
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Changes:
    """All that one revision changed within the watched range, whole and in order."""

    revision: int
    events: tuple[KeyValue | Deleted, ...]


# --- leases ---


@dataclass(frozen=True, slots=True)
class Lease:
    """``ttl_s``: what the directory granted, at least what was asked for."""

    id: LeaseId
    ttl_s: float


class Directory(ABC):
    """One directory. Constructing does no I/O; the first call connects, and so does each call after an outage."""

    @property
    @abstractmethod
    def url(self) -> str:
        """For people: where it is, without any password."""

    @abstractmethod
    async def read(self, keys: KeyRange, *, revision: int | None = None, limit: int | None = None) -> Snapshot:
        """The range now, or as it was at ``revision``. Raises Compacted, FutureRevision."""

    @abstractmethod
    async def transact(self, comparisons: Sequence[Comparison], operations: Sequence[Operation]) -> Committed:
        """All of the operations when all comparisons hold, else none; one revision.

        Raises LeaseExpired (nothing was changed), InvalidTransaction (a key written twice, or too large). After
        DirectoryUnavailable it may or may not have happened; compare revisions, so that a late one cannot.
        """

    @abstractmethod
    def watch(self, keys: KeyRange, *, after: int) -> AsyncGenerator[Changes, None]:
        """Every change after revision ``after``, in order, without end. Close the iterator (``contextlib.aclosing``).

        Raises Compacted when ``after`` is no longer kept, FutureRevision when it never was; on an outage DirectoryUnavailable:
        watch again after the last revision seen.
        """

    @abstractmethod
    async def grant_lease(self, ttl_s: float) -> Lease: ...

    @abstractmethod
    async def keep_alive(self, lease: LeaseId) -> float:
        """The lease lives on for the returned seconds, counted from before this call. Raises LeaseExpired."""

    @abstractmethod
    async def revoke_lease(self, lease: LeaseId) -> None:
        """End the lease with its keys, in one revision. One that is gone already: nothing."""

    @abstractmethod
    async def compact(self, revision: int) -> None:
        """Forget what was before ``revision``, which itself stays readable. Raises FutureRevision; done already: nothing."""

    @abstractmethod
    async def close(self) -> None:
        """Idempotent. Leases go on until they run out; watches end with DirectoryUnavailable."""

    async def get(self, key: bytes) -> KeyValue | None:
        entries = (await self.read(KeyRange.of_key(key))).entries
        return entries[0] if entries else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()


def check_transaction(comparisons: Sequence[Comparison], operations: Sequence[Operation]) -> None:
    """What every engine refuses alike. Raises InvalidTransaction."""
    if len(comparisons) > MAX_COMPARISONS:
        raise InvalidTransaction(f"{len(comparisons)} comparisons, at most {MAX_COMPARISONS}")
    if len(operations) > MAX_OPERATIONS:
        raise InvalidTransaction(f"{len(operations)} operations, at most {MAX_OPERATIONS}")
    puts = [operation for operation in operations if isinstance(operation, Put)]
    ranges = [operation.keys for operation in operations if isinstance(operation, Delete)]
    for key in (*(c.key for c in comparisons), *(put.key for put in puts), *(keys.begin for keys in ranges)):
        if not 0 < len(key) <= MAX_KEY_BYTES:
            raise InvalidTransaction(f"a key of {len(key)} bytes, 1 to {MAX_KEY_BYTES} are allowed")
    size_bytes = sum(len(put.key) + len(put.value) for put in puts) + sum(len(keys.begin) for keys in ranges)
    if size_bytes > MAX_TRANSACTION_BYTES:
        raise InvalidTransaction(f"{size_bytes} bytes, at most {MAX_TRANSACTION_BYTES}")
    _check_once_each(puts, ranges)


def _check_once_each(puts: Sequence[Put], ranges: Sequence[KeyRange]) -> None:
    if len({put.key for put in puts}) < len(puts):
        raise InvalidTransaction("a key is put twice")
    singles = {keys.begin for keys in ranges if keys == KeyRange.of_key(keys.begin)}
    wide = [keys for keys in ranges if keys != KeyRange.of_key(keys.begin)]
    for put in puts:
        if put.key in singles or any(put.key in keys for keys in wide):
            raise InvalidTransaction("a key is put and deleted")
