"""The newest transactions, in memory: readers that follow closely and retries of the last pushes never touch the disk. Pure.

A queue with two marks: what is durable may be given to readers, what is not may only be compared with a retry. Bounded by bytes; what
is not durable stays whatever it takes, because a queue elsewhere bounds it.
"""

from bisect import bisect_right
from collections.abc import Iterator

from foreman.core.mutations import Version

_TRIM_AT = 1024


class Recent:
    """``base``: all versions after it that the log has are here."""

    def __init__(self, base: Version, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.clear(base)

    def clear(self, base: Version) -> None:
        """Forget everything; the log's last version is ``base``."""
        self.base = self.durable = base
        self._versions: list[Version] = []
        self._transactions: list[bytes] = []
        self._start = 0
        self.size_bytes = 0

    def add(self, version: Version, transaction: bytes) -> None:
        self._versions.append(version)
        self._transactions.append(transaction)
        self.size_bytes += len(transaction)

    def now_durable(self, version: Version) -> None:
        """Everything through ``version`` may be read. Lets go of the oldest beyond the bound."""
        self.durable = version
        if self.size_bytes > self._max_bytes:
            self._let_go(version)
        if self._start >= _TRIM_AT and self._start * 2 > len(self._versions):
            del self._versions[: self._start], self._transactions[: self._start]
            self._start = 0

    def _let_go(self, durable: Version) -> None:
        start, size, versions, transactions = self._start, self.size_bytes, self._versions, self._transactions
        while size > self._max_bytes and versions[start] < durable:
            size -= len(transactions[start])
            transactions[start] = b""
            start += 1
        if start > self._start:
            self.base = versions[start - 1]
        self._start, self.size_bytes = start, size

    def drop_after(self, version: Version) -> None:
        """What is after ``version`` was refused after all."""
        kept = bisect_right(self._versions, version)
        self.size_bytes -= sum(map(len, self._transactions[kept:]))
        del self._versions[kept:], self._transactions[kept:]

    def find(self, version: Version) -> tuple[Version, bytes] | None:
        """The version before it, and the transaction at ``version``, which is after ``base``; None when there is none."""
        place = bisect_right(self._versions, version, self._start) - 1
        if place < self._start or self._versions[place] != version:
            return None
        return self._versions[place - 1] if place > self._start else self.base, self._transactions[place]

    def after(self, version: Version) -> Iterator[tuple[Version, bytes]]:
        """The durable ones after ``version``, which is ``base`` or later."""
        for place in range(bisect_right(self._versions, version, self._start), len(self._versions)):
            if self._versions[place] > self.durable:
                return
            yield self._versions[place], self._transactions[place]
