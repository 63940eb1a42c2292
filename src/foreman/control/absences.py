"""Since when each storage worker of the layout is away, by the leader's own clock. Pure.

Kept over the epochs of one leader; a new leader begins to count anew, so that nobody is given up too early.
"""

from collections.abc import Iterable

from foreman.directory.records import Placement


class Absences:
    def __init__(self) -> None:
        self._since: dict[Placement, float] = {}

    def see(self, away: Iterable[Placement], now: float) -> None:
        """``away``: all that should be there and are not."""
        self._since = {worker: self._since.get(worker, now) for worker in away}

    def since(self, worker: Placement) -> float | None:
        return self._since.get(worker)

    def is_given_up(self, worker: Placement, replace_after_s: float, now: float) -> bool:
        """Whether it has been away for as long as the wish allows."""
        at = self._since.get(worker)
        return at is not None and now - at >= replace_after_s

    def next_end(self, replace_after_s: float, now: float) -> float | None:
        """When the next one will be given up."""
        return min((at + replace_after_s for at in self._since.values() if at + replace_after_s > now), default=None)
