"""What may be given as a time-out, at every way in. Pure."""

import math
from typing import Final

from foreman.core.errors import InvalidRequest

MAX_TIMEOUT_S: Final = 24 * 3600.0


def checked_timeout(timeout: object) -> float:
    """A finite number of seconds above 0; more than a day is a day. Raises InvalidRequest."""
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not math.isfinite(timeout) or timeout <= 0:
        raise InvalidRequest([f"timeout must be a number of seconds above 0, not {repr(timeout)[:80]}"])
    return min(float(timeout), MAX_TIMEOUT_S)
