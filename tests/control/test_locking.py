"""Locking believes no log that was emptied, whatever it says: not even one of the first layout, which began with nothing."""

from dataclasses import dataclass, field

import pytest

from foreman.control.attempt import Attempt
from foreman.control.cluster_view import ClusterView
from foreman.control.ports import LogState
from foreman.control.recovery import locking
from foreman.control.recovery.locking import lock_old_services
from foreman.control.recovery.recovery import Recovery
from foreman.core.health import Health
from foreman.core.views import WorkerInfo
from foreman.directory.records import ClusterSpec, Layout, NodeRecord, Placement, StorageTeam
from tests.control.tools import tools_with

LOG = Placement("log-1-0badcafe-0-00000000", "n1")
STRAY = "log-1-0badcafe-7-00000000"


@dataclass
class World:
    """One node with a log, that says ``states``, one after the other."""

    states: list[LogState]
    asked: list[str] = field(default_factory=list)

    async def infos(self, node: NodeRecord, _timeout_s: float) -> dict[str, WorkerInfo]:
        return {
            id: WorkerInfo(id, "log", id, "running", Health.ok(), {}, 1, "1", 0, 0.0, "", f"{node.id}/{id}", None, None, None)
            for id in (LOG.id, STRAY)
        }

    async def log_state(self, _endpoint: str) -> LogState:
        self.asked.append("state")
        return self.states.pop(0)

    async def lock_log(self, _endpoint: str, _attempt: Attempt) -> LogState:
        self.asked.append("lock")
        return self.states.pop(0)


async def locked(first: LogState, second: LogState) -> Recovery:
    world = World([first, second])
    tools = tools_with(foremen=world, data=world)
    team = StorageTeam(b"", None, (Placement("storage-1-0badcafe-0-00000000", "away"),))
    layout = Layout(1, "0badcafe", 0, (LOG,), (team,), 0)
    recovery = Recovery(Attempt(2, "deadbeef"), tools, ClusterView(nodes={"n1": NodeRecord("n1", "")}, layout=layout), ClusterSpec(1, 1))
    await lock_old_services(recovery)
    return recovery


async def test_a_log_that_was_emptied_before_the_lock_is_lost_though_it_began_with_nothing() -> None:
    recovery = await locked(LogState(1, 0, 0, recovered=True), LogState(2, 0, 0, recovered=False))
    assert LOG in recovery.lost
    assert LOG not in recovery.old_logs


async def test_one_that_still_is_what_the_layout_made_of_it_is_believed() -> None:
    state = LogState(2, 0, 3, recovered=True)
    recovery = await locked(LogState(1, 0, 0, recovered=True), state)
    assert recovery.old_logs == {LOG: state}
    assert not recovery.lost


@pytest.mark.parametrize("unsure", [False, True])
async def test_what_a_node_told_is_noted_unless_it_may_be_making_a_worker(unsure: bool) -> None:  # noqa: FBT001 - pytest's
    recovery = await locked(LogState(1, 0, 0, recovered=True), LogState(2, 0, 0, recovered=True))
    recovery.unsure |= {"n1"} if unsure else set()
    await locking.find_endpoints(recovery, [LOG])
    assert recovery.told == ({} if unsure else {"n1": frozenset({LOG.id, STRAY})})
