"""Who takes which seat: the most seats filled, by the best first, never two of a fault domain in one team while another is free. Pure.

A team has as many seats as there are to be replicas. When the next holder finds no free seat in a team that it fits, those that sit move
over to other teams as far as it takes (augmenting paths: Ford and Fulkerson, 1956). Who sits never loses its seat again, only moves;
so the best come first, and the number of seats filled is the highest there can be. First everybody looks for a team where nobody else is
of its fault domain; then some seats, as many as no domain is free for, are given to doubles.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from foreman.control.holders import Holder, fits
from foreman.workers.storage.key_range import KeyRange

Seat = str | int
"""The one for a fault domain, or a numbered one for any second of a domain."""


def seat(holders: Sequence[Holder], teams: Sequence[KeyRange], seats: int, free: AbstractSet[str]) -> list[list[Holder]]:
    """For each of ``teams``, who sits there; ``holders`` come the best first, each fits a team whose range it covers.

    ``free``: the fault domains where new workers could go.
    """
    tables = [_Table(keys.begin, seats) for keys in teams]
    fitting = {holder: [tables[number] for number in fits(holder.keys, teams)] for holder in holders}
    standing = [holder for holder in holders if not _make_sit(holder, fitting)]
    for table in tables:
        table.doubles = max(0, table.seats - len(table.sitting) - table.missing(free))
    for holder in standing:
        _make_sit(holder, fitting)
    return [table.settled(free) for table in tables]


@dataclass(slots=True)
class _Table:
    """A team, whose range begins at ``begin``. ``doubles``: how many of its seats are for a second one of a fault domain."""

    begin: bytes
    seats: int
    doubles: int = 0
    sitting: dict[Seat, Holder] = field(default_factory=dict)

    def missing(self, free: AbstractSet[str]) -> int:
        """How many free domains are of nobody here. There are many of them, and few who sit."""
        return len(free) - sum(domain in free for domain in {holder.domain for holder in self.sitting.values()})

    def options(self, holder: Holder) -> Iterator[tuple[Seat, Holder | None]]:
        """Each seat that it could take, and who would have to leave the table for that."""
        rival = self.sitting.get(holder.domain)
        singles = [each for key, each in self.sitting.items() if isinstance(key, str)]
        if rival is not None:
            yield holder.domain, rival
        elif len(singles) < self.seats - self.doubles:
            yield holder.domain, None
        else:
            yield from ((holder.domain, each) for each in singles)
        yield from ((number, self.sitting.get(number)) for number in range(self.doubles))

    def settled(self, free: AbstractSet[str]) -> list[Holder]:
        """Who sits, without doubles that a free domain is there for after all."""
        while len(self.sitting) + self.missing(free) > self.seats and any(isinstance(key, int) for key in self.sitting):
            del self.sitting[max(key for key in self.sitting if isinstance(key, int))]
        return list(self.sitting.values())


def _make_sit(holder: Holder, fitting: Mapping[Holder, Sequence[_Table]]) -> bool:
    """Breadth first over those that would have to move; whether there is a seat at the end."""
    comes_for: dict[Holder, tuple[Holder, _Table, Seat]] = {}
    """Who would have to move → who comes to the table for that, and to which seat."""
    turn = [holder]
    for mover in turn:
        for table in sorted(fitting[mover], key=lambda table: (len(table.sitting), table.begin)):
            for key, other in table.options(mover):
                if other is None:
                    _move((mover, table, key), comes_for)
                    return True
                if other not in (holder, mover) and other not in comes_for:
                    comes_for[other] = (mover, table, key)
                    turn.append(other)
    return False


def _move(last: tuple[Holder, _Table, Seat], comes_for: dict[Holder, tuple[Holder, _Table, Seat]]) -> None:
    """The last one takes its seat, who comes for the one it had takes that, and so on."""
    chain = [last]
    while chain[-1][0] in comes_for:
        chain.append(comes_for[chain[-1][0]])
    tables = [table for _, table, _ in chain]
    for mover, _, _ in chain:
        for table in tables:
            table.sitting = {key: each for key, each in table.sitting.items() if each is not mover}
    for mover, table, key in chain:
        table.sitting[key] = mover
