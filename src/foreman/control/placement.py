"""On which nodes new workers go. Pure.

Promise: never two workers of one team on a fault domain while another is free. Beyond it, domains and then nodes are filled evenly, and
the least busy node goes first.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from foreman.directory.records import NodeRecord


@dataclass(frozen=True, slots=True)
class Place:
    """A node that may be asked. ``domain``: what fails together with it."""

    node: str
    domain: str


def domain_of(node: NodeRecord) -> str:
    """A node without a fault domain is one by itself; a NUL keeps its name apart from those that people give."""
    return node.fault_domain or f"\0{node.id}"


def domain_at(node: str, nodes: Mapping[str, NodeRecord]) -> str:
    """Of the node of this id; one that is not among ``nodes`` is one by itself."""
    record = nodes.get(node)
    return domain_of(record if record is not None else NodeRecord(node, ""))


def place(count: int, places: Sequence[Place], *, beside: Iterable[Place] = (), load: Mapping[str, int] | None = None) -> tuple[str, ...]:
    """The nodes for ``count`` more workers of a team that has workers ``beside`` already; () when there is no place at all.

    ``load``: node → how many workers it has of any team.
    """
    if not places:
        return ()
    team = list(beside)
    domains, nodes = Counter(each.domain for each in team), Counter(each.node for each in team)
    busy = Counter(load or {})
    chosen: list[str] = []
    for _ in range(count):
        best = min(places, key=lambda each: (domains[each.domain], nodes[each.node], busy[each.node], each.node))
        chosen.append(best.node)
        domains[best.domain] += 1
        nodes[best.node] += 1
        busy[best.node] += 1
    return tuple(chosen)


def is_crowded(team: Iterable[str], free: Iterable[str]) -> bool:
    """Whether two of ``team`` (their domains) share one while a domain of ``free`` holds none: the promise does not hold any more."""
    used = Counter(team)
    return any(count > 1 for count in used.values()) and any(domain not in used for domain in free)
