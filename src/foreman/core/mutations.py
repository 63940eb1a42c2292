"""What a transaction is: a list of mutations, applied in order at one version.

Limits (bytes): keys 10,000, values 100,000, an encoded transaction 10,000,000. The encoding stands in workers/wire/.
"""

from dataclasses import dataclass
from typing import Final

MAX_KEY_BYTES: Final = 10_000
MAX_VALUE_BYTES: Final = 100_000
MAX_TRANSACTION_BYTES: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Set:
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Clear:
    key: bytes


@dataclass(frozen=True, slots=True)
class ClearRange:
    """Clears ``begin <= key < end``."""

    begin: bytes
    end: bytes


Mutation = Set | Clear | ClearRange
Version = int
"""Unsigned 64 bits, ever increasing, gaps allowed."""

MAX_VERSION: Final = 2**64 - 1
