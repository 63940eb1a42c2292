"""What faults need of a simulation, and what must be cut between whom."""

from collections.abc import Iterable
from random import Random
from typing import Protocol

from foreman.directory.records import ClusterSpec, Layout
from foreman.testing.cluster_simulator.network import Network
from foreman.testing.cluster_simulator.promises import Promises
from foreman.testing.cluster_simulator.simulated_directory import Store
from foreman.testing.cluster_simulator.simulated_nodes import SimulatedNode


class Stage(Protocol):
    """A simulation, as far as faults need it."""

    chance: Random
    network: Network
    store: Store
    promises: Promises
    nodes: dict[str, SimulatedNode]
    wishes: list[ClusterSpec]

    @property
    def layout(self) -> Layout | None: ...

    @property
    def leader(self) -> str | None: ...

    @property
    def is_watched(self) -> bool: ...

    def say(self, who: str, what: str) -> None: ...


def both_ways(here: Iterable[str], there: Iterable[str]) -> set[tuple[str, str]]:
    """What must be cut so that no message passes between these and those."""
    pairs = {(one, other) for one in here for other in there if one != other}
    return pairs | {(other, one) for one, other in pairs}
