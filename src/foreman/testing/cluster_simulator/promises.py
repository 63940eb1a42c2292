"""What a cluster promises, looked at after each thing that happens: each write to the directory, each command to a worker, each push.

- Epochs ascend; an epoch has one layout; layouts ascend. What a leader tells never goes back to an earlier epoch.
- What was acknowledged stays. A transaction counts as acknowledged as soon as every log of its layout took it: the client can hear of it
  at any time from then on. No layout ends before it, its logs and its members hold it, and nothing else is ever told at its version.
- After a layout is published the logs of older ones acknowledge nothing that it lacks.
- A director commands nothing after the end of its lease, as it was last told of it.
- A worker is on one node, obeys only rising generations, and only who locked it unlocks it; what a layout names is neither removed nor
  filled anew.

A worker that lost its disk since it was last commanded is let off, until it is commanded again. Owns no fault and mends nothing.
"""

from collections.abc import Callable, Mapping, Sequence

from foreman.control.attempt import Attempt
from foreman.control.named import names_of
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import LeaseId, Put
from foreman.directory.records import EpochRecord, Layout, LeaderRecord, Placement, StatusRecord, decode
from foreman.testing.cluster_simulator.simulated_nodes import SimulatedNode
from foreman.testing.cluster_simulator.simulated_workers import SimulatedLog, SimulatedStorage, key_of
from foreman.workers.storage.key_range import KeyRange

KEYS = ClusterKeys("sim")


class BrokenPromise(AssertionError):
    """What a cluster must never do."""


