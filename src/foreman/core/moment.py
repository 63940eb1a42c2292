"""When something happened, and fresh randomness: what a pure machine cannot have of its own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moment:
    """``monotonic`` (s) decides; ``wall`` (Unix s) is only shown; ``entropy`` is 64 fresh random bits."""

    monotonic: float
    wall: float
    entropy: int
