"""What a leader knows over all its epochs, by its own clock: who is away since when, which nodes have been there for how long, and what was
tried in vain. Pure. A new leader begins anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from foreman.control.absences import Absences
from foreman.control.cluster_view import ClusterView
from foreman.control.named import storage_of
from foreman.directory.records import Layout, NodeRecord, Placement

FIRST_PATIENCE_S: Final = 1.0
LAST_PATIENCE_S: Final = 120.0


@dataclass(slots=True)
class Memory:
    """``patience_s``: the same improvement again is waited for longer each time, so that one that cannot be had does not become a loop."""

    absences: Absences = field(default_factory=Absences)
    improved_at: float = float("-inf")
    improved_for: str = ""
    patience_s: float = FIRST_PATIENCE_S
    _nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    _settled: set[str] = field(default_factory=set)
    _settling: dict[str, float] = field(default_factory=dict)
    _layout: Layout | None = None
    _storage: frozenset[Placement] = frozenset()

    def see(self, view: ClusterView, now: float, filling: frozenset[Placement] = frozenset()) -> None:
        """Nodes by id and incarnation: one that restarted is a new one. ``filling``: there, but not healthy before it holds the data."""
        if view.nodes is not self._nodes:
            self._see_nodes(view.nodes, now)
        if view.layout is not None:
            if view.layout is not self._layout:
                self._layout, self._storage = view.layout, storage_of(view.layout)
            away = [worker for worker in self._storage if worker not in view.services and worker not in filling]
            self.absences.see(away, now)

    def _see_nodes(self, nodes: Mapping[str, NodeRecord], now: float) -> None:
        before, self._nodes = self._nodes, nodes
        stayed = {id for id, node in nodes.items() if id in before and before[id].incarnation == node.incarnation}
        self._settled &= stayed
        self._settling = {id: since for id, since in self._settling.items() if id in stayed}
        self._settling |= {id: now for id in nodes if id not in stayed}

    def settled(self, now: float, settle_s: float) -> frozenset[str]:
        """Nodes that have been there for a while."""
        settled = {id for id, since in self._settling.items() if now - since >= settle_s}
        self._settled |= settled
        for id in settled:
            del self._settling[id]
        return frozenset(self._settled)

    def next_settled(self, settle_s: float) -> float | None:
        """When the next node will have been there for long enough."""
        return min(self._settling.values()) + settle_s if self._settling else None

    def next_patience(self, now: float) -> float | None:
        """When what was tried last may be tried again; None: it may be already."""
        at = self.improved_at + self.patience_s
        return at if at > now else None

    def may_improve(self, why: str, now: float) -> bool:
        """Whether the last attempt at this is long enough ago; if so, this is the next."""
        same = why == self.improved_for
        if same and now - self.improved_at < self.patience_s:
            return False
        self.patience_s = min(LAST_PATIENCE_S, 2 * self.patience_s) if same else FIRST_PATIENCE_S
        self.improved_at, self.improved_for = now, why
        return True