class Promises:
    """``published`` is called with each new layout, after it was looked at."""

    def __init__(self, nodes: Mapping[str, SimulatedNode], say: Callable[[str, str], None], published: Callable[[Layout], None]) -> None:
        self._nodes, self._say, self._on_published = nodes, say, published
        self.layouts: list[Layout] = []
        self.epoch = self.told_epoch = 0
        self.acknowledged: dict[int, str] = {}
        self.newest = 0
        self._taken: dict[tuple[int, int, str], set[str]] = {}
        self._generations: dict[str, int] = {}
        self._homes: dict[str, str] = {}
        self._leases: dict[str, LeaseId] = {}
        self._empty: set[str] = set()
        self.broken: list[str] = []
        self.lease_ends: Mapping[LeaseId, float] = {}
        self._named: frozenset[Placement] = frozenset()
        self._of_epoch: dict[int, Layout] = {}

    @property
    def layout(self) -> Layout | None:
        return self.layouts[-1] if self.layouts else None

    # --- what is heard ---

    def written(self, put: Put) -> None:
        """Into the directory."""
        key, value = put.key, put.value
        if key == KEYS.leader and put.lease is not None:
            self._leases[decode(LeaderRecord, key, value).node] = put.lease
        elif key == KEYS.epoch:
            epoch = decode(EpochRecord, key, value).epoch
            _must(epoch > self.epoch, f"epoch {epoch} was taken after {self.epoch}")
            self.epoch = epoch
        elif key == KEYS.status:
            told = decode(StatusRecord, key, value).epoch
            _must(told >= self.told_epoch, f"the status of epoch {told} was written after that of {self.told_epoch}")
            self.told_epoch = told
        elif key == KEYS.layout:
            self._published(decode(Layout, key, value))

    def commanding(self, node: str, now: float) -> None:
        """A director sends a command. What is wrong is noted: the director's own task is no place to raise it."""
        ends_s = self.lease_ends.get(self._leases.get(node, LeaseId(0)), 0.0)
        if now > ends_s:
            self.broken.append(f"the director on {node} commands at {now:.3f}, and its lease ended at {ends_s:.3f}")

    def made(self, id: str, node: str) -> None:
        home = self._homes.setdefault(id, node)
        _must(home == node, f"{id} was made on {node}, and is on {home}")

    def removing(self, node: str, ids: Sequence[str]) -> None:
        self._say(node, f"removes {', '.join(ids)}")
        for id in ids:
            _must(Placement(id, node) not in self._named, f"{id} was removed, and the newest layout names it")

    def commanded(self, endpoint: str, what: str, by: Attempt | None) -> None:
        self._say(endpoint, what if by is None else f"[{by.epoch}] {what}")
        node, _, id = endpoint.partition("/")
        worker = self._nodes[node].workers[id]
        before = self._generations.get(endpoint, 0)
        _must(by is None or by.epoch >= before, f"{endpoint} obeyed epoch {by.epoch if by else 0} after {before}")
        _must(worker.lock.generation >= before, f"{endpoint} went back from generation {before} to {worker.lock.generation}")
        self._generations[endpoint] = worker.lock.generation
        if what != "lock":
            self._empty.discard(endpoint)
        if isinstance(worker, SimulatedLog) and self.layout is not None and Placement(id, node) in self.layout.logs:
            self._check_log(worker, endpoint, self.layout)

    def emptied(self, endpoint: str) -> None:
        """It lost its disk, with all it ever obeyed. Nothing is expected of it until it is filled."""
        self._empty.add(endpoint)
        self._generations.pop(endpoint, None)

    def pushed(self, endpoint: str, epoch: int, version: int, what: str) -> None:
        """A log took it."""
        taken = self._taken.setdefault((epoch, version, what), set())
        taken.add(endpoint)
        layout = self._of_epoch[epoch]
        if len(taken) == len(layout.logs):
            self._acknowledge(layout, version, what)

    # --- what must hold ---

    def _acknowledge(self, layout: Layout, version: int, what: str) -> None:
        newest = self.layouts[-1]
        _must(
            newest is layout or version <= newest.last_version,
            f"layout {layout.epoch} acknowledged {version} after layout {newest.epoch} was published without it",
        )
        before = self.acknowledged.setdefault(version, what)
        _must(before == what, f"{what} was acknowledged at {version}, as {before} had been")
        self.newest = max(self.newest, version)

    def _published(self, layout: Layout) -> None:
        before = self.layout
        logs = ", ".join(f"{log.node}/{log.id}" for log in layout.logs)
        self._say("directory", f"layout {layout.epoch}: {layout.durable_version} to {layout.last_version}; {logs}; {_shown_teams(layout)}")
        _must(layout.epoch == self.epoch, f"layout {layout.epoch} was published in epoch {self.epoch}")
        _must(before is None or layout.epoch > before.epoch, f"layout {layout.epoch} was published twice, or late")
        _must(layout.last_version >= self.newest, f"layout {layout.epoch} ends at {layout.last_version}, acknowledged was {self.newest}")
        for worker in names_of(layout):
            _must(worker.id in self._nodes[worker.node].workers, f"layout {layout.epoch} names {worker.id}, which is not on {worker.node}")
        self.layouts.append(layout)
        self._named, self._of_epoch[layout.epoch] = names_of(layout), layout
        self.check()
        self._on_published(layout)

    def check(self) -> None:
        """That the workers of the layout hold what they must."""
        _must(not self.broken, "; ".join(self.broken))
        layout = self.layout
        if layout is None:
            return
        for log in layout.logs:
            worker = self._nodes[log.node].workers.get(log.id)
            _must(isinstance(worker, SimulatedLog), f"{log.id} of layout {layout.epoch} is not on {log.node}")
            assert isinstance(worker, SimulatedLog)
            self._check_log(worker, f"{log.node}/{log.id}", layout)
        for team in layout.teams:
            for member in team.members:
                storage = self._nodes[member.node].workers.get(member.id)
                _must(isinstance(storage, SimulatedStorage), f"{member.id} of layout {layout.epoch} is not on {member.node}")
                assert isinstance(storage, SimulatedStorage)
                self._check_member(storage, f"{member.node}/{member.id}", layout, KeyRange(team.begin, team.end))

    def _check_log(self, log: SimulatedLog, name: str, layout: Layout) -> None:
        if name in self._empty:
            return
        if log.lock.held and log.lock.generation == layout.epoch:
            raise BrokenPromise(f"{name} of layout {layout.epoch} is locked for it still")
        for version in range(layout.durable_version + 1, self.newest + 1):
            what = self.acknowledged.get(version)
            _must(what is None or log.records.get(version) == what, f"log {name} of layout {layout.epoch} lacks {version}")

    def _check_member(self, storage: SimulatedStorage, name: str, layout: Layout, keys: KeyRange) -> None:
        """It holds all of its team's keys that the logs do not, and nothing else than was acknowledged."""
        if name in self._empty:
            return
        if storage.lock.generation > layout.epoch:
            return  # the next recovery has it
        _must(storage.whole and storage.latest >= layout.durable_version, f"{name} serves, and does not hold the data")
        for version, what in self.acknowledged.items():
            if version <= storage.latest and keys.contains(key_of(what)):
                _must(storage.data.get(version) == what, f"{name} has {storage.data.get(version)} at {version}, acknowledged was {what}")


def _must(holds: bool, else_broken: str) -> None:  # noqa: FBT001 - an assertion
    if not holds:
        raise BrokenPromise(else_broken)


def _shown_teams(layout: Layout) -> str:
    teams = []
    for team in layout.teams:
        joining = f", joining {', '.join(f'{each.worker.node}/{each.worker.id}' for each in team.joining)}" if team.joining else ""
        keys = f"{team.begin.decode()}-{(team.end or b'').decode()}: "
        teams.append(f"{keys}{', '.join(f'{member.node}/{member.id}' for member in team.members)}{joining}")
    return "; ".join(teams)
