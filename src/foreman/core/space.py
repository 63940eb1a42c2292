"""Whether a disk has room: a pure verdict on how much is free and how much must stay free ([disk] min_free)."""

import enum


class SpaceVerdict(enum.StrEnum):
    ENOUGH = "enough"
    LOW = "low"
    """Still working, but less than twice the minimum: somebody should look."""
    TOO_LITTLE = "too_little"
    """Below the minimum: no new worker is made, so that the ones there can go on writing."""


def space_verdict(free_bytes: int, min_free_bytes: int) -> SpaceVerdict:
    """A minimum of 0 is always met."""
    if free_bytes < min_free_bytes:
        return SpaceVerdict.TOO_LITTLE
    return SpaceVerdict.LOW if free_bytes < 2 * min_free_bytes else SpaceVerdict.ENOUGH
