"""The moment that is stamped on each event: when, for decisions and for people, and fresh randomness.

The only place of the node that reads a clock or a random source for the machine.
"""

import os
import time

from foreman.core.events import Moment


def monotonic_s() -> float:
    """Seconds that never jump. Timers are set and fired on this clock."""
    return time.monotonic()


def now() -> Moment:
    """This moment, never the same twice."""
    return Moment(time.monotonic(), time.time(), int.from_bytes(os.urandom(8), "big"))


def wall_s() -> float:
    """Unix seconds, for people only."""
    return time.time()
