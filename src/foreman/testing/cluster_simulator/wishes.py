"""What people wish for, by seed: where they cut the key space."""

from random import Random
from typing import Final

CUTS: Final = (b"g", b"m", b"s")


def splits_by(chance: Random) -> tuple[bytes, ...]:
    """Nowhere to three times."""
    return tuple(sorted(chance.sample(CUTS, chance.randint(0, len(CUTS)))))
