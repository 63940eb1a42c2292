"""Pushes that came before their predecessor. Pure: a bounded waiting room, ordered by what each waits for.

When the log has reached a version, :meth:`Parking.ready` gives back, in order, every push that waited for it or for something before
it; what had been waiting for a version that will never be the last again is judged anew by the caller, as a retry would be.
"""

import heapq
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from foreman.core.data_errors import TooManyParked
from foreman.core.mutations import Version

_Reply = TypeVar("_Reply")


@dataclass(slots=True)
class ParkedPush(Generic[_Reply]):
    """``reply``: where its answer goes. ``gone``: nobody waits for it any more."""

    epoch: int
    version: Version
    previous: Version
    transaction: bytes
    reply: _Reply
    gone: bool = field(default=False)


class Parking(Generic[_Reply]):
    def __init__(self, max_parked: int, max_bytes: int) -> None:
        self._max_parked, self._max_bytes = max_parked, max_bytes
        self._heap: list[tuple[Version, int, ParkedPush[_Reply]]] = []
        self._arrivals = 0
        self.count = self.size_bytes = 0

    def park(self, push: ParkedPush[_Reply]) -> None:
        """Raises TooManyParked."""
        if self.count >= self._max_parked or self.size_bytes + len(push.transaction) > self._max_bytes:
            raise TooManyParked(self._max_parked)
        self._arrivals += 1
        heapq.heappush(self._heap, (push.previous, self._arrivals, push))
        self.count += 1
        self.size_bytes += len(push.transaction)

    def forget(self, push: ParkedPush[_Reply]) -> None:
        """Its client has gone: the transaction goes, too."""
        if not push.gone:
            self._leave(push)

    def ready(self, last: Version) -> ParkedPush[_Reply] | None:
        """The next push that waits for ``last`` or less, taken out; None when there is none."""
        while self._heap and self._heap[0][0] <= last:
            push = heapq.heappop(self._heap)[2]
            if not push.gone:
                self._leave(push)
                return push
        return None

    def take_all(self) -> list[ParkedPush[_Reply]]:
        """Everybody out: the log has been locked."""
        pushes = [push for _, _, push in sorted(self._heap) if not push.gone]
        self._heap = []
        for push in pushes:
            self._leave(push)
        return pushes

    def _leave(self, push: ParkedPush[_Reply]) -> None:
        self.count -= 1
        self.size_bytes -= len(push.transaction)
        push.gone = True
        if self.count == 0:
            self._heap = []
        elif len(self._heap) > 2 * self.count + 16:  # mostly those who went before their turn
            self._heap = [entry for entry in self._heap if not entry[2].gone]
            heapq.heapify(self._heap)
