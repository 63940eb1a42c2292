"""A directory tree as key-value transactions: each file is cut into values that a log takes, keyed by its path and the cut's number."""

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from foreman.core.mutations import MAX_VALUE_BYTES, Set

TRANSACTION_BYTES: Final = 256_000
ENOUGH_SHARE: Final = 0.99
_LEFT_OUT: Final = frozenset({"__pycache__", "site-packages", "dist-packages", ".git"})


def standard_library() -> Path:
    """Where this Python keeps its standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def find_files(root: Path, limit_bytes: int) -> list[Path]:
    """Regular readable files under ``root`` in a fixed order, about ``limit_bytes`` altogether. Links are not followed.

    A file that does not fit any more is left out; when nearly nothing fits, nothing more is looked for.
    """
    found: list[Path] = []
    size_bytes = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file() or not os.access(path, os.R_OK):
                continue
            if (with_it := size_bytes + path.stat().st_size) <= limit_bytes:
                found.append(path)
                size_bytes = with_it
            elif size_bytes > ENOUGH_SHARE * limit_bytes:
                return found
    return found


@dataclass(slots=True)
class Expected:
    """What every storage worker must hold in the end: the SHA-256 of each value, by key."""

    digests: dict[bytes, bytes] = field(default_factory=dict)
    size_bytes: int = 0

    def note(self, key: bytes, value: bytes) -> None:
        self.digests[key] = hashlib.sha256(value).digest()
        self.size_bytes += len(value)

    def digest(self) -> str:
        """One SHA-256 over all keys and values, in order of the keys."""
        return combined(self.digests)


def combined(digests: dict[bytes, bytes]) -> str:
    """One SHA-256 over keys and the digests of their values, in order of the keys."""
    whole = hashlib.sha256()
    for key in sorted(digests):
        whole.update(len(key).to_bytes(4, "big") + key + digests[key])
    return whole.hexdigest()


def transactions(root: Path, files: list[Path], expected: Expected, about_bytes: int = TRANSACTION_BYTES) -> Iterator[list[Set]]:
    """The files as transactions of about so many bytes; what is in them is noted in ``expected``."""
    batch: list[Set] = []
    size_bytes = 0
    for path in files:
        name = os.fsencode(path.relative_to(root))
        for number, value in enumerate(_cuts(path)):
            key = b"%s#%06d" % (name, number)
            expected.note(key, value)
            batch.append(Set(key, value))
            size_bytes += len(key) + len(value)
            if size_bytes >= about_bytes:
                yield batch
                batch, size_bytes = [], 0
    if batch:
        yield batch


def _cuts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield file.read(MAX_VALUE_BYTES)
        while value := file.read(MAX_VALUE_BYTES):
            yield value
