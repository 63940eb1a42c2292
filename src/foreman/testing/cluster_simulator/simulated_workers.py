"""Log and storage workers as far as a recovery can tell them from real ones: what they hold, what they forget in a crash, whom they obey.

Pure. A transaction is its version and what it says, so that two histories which differ at one version are seen to differ; it writes one
key, that follows from what it says. Storage workers hold everything of their keys through ``latest`` and forget what is above ``durable``
when they crash; logs forget nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from zlib import crc32

from foreman.control.attempt import Attempt
from foreman.control.ports import Following
from foreman.core.data_errors import (
    DurableVersionAhead,
    InvalidCommand,
    Locked,
    NewerEpochExists,
    NewerLockExists,
    NotLocked,
    TransactionOutOfOrder,
    VersionTooNew,
    VersionTooOld,
)
from foreman.workers.storage.key_range import ALL_KEYS, KeyRange

COPY_PAGES: Final = 8
"""A copy comes in so many steps."""


@lru_cache(maxsize=100_000)
def key_of(what: str) -> bytes:
    """The key that a transaction writes: a letter."""
    return b"%c" % (ord("a") + crc32(what.encode()) % 26)


@dataclass
class Obedience:
    """The newest lock there ever was, and whether it is held."""

    generation: int = 0
    recovery_id: str = ""
    held: bool = False

    def lock(self, attempt: Attempt) -> None:
        newer = attempt.epoch < self.generation or (attempt.epoch == self.generation and attempt.recovery_id != self.recovery_id)
        spent = (attempt.epoch, attempt.recovery_id) == (self.generation, self.recovery_id) and not self.held
        if newer or spent:
            raise NewerLockExists(self.generation, self.recovery_id)
        self.generation, self.recovery_id, self.held = attempt.epoch, attempt.recovery_id, True

    def check(self, attempt: Attempt) -> None:
        """Only who locked may unlock. Raises NewerLockExists."""
        if (attempt.epoch, attempt.recovery_id) != (self.generation, self.recovery_id):
            raise NewerLockExists(self.generation, self.recovery_id)


@dataclass
class SimulatedLog:
    epoch: int = 0
    oldest: int = 0
    records: dict[int, str] = field(default_factory=dict)
    last: int = 0
    lock: Obedience = field(default_factory=Obedience)
    recovered: tuple[int, int] | None = None

    def push(self, epoch: int, version: int, previous: int, what: str) -> None:
        if self.lock.held:
            raise Locked
        if epoch < self.epoch:
            raise NewerEpochExists(self.epoch)
        if self.records.get(version) == what:
            return
        if previous != self.last or version <= previous:
            raise TransactionOutOfOrder(self.last)
        self.records[version], self.last, self.epoch = what, version, epoch

    def recover(self, attempt: Attempt, source: "SimulatedLog | None", first: int, last: int) -> None:
        self.lock.check(attempt)
        if not self.lock.held:
            if self.recovered == (first, last):
                return
            raise NotLocked
        if source is not None:
            source.check_source(first, last)
        copied = {} if source is None else {version: what for version, what in source.records.items() if first < version <= last}
        self.records, self.oldest, self.last, self.recovered = copied, first, last, (first, last)
        self.epoch, self.lock.held = self.lock.generation, False

    def check_source(self, first: int, last: int) -> None:
        """Raises what a recovery pull of that does."""
        if not self.lock.held:
            raise NotLocked
        if first < self.oldest:
            raise VersionTooOld(self.oldest)
        if last > self.last:
            raise VersionTooNew(self.last)

    def crash(self) -> None:
        """Everything here was durable."""


@dataclass
class SimulatedStorage:
    """``logs`` and ``replicas``: endpoints. ``whole`` False: it is still to be copied from replicas."""

    keys: KeyRange = ALL_KEYS
    pages: int = 0
    layout_epoch: int = 0
    durable: int = 0
    latest: int = 0
    whole: bool = True
    data: dict[int, str] = field(default_factory=dict)
    logs: tuple[str, ...] = ()
    replicas: tuple[str, ...] = ()
    lock: Obedience = field(default_factory=Obedience)
    unlocked_with: object = None

    @property
    def sound_durable(self) -> int:
        return self.durable if self.whole else 0

    def unlock(self, attempt: Attempt, version: int, following: Following) -> None:
        told = (attempt, version, following)
        self.lock.check(attempt)
        if not self.lock.held:
            if self.unlocked_with == told:
                return
            raise NotLocked
        if following.reset or not self.whole:
            self.data, self.durable, self.latest, self.whole = {}, 0, 0, True
        elif self.durable and not self.keys.covers(following.key_range.begin, following.key_range.end):
            raise InvalidCommand("key_range is wider than what this worker holds")
        if self.durable > max(version, following.last):
            raise DurableVersionAhead(self.durable, max(version, following.last))
        self._forget_after(max(version, self.durable))
        self.keys, self.pages = following.key_range, 0
        self.data = {each: what for each, what in self.data.items() if self.keys.contains(key_of(what))}
        self.logs, self.replicas = tuple(following.logs.values()), following.replicas
        self.layout_epoch, self.lock.held, self.unlocked_with = attempt.epoch, False, told

    def follow(self, log: SimulatedLog) -> None:
        """Everything that the log has and this lacks."""
        for version in range(self.latest + 1, log.last + 1):
            if version in log.records and self.keys.contains(key_of(log.records[version])):
                self.data[version] = log.records[version]
        self.latest = max(self.latest, log.last)

    def copy(self, replicas: "Iterable[SimulatedStorage]", oldest: int) -> None:
        """From those that are whole and have what the logs, from ``oldest`` on, do not, if all keys can be had there. It takes a while."""
        sources: list[SimulatedStorage] = []
        at: bytes | None = self.keys.begin
        able = [each for each in replicas if each is not self and each.whole and each.latest >= oldest]
        while at is not None and (self.keys.end is None or at < self.keys.end):
            source = next((each for each in able if each.keys.contains(at)), None)
            if source is None:
                return
            sources.append(source)
            at = source.keys.end
        self.pages += 1
        if self.pages < COPY_PAGES:
            return
        self.durable = self.latest = min(source.latest for source in sources)
        copied = (pair for source in sources for pair in source.data.items())
        self.data = {version: what for version, what in copied if version <= self.latest and self.keys.contains(key_of(what))}
        self.whole = True

    def crash(self) -> None:
        """It comes back with what was durable."""
        self._forget_after(self.durable)

    def _forget_after(self, version: int) -> None:
        self.data = {each: what for each, what in self.data.items() if each <= version}
        self.latest = min(self.latest, version)


SimulatedWorker = SimulatedLog | SimulatedStorage
