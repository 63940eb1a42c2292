"""When a group of pushes is large enough to go to the disk. Pure.

Those who have just been answered are likely to push again at once, and one fdatasync for all of them costs the disk no more than one for
half of them. If the next write began with whoever was first, the others would wait for two. So a group waits until it is as large as
what was outstanding when the last one was answered; but not longer than :data:`LONGEST_S`, and not longer than :data:`SILENCE_S` after
the last push came. A single client is never waited for: its next push is all that was outstanding. (PostgreSQL has commit_delay and
commit_siblings for this, MySQL binlog_group_commit_sync_delay; here nobody needs to set anything.)
"""

from typing import Final

SILENCE_S: Final = 60e-6
LONGEST_S: Final = 500e-6


class Gathering:
    """``expected``: how many pushes make the next group whole. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.expected = 0
        self._seen = 0
        self._news_at = self._began_at = 0.0

    def begin(self, now: float) -> None:
        """The first push of a group is there."""
        self._seen = 0
        self._news_at = self._began_at = now

    def is_whole(self, count: int, now: float) -> bool:
        """Whether a group of ``count`` pushes waits no longer. To be asked again and again until it is so."""
        if count >= self.expected:
            return True
        if count > self._seen:
            self._seen, self._news_at = count, now
        return now - self._news_at >= SILENCE_S or now - self._began_at >= LONGEST_S

    def answered(self, count: int, waiting: int) -> None:
        """A group of ``count`` pushes is answered, ``waiting`` have come meanwhile."""
        self.expected = count + waiting
