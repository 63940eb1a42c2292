"""News waiting for a server: in order, numbered when first sent, kept until acknowledged, sent again to the next server.

Pure. Bounded without ever losing an exit: what a worker says of itself is merged, newest over oldest, while an earlier word of the same
worker is still unacknowledged. So a worker that talks without end costs one message per answer of the server, and delays nobody.
"""

from dataclasses import MISSING, fields, replace
from typing import Any, Final

from foreman.supervisor.protocol import MAX_OUTSTANDING_NEWS, Exited, News, Notified, OutputLost, StartFailed, WatchdogOverdue

WINDOW: Final = 1_024
"""Sent and not yet acknowledged, at most."""

_REPEATED: Final = Notified | OutputLost | WatchdogOverdue
_Key = tuple[str, type]
NOTHING_SAID: Final[dict[str, Any]] = {field.name: field.default for field in fields(Notified) if field.default is not MISSING}


class NewsBuffer:
    def __init__(self) -> None:
        self._waiting: dict[_Key, News] = {}
        self._sent: dict[int, News] = {}
        self._next_seq = 1
        self._in_flight: set[_Key] = set()
        self._ended: set[str] = set()

    @property
    def full(self) -> bool:
        return len(self._waiting) + len(self._sent) >= MAX_OUTSTANDING_NEWS

    @property
    def empty(self) -> bool:
        return not self._waiting and not self._sent

    def has_ended(self, incarnation: str) -> bool:
        """Whether its end is among the news that no server has acknowledged yet."""
        return incarnation in self._ended

    def add(self, news: News) -> None:
        """Of each kind a start has one that waits: most can happen only once, the others are merged."""
        key = news.incarnation, type(news)
        before = self._waiting.get(key)
        if isinstance(before, Notified) and isinstance(news, Notified):
            news = merged(before, news)
        self._waiting[key] = news
        if isinstance(news, Exited | StartFailed):
            self._ended.add(news.incarnation)

    def take(self) -> list[tuple[int, News]]:
        """What may be sent now, numbered."""
        taken = []
        for key, news in list(self._waiting.items()):
            if len(self._sent) >= WINDOW:
                break
            if key in self._in_flight and news.incarnation not in self._ended:
                continue
            del self._waiting[key]
            self._sent[self._next_seq] = news
            if isinstance(news, _REPEATED):
                self._in_flight.add(key)
            taken.append((self._next_seq, news))
            self._next_seq += 1
        return taken

    def unacknowledged(self) -> list[tuple[int, News]]:
        """What was sent to an earlier server and never acknowledged: to be sent first, with the same numbers."""
        return list(self._sent.items())

    def acknowledge(self, seq: int) -> None:
        while self._sent and (first := next(iter(self._sent))) <= seq:
            news = self._sent.pop(first)
            self._in_flight.discard((news.incarnation, type(news)))
            if isinstance(news, Exited | StartFailed):
                self._ended.discard(news.incarnation)


def merged(before: Notified, after: Notified) -> Notified:
    """What both say, the newer over the older."""
    silent = (name for name, nothing in NOTHING_SAID.items() if getattr(after, name) == nothing)
    return replace(after, **{name: getattr(before, name) for name in silent})
