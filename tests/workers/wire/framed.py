"""A command as it stands on the wire, made by hand: not by the library that reads it."""


def command(*words: bytes) -> bytes:
    """An array of bulk strings."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
