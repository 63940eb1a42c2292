"""Which of the logs to pull from. Pure.

All logs hold the same transactions, so any will do; one at a time is pulled from, the others stand by. The choice changes when the one
fails, or when another is found to be ahead of it.
"""

from collections.abc import Sequence


class Sources:
    """``current`` is the log to pull from; None when there is none at all."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._failed: dict[str, str] = {}
        self.current: str | None = self._names[0] if self._names else None

    @property
    def failures(self) -> dict[str, str]:
        """Log → why it cannot be used now."""
        return dict(self._failed)

    @property
    def all_failed(self) -> bool:
        return bool(self._names) and len(self._failed) == len(self._names)

    def works(self, name: str) -> None:
        """``name`` answers. It is used at once if the current one does not."""
        self._failed.pop(name, None)
        if self.current in self._failed:
            self.current = name

    def fails(self, name: str, why: str) -> None:
        """``name`` cannot be used now: the next one that can takes over; if none can, the next one is the first to be tried."""
        self._failed[name] = why
        if name == self.current:
            at = self._names.index(name)
            others = self._names[at + 1 :] + self._names[:at]
            self.current = next((other for other in others if other not in self._failed), self.current)

    def is_ahead(self, name: str) -> None:
        """``name`` has had for a while what the current one does not give."""
        if name not in self._failed:
            self.current = name
