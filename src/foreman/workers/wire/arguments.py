"""Words of a command into values, or InvalidCommand. Pure."""

from foreman.core.data_errors import InvalidCommand
from foreman.core.mutations import MAX_VERSION

_MAX_DIGITS = 20


def parse_unsigned(word: bytes, what: str, most: int = MAX_VERSION) -> int:
    """A decimal integer from 0 to ``most``. ``what`` names it in the error."""
    if word.isdigit() and len(word) <= _MAX_DIGITS:
        value = int(word)
        if value <= most:
            return value
    raise InvalidCommand(f"{what} must be a decimal integer from 0 to {most}, not {show(word)}")


def parse_text(word: bytes, what: str, most_bytes: int = 256) -> str:
    """Printable ASCII without spaces, 1 to ``most_bytes`` of it: an id, an endpoint."""
    if 0 < len(word) <= most_bytes and all(33 <= byte <= 126 for byte in word):
        return word.decode("ascii")
    raise InvalidCommand(f"{what} must be 1 to {most_bytes} printable characters without spaces, not {show(word)}")


def show(word: bytes) -> str:
    """A word as an error may repeat it: short and printable."""
    return repr(word[:40].decode("ascii", "backslashreplace"))
