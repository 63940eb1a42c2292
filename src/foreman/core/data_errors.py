"""What log and storage workers answer when they do not answer with data.

On the wire each is a RESP error whose first word is ``word`` and whose next words are the facts, so that any Redis client
can read it and ours can rebuild the class (:func:`data_error_from_wire`).
"""

from typing import ClassVar

from foreman.core.errors import ForemanError

__all__ = [
    "DataPlaneError",
    "DurableVersionAhead",
    "InvalidCommand",
    "Locked",
    "NewerEpochExists",
    "NewerLockExists",
    "NotLocked",
    "NotReady",
    "StorageFault",
    "TooLarge",
    "TooManyParked",
    "TransactionOutOfOrder",
    "VersionTooNew",
    "VersionTooOld",
    "WrongKeyRange",
]


class DataPlaneError(ForemanError, code="data_plane_error", status=500):
    word: ClassVar[str] = "ERR"

    def __init_subclass__(cls, *, word: str = "", code: str = "", status: int = 0, fields: tuple[str, ...] = ()) -> None:
        super().__init_subclass__(code=code, status=status, fields=fields)
        cls.word = word or cls.word

    def wire(self) -> str:
        """The error line without its leading minus."""
        facts = " ".join(str(value) for value in self.facts().values())
        return f"{self.word} {facts} {self}".replace("\r", " ").replace("\n", " ")


class TransactionOutOfOrder(DataPlaneError, code="transaction_out_of_order", status=409, word="TXOUTOFORDER", fields=("expected",)):
    """``expected``: the previous_version the log would take now (its last version)."""

    def __init__(self, expected: int) -> None:
        super().__init__(expected)
        self.expected = int(expected)

    def __str__(self) -> str:
        return f"the log expects previous version {self.expected}"


class Locked(DataPlaneError, code="locked", status=409, word="LOCKED"):
    def __str__(self) -> str:
        return "the worker is locked for recovery"


class NotLocked(DataPlaneError, code="not_locked", status=409, word="NOTLOCKED"):
    def __str__(self) -> str:
        return "only a locked worker does this"


class NotReady(DataPlaneError, code="not_ready", status=503, word="NOTREADY"):
    def __str__(self) -> str:
        return "the worker is not ready yet; try again"


class NewerEpochExists(DataPlaneError, code="newer_epoch_exists", status=409, word="NEWEREPOCH", fields=("epoch",)):
    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.epoch = int(epoch)

    def __str__(self) -> str:
        return f"epoch {self.epoch} has begun; this caller is deposed"


class NewerLockExists(DataPlaneError, code="newer_lock_exists", status=409, word="NEWERLOCK", fields=("generation", "recovery_id")):
    """``generation`` and ``recovery_id`` of the lock that is held and newer."""

    def __init__(self, generation: int, recovery_id: str) -> None:
        super().__init__(generation, recovery_id)
        self.generation, self.recovery_id = int(generation), str(recovery_id)

    def __str__(self) -> str:
        return f"the worker is locked by a newer recovery ({self.generation}, {self.recovery_id})"


class VersionTooOld(DataPlaneError, code="version_too_old", status=410, word="VERSIONTOOOLD", fields=("oldest",)):
    def __init__(self, oldest: int) -> None:
        super().__init__(oldest)
        self.oldest = int(oldest)

    def __str__(self) -> str:
        return f"the oldest version kept is {self.oldest}"


class VersionTooNew(DataPlaneError, code="version_too_new", status=425, word="VERSIONTOONEW", fields=("newest",)):
    def __init__(self, newest: int) -> None:
        super().__init__(newest)
        self.newest = int(newest)

    def __str__(self) -> str:
        return f"the newest version here is {self.newest}"


class WrongKeyRange(DataPlaneError, code="wrong_key_range", status=421, word="WRONGRANGE", fields=("begin", "end")):
    """The worker holds begin <= key < end only; "" as ``end``: through the last key. Unprintable bytes are ``%XX``, as in URLs."""

    def __init__(self, begin: str, end: str) -> None:
        super().__init__(begin, end)
        self.begin, self.end = begin, end

    def __str__(self) -> str:
        through = f"below {self.end}" if self.end else "through the last"
        return f"this worker holds only the keys from {self.begin or 'the first'} {through}; ask one that holds the others"


class DurableVersionAhead(
    DataPlaneError, code="durable_version_ahead", status=409, word="DURABLEAHEAD", fields=("durable_version", "last_version")
):
    """``durable_version`` is on this worker's disk and cannot be rolled back; what it was to go on from ends at ``last_version``."""

    def __init__(self, durable_version: int, last_version: int) -> None:
        super().__init__(durable_version, last_version)
        self.durable_version, self.last_version = int(durable_version), int(last_version)

    def __str__(self) -> str:
        return (
            f"version {self.durable_version} is durable here and the logs are said to end at {self.last_version}: "
            "reset this worker, or use another"
        )


class TooLarge(DataPlaneError, code="too_large", status=413, word="TOOLARGE", fields=("what", "size", "limit")):
    """``what`` (one word) has ``size`` bytes; ``limit`` are allowed."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(what, size, limit)
        self.what, self.size, self.limit = what, int(size), int(limit)

    def __str__(self) -> str:
        return f"the {self.what} has {self.size} bytes; the limit is {self.limit}"


class TooManyParked(DataPlaneError, code="too_many_parked", status=503, word="TOOMANYPARKED", fields=("limit",)):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = int(limit)

    def __str__(self) -> str:
        return f"{self.limit} requests wait already; try again later"


class StorageFault(DataPlaneError, code="storage_fault", status=507, word="IOFAULT", fields=("errno_name", "path")):
    """The disk failed. ``errno_name`` as in errno.h; ``path`` where."""

    def __init__(self, errno_name: str, path: str) -> None:
        super().__init__(errno_name, path)
        self.errno_name, self.path = errno_name, path

    def __str__(self) -> str:
        return f"{self.errno_name} at {self.path}"


class InvalidCommand(DataPlaneError, code="invalid_command", status=422, word="ERR", fields=("problem",)):
    """A command that is unknown or has wrong arguments. ``problem``: one sentence."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def wire(self) -> str:
        return f"{self.word} {self.problem}".replace("\r", " ").replace("\n", " ")

    def __str__(self) -> str:
        return self.problem


def _by_word() -> dict[str, type[DataPlaneError]]:
    return {kind.word: kind for kind in DataPlaneError.__subclasses__()}


def data_error_from_wire(line: str) -> DataPlaneError:
    """The class behind an error line of a worker; an unknown word is an InvalidCommand that carries the line."""
    word, _, rest = line.partition(" ")
    kind = _by_word().get(word, InvalidCommand)
    if kind is InvalidCommand:
        return InvalidCommand(rest if word == "ERR" else line)
    parts = rest.split(" ")
    if len(parts) < len(kind.fields):
        return InvalidCommand(line)
    try:
        return kind(*parts[: len(kind.fields)])
    except ValueError:
        return InvalidCommand(line)
